"""Whether uploads fit into the account, and how much of its quota is used before, during and after `apply`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import CA_LIMIT, Desired, Listing, Reason, Retire, Upload
from reconciler.model.ownership import CUSTOM
from reconciler.plan.renewals import Due, count_renewals


@dataclass(frozen=True, slots=True)
class QuotaCount:
    """The number of entries of one kind: allowed, now, at most during `apply`, and afterwards. `now` includes what the
    stacks before upload in a run over several.

    `renewals`: how many more the renewals that are due need until their old entries are deleted.
    """

    limit: int
    now: int
    peak: int
    after: int
    renewals: int = 0


@dataclass(frozen=True, slots=True)
class Quota:
    """The account's certificate quota; custom entries only."""

    leaf: QuotaCount
    ca: QuotaCount


def _counts(listing: Listing) -> Mapping[bool, int]:
    custom = [entry for entry in listing.entries if entry.type == CUSTOM]
    return {ca: sum(entry.ca is ca for entry in custom) + listing.taken.get(ca, 0) for ca in (True, False)}


def _limits(desired: Desired) -> Mapping[bool, int]:
    return {True: CA_LIMIT, False: desired.declaration.store.limit}


def over_quota(uploads: Iterable[Upload], desired: Desired, listing: Listing) -> Mapping[str, Diagnostic]:
    """The uploads that do not fit into the account, each with its error, by content digest, in the order of names."""
    room = {ca: _limits(desired)[ca] - count for ca, count in _counts(listing).items()}
    over: dict[str, Diagnostic] = {}
    for upload in sorted(uploads, key=lambda upload: upload.certificate):
        ca = desired.declaration.certificates[upload.certificate].ca
        if room[ca] > 0:
            room[ca] -= 1
        else:
            over[upload.digest] = _over_quota(desired, upload, ca)
    return over


def _over_quota(desired: Desired, upload: Upload, ca: bool) -> Diagnostic:
    limit = _limits(desired)[ca]
    kind = "CA certificates" if ca else "certificates"
    raised = "" if ca else ", or raise `limit` in `[store]` if Cloudflare raised the quota"
    hint = f"delete certificates that nothing uses{raised}"
    message = f"{upload.certificate!r} can't be uploaded: the quota for {kind} ({limit:,}) is reached"
    if ca and Reason.CONTENT_CHANGED in upload.reasons:
        is_trusted = any(upload.certificate in zone.cas for zone in desired.declaration.zones)
        until = "a person removes its hostnames" if is_trusted else "its grace period is over"
        message += f", and the old CA stays until {until}"
        hint = "make a place first: delete a CA that nothing uses (`mtlsctl status`), then run this again"
    pointer = Pointer(desired.declaration.path, ("certificates", upload.certificate))
    return Diagnostic(Severity.ERROR, Code.QUOTA, message, pointer, hint, upload.certificate)


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
