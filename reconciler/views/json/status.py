"""`mtlsctl.status/1` and `mtlsctl.output/1`: the state of every certificate, and the id of one."""

from __future__ import annotations

from typing import Literal

from reconciler.findings.diagnostics import Resolve
from reconciler.model import Action, BindingAddress, HostnamesAddress, HyperdriveAddress, HyperdriveField, UserKind
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
from reconciler.reports.kept import KeptEntry, KeptFor
from reconciler.reports.outage import Outage
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


class LiveUsePart(JsonPart):
    """A version of a Worker that keeps an old certificate.

    `script`: the Worker's real name. `share`: its percentage of the traffic; without it the version is not live, and a
    rollback could bring it back. `deployments_ago`: how many deployments before the newest; without it that is
    unknown, or it was never deployed. `worker`, `config` and `environment` where mtls.toml declares it.
    """

    script: str
    version: str
    share: float | None = None
    deployments_ago: int | None = None
    deployed_on: UtcTime | None = None
    worker: str | None = None
    config: str | None = None
    environment: str | None = None


class KeptPart(WaitingPart):
    """An uploaded certificate that waits to be deleted. `since`: when its grace period ended, where it has. `hint`:
    what would end it, for a person. `live`: the versions of Workers that keep it, where that is what it waits for."""

    since: UtcTime | None = None
    hint: str | None = None
    live: tuple[LiveUsePart, ...] | None = None


class CertificatePart(JsonPart):
    """One declared certificate. Without `entry` it is not stored; without times its file could not be read.

    The times are those of the certificate in use. If `entry` has replaced it and is not in use yet, `entry_not_before`,
    `entry_not_after` and `entry_renew_from` are those of `entry`.
    """

    certificate: str
    urgency: Urgency
    entry: str | None = None
    name: str | None = None
    not_after: UtcTime | None = None
    renew_from: UtcTime | None = None
    entry_not_before: UtcTime | None = None
    entry_not_after: UtcTime | None = None
    entry_renew_from: UtcTime | None = None
    owner: str | None = None
    places: tuple[PlacePart, ...]
    waiting: tuple[KeptPart, ...]


class OutagePart(JsonPart):
    """When calls through a binding begin to fail if nothing is done; no `time`: it uses nothing that is known.

    `failing`: they fail already. `by_live`: by what is live, not by the wrangler file alone. `entry`: the certificate
    in use that fails first.
    """

    time: UtcTime | None = None
    failing: bool
    by_live: bool
    certificate: str | None = None
    entry: str | None = None
    worker: str | None = None
    config: str | None = None
    environment: str | None = None
    binding: str | None = None
    hyperdrive: str | None = None
    field: HyperdriveField | None = None
    zone: str | None = None


class ByIdPart(JsonPart):
    """One uploaded certificate that bindings name by its id. `role` says what it is to this stack.

    `stack` and `of` are where its name says that it was uploaded. `newer`: what was uploaded later under that name.
    """

    entry: str
    name: str | None = None
    subject: str | None = None
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

    `outage`: the first of `outages`, which has each declared binding, certificate of a Hyperdrive configuration,
    and CA of a zone.
    `next`: the earliest time at which something that waits may be done.
    `by_id`: uploaded certificates that bindings use by their ids. `uses`: what else uses certificates of this stack.
    Without `live` live Workers were not read; `not_checked` says so.
    """

    format: Literal["mtlsctl.status/1"] = "mtlsctl.status/1"
    stack: str
    store: StorePart
    made: UtcTime
    certificates: tuple[CertificatePart, ...]
    orphaned: tuple[KeptPart, ...]
    pending: dict[Action, int]
    next: UtcTime | None = None
    outage: OutagePart | None = None
    outages: tuple[OutagePart, ...]
    failed_on: tuple[str, ...] | None = None
    by_id: tuple[ByIdPart, ...]
    uses: tuple[UsePart, ...]
    live: tuple[LivePart, ...] | None = None
    not_checked: tuple[NotCheckedPart, ...]
    diagnostics: tuple[DiagnosticPart, ...]


def status_document(status: Status, resolve: Resolve) -> StatusDocument:
    """A status as its document."""
    return StatusDocument.made_from(
        status,
        certificates=tuple(map(_certificate, status.certificates)),
        orphaned=tuple(map(_kept, status.orphaned)),
        pending=dict(status.changes),
        outage=_outage(status.outage) if status.outage is not None else None,
        outages=tuple(map(_outage, status.outages)),
        failed_on=status.failed_on or None,
        by_id=tuple(map(by_id_part, status.by_id)),
        uses=tuple(map(use_part, status.uses)),
        live=None if status.live is None else tuple(map(live_part, status.live)),
        not_checked=tuple(not_checked_part(one, "status") for one in status.not_checked),
        diagnostics=tuple(diagnostic_part(problem, resolve) for problem in status.diagnostics),
    )


show_status = as_view(status_document)


def _certificate(status: CertificateStatus) -> CertificatePart:
    renewed = status.renewed if status.entry is not None else None
    return CertificatePart.made_from(
        status,
        status.due,
        entry=status.entry.id if status.entry else None,
        name=status.entry.name if status.entry else None,
        entry_not_before=status.begins if renewed is not None else None,
        entry_not_after=renewed.not_after if renewed is not None else None,
        entry_renew_from=renewed.renew_from if renewed is not None else None,
        places=tuple(map(_place, status.places)),
        waiting=tuple(map(_kept, status.waiting)),
    )


def _kept(kept: KeptEntry) -> KeptPart:
    return KeptPart.made_from(waiting_part(kept.waiting), kept, live=tuple(map(_live_use, kept.live)) or None)


def _live_use(kept: KeptFor) -> LiveUsePart:
    version = kept.use.version
    return LiveUsePart.made_from(version, kept.site, script=kept.use.worker.script, version=version.id)


def _outage(outage: Outage) -> OutagePart:
    binding = outage.at if isinstance(outage.at, BindingAddress) else None
    hyperdrive = outage.at if isinstance(outage.at, HyperdriveAddress) else None
    return OutagePart.made_from(
        outage,
        binding,
        by_live=outage.is_live,
        hyperdrive=hyperdrive.label if hyperdrive is not None else None,
        field=hyperdrive.field if hyperdrive is not None else None,
        zone=outage.at.zone if isinstance(outage.at, HostnamesAddress) else None,
    )


def _place(place: BoundAt) -> PlacePart:
    return PlacePart.made_from(place, place.at)


def by_id_part(status: ByIdStatus) -> ByIdPart:
    """One of them as its part of a document."""
    row = status.row
    return ByIdPart.made_from(
        status,
        row,
        row.entry,
        row.mark,
        entry=row.id,
        of=row.mark.certificate if row.mark is not None else None,
        newer=row.newer.id if row.newer is not None else None,
        places=tuple(map(_place, status.places)),
    )


def use_part(use: Use) -> UsePart:
    """One use as its part of a document."""
    return UsePart.made_from(use, use.user, entry=use.entry.id, detail=use.user.detail or None)


# --- output -----------------------------------------------------------------------------------------------------------


class OutputDocument(JsonPart):
    """`id` and `name` are those of the upload; `fingerprint` is SHA-256 of the leaf, `content_digest` of the
    whole chain."""

    format: Literal["mtlsctl.output/1"] = "mtlsctl.output/1"
    certificate: str
    id: str
    name: str
    fingerprint: str
    content_digest: str
    not_after: UtcTime


def output_document(current: Current, _resolve: Resolve) -> OutputDocument:
    """A current entry as its document."""
    return OutputDocument.made_from(current, current.entry, content_digest=current.digest)


show_current = as_view(output_document)
