"""The whole list, page by page, and whether it can be believed.

A list that moves while it is read shows an entry twice or not at all, and half a list taken for the whole would upload
what is there and bind what is not. So every page is checked against the others, and the sum against the server's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reconciler.findings.codes import Code
from reconciler.model import Entry, EntryId, Listing
from reconciler.model.calls import PER_PAGE
from reconciler.model.errors import StoreError
from reconciler.stores.cloudflare.wire import ResultInfo

REREADS = 3
MAX_PAGES = 2000

Pages = Sequence["Page"]


@dataclass(frozen=True, slots=True)
class Page:
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


def read_list(fetch: Callable[[int], Page], fetch_all: Callable[[Sequence[int]], Pages]) -> Listing:
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


def _read_once(fetch: Callable[[int], Page], fetch_all: Callable[[Sequence[int]], Pages]) -> Reading:
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


def _read_uncounted(first: Page, fetch: Callable[[int], Page]) -> Reading:
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


def _last_page(first: Page) -> int:
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


def _agrees(page: Page, first: Page) -> bool:
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
