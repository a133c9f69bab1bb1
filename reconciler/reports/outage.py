"""When calls through each binding or Hyperdrive configuration, or of clients to a hostname, begin to fail if nothing is
done: the most important date for a user.

It depends on the certificates in use, not on those declared: those of live versions if these were read, else the one
in the wrangler file. So a renewal that is not applied and deployed does not change it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from reconciler.findings.codes import Code
from reconciler.findings.values import dataclass
from reconciler.model import BindingAddress, CertificateName, EntryId, UpdateAddress
from reconciler.plan.assessment import Assessment, BindingRow, Held, Unseen, UpdateRow
from reconciler.plan.live import LiveBinding, LiveState

_UNREAD = {Code.HYPERDRIVE_UNREAD, Code.HOSTNAMES_UNREAD}


@dataclass(frozen=True, slots=True)
class Outage:
    """One declared user. `time`: when calls begin to fail, aware UTC; None if the certificate in use is unknown.

    `entry`: the certificate in use that fails first. `failing`: calls fail already. `is_live`: live versions were read.
    `unread`: what it uses could not be read.
    """

    at: BindingAddress | UpdateAddress
    certificate: CertificateName | None
    entry: EntryId | None
    time: datetime | None
    failing: bool = False
    is_live: bool = False
    unread: bool = False


def find_outages(assessment: Assessment) -> tuple[Outage, ...]:
    """The outage of every declared user, the earliest first; those without a time last."""
    live = {row.at: row for row in assessment.live}
    found = [_outage(row, live, assessment) for row in assessment.bindings if row.declared is not None]
    found += [_of_update(row, assessment) for row in assessment.updates if row.certificate is not None]
    return tuple(sorted(found, key=lambda one: (one.time is None, one.time or assessment.now, str(one.at))))


def first_of(outages: Iterable[Outage]) -> Outage | None:
    """The earliest outage, past or future; None if no time is known."""
    return min((one for one in outages if one.time is not None), key=lambda one: str(one.time), default=None)


def _outage(row: BindingRow, live: Mapping[BindingAddress, LiveBinding], assessment: Assessment) -> Outage:
    now = assessment.now
    seen = live.get(row.at)
    is_live = seen is not None and seen.state is not LiveState.UNKNOWN and bool(seen.live)
    ids = [one.id for one in seen.live if one.id is not None] if seen is not None and is_live else [row.found_id]
    found = list(_times(ids, assessment))
    if not found:
        return Outage(row.at, row.certificate, None, None, is_live=is_live)
    time, entry = min(found)
    return Outage(row.at, row.certificate, entry, time, failing=time <= now, is_live=is_live)


def _of_update(row: UpdateRow, assessment: Assessment) -> Outage:
    """What it uses is live by nature."""
    found = list(_times([row.found_id], assessment))
    if not found:
        by = row.verdict.by if isinstance(row.verdict, Held) else ()
        unread = isinstance(row.verdict, Unseen) or any(one.code in _UNREAD for one in by)
        return Outage(row.at, row.certificate, None, None, unread=unread)
    time, entry = found[0]
    return Outage(row.at, row.certificate, entry, time, failing=time <= assessment.now, is_live=True)


def _times(ids: Iterable[str | None], assessment: Assessment) -> Iterator[tuple[datetime, EntryId]]:
    """Yield when calls begin to fail, for each certificate in use: when it expires; already, if it is not valid yet."""
    now = assessment.now
    for text in dict.fromkeys(ids):
        entry = assessment.entry(text) if text is not None else None
        if entry is None:
            continue
        window = entry.window(now)
        if window.begins is not None and now < window.begins:
            yield min(entry.uploaded_on or now, now), entry.id  # since it was bound, but that time is unknown
        elif window.ends is not None:
            yield window.ends, entry.id
