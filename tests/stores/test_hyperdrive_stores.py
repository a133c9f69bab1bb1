"""Hyperdrive configurations of the local store, and of Cloudflare's API as it might answer."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from reconciler.emulator.faults import Fault, FaultKind
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState
from reconciler.emulator.tokens import Permission, Token
from reconciler.model import HyperdriveConfig, HyperdriveField, StoreSettings
from reconciler.model.errors import StoreError, StoreRefused
from reconciler.stores.cloudflare.access import Access
from reconciler.stores.cloudflare.client import Client, Time
from reconciler.stores.cloudflare.errors import PermissionLacking, UnusableReply
from reconciler.stores.cloudflare.store import CloudflareStore
from reconciler.stores.local import LocalStore
from tests.support.emulated import LOST_ANSWERS, TOKEN, DirectTransport, client_of, make_state
from tests.support.memory import open_in_memory
from tests.support.store_contract import LEAVES, SetClock, leaf

LEAF = "mtls_certificate_id"
CONFIGS = "/hyperdrive/configs"


@pytest.fixture
def state() -> EmulatorState:
    return make_state()


@pytest.fixture
def api(state: EmulatorState) -> httpx.Client:
    return client_of(state)


def store_over(transport: httpx.BaseTransport) -> CloudflareStore:
    """The real store and client over a transport."""
    access = Access("http://emulator/client/v4", ACCOUNT_ID, TOKEN, is_loopback=True)
    client = Client(access, Time(now=SetClock().now, sleep=lambda _: None), transport=transport)
    return CloudflareStore(client, access.certificates_path, lambda: 0.5)


def answering(answer: Callable[[httpx.Request], object]) -> CloudflareStore:
    """A store whose server answers with this result."""

    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"success": True, "errors": [], "messages": [], "result": answer(request)})

    return store_over(httpx.MockTransport(handle))


@pytest.fixture
def store(state: EmulatorState) -> CloudflareStore:
    return store_over(DirectTransport(state))


@pytest.fixture
def config(api: httpx.Client, store: CloudflareStore) -> HyperdriveConfig:
    """A configuration of the account, as it is read."""
    body = {"name": "db", "origin": {"host": "h", "password": "p"}, "mtls": {"sslmode": "require", "later": [1]}}
    made = api.post(CONFIGS, json=body).json()["result"]
    found = store.hyperdrive(made["id"])
    assert found is not None
    return found


def test_a_configuration_is_read_whole(store: CloudflareStore, config: HyperdriveConfig) -> None:
    """From the list and by its ID; what is null is not set, what is unknown is kept."""
    assert (config.name, config.mtls) == ("db", {"sslmode": "require", "later": [1]})
    assert config.get(HyperdriveField.CERTIFICATE) is None
    assert store.hyperdrives(()) == (config,)
    assert store.hyperdrive("0" * 32) is None


def test_an_update_sends_mtls_alone(state: EmulatorState, config: HyperdriveConfig) -> None:
    """One PATCH, with nothing of the origin or the password."""
    sent: list[tuple[str, str, object]] = []

    class Watched(DirectTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            sent.append((request.method, request.url.path.rpartition("/")[2], json.loads(request.read() or b"null")))
            return super().handle_request(request)

    entry = state.account().store.upload(leaf(LEAVES[0]))
    state.account().added(entry)
    mtls = {**config.mtls, LEAF: entry.id}
    after = store_over(Watched(state)).update_hyperdrive(config, mtls)
    assert sent == [("PATCH", config.id, {"mtls": mtls})]
    assert after.mtls == mtls


@pytest.mark.parametrize(
    "result",
    [None, {}, [{"name": "db"}], [{"id": ""}], [{"id": "a", "mtls": {LEAF: 7}}], [{"id": "a", "mtls": "text"}]],
    ids=["null", "an object", "no id", "an empty id", "a number for an ID", "a text for mtls"],
)
def test_a_list_that_can_not_be_read_is_no_empty_list(result: object) -> None:
    """It would look as if nothing used a certificate."""
    with pytest.raises(UnusableReply):
        answering(lambda _: result).hyperdrives(())


def test_a_list_that_is_shorter_than_its_count_is_refused() -> None:
    """The rest may use anything."""

    def handle(_: httpx.Request) -> httpx.Response:
        info = {"total_count": 2}
        body = {"success": True, "errors": [], "result": [{"id": "a", "name": "x"}], "result_info": info}
        return httpx.Response(200, json=body)

    with pytest.raises(UnusableReply, match="counts 2 Hyperdrive configurations, but lists 1"):
        store_over(httpx.MockTransport(handle)).hyperdrives(())


def test_an_odd_id_leads_to_no_other_path() -> None:
    """It is one part of the path, whatever is in it."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> object:
        asked.append(request.url.raw_path.decode())
        return {"id": "x", "name": "x"}

    answering(answer).hyperdrive("../../zones?a=b#c")
    assert asked == [f"/client/v4/accounts/{ACCOUNT_ID}{CONFIGS}/..%2F..%2Fzones%3Fa%3Db%23c"]


@pytest.mark.parametrize(("kind", "is_made"), LOST_ANSWERS)
def test_after_a_lost_answer_it_is_sent_again_only_if_nothing_changed(
    state: EmulatorState, store: CloudflareStore, config: HyperdriveConfig, kind: FaultKind, is_made: bool
) -> None:
    """If it was made, the error says that it is open; if not, the second call makes it."""
    state.faults.add(Fault(kind, "PATCH", CONFIGS))
    mtls = {"sslmode": "verify-ca"}
    state.calls.clear()
    if is_made:
        with pytest.raises(StoreError):
            store.update_hyperdrive(config, mtls)
    else:
        assert store.update_hyperdrive(config, mtls).mtls == mtls
    assert [call.method for call in state.calls] == (["PATCH", "GET"] if is_made else ["PATCH", "GET", "PATCH"])
    found = store.hyperdrive(config.id)
    assert found is not None
    assert found.mtls == mtls


def test_without_the_permission_the_error_names_it(
    state: EmulatorState, store: CloudflareStore, config: HyperdriveConfig
) -> None:
    """Other changes need other permissions, so they go on."""
    state.access.tokens[TOKEN] = Token(frozenset(Permission) - {Permission.HYPERDRIVE_WRITE})
    with pytest.raises(PermissionLacking) as caught:
        store.update_hyperdrive(config, {})
    assert "`Hyperdrive Write`" in (caught.value.hint or "")
    assert store.upload(leaf(LEAVES[0])).id


# --- the local store --------------------------------------------------------------------------------------------------


@pytest.fixture
def local() -> LocalStore:
    return open_in_memory(StoreSettings(), clock=SetClock())


def test_a_local_configuration_begins_with_nothing(local: LocalStore) -> None:
    """It is there because it is declared; its name is its ID."""
    assert local.hyperdrives(("a", "b", "a")) == (HyperdriveConfig("a", "a"), HyperdriveConfig("b", "b"))


def test_a_local_configuration_keeps_what_it_got(local: LocalStore) -> None:
    """Each its own."""
    entry = local.upload(leaf(LEAVES[0]))
    mtls = {LEAF: entry.id, "later": [1]}
    assert local.update_hyperdrive(HyperdriveConfig("a"), mtls).mtls == mtls
    assert [one.mtls for one in local.hyperdrives(("a", "b"))] == [mtls, {}]


def test_a_local_configuration_gets_no_unknown_certificate(local: LocalStore) -> None:
    """As in an account."""
    with pytest.raises(StoreRefused):
        local.update_hyperdrive(HyperdriveConfig("a"), {LEAF: "10ca1000-0000-4000-8000-000000000000"})
    assert local.hyperdrive("a").mtls == {}


def test_every_page_of_the_list_is_read(store: CloudflareStore, api: httpx.Client) -> None:
    """More configurations than a page has are all found."""
    names = [f"hd{number}" for number in range(45)]
    for name in names:
        api.post(CONFIGS, json={"name": name, "origin": {}})
    assert [config.name for config in store.hyperdrives(())] == names
