"""Each declared certificate by urgency, with its entry, its bindings and what waits.

A view of a plan, which decides nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.values import dataclass
from reconciler.model import (
    Action,
    BindingAddress,
    ByCertificate,
    ById,
    CertificateName,
    Condition,
    Entry,
    StoreSettings,
)
from reconciler.plan.assessment import Assessment, BindingRow, ByIdRow, CertificateRow, Waits
from reconciler.plan.coverage import NotChecked, of_live
from reconciler.plan.dates import declared_due
from reconciler.plan.freeze import Frozen, frozen
from reconciler.plan.live import LiveBinding
from reconciler.plan.plan import Plan
from reconciler.plan.renewals import Due
from reconciler.plan.users import Use, find_uses
from reconciler.reports.kept import KeptEntry, find_kept
from reconciler.reports.outage import Outage, find_outages, first_of
from reconciler.x509.chains import window_of


class Urgency(StrEnum):
    """How urgent a renewal is, most urgent first. `unreadable`: the file can't be used, so its dates are unknown."""

    EXPIRED = "expired"
    DUE = "due"
    UNREADABLE = "unreadable"
    LATER = "later"


class Standing(StrEnum):
    """The state of a binding in a wrangler file.

    `waiting`: it gets the current upload once that is valid. `undeclared`: it uses the current upload, or one that
    waits to be retired, and mtls.toml does not declare it. `unread`: its wrangler file can't be used.
    """

    IN_PLACE = "in-place"
    WAITING = "waiting"
    OTHER_ID = "other-id"
    MISSING = "missing"
    UNDECLARED = "undeclared"
    UNREAD = "unread"


@dataclass(frozen=True, slots=True)
class BoundAt:
    """One binding of one environment. `found`: its ID in the file; None if the file does not have the binding."""

    at: BindingAddress
    standing: Standing
    found: str | None


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """One declared certificate. `entry` None: not uploaded. `due` None: its file could not be read.

    `renewed`: when the declared one is due, if `due` is of an older one that is still in use; `begins`: when it becomes
    valid. `renews`: `mtlsctl renew` renews it.
    """

    certificate: CertificateName
    urgency: Urgency
    entry: Entry | None
    due: Due | None
    owner: str | None
    places: tuple[BoundAt, ...]
    waiting: tuple[KeptEntry, ...]
    renewed: Due | None = None
    begins: datetime | None = None
    renews: bool = False


@dataclass(frozen=True, slots=True)
class ByIdStatus:
    """One uploaded certificate that bindings use by its ID. `urgency`: UNREADABLE if its expiry is unknown."""

    row: ByIdRow
    urgency: Urgency
    places: tuple[BoundAt, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a stack. `orphaned`: waiting changes of certificates that are no longer declared. `changes`:
    pending ones, by action.

    `next`: the earliest time at which a waiting change may be made. `outages`: one for each declared binding, the
    earliest first. `waiting`: how many changes wait. `failed_on`: the conditions of `--fail-on` that hold.
    `by_id`: certificates that bindings use by ID, the most urgent first. `uses`: what else uses certificates of this
    stack, as far as that was read. `live`: what live Workers use; None if not read. `not_checked`: what was not read.
    `about`: what it is limited to; () is everything. `asked`: certificates were asked for by name, so everything about
    them is shown. `hidden`: how many rows a filter left out.
    `freeze`: the one in which nothing is changed now.
    """

    stack: str
    store: StoreSettings
    made: datetime
    certificates: tuple[CertificateStatus, ...]
    orphaned: tuple[KeptEntry, ...]
    changes: Mapping[Action, int]
    diagnostics: tuple[Diagnostic, ...]
    next: datetime | None = None
    outages: tuple[Outage, ...] = ()
    waiting: int = 0
    failed_on: tuple[str, ...] = ()
    by_id: tuple[ByIdStatus, ...] = ()
    uses: tuple[Use, ...] = ()
    live: tuple[LiveBinding, ...] | None = None
    not_checked: tuple[NotChecked, ...] = ()
    about: tuple[str, ...] = ()
    asked: bool = False
    hidden: int = 0
    freeze: Frozen | None = None

    @property
    def outage(self) -> Outage | None:
        """The earliest outage, past or future."""
        return first_of(self.outages)


def make_status(plan: Plan) -> Status:
    """The status from a plan, which must be online and without a selection."""
    kept = find_kept(plan)
    waiting: dict[CertificateName, list[KeptEntry]] = defaultdict(list)
    for one in kept:
        if one.waiting.certificate is not None:
            waiting[one.waiting.certificate].append(one)
    bindings = _Bindings(plan.assessment)
    certificates = [
        CertificateStatus(
            certificate=row.name,
            urgency=urgency_of(row.due, plan.made),
            entry=row.entry,
            due=row.due,
            owner=row.declared.owner,
            places=tuple(bindings.of(row, waiting.get(row.name, ()))),
            waiting=tuple(waiting.get(row.name, ())),
            renewed=declared_due(row, plan.assessment) if row.due is not None and row.due.renewed else None,
            begins=window_of(row.bundle, now=plan.made, ca=row.declared.ca).begins if row.bundle is not None else None,
            renews=row.declared.renew is not None,
        )
        for row in plan.assessment.certificates
    ]
    return Status(
        stack=plan.stack,
        store=plan.store,
        made=plan.made,
        certificates=tuple(sorted(certificates, key=_order)),
        orphaned=tuple(one for one in kept if _is_orphaned(one, plan)),
        changes=plan.summary,
        diagnostics=plan.diagnostics,
        next=plan.next,
        outages=find_outages(plan.assessment),
        waiting=len(plan.waiting),
        by_id=by_id_of(plan),
        uses=find_uses(plan.assessment),
        live=plan.live,
        not_checked=of_live(plan.not_checked),
        freeze=frozen(plan.assessment.desired.declaration.policy.freezes, plan.made),
    )


class Alarm(StrEnum):
    """A condition of `--fail-on`."""

    EXPIRED = "expired"
    DUE = "due"
    GAP = "gap"
    WAITING = "waiting"
    WITHIN = "within"


@dataclass(frozen=True, slots=True)
class FailOn:
    """One `--fail-on`. `within`: how far ahead; of an outage, or of what will be due."""

    alarm: Alarm
    within: timedelta = timedelta(0)


def fail_on(status: Status, asked: Iterable[tuple[str, FailOn]]) -> Status:
    """The status with the conditions that hold, as they were written on the command line."""
    return replace(status, failed_on=tuple(text for text, one in asked if _holds(status, one)))


def _holds(status: Status, asked: FailOn) -> bool:
    codes = {problem.code for problem in status.diagnostics}
    match asked.alarm:
        case Alarm.EXPIRED:
            is_expired = any(one.urgency is Urgency.EXPIRED for one in status.certificates)
            return is_expired or Code.BOUND_EXPIRED in codes or any(one.failing for one in status.outages)
        case Alarm.DUE:
            due, then = (one.due for one in status.certificates if one.due is not None), status.made + asked.within
            is_due = any(one.is_due(then) and not one.renewed for one in due)
            by_id = {_urgency_by_id(one.row, then) for one in status.by_id}
            return is_due or bool(by_id & {Urgency.DUE, Urgency.EXPIRED})
        case Alarm.GAP:
            return Code.VALIDITY_GAP in codes
        case Alarm.WAITING:
            return status.waiting > 0
        case Alarm.WITHIN:
            times = (one.time for one in status.outages if one.time is not None)
            return any(time <= status.made + asked.within for time in times)
        case _:
            assert_never(asked.alarm)


def _is_orphaned(kept: KeptEntry, plan: Plan) -> bool:
    return kept.waiting.entry is not None and kept.waiting.certificate not in plan.assessment.by_name


def by_id_of(plan: Plan) -> tuple[ByIdStatus, ...]:
    """The uploaded certificates that bindings use by ID, the most urgent first."""
    found = (
        ByIdStatus(row, _urgency_by_id(row, plan.made), _places_by_id(row, plan.assessment))
        for row in plan.assessment.by_id
    )
    order = list(Urgency)
    return tuple(sorted(found, key=lambda one: (order.index(one.urgency), str(one.row.renew_from), one.row.id)))


def _urgency_by_id(row: ByIdRow, now: datetime) -> Urgency:
    if row.has_ended(now):
        return Urgency.EXPIRED
    if row.not_after is None:
        return Urgency.UNREADABLE
    return Urgency.DUE if row.is_due(now) else Urgency.LATER


def _places_by_id(row: ByIdRow, assessment: Assessment) -> tuple[BoundAt, ...]:
    def standing(one: BindingRow) -> Standing:
        if one.declared is None:
            return Standing.UNDECLARED
        if one.found_id is None:
            return _without_id(one, assessment)
        return Standing.IN_PLACE if one.found_id == row.id else Standing.OTHER_ID

    return tuple(BoundAt(one.at, standing(one), one.found_id) for one in row.bindings)


def urgency_of(due: Due | None, now: datetime) -> Urgency:
    """How urgent the renewal of a certificate is; `due` None: its dates are unknown."""
    if due is None:
        return Urgency.UNREADABLE
    if due.has_expired(now):
        return Urgency.EXPIRED
    return Urgency.DUE if due.is_due(now) else Urgency.LATER


def _order(status: CertificateStatus) -> tuple[int, str, str]:
    renew_from = status.due.renew_from.isoformat() if status.due else ""
    return list(Urgency).index(status.urgency), renew_from, status.certificate


def _without_id(row: BindingRow, assessment: Assessment) -> Standing:
    return Standing.UNREAD if row.at.worker in assessment.actual.broken else Standing.MISSING


class _Bindings:
    """All binding rows: declared ones by their target, the others by their ID."""

    def __init__(self, assessment: Assessment) -> None:
        self._by_target: dict[ByCertificate | ById, list[BindingRow]] = defaultdict(list)
        self._undeclared: dict[str, list[BindingRow]] = defaultdict(list)
        self._assessment = assessment
        for row in assessment.bindings:
            if row.target is not None:
                self._by_target[row.target].append(row)
            elif row.found_id is not None:
                self._undeclared[row.found_id].append(row)

    def of(self, certificate: CertificateRow, waiting: Iterable[KeptEntry]) -> Iterator[BoundAt]:
        """Yield where a certificate is declared, by name or ID; then where its entry, or a waiting one, is found."""
        entry = certificate.entry
        targets = (ByCertificate(certificate.name), *(() if entry is None else (ById(entry.id),)))
        for target in targets:
            for row in self._by_target.get(target, ()):
                yield BoundAt(row.at, self._standing(row, entry), row.found_id)
        for one in (entry, *(kept.waiting.entry for kept in waiting if kept.waiting.entry is not None)):
            for row in self._undeclared.get(one.id, ()) if one else ():
                yield BoundAt(row.at, Standing.UNDECLARED, row.found_id)

    def _standing(self, row: BindingRow, entry: Entry | None) -> Standing:
        if row.found_id is None:
            return _without_id(row, self._assessment)
        if isinstance(row.verdict, Waits) and row.verdict.condition is not Condition.FROZEN:
            return Standing.WAITING
        return Standing.IN_PLACE if entry is not None and row.found_id == entry.id else Standing.OTHER_ID
