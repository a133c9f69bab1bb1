"""A status as metrics for a monitoring system; the labels name the owner who must act.

A view of a status and its plan, which decides nothing. `views/prometheus` escapes the labels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from reconciler.findings.codes import Severity
from reconciler.findings.values import dataclass
from reconciler.model import Action, BindingAddress, CertificateName, Condition, EntryId, UpdateAddress
from reconciler.plan.assessment import Assessment, ByIdRow
from reconciler.plan.coverage import ABOUT_LIVE, Area
from reconciler.plan.dates import declared_due
from reconciler.plan.plan import Plan
from reconciler.reports.status import CertificateStatus, Standing, Status, make_status

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value with its labels, in the order in which they are shown."""

    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Family:
    """One metric, a gauge: its name without the prefix, its meaning in one line, its samples."""

    name: str
    help: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Metrics:
    """All metrics of one run."""

    families: tuple[Family, ...]


def make_metrics(plan: Plan, version: str) -> tuple[Family, ...]:
    """Every metric. A label with a fixed set of values has a sample for each of them, so that no series is missing."""
    status = make_status(plan)
    common: Labels = (("stack", status.stack),)
    if status.store.account_id is not None:
        common += (("account", status.store.account_id),)
    ends = _bound_ends(plan.assessment)
    return (
        *_certificate_families(status, plan.assessment, common),
        *_bound_families(status, common, ends),
        *_outage_families(status, common),
        *_by_id_families(status, common),
        *_run_families(status, plan, common, version),
    )


def _labels_of(one: CertificateStatus, common: Labels) -> Labels:
    return (*common, ("certificate", one.certificate), ("owner", one.owner or ""))


def _family(name: str, meaning: str, samples: Iterable[tuple[Labels, float]]) -> Family:
    return Family(name, meaning, tuple(Sample(labels, value) for labels, value in samples))


def _certificate_families(status: Status, assessment: Assessment, common: Labels) -> Iterator[Family]:
    """The metrics of declared certificates. One whose file can't be used has no dates, and `usable` is 0."""
    labelled = [(_labels_of(one, common), one) for one in status.certificates]
    dues = [(labels, declared_due(assessment.by_name[one.certificate], assessment)) for labels, one in labelled]
    yield _family(
        "certificate_not_after_timestamp_seconds",
        "Expiry time of the declared certificate: the earliest in its chain.",
        ((labels, due.not_after.timestamp()) for labels, due in dues if due),
    )
    yield _family(
        "certificate_renew_from_timestamp_seconds",
        "Time from which the renewal of the declared certificate is due.",
        ((labels, due.renew_from.timestamp()) for labels, due in dues if due),
    )
    yield _family(
        "certificate_usable",
        "Whether the declared certificate file could be read: 1, or 0 if its dates are unknown.",
        ((labels, due is not None) for labels, due in dues),
    )
    yield _family(
        "certificate_stored",
        "Whether the declared certificate is uploaded: 1 or 0.",
        ((labels, one.entry is not None) for labels, one in labelled),
    )
    yield _family(
        "certificate_info",
        "The ID of the declared certificate, empty if it is not uploaded; always 1.",
        (((*labels, ("entry", one.entry.id if one.entry else "")), 1) for labels, one in labelled),
    )


def _bound_families(
    status: Status, common: Labels, ends: Mapping[CertificateName | None, tuple[datetime, ...]]
) -> Iterator[Family]:
    """The metrics of certificates in wrangler files, which are the old ones until `apply` runs after a renewal."""
    labelled = [(_labels_of(one, common), one) for one in status.certificates]
    yield _family(
        "certificate_bindings",
        "Bindings of the certificate, by their state in the wrangler files.",
        (
            ((*labels, ("standing", standing)), sum(place.standing is standing for place in one.places))
            for labels, one in labelled
            for standing in Standing
        ),
    )
    yield _family(
        "certificate_bound_not_after_timestamp_seconds",
        "Expiry time of the uploaded certificate that its bindings use in wrangler files; the earliest if they differ.",
        ((labels, min(ends[one.certificate]).timestamp()) for labels, one in labelled if ends.get(one.certificate)),
    )
    nobodys = (*common, ("certificate", ""), ("owner", ""))
    counted = [*((labels, one.certificate) for labels, one in labelled), (nobodys, None)]
    yield _family(
        "certificate_expired_bindings",
        "Bindings in wrangler files that use an expired certificate; an empty label certificate: one not declared.",
        ((labels, sum(end < status.made for end in ends.get(name, ()))) for labels, name in counted),
    )


def _outage_families(status: Status, common: Labels) -> Iterator[Family]:
    """The metrics of outages, which users would notice."""
    owners = {one.certificate: one.owner or "" for one in status.certificates}
    yield _family(
        "outage_timestamp_seconds",
        "When calls through a binding or Hyperdrive configuration, or to a hostname, begin to fail if nothing is done.",
        (
            (
                (
                    *common,
                    *_place_labels(one.at),
                    ("certificate", one.certificate or ""),
                    ("owner", owners.get(one.certificate, "") if one.certificate is not None else ""),
                ),
                one.time.timestamp(),
            )
            for one in status.outages
            if one.time is not None
        ),
    )


def _place_labels(at: BindingAddress | UpdateAddress) -> Labels:
    """Where a certificate is used. A Hyperdrive configuration or zone is in the place of the Worker, with its field or
    CA as the binding, so that all series have the same labels."""
    if isinstance(at, BindingAddress):
        return (("worker", at.worker), ("environment", at.environment or ""), ("binding", at.binding))
    kind, *_, part = at.place
    return (("worker", f"{kind}/{at.label}"), ("environment", ""), ("binding", part))


def _by_id_families(status: Status, common: Labels) -> Iterator[Family]:
    """Metrics of certificates that bindings use by ID; the labels `managed` and `managed_by` show who renews them."""
    labelled = [(_labels_by_id(one.row, common), one) for one in status.by_id]
    yield _family(
        "entry_not_after_timestamp_seconds",
        "Expiry time of an uploaded certificate that bindings use by its ID.",
        ((labels, one.row.not_after.timestamp()) for labels, one in labelled if one.row.not_after),
    )
    yield _family(
        "entry_renew_from_timestamp_seconds",
        "Time from which the renewal of an uploaded certificate that bindings use by its ID is due.",
        ((labels, one.row.renew_from.timestamp()) for labels, one in labelled if one.row.renew_from),
    )
    yield _family(
        "entry_outdated",
        "Whether a newer certificate was uploaded under the same name: 1 or 0.",
        ((labels, one.row.newer is not None) for labels, one in labelled),
    )
    yield _family(
        "entry_bindings",
        "Bindings that use the uploaded certificate by its ID.",
        ((labels, len(one.places)) for labels, one in labelled),
    )


def _labels_by_id(row: ByIdRow, common: Labels) -> Labels:
    return (
        *common,
        ("entry", row.id),
        ("name", row.entry.name if row.entry is not None else ""),
        ("managed", "elsewhere" if row.owner is None else "here"),
        ("managed_by", row.mark.stack if row.mark is not None else ""),
    )


def _run_families(status: Status, plan: Plan, common: Labels, version: str) -> Iterator[Family]:
    """The metrics of the stack as a whole."""
    yield _family(
        "pending_changes",
        "Changes that mtlsctl apply would make, by action.",
        (((*common, ("action", action)), status.changes.get(action, 0)) for action in Action),
    )
    yield _family(
        "waiting_entries",
        "Changes that wait, such as deletions of old certificates and changes of bindings, by condition.",
        (
            ((*common, ("condition", condition)), sum(wait.condition is condition for wait in plan.waiting))
            for condition in Condition
        ),
    )
    yield _family(
        "findings",
        "Findings of this run, by severity.",
        (
            ((*common, ("severity", severity)), sum(one.severity is severity for one in status.diagnostics))
            for severity in Severity
        ),
    )
    failed = {one.area for one in status.not_checked if one.reason is not None}
    yield _family(
        "not_checked",
        "Whether an area that was requested could not be read, at least in part: 1 or 0.",
        (((*common, ("area", area)), area in failed) for area in Area if area in ABOUT_LIVE),
    )
    counts = [("leaf", plan.quota.leaf), ("ca", plan.quota.ca)] if plan.quota else []
    yield _family(
        "store_entries",
        "Custom certificates that the account holds, by kind.",
        (((*common, ("kind", kind)), count.now) for kind, count in counts),
    )
    yield _family(
        "store_entries_limit",
        "Custom certificates that the account may hold, by kind.",
        (((*common, ("kind", kind)), count.limit) for kind, count in counts),
    )
    yield _family(
        "last_run_timestamp_seconds",
        "When these metrics were written; check that they are not outdated.",
        ((common, status.made.timestamp()),),
    )
    yield _family(
        "build_info", "The version of mtlsctl that wrote this; always 1.", (((*common, ("version", version)), 1),)
    )


# --- what is bound --------------------------------------------------------------------------------------------------


def _bound_ends(assessment: Assessment) -> dict[CertificateName | None, tuple[datetime, ...]]:
    """When the entries that users have expire, by certificate; under None, those of no declared certificate."""
    found: dict[CertificateName | None, list[datetime]] = defaultdict(list)
    for rows in assessment.uses.values():
        for row in rows:
            end = row.entry.window(assessment.now).ends if row.entry is not None else None
            if end is not None:
                name = row.certificate or assessment.names.get(EntryId(row.found_id or ""))
                found[name if name in assessment.by_name else None].append(end)
    for use in assessment.updates:
        end = use.entry.window(assessment.now).ends if use.entry is not None else None
        if end is not None and use.certificate is not None:
            found[use.certificate].append(end)
    return {name: tuple(ends) for name, ends in found.items()}
