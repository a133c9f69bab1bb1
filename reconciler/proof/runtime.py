"""What a call of a real Worker proves."""

from __future__ import annotations

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
