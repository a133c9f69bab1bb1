"""Drift: what differs from mtls.toml, as findings with keys that stay the same from run to run.

`drift_look.py` finds what a plan shows; `drift_live.py` and `drift_unused.py` add what `--live` and `--unused` read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from urllib.parse import quote

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.exits import ExitCode, strongest
from reconciler.findings.values import dataclass
from reconciler.model import (
    BindingAddress,
    CertificateName,
    EntryId,
    EnvironmentName,
    Reason,
    SiteAddress,
    StoreSettings,
    Waiting,
)
from reconciler.plan.coverage import NotChecked
from reconciler.plan.plan import exit_code_of


class State(StrEnum):
    """How something differs; in the order in which findings are shown."""

    MISSING = "missing"
    CHANGED = "changed"
    UNEXPECTED = "unexpected"
    SHARED = "shared"
    UNUSED = "unused"
    IN_SYNC = "in-sync"


class Subject(StrEnum):
    """What a finding is about."""

    CERTIFICATE = "certificate"
    ENTRY = "entry"
    ENVIRONMENT = "environment"
    BINDING = "binding"
    LIVE = "live"
    HYPERDRIVE = "hyperdrive"
    HOSTNAMES = "hostnames"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """One thing that differs from mtls.toml.

    `key` is the same for the same thing in every run and every checkout, and no other finding has it. `expected` and
    `found` are IDs; of a certificate, content digests. `follows` has the keys of bindings that it concerns and that
    have no finding of their own. `entries`: the uploaded certificates with one private key. `apply`: whether
    `mtlsctl apply` fixes it. `fails`: whether it counts for exit code 2; a deletion that is ready does not. `code`: of
    findings that `mtlsctl explain CODE` knows.
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
    entries: tuple[EntryId, ...] = ()
    apply: bool = False
    fails: bool = True
    code: Code | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """The drift of one moment. `in_sync` counts what is as declared.

    `diagnostics`: findings of the plan that no finding of drift repeats. `waiting`: bindings and uploads that wait,
    which is no drift. `not_checked`: what was not read. `unused`: whether `--unused` was asked for.
    """

    stack: str
    store: StoreSettings
    made: datetime
    in_sync: int
    findings: tuple[DriftFinding, ...]
    diagnostics: tuple[Diagnostic, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    not_checked: tuple[NotChecked, ...] = ()
    unused: bool = False

    @property
    def command(self) -> str:
        """The command that shows it."""
        return "drift --unused" if self.unused else "drift"

    @property
    def summary(self) -> dict[State, int]:
        """How many of each state, all states named."""
        counts = {state: sum(finding.state is state for finding in self.findings) for state in State}
        return counts | {State.IN_SYNC: self.in_sync}

    @property
    def exit_code(self) -> ExitCode:
        """2 if a finding fails. An error that no finding repeats means that not everything could be read."""
        found = ExitCode.CHANGES if any(one.fails for one in self.findings) else ExitCode.OK
        return strongest((exit_code_of(self.diagnostics), found))

    def joined(
        self, findings: Iterable[DriftFinding], diagnostics: Iterable[Diagnostic] = (), *, in_sync: int = 0
    ) -> Drift:
        """The same with what was found elsewhere."""
        return replace(
            self,
            findings=in_order((*self.findings, *findings)),
            diagnostics=(*self.diagnostics, *diagnostics),
            in_sync=self.in_sync + in_sync,
        )


def in_order(findings: Iterable[DriftFinding]) -> tuple[DriftFinding, ...]:
    """What is missing first; then by key, so that the reports of two runs can be compared line by line."""
    states, subjects = list(State), list(Subject)
    return tuple(sorted(findings, key=lambda one: (states.index(one.state), subjects.index(one.subject), one.key)))


def drift_key(subject: Subject, *parts: str) -> str:
    """A stable key, `binding:apps/checkout/wrangler.toml:env/staging:BILLING`; no part can run into the next."""
    return ":".join((subject, *(quote(part, safe="/", errors="backslashreplace") for part in parts)))


def environment_part(environment: EnvironmentName) -> str:
    """An environment in a key; no environment can have the name of the top level."""
    return "top-level" if environment is None else f"env/{environment}"
