"""Whether uploads fit into the account, and how much of its quota is used before, during and after `apply`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import (
    CA_LIMIT,
    CertificateName,
    Condition,
    Desired,
    Entry,
    FoundZone,
    Listing,
    Reason,
    Retire,
    Upload,
)
from reconciler.model.ownership import CUSTOM
from reconciler.plan.assessment import EntryRow, Waits
from reconciler.plan.policy import grace_of
from reconciler.plan.renewals import Due, count_renewals


@dataclass(frozen=True, slots=True)
class QuotaCount:
    """The number of uploaded certificates of one kind: allowed, now, at most during `apply`, and afterwards. `now`
    includes what the stacks before upload in a run over several.

    `renewals`: how many more the renewals that are due need until the old ones are deleted.
    """

    limit: int
    now: int
    peak: int
    after: int
    renewals: int = 0


@dataclass(frozen=True, slots=True)
class Quota:
    """The account's certificate quota; uploaded certificates only."""

    leaf: QuotaCount
    ca: QuotaCount


def _counts(listing: Listing) -> Mapping[bool, int]:
    custom = [entry for entry in listing.entries if entry.type == CUSTOM]
    return {ca: sum(entry.ca is ca for entry in custom) + listing.taken.get(ca, 0) for ca in (True, False)}


def _limits(desired: Desired) -> Mapping[bool, int]:
    return {True: CA_LIMIT, False: desired.declaration.store.limit}


def over_quota(
    uploads: Iterable[Upload],
    desired: Desired,
    listing: Listing,
    zones: Sequence[FoundZone] | None,
    entries: Sequence[EntryRow],
) -> Mapping[str, Diagnostic]:
    """The uploads that do not fit into the account, each with its error, by content digest, in the order of names."""
    room = {ca: _limits(desired)[ca] - count for ca, count in _counts(listing).items()}
    over: dict[str, Diagnostic] = {}
    for upload in sorted(uploads, key=lambda upload: upload.certificate):
        ca = desired.declaration.certificates[upload.certificate].ca
        if room[ca] > 0:
            room[ca] -= 1
        else:
            over[upload.digest] = _over_quota(desired, upload, ca, zones, entries)
    return over


def _over_quota(
    desired: Desired, upload: Upload, ca: bool, zones: Sequence[FoundZone] | None, entries: Sequence[EntryRow]
) -> Diagnostic:
    limit = _limits(desired)[ca]
    kind = "CA certificates" if ca else "certificates"
    raised = "" if ca else ", or raise `limit` in `[store]` if Cloudflare raised the quota"
    hint = f"delete certificates that nothing uses{raised}"
    message = f"{upload.certificate!r} can't be uploaded: the quota for {kind} ({limit:,}) is reached"
    if ca and Reason.CONTENT_CHANGED in upload.reasons:
        message += f", and the old CA stays until {_end_of_old(desired, upload.certificate, zones, entries)}"
        hint = f"make a place first: {_ways_to_a_place(upload.certificate, zones, entries)}, then run this again"
    pointer = Pointer(desired.declaration.path, ("certificates", upload.certificate))
    return Diagnostic(Severity.ERROR, Code.QUOTA, message, pointer, hint, upload.certificate)


def _old_of(name: CertificateName, entries: Sequence[EntryRow]) -> list[Entry]:
    """The uploaded CAs of a certificate whose new content is not uploaded, the newest first."""
    old = [row.entry for row in entries if row.entry.ca and row.owner == name]
    return sorted(old, key=lambda one: (str(one.uploaded_on or ""), one.id), reverse=True)


def _end_of_old(
    desired: Desired, name: CertificateName, zones: Sequence[FoundZone] | None, entries: Sequence[EntryRow]
) -> str:
    is_trusted = any(name in zone.cas for zone in desired.declaration.zones)
    if is_trusted and (zones is None or any(zone.of(one.id) for zone in zones for one in _old_of(name, entries))):
        return "a person removes its hostnames"
    has_grace = grace_of(desired.declaration.policy, desired.declaration.certificates[name].grace)
    return "its grace period is over" if has_grace else "the new one is uploaded"


def _ways_to_a_place(name: CertificateName, zones: Sequence[FoundZone] | None, entries: Sequence[EntryRow]) -> str:
    """How to delete a CA: an old one that waits only for its grace period, one that was replaced before the last
    renewal of this certificate, or one by hand."""
    waiting = [(row, row.verdict) for row in entries if row.entry.ca and isinstance(row.verdict, Waits)]
    early = [
        f"`mtlsctl retire {row.entry.id} --now` ({row.owner})" for row, v in waiting if v.condition is Condition.GRACE
    ]
    ways = [f"delete an old CA of this stack that no client needs: {' or '.join(early)}"] if early else []
    newest, *older = _old_of(name, entries) or (None,)
    if newest is not None and any(not any(zone.of(one.id) for zone in zones or ()) for one in older):
        ways.append(f"put the file of {newest.id} back, run `mtlsctl retire {name} --now`, and replace it again")
    ways.append("delete by hand a CA that nothing uses (`wrangler mtls-certificate list` shows all)")
    return "; or ".join(ways)


def count_quota(
    desired: Desired,
    listing: Listing,
    uploads: Sequence[Upload],
    retires: Sequence[Retire],
    due: tuple[Due, ...],
    now: datetime,
) -> Quota:
    counts, limits, renewals = _counts(listing), _limits(desired), count_renewals(desired, due, now)

    def count(ca: bool) -> QuotaCount:
        more = sum(desired.declaration.certificates[upload.certificate].ca is ca for upload in uploads)
        fewer = sum(retire.entry.ca is ca for retire in retires)
        peak = counts[ca] + more
        return QuotaCount(limits[ca], now=counts[ca], peak=peak, after=peak - fewer, renewals=renewals[ca])

    return Quota(leaf=count(False), ca=count(True))
