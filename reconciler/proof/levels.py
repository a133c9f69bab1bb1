"""The levels of proof, and the result of each for one certificate. A level that was not run is skipped and proves
nothing."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.exits import ExitCode, strongest
from reconciler.findings.values import dataclass
from reconciler.model import CertificateName, Origin
from reconciler.proof.observations import Seen
from reconciler.proof.reach import Reach
from reconciler.proof.verdicts import EXIT_CODES, ProofStatus


class Level(StrEnum):
    """From the files alone to a real Worker; each level proves what the one before it can't."""

    FILES = "files"
    WRANGLER = "wrangler"
    ORIGIN = "origin"
    RUNTIME = "runtime"
    EDGE = "edge"


UNASKED = frozenset(Level) - {Level.EDGE}
"""Levels that run if none is requested by name. A run that deploys something must be asked to."""

OFFLINE = frozenset({Level.FILES, Level.WRANGLER})
"""Levels that send nothing over the network."""


RUNS_PROJECT = frozenset({Level.WRANGLER, Level.RUNTIME})
"""Levels that run programs of the checkout: its wrangler with its build, and its workerd."""


class Skip(StrEnum):
    """Why a level was not run."""

    NOT_DECLARED = "not-declared"
    NO_PROGRAM = "no-program"
    NOT_ALLOWED = "not-allowed"
    NO_KEY = "no-key"
    NO_CERTIFICATE = "no-certificate"
    NOT_STORED = "not-stored"
    NO_ORIGIN_CA = "no-origin-ca"
    NO_EDGE = "no-edge"


@dataclass(frozen=True, slots=True)
class DryRun:
    """The id that wrangler would deploy for one binding, if any, and the expected id, if known."""

    worker: str
    config: str
    environment: str | None
    binding: str
    found: str | None
    wanted: str | None


@dataclass(frozen=True, slots=True)
class LevelResult:
    """The result of one level. `verdict` is a stable word; each level uses one of `seen`, `reach` and `dry_runs`."""

    level: Level
    standing: ProofStatus
    verdict: str
    why: str
    hint: str | None = None
    findings: tuple[Diagnostic, ...] = ()
    skipped: Skip | None = None
    seen: Seen | None = None
    reach: Reach | None = None
    dry_runs: tuple[DryRun, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateProof:
    """All requested levels of one certificate. `fingerprint` is None if its file could not be read."""

    certificate: CertificateName
    fingerprint: str | None
    not_after: datetime | None
    origin: Origin | None
    levels: tuple[LevelResult, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """One run. `demanded` are the levels that were requested by name; skipping one of them is a failure."""

    stack: str
    made: datetime
    demanded: frozenset[Level]
    certificates: tuple[CertificateProof, ...]
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """1 if something is refuted, 3 if something could not be proved that should be."""
        return strongest(self._code(result) for proof in self.certificates for result in proof.levels)

    def is_missing(self, result: LevelResult) -> bool:
        """True if a required level was skipped: it was requested by name, or its key is missing."""
        neutral = {Skip.NOT_DECLARED, Skip.NO_PROGRAM, Skip.NOT_ALLOWED, Skip.NOT_STORED}
        return result.skipped is not None and (result.level in self.demanded or result.skipped not in neutral)

    def _code(self, result: LevelResult) -> ExitCode:
        return ExitCode.BLOCKED if self.is_missing(result) else EXIT_CODES[result.standing]


def not_allowed(level: Level) -> LevelResult:
    """The result of a level that runs programs of the checkout, which the operator did not allow."""
    programs = "the project's wrangler and its build" if level is Level.WRANGLER else "the project's workerd"
    hint = f"run it with `--level {level}` or `--run-project`, if you trust this checkout"
    return skip(level, Skip.NOT_ALLOWED, f"it runs {programs}, and that was not allowed", hint)


def skip(level: Level, reason: Skip, why: str, hint: str | None = None) -> LevelResult:
    """The result of a skipped level."""
    return LevelResult(level, ProofStatus.SKIPPED, "skipped", why, hint, skipped=reason)
