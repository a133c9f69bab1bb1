"""A recent list of uploaded certificates, kept for a minute so that many deploys in a row need only one. Public facts.

It is read back leniently: what is not exactly a recent list of the same account is as if it were not there.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import ValidationError

from reconciler.findings.values import dataclass
from reconciler.model import Entry, Listing
from reconciler.records.base import JsonPart, UtcTime, to_json, value_of

MAX_AGE = timedelta(minutes=1)
MAX_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class ListedAt:
    """What a list is of: an account at an address of the API. `journal`: the state of the journal of this checkout
    before the list was read: a run that changed something since makes it useless."""

    account_id: str
    base_url: str
    journal: str = ""


class _EntryPart(JsonPart):
    id: str
    name: str
    ca: bool
    certificates: str
    type: str
    issuer: str
    serial_number: str
    signature: str
    expires_on: UtcTime | None = None
    uploaded_on: UtcTime | None = None


class _RecentList(JsonPart):
    format: Literal["mtlsctl.recent/1"] = "mtlsctl.recent/1"
    account_id: str
    base_url: str
    journal: str
    listed: UtcTime
    stable: bool
    ahead_s: float | None = None
    entries: tuple[_EntryPart, ...]


def recent_text(listing: Listing, at: ListedAt, listed: datetime) -> bytes:
    """The list as a text. `listed`: when its reading began."""
    document = _RecentList(
        account_id=at.account_id,
        base_url=at.base_url,
        journal=at.journal,
        listed=listed,
        stable=listing.stable,
        ahead_s=None if listing.ahead is None else listing.ahead.total_seconds(),
        entries=tuple(map(_EntryPart.made_from, listing.entries)),
    )
    return to_json(document, indent=None).encode()


def read_recent(data: bytes, at: ListedAt, now: datetime) -> Listing | None:
    """The list, if it is of this account, not older than a minute, and no run of this checkout came after it. None for
    anything else; raises nothing."""
    try:
        document = _RecentList.model_validate_json(data)
    except ValidationError:
        return None
    is_recent = timedelta(0) <= now - document.listed < MAX_AGE
    if not is_recent or ListedAt(document.account_id, document.base_url, document.journal) != at:
        return None
    ahead = None if document.ahead_s is None else timedelta(seconds=document.ahead_s)
    return Listing(tuple(value_of(Entry, part) for part in document.entries), document.stable, ahead)
