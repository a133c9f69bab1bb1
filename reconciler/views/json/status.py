"""`mtlsctl.status/1` and `mtlsctl.output/1`: the state of every certificate, and the id of one."""

from __future__ import annotations

from typing import Literal

from reconciler.findings.diagnostics import Resolve
from reconciler.model import Action, UserKind
from reconciler.plan.inventory import Role
from reconciler.plan.users import Use
from reconciler.records.base import DiagnosticPart, JsonPart, UtcTime, diagnostic_part
from reconciler.records.plan import (
    LivePart,
    NotCheckedPart,
    StorePart,
    WaitingPart,
    live_part,
    not_checked_part,
    waiting_part,
)
from reconciler.reports.current import Current
from reconciler.reports.status import BoundAt, ByIdStatus, CertificateStatus, Standing, Status, Urgency
from reconciler.views.json.document import as_view


class PlacePart(JsonPart):
    """Where a certificate is, or should be, bound. `found`: the id that the file has there."""

    worker: str
    config: str
    environment: str | None = None
    binding: str
    standing: Standing
    found: str | None = None


class CertificatePart(JsonPart):
    """One declared certificate. Without `entry` it is not stored; without times its file could not be read."""

    certificate: str
    urgency: Urgency
    entry: str | None = None
    name: str | None = None
    not_after: UtcTime | None = None
    renew_from: UtcTime | None = None
    owner: str | None = None
    places: tuple[PlacePart, ...]
    waiting: tuple[WaitingPart, ...]


class ByIdPart(JsonPart):
    """One uploaded certificate that bindings name by its id. `role` says what it is to this stack.

    `stack` and `of` are where its name says that it was uploaded. `newer`: what was uploaded later under that name.
    """

    entry: str
    name: str | None = None
    role: Role
    urgency: Urgency
    stack: str | None = None
    of: str | None = None
    not_after: UtcTime | None = None
    renew_from: UtcTime | None = None
    newer: str | None = None
    places: tuple[PlacePart, ...]


class UsePart(JsonPart):
    """What else uses a certificate of this stack. `role`: what `entry` is to this stack, `current` or another one."""

    entry: str
    certificate: str
    role: Role
    kind: UserKind
    name: str
    id: str | None = None
    detail: str | None = None


class StatusDocument(JsonPart):
    """The most urgent certificate first. `pending`: how many changes of each action `mtlsctl apply` would make.

    `by_id`: uploaded certificates that bindings use by their ids. `uses`: what else uses certificates of this stack.
    Without `live` live Workers were not read; `not_checked` says so.
    """

    format: Literal["mtlsctl.status/1"] = "mtlsctl.status/1"
    stack: str
    store: StorePart
    made: UtcTime
    certificates: tuple[CertificatePart, ...]
    orphaned: tuple[WaitingPart, ...]
    pending: dict[Action, int]
    by_id: tuple[ByIdPart, ...]
    uses: tuple[UsePart, ...]
    live: tuple[LivePart, ...] | None = None
    not_checked: tuple[NotCheckedPart, ...]
    diagnostics: tuple[DiagnosticPart, ...]


def status_document(status: Status, resolve: Resolve) -> StatusDocument:
    """A status as its document."""
    return StatusDocument(
        stack=status.stack,
        store=StorePart(kind=status.store.kind, account_id=status.store.account_id),
        made=status.made,
        certificates=tuple(map(_certificate, status.certificates)),
        orphaned=tuple(map(waiting_part, status.orphaned)),
        pending=dict(status.changes),
        by_id=tuple(map(by_id_part, status.by_id)),
        uses=tuple(map(use_part, status.uses)),
        live=None if status.live is None else tuple(map(live_part, status.live)),
        not_checked=tuple(not_checked_part(one, "status") for one in status.not_checked),
        diagnostics=tuple(diagnostic_part(problem, resolve) for problem in status.diagnostics),
    )


show_status = as_view(status_document)


def _certificate(status: CertificateStatus) -> CertificatePart:
    return CertificatePart(
        certificate=status.certificate,
        urgency=status.urgency,
        entry=status.entry.id if status.entry else None,
        name=status.entry.name if status.entry else None,
        not_after=status.due.not_after if status.due else None,
        renew_from=status.due.renew_from if status.due else None,
        owner=status.owner,
        places=tuple(map(_place, status.places)),
        waiting=tuple(map(waiting_part, status.waiting)),
    )


def _place(place: BoundAt) -> PlacePart:
    return PlacePart(
        worker=place.at.worker,
        config=place.at.config,
        environment=place.at.environment,
        binding=place.at.binding,
        standing=place.standing,
        found=place.found,
    )


def by_id_part(status: ByIdStatus) -> ByIdPart:
    """One of them as its part of a document."""
    row = status.row
    return ByIdPart(
        entry=row.id,
        name=row.entry.name if row.entry is not None else None,
        role=row.role,
        urgency=status.urgency,
        stack=row.mark.stack if row.mark is not None else None,
        of=row.mark.certificate if row.mark is not None else None,
        not_after=row.not_after,
        renew_from=row.renew_from,
        newer=row.newer.id if row.newer is not None else None,
        places=tuple(map(_place, status.places)),
    )


def use_part(use: Use) -> UsePart:
    """One use as its part of a document."""
    return UsePart(
        entry=use.entry.id,
        certificate=use.certificate,
        role=use.role,
        kind=use.user.kind,
        name=use.user.name,
        id=use.user.id,
        detail=use.user.detail or None,
    )


# --- output -----------------------------------------------------------------------------------------------------------


class OutputDocument(JsonPart):
    """`id` and `name` are the store's; `fingerprint` is SHA-256 of the leaf, `content_digest` of the whole chain."""

    format: Literal["mtlsctl.output/1"] = "mtlsctl.output/1"
    certificate: str
    id: str
    name: str
    fingerprint: str
    content_digest: str
    not_after: UtcTime


def output_document(current: Current, _resolve: Resolve) -> OutputDocument:
    """A current entry as its document."""
    return OutputDocument(
        certificate=current.certificate,
        id=current.entry.id,
        name=current.entry.name,
        fingerprint=current.fingerprint,
        content_digest=current.digest,
        not_after=current.not_after,
    )


show_current = as_view(output_document)
