"""The list, page by page: as few calls as there are pages, and no action on a partial list."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx
import pytest

from reconciler.model import Entry, EntryId, Listing
from reconciler.model.calls import PER_PAGE
from reconciler.model.errors import StoreError, StoreRefused
from reconciler.stores.cloudflare.listing import ListPage, Pages, read_list
from reconciler.stores.cloudflare.wire import ResultInfo, parse_entries, parse_entry, parse_envelope
from tests.support.cloudflare_server import ACCOUNT, Fault, Respond, answer, make_server, make_store, success
from tests.support.store_contract import CAS, LEAVES, leaf, pem

Book = Callable[[int, int], ListPage[Entry]]
"""A page of a list, by its number and by how many pages were read before it."""


def entries(*numbers: int) -> tuple[Entry, ...]:
    return tuple(Entry(EntryId(str(number))) for number in numbers)


def page_of(total: int, number: int, *, info: ResultInfo | None = None) -> ListPage[Entry]:
    """A page of a consistent list of `count` entries."""
    numbers = range((number - 1) * PER_PAGE, min(number * PER_PAGE, total))
    honest = ResultInfo(page=number, per_page=PER_PAGE, total_count=total, total_pages=-(-total // PER_PAGE))
    return ListPage(number, entries(*numbers), honest if info is None else info)


def read(book: Book) -> tuple[Listing, list[int]]:
    """The listing, and the numbers of the pages read."""
    asked: list[int] = []

    def fetch(number: int) -> ListPage[Entry]:
        asked.append(number)
        return book(number, len(asked))

    def fetch_all(numbers: Sequence[int]) -> Pages[Entry]:
        return [fetch(number) for number in numbers]

    reading = read_list(fetch, fetch_all)
    return Listing(reading.entries, stable=reading.steady), asked


@pytest.mark.parametrize("total", [0, 1, 49, 50, 51, 100, 1000])
def test_an_honest_list_is_read_once(total: int) -> None:
    """One page for every 50 entries, and one for an empty list."""
    listing, asked = read(lambda number, _: page_of(total, number))
    assert listing == Listing(entries(*range(total)))
    assert asked == list(range(1, max(-(-total // PER_PAGE), 1) + 1))


def test_a_smaller_page_is_the_servers_right() -> None:
    """The server reports its page size, and the number of pages follows it."""

    def book(number: int, _: int) -> ListPage[Entry]:
        part = entries(*range((number - 1) * 20, min(number * 20, 50)))
        return ListPage(number, part, ResultInfo(page=number, per_page=20, total_count=50))

    listing, asked = read(book)
    assert (len(listing.entries), listing.stable, asked) == (50, True, [1, 2, 3])


def test_a_server_without_counts_is_read_to_the_empty_page() -> None:
    """The only sign that the list is complete."""
    listing, asked = read(lambda number, _: page_of(120, number, info=ResultInfo()))
    assert (len(listing.entries), listing.stable, asked) == (120, True, [1, 2, 3, 4])


def test_a_server_that_ignores_the_page_and_counts_nothing() -> None:
    """No endless loop; the list may be incomplete, so nothing is retired by it."""
    listing, asked = read(lambda _, __: page_of(50, 1, info=ResultInfo()))
    assert (len(listing.entries), listing.stable, asked) == (50, False, [1, 2])


def test_a_server_that_ignores_the_page_and_gives_everything() -> None:
    """One page is the whole list."""
    everything = ListPage(1, entries(*range(130)), ResultInfo(total_count=130, total_pages=1, per_page=130))
    listing, asked = read(lambda _, __: everything)
    assert (len(listing.entries), listing.stable, asked) == (130, True, [1])


def test_a_server_that_ignores_the_page_but_counts() -> None:
    """The first 50 of 100, repeated, are not the list."""
    with pytest.raises(StoreError, match="counts 100 certificates, but lists 50") as caught:
        read(lambda _, __: page_of(100, 1))
    assert caught.value.code == "listing-short"


def test_a_list_that_moves_once_is_read_again() -> None:
    """An upload between two pages moves an entry to the next one."""

    def book(number: int, reads: int) -> ListPage[Entry]:
        if reads == 2:
            return ListPage(2, entries(49, *range(50, 60)), page_of(61, 2).info)
        return page_of(60 if reads == 1 else 61, number)

    listing, asked = read(book)
    assert (len(listing.entries), listing.stable, asked) == (61, True, [1, 2, 1, 2])


def test_a_list_that_never_stands_still_is_not_stable() -> None:
    """After four reads nothing may be retired by it."""
    listing, asked = read(lambda number, reads: page_of(60 + reads, number))
    assert (listing.stable, asked) == (False, [1, 2] * 4)
    assert len(listing.entries) >= 60


def test_an_entry_on_two_pages_makes_a_list_unstable() -> None:
    """It came twice, so another may be missing; the total is right by chance."""

    def book(number: int, _: int) -> ListPage[Entry]:
        numbers = range(50) if number == 1 else range(40, 60)
        return ListPage(number, entries(*numbers), ResultInfo(page=number, per_page=50, total_count=60, total_pages=2))

    listing, asked = read(book)
    assert (len(listing.entries), listing.stable, len(asked)) == (60, False, 8)


def test_more_entries_than_counted_make_a_list_unstable() -> None:
    """All of them are used, none is dropped."""
    page = ListPage(1, entries(1, 2, 3), ResultInfo(page=1, per_page=50, total_count=2, total_pages=1))
    listing, asked = read(lambda _, __: page)
    assert (len(listing.entries), listing.stable, asked) == (3, False, [1] * 4)


@pytest.mark.parametrize("came", [0, 1, 49])
def test_fewer_entries_than_counted_are_an_error(came: int) -> None:
    """Above all an empty list: it would upload everything again."""
    page = ListPage(1, entries(*range(came)), ResultInfo(page=1, per_page=50, total_count=50, total_pages=1))
    with pytest.raises(StoreError, match="counts 50"):
        read(lambda _, __: page)


def test_a_list_of_any_length_a_server_can_claim() -> None:
    """It is reported and not read."""
    with pytest.raises(StoreError) as caught:
        read(lambda number, _: ListPage(number, entries(1), ResultInfo(total_count=10**9, per_page=50)))
    assert caught.value.code == "listing-endless"


# --- over the wire ----------------------------------------------------------------------------------------------------


def serve(items: Sequence[object]) -> Fault:
    """The server returns a page of these, regardless of the store."""

    def fault(request: httpx.Request, _: Respond) -> httpx.Response:
        number, pages = int(request.url.params["page"]), -(-len(items) // PER_PAGE)
        info = {"page": number, "per_page": PER_PAGE, "total_count": len(items), "total_pages": pages}
        return success(items[(number - 1) * PER_PAGE : number * PER_PAGE], result_info=info)

    return fault


def test_a_thousand_entries_are_twenty_calls() -> None:
    """And none by id."""
    server = make_server()
    stored = server.store.upload(leaf(LEAVES[0]))
    items = [{"id": f"id-{number}", "name": "x", "certificates": stored.certificates} for number in range(1000)]
    store = make_store(server)
    server.fail("GET", *[serve(items)] * 30)
    listing = store.list_entries()
    assert (len(listing.entries), listing.stable) == (1000, True)
    assert store.calls == len(server.calls) == 20
    assert sorted(server.calls) == sorted(
        f"GET /client/v4/accounts/{ACCOUNT}/mtls_certificates?page={page}&per_page=50" for page in range(1, 21)
    )
    assert [entry.id for entry in listing.entries] == [f"id-{number}" for number in range(1000)]


def test_a_page_that_fails_fails_the_list() -> None:
    """No matter how many others succeeded."""
    server = make_server()
    items = [{"id": f"id-{number}"} for number in range(200)]
    server.fail("GET", serve(items), *[answer(403, text="<html>")] * 3)
    with pytest.raises(StoreError):
        make_store(server).list_entries()


def test_managed_entries_stay_in_the_list_with_their_type() -> None:
    """The reader can distinguish them."""
    server = make_server()
    server.store.seed(type_="gateway_managed", name="Gateway", ca=True, certificates=pem(CAS[0]))
    assert [entry.type for entry in make_store(server).list_entries().entries] == ["gateway_managed"]


@pytest.mark.parametrize("entry_id", ["", ".", "..", "a/b", "a?b", "a b", "ü", "\ud800", "x" * 129], ids=ascii)
def test_an_id_that_leads_elsewhere_is_not_asked_for(entry_id: str) -> None:
    """An empty one would be the path of the list itself."""
    server = make_server()
    store = make_store(server)
    assert store.get(EntryId(entry_id)) is None
    with pytest.raises(StoreRefused):
        store.delete(EntryId(entry_id))
    assert server.calls == []


# --- a single object --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "entry"),
    [
        pytest.param({}, Entry(EntryId("1")), id="only an id"),
        pytest.param({"name": None, "ca": None, "type": None, "certificates": None}, Entry(EntryId("1")), id="nulls"),
        pytest.param({"name": 7, "issuer": [], "expires_on": "soon"}, Entry(EntryId("1")), id="what is only shown"),
        pytest.param({"private": 1, "updated_at": "x"}, Entry(EntryId("1")), id="unknown fields"),
        pytest.param({"ca": True, "type": "new"}, Entry(EntryId("1"), ca=True, type="new"), id="an unknown type"),
    ],
)
def test_an_object_with_little_in_it(more: dict[str, object], entry: Entry) -> None:
    """Every field except the id may be missing."""
    assert parse_entry({"id": "1", **more}) == entry


@pytest.mark.parametrize(
    "item",
    [None, [], "1", {}, {"id": ""}, {"id": None}, {"id": 1}, {"id": "1", "ca": "x"}, {"id": "1", "type": 1}],
    ids=str,
)
def test_what_is_no_entry(item: object) -> None:
    """Without an id, or with an unreadable flag that a decision depends on; such an item makes its page unusable."""
    assert parse_entry(item) is None
    assert parse_entries([{"id": "2"}, item]) is None


def test_times_are_in_utc() -> None:
    """With microseconds, with another zone, without a zone."""
    for text in ("2022-11-22T17:32:30.467938Z", "2022-11-22T18:32:30.467938+01:00", "2022-11-22T17:32:30.467938"):
        entry = parse_entry({"id": "1", "uploaded_on": text})
        assert entry is not None
        assert entry.uploaded_on is not None
        assert entry.uploaded_on.isoformat() == "2022-11-22T17:32:30.467938+00:00"


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b"<html>", b'{"success": 3}', b'{"success": true'])
def test_what_is_no_envelope(body: bytes) -> None:
    """None instead of an error that quotes it."""
    assert parse_envelope(body) is None


@pytest.mark.parametrize("more", ['"errors": null', '"errors": {}', '"result_info": 7', '"errors": [], "messages": 3'])
def test_an_odd_envelope_is_one(more: str) -> None:
    """Only `success` is required."""
    envelope = parse_envelope(f'{{"success": true, {more}}}'.encode())
    assert envelope is not None
    assert (envelope.errors, envelope.result_info) == ([], None)
