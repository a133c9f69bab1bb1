"""When calls through each binding begin to fail if nothing is done: the one date that matters to a user.

It follows what is used, not what is declared: the certificates of live versions where these were looked at, else the
one that the wrangler file names. A renewal that is not applied or not deployed moves no date.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciler.model import BindingAddress, CertificateName, EntryId
from reconciler.plan.assessment import Assessment, BindingRow
from reconciler.plan.live import LiveBinding, LiveState


@dataclass(frozen=True, slots=True)
class Outage:
    """One declared binding. `time`: when calls begin to fail, aware UTC; None where nothing known is used.

    `entry`: the certificate in use that fails first. `failing`: calls fail already. `is_live`: by what is live, not by
    the wrangler file alone.
    """

    at: BindingAddress
    certificate: CertificateName | None
    entry: EntryId | None
    time: datetime | None
    failing: bool = False
    is_live: bool = False


def find_outages(assessment: Assessment) -> tuple[Outage, ...]:
    """The outage of every declared binding, the first to come first; those without a time last."""
    live = {row.at: row for row in assessment.live}
    found = [_outage(row, live, assessment) for row in assessment.bindings if row.declared is not None]
    return tuple(sorted(found, key=lambda one: (one.time is None, one.time or assessment.now, str(one.at))))


def first_of(outages: Iterable[Outage]) -> Outage | None:
    """The first outage to come, or that has come; None where no time is known."""
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


def _times(ids: Iterable[str | None], assessment: Assessment) -> Iterator[tuple[datetime, EntryId]]:
    """For each certificate in use when calls with it begin to fail: at its end, or already if it has not begun."""
    now = assessment.now
    for text in dict.fromkeys(ids):
        entry = assessment.entry(text) if text is not None else None
        if entry is None:
            continue
        window = entry.window(now)
        if window.begins is not None and now < window.begins:
            yield min(entry.uploaded_on or now, now), entry.id  # since it is bound, which nobody knows better
        elif window.ends is not None:
            yield window.ends, entry.id
