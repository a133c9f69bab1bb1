"""What a call of a real Worker proves."""

from __future__ import annotations

from dataclasses import replace

from reconciler.proof.levels import Level, LevelResult, Skip, skip
from reconciler.proof.reach import Reach, Reached
from reconciler.proof.reactions import FAULTS, REFUSALS
from reconciler.proof.verdicts import ProofStatus
from reconciler.proof.words import HINTS

_STANDINGS = {
    Reached.ANSWERED: ProofStatus.PROVED,
    Reached.REJECTED: ProofStatus.REFUTED,
    Reached.NOT_SENT: ProofStatus.REFUTED,
    Reached.UNUSABLE: ProofStatus.REFUTED,
    Reached.SERVER_UNTRUSTED: ProofStatus.INCONCLUSIVE,
    Reached.UNREACHABLE: ProofStatus.INCONCLUSIVE,
    Reached.FORBIDDEN: ProofStatus.INCONCLUSIVE,
    Reached.INCONCLUSIVE: ProofStatus.INCONCLUSIVE,
}


_EDGE = {
    520: (
        Reached.INCONCLUSIVE,
        "Cloudflare got no usable answer from the origin (520)",
        HINTS["edge-520"],
    ),
    525: (
        Reached.REJECTED,
        "the TLS handshake of Cloudflare with the origin failed (525), so no Worker can call it with this certificate",
        HINTS["log"],
    ),
    526: (
        Reached.SERVER_UNTRUSTED,
        "Cloudflare does not trust the origin's own certificate (526)",
        HINTS["edge-ca"],
    ),
}
_UNREACHED = {521: "refuses the connection", 522: "does not accept a connection in time", 523: "can't be reached"}
_UNREACHED |= {524: "does not answer in time", 530: "has a name that Cloudflare can't resolve"}


def judge_edge(reach: Reach, expect: int | None) -> LevelResult:
    """The result of the level `edge`. Cloudflare answers with a status of its own where it got none of the origin.

    `proxied` means nothing there: calls of the edge may always have that header.
    """
    hint, status = HINTS["log"] if reach.reached in {Reached.REJECTED, Reached.NOT_SENT} else None, reach.status
    if reach.reached is Reached.ANSWERED and status is not None and status != expect:
        if status in _UNREACHED:
            why = f"from Cloudflare, the origin {_UNREACHED[status]} ({status})"
            reach, hint = Reach(Reached.UNREACHABLE, why, status), HINTS["edge-reach"]
        elif status in _EDGE:
            reached, why, hint = _EDGE[status]
            reach = Reach(reached, why, status)
    result = judge_reach(replace(reach, proxied=False), expect)
    return replace(result, level=Level.EDGE, hint=result.hint or hint)


def judge_reach(reach: Reach, expect: int | None) -> LevelResult:
    """The result of the level. An answer is a proof only if accepted clients get it."""
    if reach.reached is Reached.NOT_RUN:
        return skip(Level.RUNTIME, Skip.NO_PROGRAM, reach.detail)
    standing, verdict, hint = _STANDINGS[reach.reached], str(reach.reached), None
    if reach.reached is Reached.ANSWERED and not _is_good(reach.status, expect):
        standing, verdict, hint = ProofStatus.INCONCLUSIVE, str(Reached.INCONCLUSIVE), HINTS["application"]
    if reach.reached is Reached.FORBIDDEN:
        verdict, hint = str(Reached.UNREACHABLE), HINTS["address"]
    if reach.proxied:
        hint = HINTS["proxied"]
    return LevelResult(Level.RUNTIME, standing, verdict, reach.detail, hint, reach=reach)


def _is_good(status: int | None, expect: int | None) -> bool:
    if expect is not None or status is None:
        return status == expect
    return status not in REFUSALS and status not in FAULTS
