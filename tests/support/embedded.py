"""The local store for the tests, empty, with a leaf quota of LEAF_LIMIT."""

from __future__ import annotations

from pathlib import Path

from reconciler.model import Entry, StoreSettings
from reconciler.model.ports import Clock, Store, StoreReader
from reconciler.stores import StoreContext, connect
from reconciler.stores.database import FileDatabase
from reconciler.stores.local import LocalStore
from tests.support.store_contract import LEAF_LIMIT, LEAVES, SetClock, Subject, leaf

SETTINGS = StoreSettings(limit=LEAF_LIMIT)


def on_disk(root: Path, clock: SetClock) -> Subject:
    def manage(certificates: str) -> Entry:
        store = LocalStore(FileDatabase(root), clock=clock)
        return store.seed(type_="gateway_managed", name="Gateway", ca=True, certificates=certificates)

    return Subject(SETTINGS.kind, lambda: connect(SETTINGS, root=root, clock=clock), clock, manage, "any", "any")


def store_file(root: Path) -> Path:
    """The file of a store with one entry, the first leaf."""
    on_disk(root, SetClock()).store.upload(leaf(LEAVES[0]))
    return root / ".mtlsctl/store.db"


def open_reader(
    settings: StoreSettings, *, root: Path, clock: Clock, context: StoreContext | None = None
) -> StoreReader:
    """The read-only part of a store."""
    return connect(settings, root=root, clock=clock, context=context or StoreContext()).reader()


def open_store(settings: StoreSettings, *, root: Path, clock: Clock, context: StoreContext | None = None) -> Store:
    """The whole store."""
    return connect(settings, root=root, clock=clock, context=context or StoreContext()).store()
