"""Every store against the contract; then the registry, and the IDs and times of the local store."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID
from reconciler.model import Entry, StoreKind, StoreSettings
from reconciler.model.errors import StoreError
from reconciler.model.identifiers import IdKind, kind_of_id
from reconciler.stores import open_reader, open_store
from reconciler.stores.cloudflare.access import Access
from reconciler.stores.cloudflare.client import Client, Time
from reconciler.stores.cloudflare.store import CloudflareStore
from reconciler.stores.local import open_in_memory
from tests.support.cloudflare_server import on_cloudflare
from tests.support.embedded import SETTINGS, in_memory, on_disk
from tests.support.emulated import TOKEN, make_state
from tests.support.store_contract import LEAF_LIMIT, LEAVES, SetClock, StoreContract, Subject, leaf


@contextlib.contextmanager
def on_emulator(_: Path, clock: SetClock) -> Iterator[Subject]:
    """The real Cloudflare store, over a loopback socket."""
    state = make_state(clock)
    state.settings.change({"leaf_limit": LEAF_LIMIT})
    with running(state) as base_url:
        access = Access(base_url, ACCOUNT_ID, TOKEN, is_loopback=True)
        client = Client(access, Time(now=clock.now, sleep=lambda _: None))

        def manage(certificates: str) -> Entry:
            return state.seed_managed(type_="gateway_managed", name="Gateway", certificates=certificates)

        with contextlib.closing(client):
            yield Subject(CloudflareStore(client, access.certificates_path, lambda: 0.5), clock, manage)


Stage = Callable[[Path, SetClock], Subject | AbstractContextManager[Subject]]
STORES: Mapping[str, Stage] = {
    "embedded on disk": on_disk,
    "embedded in memory": in_memory,
    "cloudflare": on_cloudflare,
    "cloudflare over HTTP to the emulator": on_emulator,
}


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


def test_a_store_that_can_not_be_opened_is_said(tmp_path: Path) -> None:
    """Both functions name what is missing, and what works without it."""
    settings = StoreSettings(kind=StoreKind.CLOUDFLARE)
    for opener in (open_reader, open_store):
        with pytest.raises(StoreError, match="the Cloudflare account is not set") as caught:
            opener(settings, root=tmp_path, clock=SetClock())
        assert "plan --offline" in (caught.value.hint or "")


def test_what_the_store_wrote_the_reader_reads(tmp_path: Path) -> None:
    """Two objects, two connections, one file."""
    entry = open_store(SETTINGS, root=tmp_path, clock=SetClock()).upload(leaf(LEAVES[0]))
    reader = open_reader(SETTINGS, root=tmp_path, clock=SetClock())
    assert reader.list_entries().entries == (entry,)
    assert reader.get(entry.id) == entry
    assert not hasattr(reader, "upload")


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
