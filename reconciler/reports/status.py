"""Where everything stands: each declared certificate by urgency, with its entry, its places and what waits.

Sums up what a plan has decided already and what the wrangler files say; decides nothing anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import (
    Action,
    BindingAddress,
    ByCertificate,
    ById,
    CertificateName,
    Entry,
    StoreSettings,
)
from reconciler.plan.assessment import Assessment, BindingRow, CertificateRow
from reconciler.plan.plan import Plan
from reconciler.plan.renewals import Due
from reconciler.reports.kept import Kept, find_kept


class Urgency(StrEnum):
    """How soon somebody has to act, the most urgent first. `unreadable`: the file is bad, so nobody knows."""

    EXPIRED = "expired"
    DUE = "due"
    UNREADABLE = "unreadable"
    LATER = "later"


class Standing(StrEnum):
    """What a wrangler file has where a certificate is, or should be, bound.

    `undeclared`: it presents the current entry, or one that waits to be retired, and mtls.toml does not say so.
    """

    IN_PLACE = "in-place"
    OTHER_ID = "other-id"
    MISSING = "missing"
    UNDECLARED = "undeclared"


@dataclass(frozen=True, slots=True)
class BoundAt:
    """One binding of one environment. `found` is the id that the file has there, None where it has none."""

    at: BindingAddress
    standing: Standing
    found: str | None


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """One declared certificate. `entry` None: not stored. Without `due` its file could not be read."""

    certificate: CertificateName
    urgency: Urgency
    entry: Entry | None
    due: Due | None
    owner: str | None
    places: tuple[BoundAt, ...]
    waiting: tuple[Kept, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """One look. `orphaned`: what waits of certificates that are no longer declared. `changes`: pending, by action."""

    stack: str
    store: StoreSettings
    made: datetime
    certificates: tuple[CertificateStatus, ...]
    orphaned: tuple[Kept, ...]
    changes: Mapping[Action, int]
    diagnostics: tuple[Diagnostic, ...]


def make_status(plan: Plan) -> Status:
    """The status of a plan that asked the store and looked at everything, not at some names alone."""
    kept = find_kept(plan)
    waiting: dict[CertificateName, list[Kept]] = defaultdict(list)
    for one in kept:
        waiting[one.waiting.certificate].append(one)
    bindings = _Bindings(plan.assessment)
    certificates = [
        CertificateStatus(
            certificate=row.name,
            urgency=_urgency(row.due, plan.made),
            entry=row.entry,
            due=row.due,
            owner=row.declared.owner,
            places=tuple(bindings.of(row, waiting.get(row.name, ()))),
            waiting=tuple(waiting.get(row.name, ())),
        )
        for row in plan.assessment.certificates
    ]
    return Status(
        stack=plan.stack,
        store=plan.store,
        made=plan.made,
        certificates=tuple(sorted(certificates, key=_order)),
        orphaned=tuple(one for one in kept if one.waiting.certificate not in plan.assessment.by_name),
        changes=plan.summary,
        diagnostics=plan.diagnostics,
    )


def _urgency(due: Due | None, now: datetime) -> Urgency:
    if due is None:
        return Urgency.UNREADABLE
    if due.has_expired(now):
        return Urgency.EXPIRED
    return Urgency.DUE if due.is_due(now) else Urgency.LATER


def _order(status: CertificateStatus) -> tuple[int, str, str]:
    renew_from = status.due.renew_from.isoformat() if status.due else ""
    return list(Urgency).index(status.urgency), renew_from, status.certificate


class _Bindings:
    """Every row, gathered once: declared ones by what they should use, the others by the id that they have."""

    def __init__(self, assessment: Assessment) -> None:
        self._by_target: dict[ByCertificate | ById, list[BindingRow]] = defaultdict(list)
        self._undeclared: dict[str, list[BindingRow]] = defaultdict(list)
        for row in assessment.bindings:
            if row.target is not None:
                self._by_target[row.target].append(row)
            elif row.found_id is not None:
                self._undeclared[row.found_id].append(row)

    def of(self, certificate: CertificateRow, waiting: Iterable[Kept]) -> Iterator[BoundAt]:
        """Where it is declared, by its name or by the id of its entry; then where that, or one that waits, is found."""
        entry = certificate.entry
        targets = (ByCertificate(certificate.name), *(() if entry is None else (ById(entry.id),)))
        for target in targets:
            for row in self._by_target.get(target, ()):
                yield BoundAt(row.at, _standing(row, entry), row.found_id)
        for one in (entry, *(kept.waiting.entry for kept in waiting)):
            for row in self._undeclared.get(one.id, ()) if one else ():
                yield BoundAt(row.at, Standing.UNDECLARED, row.found_id)


def _standing(row: BindingRow, entry: Entry | None) -> Standing:
    if row.found_id is None:
        return Standing.MISSING
    return Standing.IN_PLACE if entry is not None and row.found_id == entry.id else Standing.OTHER_ID
