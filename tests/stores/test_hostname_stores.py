"""Hostnames of CAs: of the local store, and of Cloudflare's API as it might answer."""

from __future__ import annotations

import json

import httpx
import pytest

from reconciler.emulator.faults import Fault, FaultKind
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState
from reconciler.emulator.tokens import Permission, Token
from reconciler.model import CaList, EntryId, StoreSettings, Zone
from reconciler.model.errors import StoreError, StoreRefused
from reconciler.stores.cloudflare.errors import PermissionLacking, UnusableReply
from reconciler.stores.cloudflare.store import CloudflareStore
from reconciler.stores.local import LocalStore
from tests.stores.test_hyperdrive_stores import answering, store_over
from tests.support.emulated import LOST_ANSWERS, TOKEN, DirectTransport, make_state
from tests.support.memory import open_in_memory
from tests.support.store_contract import CAS, SetClock, authority, pem

ZONE, PATH = "0123456789abcdef0123456789abcdef", "/certificate_authorities/hostname_associations"
API, PAY = "api.example.com", "pay.example.com"


@pytest.fixture
def state() -> EmulatorState:
    return make_state()


@pytest.fixture
def store(state: EmulatorState) -> CloudflareStore:
    return store_over(DirectTransport(state))


@pytest.fixture
def root(store: CloudflareStore) -> EntryId:
    """An uploaded CA."""
    return store.upload(authority(pem(CAS[0]))).id


def names(store: CloudflareStore | LocalStore, root: EntryId) -> tuple[str, ...]:
    (found,) = store.ca_lists(ZONE, (root,))
    return found.names


def test_hostnames_are_added_by_a_put_of_the_whole_list_of_one_ca(state: EmulatorState, root: EntryId) -> None:
    """What was read comes first, as it was read; the body names the CA."""
    sent: list[tuple[str, str, object]] = []

    class Watched(DirectTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            sent.append((request.method, request.url.path, json.loads(request.read() or b"null")))
            return super().handle_request(request)

    store = store_over(Watched(state))
    store.add_hostnames(CaList(ZONE, root), [PAY])
    (before,) = store.ca_lists(ZONE, (root,))
    store.add_hostnames(before, [API])
    body = {"hostnames": [PAY, API], "mtls_certificate_id": root}
    assert sent[-1] == ("PUT", f"/client/v4/zones/{ZONE}{PATH}", body)
    assert names(store, root) == (PAY, API)


def test_no_call_is_about_the_ca_that_cloudflare_manages() -> None:
    """An ID that is not one is refused before anything is sent."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> object:
        asked.append(request)
        return {"hostnames": []}

    store = answering(answer)
    for text in ("", "null", "10ca1000"):
        with pytest.raises(UnusableReply, match="is not a UUID"):
            store.ca_lists(ZONE, (EntryId(text),))
    assert asked == []


def test_a_zone_is_found_by_its_name_in_the_account(state: EmulatorState, store: CloudflareStore) -> None:
    """Only the one with exactly this name; none is no error."""
    holders = state.account().holders
    holders.zones |= {ZONE: "example.com", "f" * 32: "example.net"}
    assert store.zones("example.com") == (Zone(ZONE, "example.com"),)
    assert store.zones("example.org") == ()
    assert dict(state.calls[-1].query)["account.id"] == ACCOUNT_ID
    assert {zone.name for zone in store.zones()} == {"example.com", "example.net"}


@pytest.mark.parametrize("result", [None, {}, {"hostnames": "text"}, {"hostnames": [1]}, []])
def test_a_list_that_can_not_be_read_is_no_empty_list(result: object) -> None:
    """Replaced by what is declared alone, others would lose their trust."""
    with pytest.raises(UnusableReply):
        answering(lambda _: result).ca_lists(ZONE, (EntryId("10ca1000-0000-4000-8000-000000000001"),))


def test_null_is_an_empty_list_and_so_is_that_of_a_ca_that_is_gone() -> None:
    """The list of certificates can lag behind a deletion."""
    gone = EntryId("10ca1000-0000-4000-8000-000000000001")
    assert answering(lambda _: {"hostnames": None}).ca_lists(ZONE, (gone,)) == (CaList(ZONE, gone),)

    def refuse(_: httpx.Request) -> httpx.Response:
        return httpx.Response(404, json={"success": False, "errors": [{"code": 1472, "message": "gone"}]})

    assert store_over(httpx.MockTransport(refuse)).ca_lists(ZONE, (gone,)) == (CaList(ZONE, gone),)


def test_an_odd_zone_leads_to_no_other_path() -> None:
    """It is one part of the path, whatever is in it."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> object:
        asked.append(request.url.raw_path.decode())
        return {"hostnames": []}

    answering(answer).ca_lists("../accounts?a#b", (EntryId("10ca1000-0000-4000-8000-000000000001"),))
    assert asked[0].startswith(f"/client/v4/zones/..%2Faccounts%3Fa%23b{PATH}?")


@pytest.mark.parametrize(("kind", "is_made"), LOST_ANSWERS)
def test_after_a_lost_answer_it_is_sent_again_only_if_nothing_changed(
    state: EmulatorState, store: CloudflareStore, root: EntryId, kind: FaultKind, is_made: bool
) -> None:
    """If it was made, the error says that it is open; if not, the second call makes it."""
    state.faults.add(Fault(kind, "PUT", PATH))
    state.calls.clear()
    if is_made:
        with pytest.raises(StoreError):
            store.add_hostnames(CaList(ZONE, root), [API])
    else:
        store.add_hostnames(CaList(ZONE, root), [API])
    assert [call.method for call in state.calls] == (["PUT", "GET"] if is_made else ["PUT", "GET", "PUT"])
    assert names(store, root) == (API,)


def test_without_the_permission_the_error_names_it(state: EmulatorState, store: CloudflareStore, root: EntryId) -> None:
    """That of the zone, not of the account."""
    state.access.tokens[TOKEN] = Token(frozenset(Permission) - {Permission.ZONE_CERTIFICATES_WRITE})
    with pytest.raises(PermissionLacking) as caught:
        store.add_hostnames(CaList(ZONE, root), [API])
    assert "`SSL and Certificates Write` (in the dashboard: Zone > SSL" in (caught.value.hint or "")


# --- the local store --------------------------------------------------------------------------------------------------


@pytest.fixture
def local() -> LocalStore:
    return open_in_memory(StoreSettings(), clock=SetClock())


def test_a_local_zone_is_there_because_it_is_declared(local: LocalStore) -> None:
    """Its name is its ID; each list begins empty, and keeps what it got."""
    first, second = (local.upload(authority(pem(one))).id for one in CAS[:2])
    assert (local.zones("a"), local.zones()) == ((Zone("a", "a"),), ())
    local.add_hostnames(CaList("a", first, (PAY,)), [API])
    assert local.ca_lists("a", (first, second)) == (CaList("a", first, (PAY, API)), CaList("a", second))
    assert local.ca_lists("b", (first,)) == (CaList("b", first),)
    assert local.zones() == (Zone("a", "a"),)


def test_a_local_ca_that_is_not_stored_gets_no_hostname(local: LocalStore) -> None:
    """As in an account."""
    gone = CaList("a", EntryId("10ca1000-0000-4000-8000-000000000000"))
    with pytest.raises(StoreRefused):
        local.add_hostnames(gone, [API])
    assert local.zones() == ()
