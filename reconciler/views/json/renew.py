"""`mtlsctl.renew/1`: what `mtlsctl renew` did, certificate by certificate. Never a key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from reconciler.findings.diagnostics import Resolve
from reconciler.model import Difference
from reconciler.plan.renewals import Due
from reconciler.plan.renewing import RenewalProposal, Renewals, RenewReason, RenewStatus, RenewStep
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
    return RenewDocument(
        stack=found.stack,
        made=found.made,
        dry_run=found.dry_run,
        interrupted=found.interrupted,
        exit_code=found.exit_code,
        certificates=tuple(map(_step, found.steps)),
        manual=tuple(map(_manual, found.manual)),
        pull_requests=tuple(map(_proposal, found.proposals)) or None,
        diagnostics=tuple(diagnostic_part(problem, resolve) for problem in found.diagnostics),
    )


show_renewals = as_view(renew_document)


def _proposal(one: RenewalProposal) -> ProposalPart:
    return ProposalPart(
        certificate=one.certificate, branch=one.branch, number=one.number, url=one.url, opened=one.opened
    )


def _manual(due: Due) -> ManualPart:
    return ManualPart(certificate=due.certificate, not_after=due.not_after, renew_from=due.renew_from)


def _step(step: RenewStep) -> RenewStepPart:
    item = step.item
    before, after = _sides(step)
    return RenewStepPart(
        certificate=item.name,
        status=step.status,
        reason=item.reason,
        path=item.declared.path,
        issuer=step.issuer,
        sink=step.sink,
        owner=item.declared.owner,
        renew_from=item.due.renew_from if item.due is not None else None,
        slot=step.slot,
        continued=step.continued,
        before=before,
        after=after,
        differences=step.differences,
    )


def _sides(step: RenewStep) -> Iterator[RenewedPart | None]:
    """The old certificate, then the new one."""
    for bundle in (step.item.present, step.after):
        if bundle is None:
            yield None
            continue
        facts = bundle.facts()
        yield RenewedPart(
            fingerprint=facts.fingerprint,
            serial=facts.serial,
            subject=facts.subject,
            issuer=facts.issuer,
            key=facts.key,
            not_before=facts.not_before,
            not_after=facts.not_after,
        )
