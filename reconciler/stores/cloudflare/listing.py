"""The whole list, page by page, whether it can be believed, and how it compares with the uploads of a run.

A list that moves while it is read shows an entry twice or not at all, and half a list taken for the whole would upload
what is there and bind what is not. So every page is checked against the others, and the sum against the server's own.

After the uploads of a run the list is compared with their replies. Nothing that this finds is a failure: all was done
as the replies say. Deleted entries are not checked: each was read by its id just before, and lists lag.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import Entry, EntryId, Listing
from reconciler.model.calls import PER_PAGE
from reconciler.model.errors import StoreError
from reconciler.stores.cloudflare.client import ApiCall, Client, send_patiently
from reconciler.stores.cloudflare.errors import Operation, UnusableReply
from reconciler.stores.cloudflare.wire import ResultInfo, parse_entries

REREADS = 3
MAX_PAGES = 2000
LAG_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""A minute in all: so long may the list lag behind an upload. Each look costs a call for every 50 entries."""
REPORT = "run again; if it stays so, the API has changed, and mtlsctl must learn it"
_MOST_ASKED = 3
"""So many that the list lacks are asked for by id. Where there are more, the list lags; that is its habit."""

Pages = Sequence["ListPage"]


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page as it came; `number` is the one that was asked for."""

    number: int
    entries: tuple[Entry, ...]
    info: ResultInfo


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the whole list. `total` is what the server says, None where it says nothing.

    `steady`: no page contradicts another, and as many entries came as the server counts.
    """

    entries: tuple[Entry, ...]
    total: int | None
    steady: bool

    @property
    def is_short(self) -> bool:
        """Whether entries are missing."""
        return self.total is not None and len(self.entries) < self.total


def read_list(fetch: Callable[[int], ListPage], fetch_all: Callable[[Sequence[int]], Pages]) -> Listing:
    """Every entry. Read again up to three times where the list moved, then not `stable`.

    StoreError where entries are missing even then. `fetch` gives one page, `fetch_all` several, side by side.
    """
    reading = _read_once(fetch, fetch_all)
    for _ in range(REREADS):
        if reading.steady or reading.total is None:
            break
        reading = _read_once(fetch, fetch_all)
    if reading.is_short:
        raise StoreError(
            f"Cloudflare counts {reading.total} certificates, but lists {len(reading.entries)}",
            hint="a part of the list is never taken for the whole; run again, and if it stays so, tell Cloudflare",
            code=Code.LISTING_SHORT,
        )
    return Listing(reading.entries, stable=reading.steady)


def _read_once(fetch: Callable[[int], ListPage], fetch_all: Callable[[Sequence[int]], Pages]) -> Reading:
    first = fetch(1)
    if first.info.total_pages is None and first.info.total_count is None:
        return _read_uncounted(first, fetch)
    last = _last_page(first)
    pages = [first, *(fetch_all(range(2, last + 1)) if last > 1 else ())]
    entries = _distinct(pages)
    total = pages[-1].info.total_count if pages[-1].info.total_count is not None else first.info.total_count
    steady = (
        all(_agrees(page, first) for page in pages)
        and len(entries) == sum(len(page.entries) for page in pages)
        and (total is None or len(entries) == total)
    )
    return Reading(entries, total, steady)


def _read_uncounted(first: ListPage, fetch: Callable[[int], ListPage]) -> Reading:
    """The list of a server that counts nothing: until a page is empty, which is the only sign that it is whole.

    A page without a new entry ends it as well: a server that ignores `page` would go on for ever.
    """
    pages = [first]
    known = {entry.id for entry in first.entries}
    while pages[-1].entries and len(pages) < MAX_PAGES:
        page = fetch(len(pages) + 1)
        pages.append(page)
        new = {entry.id for entry in page.entries} - known
        known |= new
        if page.entries and not new:
            break
    entries = _distinct(pages)
    whole = not pages[-1].entries and len(entries) == sum(len(page.entries) for page in pages)
    return Reading(entries, None, steady=whole)


def _last_page(first: ListPage) -> int:
    """The number of the last page by what the first one says; where that differs, the higher one."""
    per_page = first.info.per_page or len(first.entries) or PER_PAGE
    by_count = -(-(first.info.total_count or 0) // per_page)
    last = max(first.info.total_pages or 0, by_count, 1)
    if last > MAX_PAGES:
        raise StoreError(
            f"Cloudflare says that its list has {last} pages, more than any account's",
            hint="is something else between here and Cloudflare?",
            code=Code.LISTING_ENDLESS,
        )
    return last


def _agrees(page: ListPage, first: ListPage) -> bool:
    """Whether a page is of the same list as the first, and the one that was asked for."""
    same = (page.info.total_count, page.info.total_pages) == (first.info.total_count, first.info.total_pages)
    return same and page.info.page in (None, page.number)


def _distinct(pages: Pages) -> tuple[Entry, ...]:
    """Every entry once, in the order of the pages; of one that came twice the later look."""
    found: dict[EntryId, Entry] = {}
    for page in pages:
        for entry in page.entries:
            found[entry.id] = entry
    return tuple(found.values())


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

    def _page(self, number: int) -> ListPage:
        query = {"page": number, "per_page": PER_PAGE}
        envelope = send_patiently(self._client, ApiCall(Operation.LIST, "GET", self._path, query), self._random)
        entries = parse_entries(envelope.result)
        if entries is None:
            raise UnusableReply(f"page {number} of Cloudflare's list is not a list of certificates", hint=REPORT)
        return ListPage(number, entries, envelope.result_info or ResultInfo())

    def _pages(self, numbers: Sequence[int]) -> Pages:
        return self._client.side_by_side(self._page, numbers)


def compare(
    uploaded: Sequence[Entry], listing: Listing, get: Callable[[EntryId], Entry | None]
) -> Iterator[Diagnostic]:
    """What the list shows otherwise than the replies to uploads said. `get` asks for one by id."""
    listed = {entry.id: entry for entry in listing.entries}
    alike: dict[str, list[EntryId]] = defaultdict(list)
    for entry in listing.entries:
        if entry.bundle is not None:
            alike[entry.bundle.digest].append(entry.id)
    for entry in uploaded:
        there = listed.get(entry.id)
        if there is not None and _facts(there) != _facts(entry):
            yield _differs(entry)
        others = [one for one in alike[entry.bundle.digest if entry.bundle else ""] if one != entry.id]
        if others:
            yield _twice(entry, others)
    yield from _missing([entry for entry in uploaded if entry.id not in listed], get)


def unlisted(error: StoreError) -> Diagnostic:
    """The list could not be read."""
    message = f"what was uploaded was not looked for in the list afterwards: {error.message}"
    return _warning(Code.UPLOADS_UNSEEN, message, "run `mtlsctl plan`, which reads the list")


def _missing(entries: Sequence[Entry], get: Callable[[EntryId], Entry | None]) -> Iterator[Diagnostic]:
    lagging = len(entries)
    for entry in entries[:_MOST_ASKED]:
        try:
            gone = get(entry.id) is None
        except StoreError:
            gone = False  # it lags, as far as anybody knows
        if gone:
            lagging -= 1
            message = f"{entry.id} ({entry.name!r}), which this run uploaded, is not there any more"
            yield _warning(
                Code.UPLOAD_GONE, message, "somebody deleted it; run `mtlsctl apply` again to upload it again"
            )
    if lagging:
        what = "one entry" if lagging == 1 else f"{lagging} entries"
        message = f"{what} that this run uploaded {'is' if lagging == 1 else 'are'} not in Cloudflare's list yet"
        hint = "none needed: Cloudflare's list lags behind; an id that a file names is asked for by itself meanwhile"
        yield Diagnostic(Severity.INFO, Code.LIST_LAGS, message, None, hint)


def _facts(entry: Entry) -> tuple[str, bool, str, object]:
    return entry.name, entry.ca, entry.type, entry.bundle


def _differs(entry: Entry) -> Diagnostic:
    message = f"{entry.id} ({entry.name!r}), which this run uploaded, is listed otherwise than the reply said"
    return _warning(Code.UPLOAD_LISTED_OTHERWISE, message, "look at that entry, and run `mtlsctl plan`")


def _twice(entry: Entry, others: Sequence[EntryId]) -> Diagnostic:
    message = f"what this run uploaded as {entry.id} ({entry.name!r}) is stored as {', '.join(others)} too"
    return _warning(Code.CONTENT_TWICE, message, "some other run was as fast: delete the one that nothing presents")


def _warning(code: Code, message: str, hint: str) -> Diagnostic:
    return Diagnostic(Severity.WARNING, code, message, None, hint)
