"""The lists that one run reads of an account: page by page, one at a time, and not again for whoever may do with
another's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from reconciler.model import Listing
from reconciler.model.calls import PER_PAGE
from reconciler.stores.cloudflare.client import Call, Client
from reconciler.stores.cloudflare.errors import Operation, UnusableReply
from reconciler.stores.cloudflare.listing import Page, Pages, read_list
from reconciler.stores.cloudflare.retries import send_patiently
from reconciler.stores.cloudflare.together import side_by_side
from reconciler.stores.cloudflare.wire import ResultInfo, parse_entries

LAG_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""A minute in all: so long may the list lag behind an upload. Each look costs a call for every 50 entries."""
REPORT = "run again; if it stays so, the API has changed, and mtlsctl must learn it"


class Lists:
    """Reads the whole list; safe to be used by several threads, which share what they read.

    Each look costs a call for every 50 entries. So ten uploads that must look at the same moment look once.
    """

    def __init__(self, client: Client, path: str, random: Callable[[], float]) -> None:
        self._client = client
        self._path = path
        self._random = random
        self._lock = threading.Lock()
        self._begun = 0
        self._last: tuple[int, Listing] | None = None

    @property
    def last(self) -> Listing | None:
        """The last list that was read, however old."""
        return None if self._last is None else self._last[1]

    def mark(self) -> int:
        """This moment, for `since`."""
        return self._begun

    def since(self, mark: int) -> Listing:
        """A list that was begun after the mark: the last one where it was, else a new one."""
        with self._lock:
            if self._last is not None and self._last[0] > mark:
                return self._last[1]
            self._begun += 1
            listing = read_list(self._page, self._pages)
            self._last = (self._begun, listing)
            return listing

    def new(self) -> Listing:
        """A list that is begun now."""
        return self.since(self.mark())

    def _page(self, number: int) -> Page:
        query = {"page": number, "per_page": PER_PAGE}
        envelope = send_patiently(self._client, Call(Operation.LIST, "GET", self._path, query), self._random)
        entries = parse_entries(envelope.result)
        if entries is None:
            raise UnusableReply(f"page {number} of Cloudflare's list is not a list of certificates", hint=REPORT)
        return Page(number, entries, envelope.result_info or ResultInfo())

    def _pages(self, numbers: Sequence[int]) -> Pages:
        return side_by_side(self._client, self._page, numbers)
