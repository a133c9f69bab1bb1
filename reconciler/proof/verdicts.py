"""The verdicts on a certificate at an origin: stable words, their status, and their exit codes."""

from __future__ import annotations

from enum import StrEnum

from reconciler.findings.exits import ExitCode
from reconciler.findings.values import dataclass


class ProofStatus(StrEnum):
    """The status of a verdict. `skipped`: nothing was done, so nothing is proved."""

    PROVED = "proved"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"


class Verdict(StrEnum):
    """The result of a proof; closed and stable."""

    ACCEPTED = "accepted"
    OPTIONAL = "optional"
    PRESENCE_ONLY = "presence-only"
    NOT_VERIFIED = "not-verified"
    NOT_REQUESTED = "not-requested"
    REJECTED = "rejected"
    NOT_SENT = "not-sent"
    REQUESTED_TOO_LATE = "requested-too-late"
    SERVER_UNTRUSTED = "server-untrusted"
    UNREACHABLE = "unreachable"
    INCONCLUSIVE = "inconclusive"

    @property
    def standing(self) -> ProofStatus:
        """The status of this verdict."""
        return _STANDINGS[self]

    @property
    def is_full(self) -> bool:
        """True if the origin accepts this certificate and no other: the only full proof."""
        return self is Verdict.ACCEPTED


_STANDINGS = {
    Verdict.ACCEPTED: ProofStatus.PROVED,
    Verdict.OPTIONAL: ProofStatus.PROVED,
    Verdict.PRESENCE_ONLY: ProofStatus.PROVED,
    Verdict.NOT_VERIFIED: ProofStatus.PROVED,
    Verdict.NOT_REQUESTED: ProofStatus.REFUTED,
    Verdict.REJECTED: ProofStatus.REFUTED,
    Verdict.NOT_SENT: ProofStatus.REFUTED,
    Verdict.REQUESTED_TOO_LATE: ProofStatus.REFUTED,
    Verdict.SERVER_UNTRUSTED: ProofStatus.INCONCLUSIVE,
    Verdict.UNREACHABLE: ProofStatus.INCONCLUSIVE,
    Verdict.INCONCLUSIVE: ProofStatus.INCONCLUSIVE,
}

EXIT_CODES = {
    ProofStatus.PROVED: ExitCode.OK,
    ProofStatus.REFUTED: ExitCode.FAILED,
    ProofStatus.INCONCLUSIVE: ExitCode.BLOCKED,
    ProofStatus.SKIPPED: ExitCode.OK,
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, the name of the rule that gave it, the reason, and a hint if there is something to do."""

    verdict: Verdict
    rule: str
    why: str
    hint: str | None = None
