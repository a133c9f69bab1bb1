"""The reading half of the store: the list and single entries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from reconciler.model import Entry, EntryId, Listing
from reconciler.model.errors import EntryNotFound
from reconciler.stores.cloudflare.client import Call, Client
from reconciler.stores.cloudflare.errors import Operation, UnusableReply
from reconciler.stores.cloudflare.lists import LAG_PAUSES_S, REPORT, Lists
from reconciler.stores.cloudflare.live import CloudflareLive
from reconciler.stores.cloudflare.retries import send_patiently
from reconciler.stores.cloudflare.together import side_by_side
from reconciler.stores.cloudflare.wire import Envelope, parse_entry

_ID_FORM = re.compile(r"[0-9A-Za-z_-]{1,128}")


class CloudflareReader:
    """The port `StoreReader` over the API."""

    def __init__(self, client: Client, path: str, random: Callable[[], float], *, lists: Lists | None = None) -> None:
        self._client = client
        self._path = path
        self._random = random
        self.lists = lists or Lists(client, path, random)
        self._live: CloudflareLive | None = None

    @property
    def calls(self) -> int:
        """How many calls were made, by whatever shares the client."""
        return self._client.calls

    @property
    def lag_s(self) -> float:
        """As long as an upload is waited for to be listed."""
        return sum(LAG_PAUSES_S)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def list_entries(self) -> Listing:
        """Every entry of the account, Gateway's and Access's too, with their type; pages after the first side by side.

        Not stable where the list moved at each of four looks; StoreError where it has fewer entries than it counts.
        """
        return self.lists.new()

    def get(self, entry_id: EntryId) -> Entry | None:
        """The entry with this id, or None. What can't be an id is not asked for: it would lead to another path."""
        if not is_askable(entry_id):
            return None
        try:
            envelope = self._send(Call(Operation.GET, "GET", f"{self._path}/{entry_id}"))
        except EntryNotFound:
            return None
        return entry_of(envelope)

    def get_all(self, ids: Iterable[EntryId]) -> dict[EntryId, Entry | None]:
        """As the port; as many side by side as there are connections."""
        asked = tuple(dict.fromkeys(ids))
        return dict(zip(asked, side_by_side(self._client, self.get, asked), strict=True))

    def live(self) -> CloudflareLive:
        """What Workers and other services present of this account; shares connections and the rate limit."""
        if self._live is None:
            account_id = self._path.split("/")[2]
            self._live = CloudflareLive(self._client, account_id, self._random)
        return self._live

    def _send(self, call: Call) -> Envelope:
        return send_patiently(self._client, call, self._random)


def is_askable(entry_id: EntryId) -> bool:
    """Whether an id can stand in a path; any other one leads elsewhere, an empty one to the list."""
    return _ID_FORM.fullmatch(entry_id) is not None


def entry_of(envelope: Envelope) -> Entry:
    """The entry that a reply has; UnusableReply where it has none."""
    entry = parse_entry(envelope.result)
    if entry is None:
        raise UnusableReply("Cloudflare's reply has no certificate with an id", hint=REPORT)
    return entry
