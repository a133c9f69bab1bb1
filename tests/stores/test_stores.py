"""Every store against the contract; then the registry, and the IDs and times of the local store."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from reconciler import stores
from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID
from reconciler.model import Entry, StoreKind, StoreSettings
from reconciler.model.errors import StoreError
from reconciler.model.identifiers import IdKind, kind_of_id
from reconciler.stores import _ROOMS, Connection, StoreContext, StoreRoom, cloudflare, local
from reconciler.stores.cloudflare import CloudflareConnection
from tests.support.cloudflare_server import on_cloudflare
from tests.support.embedded import SETTINGS, on_disk, open_reader, open_store
from tests.support.emulated import TOKEN, client_of, make_state
from tests.support.memory import open_in_memory
from tests.support.store_contract import LEAF_LIMIT, LEAVES, SetClock, StoreContract, Subject, leaf


@contextlib.contextmanager
def on_emulator(root: Path, clock: SetClock) -> Iterator[Subject]:
    """The real Cloudflare store, over a loopback socket."""
    state = make_state(clock)
    state.settings.change({"leaf_limit": LEAF_LIMIT})
    hyperdrive = client_of(state).post("/hyperdrive/configs", json={"name": "db", "origin": {}}).json()["result"]["id"]
    settings = StoreSettings(StoreKind.CLOUDFLARE, ACCOUNT_ID)
    with running(state) as base_url, contextlib.ExitStack() as clients:
        context = StoreContext({"CLOUDFLARE_API_BASE_URL": base_url, "CLOUDFLARE_API_TOKEN": TOKEN})

        def connect() -> Connection:
            connection = stores.connect(settings, root=root, clock=clock, context=context)
            assert isinstance(connection, CloudflareConnection)
            clients.callback(connection.store().close)
            return connection

        def manage(certificates: str) -> Entry:
            return state.seed_managed(type_="gateway_managed", name="Gateway", certificates=certificates)

        yield Subject(settings.kind, connect, clock, manage, hyperdrive, "0" * 32)


Stage = Callable[[Path, SetClock], Subject | AbstractContextManager[Subject]]
STORES: Mapping[str, Stage] = {
    StoreKind.LOCAL: on_disk,
    StoreKind.CLOUDFLARE: on_emulator,
    "cloudflare without HTTP": on_cloudflare,
}
"""Each kind as the registry opens it, and the fake server of other tests."""


class TestContract(StoreContract):
    """Each store, each rule."""

    @pytest.fixture(params=STORES)
    def subject(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
        made = STORES[request.param](tmp_path, SetClock())
        if isinstance(made, Subject):
            yield made
        else:
            with made as subject:
                yield subject


# --- the registry ----------------------------------------------------------------------------------------------------

ROOMS: Mapping[StoreKind, StoreRoom] = {StoreKind.LOCAL: local, StoreKind.CLOUDFLARE: cloudflare}
"""For mypy, which compares each with the protocol."""


def test_every_kind_of_store_is_registered_and_held_to_the_contract() -> None:
    """The registry imports by name, which hides a store from mypy; `ROOMS` shows it."""
    assert {kind: getattr(room, "__name__", "") for kind, room in ROOMS.items()} == _ROOMS
    assert set(_ROOMS) == set(StoreKind) <= set(STORES)


def test_a_store_that_can_not_be_opened_is_said(tmp_path: Path) -> None:
    """Both functions name what is missing, and what works without it."""
    settings = StoreSettings(kind=StoreKind.CLOUDFLARE)
    for opener in (open_reader, open_store):
        with pytest.raises(StoreError, match="the Cloudflare account is not set") as caught:
            opener(settings, root=tmp_path, clock=SetClock())
        assert "plan --offline" in (caught.value.hint or "")


# --- ids and times ---------------------------------------------------------------------------------------------------


def test_ids_are_the_embedded_stores() -> None:
    """A real account's id can never be mistaken for one."""
    entry = open_in_memory(SETTINGS, clock=SetClock()).upload(leaf(LEAVES[0]))
    assert kind_of_id(entry.id) is IdKind.PREFIXED
    assert entry.id[14] == "4"


def test_uploads_are_ordered_whatever_the_clock_does() -> None:
    """If it does not move or goes back, a microsecond after the latest: the order decides what is retired."""
    clock = SetClock()
    start, step = clock.time, timedelta(microseconds=1)
    store = open_in_memory(StoreSettings(), clock=clock)
    times = []
    for number, now in enumerate((start, start, start - timedelta(days=400), start + timedelta(hours=1))):
        clock.time = now
        times.append(store.upload(leaf(LEAVES[number])).uploaded_on)
    assert times == [start, start + step, start + 2 * step, start + timedelta(hours=1)]
    assert [entry.uploaded_on for entry in store.list_entries().entries] == times


def test_a_run_can_be_replayed() -> None:
    """The same clock and ids give the same entries, in every field."""

    def play() -> tuple[Entry, ...]:
        numbers = count()
        store = open_in_memory(SETTINGS, clock=SetClock(), ids=lambda: f"10ca1000-{next(numbers)}")
        store.delete(store.upload(leaf(LEAVES[0])).id)
        store.upload(leaf(LEAVES[1]))
        return store.list_entries().entries

    assert play() == play()
