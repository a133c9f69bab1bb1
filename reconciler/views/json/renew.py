"""`mtlsctl.renew/1`: what `mtlsctl renew` did, certificate by certificate. Never a key."""

from __future__ import annotations

from typing import Literal

from reconciler.findings.diagnostics import Resolve
from reconciler.model import Difference
from reconciler.plan.renewing import Renewals, RenewReason, RenewStatus, RenewStep
from reconciler.records.base import DiagnosticPart, JsonPart, UtcTime, diagnostic_part
from reconciler.views.json.document import as_view


class RenewedPart(JsonPart):
    """A certificate of a file. `fingerprint`: SHA-256 of its DER; `serial`: hexadecimal, as openssl has it."""

    fingerprint: str
    serial: str
    subject: str
    issuer: str
    key: str
    not_before: str
    not_after: str


class RenewStepPart(JsonPart):
    """One certificate. `before` is left out if it had none, `after` if it was not renewed. `slot`: the name of the slot
    of the new key. `continued`: with the key of a run that did not end. `differences`: of `before` and `after`."""

    certificate: str
    status: RenewStatus
    reason: RenewReason
    path: str
    issuer: str
    sink: str
    owner: str | None = None
    renew_from: UtcTime | None = None
    slot: str | None = None
    continued: bool
    before: RenewedPart | None = None
    after: RenewedPart | None = None
    differences: tuple[Difference, ...]


class ManualPart(JsonPart):
    """A certificate that is due, and that declares no `renew`."""

    certificate: str
    not_after: UtcTime
    renew_from: UtcTime


class ProposalPart(JsonPart):
    """The pull request of a renewal. `opened`: by this run; else nothing was renewed, because it waits already."""

    certificate: str
    branch: str
    number: int
    url: str
    opened: bool


class RenewDocument(JsonPart):
    """What was renewed, or would be in a dry run. `exit_code`: what the command ends with. `pull_requests`: only of
    `mtlsctl ci`."""

    format: Literal["mtlsctl.renew/1"] = "mtlsctl.renew/1"
    stack: str
    made: UtcTime
    dry_run: bool
    interrupted: bool
    exit_code: int
    certificates: tuple[RenewStepPart, ...]
    manual: tuple[ManualPart, ...]
    pull_requests: tuple[ProposalPart, ...] | None = None
    diagnostics: tuple[DiagnosticPart, ...]


def renew_document(found: Renewals, resolve: Resolve) -> RenewDocument:
    """A run of `renew` as its document."""
    return RenewDocument.made_from(
        found,
        certificates=tuple(map(_step, found.steps)),
        pull_requests=found.proposals or None,
        diagnostics=tuple(diagnostic_part(problem, resolve) for problem in found.diagnostics),
    )


show_renewals = as_view(renew_document)


def _step(step: RenewStep) -> RenewStepPart:
    item = step.item
    before, after = (None if one is None else one.facts() for one in (item.present, step.after))
    return RenewStepPart.made_from(
        step, item, item.declared, item.due, certificate=item.name, before=before, after=after
    )
