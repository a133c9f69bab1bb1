"""The whole list of certificates, read page by page and checked; and its comparison with the uploads of a run.

A list that changes while it is read can show an entry twice or not at all. Acting on a partial list would upload
certificates that exist and bind ones that don't. So each page is checked against the others, and the total against the
server's count.

After the uploads of a run the list is compared with their replies. A difference is not a failure: every upload was
confirmed by its reply. Deleted entries are not checked: each was read by its id just before, and lists lag.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.values import dataclass
from reconciler.model import Entry, EntryId, Listing
from reconciler.model.calls import PER_PAGE
from reconciler.model.errors import StoreError
from reconciler.stores.cloudflare.client import ApiCall, Client, send_patiently
from reconciler.stores.cloudflare.errors import Operation, UnusableReply
from reconciler.stores.cloudflare.wire import Envelope, ResultInfo, parse, parse_entries

REREADS = 3
MAX_PAGES = 2000
LAG_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""A minute in total: the list may lag behind an upload for that long. Each read costs a call for every 50 entries."""
REPORT = "run again; if it persists, the API has changed: report it as a bug of mtlsctl"
_MOST_ASKED = 3
"""At most this many unlisted entries are read by id. If there are more, the list lags, as it usually does."""


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


_Item = TypeVar("_Item", bound=_HasId)
_T = TypeVar("_T")


def demand(kind: type[_T], envelope: Envelope, what: str) -> _T:
    """The result, parsed as `kind`; UnusableReply if it is something else."""
    found = parse(kind, envelope.result)
    if found is None:
        raise UnusableReply(f"{what} does not have the format that Cloudflare documents", hint=REPORT)
    return found


def demand_whole(envelope: Envelope, count: int, what: str) -> None:
    """UnusableReply if a list has fewer items than the server counts."""
    total = envelope.result_info.total_count if envelope.result_info else None
    if total is not None and count < total:
        raise UnusableReply(f"Cloudflare counts {total} {what}, but lists {count}", hint=REPORT)


@dataclass(frozen=True, slots=True)
class ListPage(Generic[_Item]):
    """One page as received; `number` is the requested page."""

    number: int
    entries: tuple[_Item, ...]
    info: ResultInfo


@dataclass(frozen=True, slots=True)
class Reading(Generic[_Item]):
    """The whole list, read once. `total` is the server's count, None if it gave none.

    `steady` is true if no page contradicts another, and there are as many entries as the server counts.
    """

    entries: tuple[_Item, ...]
    total: int | None
    steady: bool

    @property
    def is_short(self) -> bool:
        """True if entries are missing."""
        return self.total is not None and len(self.entries) < self.total


Pages = Sequence[ListPage[_Item]]
Fetch = Callable[[int], ListPage[_Item]]
FetchAll = Callable[[Sequence[int]], Pages[_Item]]


def read_list(fetch: Fetch[_Item], fetch_all: FetchAll[_Item]) -> Reading[_Item]:
    """Every entry. Read again up to three times if the list changed meanwhile; not `steady` if it still does.

    StoreError if entries are missing even then. `fetch` reads one page, `fetch_all` several concurrently.
    """
    reading = _read_once(fetch, fetch_all)
    for _ in range(REREADS):
        if reading.steady or reading.total is None:
            break
        reading = _read_once(fetch, fetch_all)
    if reading.is_short:
        raise StoreError(
            f"Cloudflare counts {reading.total} certificates, but lists {len(reading.entries)}",
            hint="run again, and report it to Cloudflare support if it persists; mtlsctl won't act on a partial list",
            code=Code.LISTING_SHORT,
        )
    return reading


def _read_once(fetch: Fetch[_Item], fetch_all: FetchAll[_Item]) -> Reading[_Item]:
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


def _read_uncounted(first: ListPage[_Item], fetch: Fetch[_Item]) -> Reading[_Item]:
    """The list of a server that gives no counts, read until a page is empty, the only sign that it is complete.

    A page without a new entry ends it, too: a server that ignores `page` would never send an empty one.
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


def _last_page(first: ListPage[_Item]) -> int:
    """The number of the last page, from the counts of the first; the higher number if they disagree."""
    per_page = first.info.per_page or len(first.entries) or PER_PAGE
    by_count = -(-(first.info.total_count or 0) // per_page)
    last = max(first.info.total_pages or 0, by_count, 1)
    if last > MAX_PAGES:
        raise StoreError(
            f"Cloudflare reports that its list has {last} pages, more than any account can have",
            hint="check what is between this machine and Cloudflare, such as a proxy",
            code=Code.LISTING_ENDLESS,
        )
    return last


def _agrees(page: ListPage[_Item], first: ListPage[_Item]) -> bool:
    """True if a page belongs to the same list as the first one, and is the requested page."""
    same = (page.info.total_count, page.info.total_pages) == (first.info.total_count, first.info.total_pages)
    return same and page.info.page in (None, page.number)


def _distinct(pages: Pages[_Item]) -> tuple[_Item, ...]:
    """Every entry once, in the order of the pages; the later copy of one that came twice."""
    found: dict[str, _Item] = {}
    for page in pages:
        for entry in page.entries:
            found[entry.id] = entry
    return tuple(found.values())


class Lists:
    """The whole list, for several threads, which share what was read.

    Each read costs a call for every 50 entries. So ten uploads that need the list at the same moment read it once.
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
        """The last list that was read, of any age."""
        return None if self._last is None else self._last[1]

    def mark(self) -> int:
        """The current moment, for `since`."""
        return self._begun

    def since(self, mark: int) -> Listing:
        """A list whose reading began after the mark: the last one if it did, else a new one."""
        with self._lock:
            if self._last is not None and self._last[0] > mark:
                return self._last[1]
            self._begun += 1
            reading = read_list(self._page, self._pages)
            listing = Listing(reading.entries, stable=reading.steady, ahead=self._client.ahead)
            self._last = (self._begun, listing)
            return listing

    def new(self) -> Listing:
        """A list whose reading begins now."""
        return self.since(self.mark())

    def _page(self, number: int) -> ListPage[Entry]:
        query = {"page": number, "per_page": PER_PAGE}
        envelope = send_patiently(self._client, ApiCall(Operation.LIST, "GET", self._path, query), self._random)
        entries = parse_entries(envelope.result)
        if entries is None:
            raise UnusableReply(f"page {number} of Cloudflare's list is not a list of certificates", hint=REPORT)
        return ListPage(number, entries, envelope.result_info or ResultInfo())

    def _pages(self, numbers: Sequence[int]) -> Pages[Entry]:
        return self._client.side_by_side("Listing certificates", self._page, numbers)


def compare(
    uploaded: Sequence[Entry], listing: Listing, get: Callable[[EntryId], Entry | None]
) -> Iterator[Diagnostic]:
    """The differences between the list and the replies to uploads. `get` reads one entry by id."""
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
    """The finding for a list that could not be read."""
    message = f"the uploads were made, but the list could not be read to confirm them: {error.message}"
    return _warning(Code.UPLOADS_UNSEEN, message, "run `mtlsctl plan`, which reads the list")


def _missing(entries: Sequence[Entry], get: Callable[[EntryId], Entry | None]) -> Iterator[Diagnostic]:
    lagging = len(entries)
    for entry in entries[:_MOST_ASKED]:
        try:
            gone = get(entry.id) is None
        except StoreError:
            gone = False  # unknown, so count it as not listed yet
        if gone:
            lagging -= 1
            message = f"{entry.id} ({entry.name!r}), which this run uploaded, was deleted by someone else"
            yield _warning(Code.UPLOAD_GONE, message, "run `mtlsctl apply` again to upload it again")
    if lagging:
        what = "one certificate" if lagging == 1 else f"{lagging} certificates"
        message = f"{what} that this run uploaded {'is' if lagging == 1 else 'are'} not in Cloudflare's list yet"
        hint = "no action needed: Cloudflare's list lags, and meanwhile an ID in a file is looked up on its own"
        yield Diagnostic(Severity.INFO, Code.LIST_LAGS, message, None, hint)


def _facts(entry: Entry) -> tuple[str, bool, str, object]:
    return entry.name, entry.ca, entry.type, entry.bundle


def _differs(entry: Entry) -> Diagnostic:
    message = f"{entry.id} ({entry.name!r}), which this run uploaded, is listed differently than the reply said"
    return _warning(Code.UPLOAD_LISTED_OTHERWISE, message, "check that certificate, and run `mtlsctl plan`")


def _twice(entry: Entry, others: Sequence[EntryId]) -> Diagnostic:
    message = f"what this run uploaded as {entry.id} ({entry.name!r}) also exists as {', '.join(others)}"
    return _warning(Code.CONTENT_TWICE, message, "delete the one that nothing uses; another run uploaded it, too")


def _warning(code: Code, message: str, hint: str) -> Diagnostic:
    return Diagnostic(Severity.WARNING, code, message, None, hint)
