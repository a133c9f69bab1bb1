"""What is not as declared, and what became of it: changed, missing, or there without being declared.

Told from a plan and what it was made from, so nothing more is asked and nothing is decided anew. Whatever a plan would
change is a finding here, or follows one. More findings can join: see `Drift.joined`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from urllib.parse import quote

from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.exits import ExitCode, strongest
from reconciler.model import (
    BindingAddress,
    CertificateName,
    EnvironmentName,
    Reason,
    SiteAddress,
    StoreSettings,
    Waiting,
)
from reconciler.plan.coverage import NotChecked
from reconciler.plan.plan import exit_code_of


class State(StrEnum):
    """What became of something; in the order in which findings are shown."""

    MISSING = "missing"
    CHANGED = "changed"
    UNEXPECTED = "unexpected"
    IN_SYNC = "in-sync"


class Subject(StrEnum):
    """What a finding is about."""

    CERTIFICATE = "certificate"
    ENTRY = "entry"
    ENVIRONMENT = "environment"
    BINDING = "binding"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """One thing that is not as declared.

    `key` is the same for the same thing in every run and every checkout, whatever became of it. `expected` and `found`
    are ids; of a certificate, content digests. `follows` has the keys of bindings that are mended with it.
    """

    state: State
    subject: Subject
    key: str
    message: str
    hint: str
    where: Pointer | None = None
    certificate: CertificateName | None = None
    at: SiteAddress | BindingAddress | None = None
    expected: str | None = None
    found: str | None = None
    reasons: tuple[Reason, ...] = ()
    follows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drift:
    """One look. `in_sync` counts what is as declared. `diagnostics`: what a plan says that no finding tells of.

    `waiting`: bindings and uploads that wait for a time, which is no drift.
    `not_checked`: what was not read of what is live, so that nothing is said of it.
    """

    stack: str
    store: StoreSettings
    made: datetime
    in_sync: int
    findings: tuple[DriftFinding, ...]
    diagnostics: tuple[Diagnostic, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    not_checked: tuple[NotChecked, ...] = ()

    @property
    def summary(self) -> dict[State, int]:
        """How many of each state, all states named."""
        counts = {state: sum(finding.state is state for finding in self.findings) for state in State}
        return counts | {State.IN_SYNC: self.in_sync}

    @property
    def exit_code(self) -> ExitCode:
        """2 where something has drifted. An error that no finding tells of means that not all could be looked at."""
        found = ExitCode.CHANGES if self.findings else ExitCode.OK
        return strongest((exit_code_of(self.diagnostics), found))

    def joined(self, findings: Iterable[DriftFinding], *, in_sync: int = 0) -> Drift:
        """The same with findings, and things in sync, that were looked for elsewhere."""
        return replace(self, findings=in_order((*self.findings, *findings)), in_sync=self.in_sync + in_sync)

    def told(self, diagnostics: Iterable[Diagnostic]) -> Drift:
        """The same with what else stood in the way of looking."""
        return replace(self, diagnostics=(*self.diagnostics, *diagnostics))


def in_order(findings: Iterable[DriftFinding]) -> tuple[DriftFinding, ...]:
    """What is missing first; then by key, so that two looks can be laid side by side."""
    states, subjects = list(State), list(Subject)
    return tuple(sorted(findings, key=lambda one: (states.index(one.state), subjects.index(one.subject), one.key)))


def key_of(subject: Subject, *parts: str) -> str:
    """A stable key, `binding:apps/checkout/wrangler.toml:env/staging:BILLING`; no part can run into the next."""
    return ":".join((subject, *(quote(part, safe="/", errors="backslashreplace") for part in parts)))


def environment_part(environment: EnvironmentName) -> str:
    """An environment in a key; no environment can be called as the top level is."""
    return "top-level" if environment is None else f"env/{environment}"
