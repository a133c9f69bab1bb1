"""`mtlsctl.drift/1`: what differs from mtls.toml, for a scheduler that acts on it."""

from __future__ import annotations

from typing import Literal

from reconciler.findings.diagnostics import Resolve
from reconciler.model import Reason
from reconciler.plan.plan import next_of
from reconciler.records.base import DiagnosticPart, JsonPart, UtcTime, diagnostic_part
from reconciler.records.plan import NotCheckedPart, StorePart, WaitingPart, not_checked_part, waiting_part
from reconciler.reports.drift import Drift, DriftFinding, State, Subject
from reconciler.views.json.document import as_view


class DriftPart(JsonPart):
    """One thing that differs from mtls.toml.

    `key` is the same in every run and checkout, and unique in a document: a key that was not there before is new, one
    that is no longer there is fixed. `apply`: whether `mtlsctl apply` fixes it. `code`: for `mtlsctl explain CODE`.
    `expected` and `found` are IDs; of a certificate, content digests. `environment` is left out for the top level.
    `follows`: keys of the bindings that it concerns, without a finding of their own. `entries`: IDs of the uploaded
    certificates that have one private key. `fails`: whether it counts for exit code 2.
    """

    key: str
    state: State
    subject: Subject
    code: str | None = None
    message: str
    hint: str
    certificate: str | None = None
    worker: str | None = None
    config: str | None = None
    environment: str | None = None
    binding: str | None = None
    expected: str | None = None
    found: str | None = None
    reasons: tuple[Reason, ...]
    follows: tuple[str, ...]
    entries: tuple[str, ...]
    apply: bool
    fails: bool
    path: str | None = None
    line: int | None = None
    column: int | None = None


class DriftDocument(JsonPart):
    """The drift of one moment. `summary` counts every state. `unused`: whether `--unused` was asked for.

    `waiting`: bindings and uploads that wait for a time, which is no drift; `next`: the earliest such time.
    """

    format: Literal["mtlsctl.drift/1"] = "mtlsctl.drift/1"
    stack: str
    store: StorePart
    made: UtcTime
    unused: bool
    summary: dict[State, int]
    findings: tuple[DriftPart, ...]
    waiting: tuple[WaitingPart, ...]
    next: UtcTime | None = None
    not_checked: tuple[NotCheckedPart, ...]
    diagnostics: tuple[DiagnosticPart, ...]


def drift_document(drift: Drift, resolve: Resolve) -> DriftDocument:
    """A drift as its document."""
    return DriftDocument.made_from(
        drift,
        findings=tuple(_finding(finding, resolve) for finding in drift.findings),
        waiting=tuple(map(waiting_part, drift.waiting)),
        next=next_of(drift.waiting),
        not_checked=tuple(not_checked_part(one, drift.command) for one in drift.not_checked),
        diagnostics=tuple(diagnostic_part(problem, resolve) for problem in drift.diagnostics),
    )


show_drift = as_view(drift_document)


def _finding(finding: DriftFinding, resolve: Resolve) -> DriftPart:
    return DriftPart.made_from(finding, finding.at, resolve(finding.where), None)
