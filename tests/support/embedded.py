"""The embedded store for the tests, on disk and in memory, empty, with a leaf quota of LEAF_LIMIT."""

from __future__ import annotations

from pathlib import Path

from reconciler.model import Entry, StoreSettings
from reconciler.stores.database import FileDatabase
from reconciler.stores.local import LocalStore, open_in_memory
from tests.support.store_contract import LEAF_LIMIT, LEAVES, SetClock, Subject, leaf

SETTINGS = StoreSettings(limit=LEAF_LIMIT)


def subject_of(store: LocalStore, clock: SetClock) -> Subject:
    def manage(certificates: str) -> Entry:
        return store.seed(type_="gateway_managed", name="Gateway", ca=True, certificates=certificates)

    return Subject(store, clock, manage)


def on_disk(root: Path, clock: SetClock) -> Subject:
    return subject_of(LocalStore(FileDatabase(root), clock=clock, limit=LEAF_LIMIT), clock)


def in_memory(_: Path, clock: SetClock) -> Subject:
    return subject_of(open_in_memory(SETTINGS, clock=clock), clock)


def store_file(root: Path) -> Path:
    """The file of a store with one entry, the first leaf."""
    on_disk(root, SetClock()).store.upload(leaf(LEAVES[0]))
    return root / ".mtlsctl/store.db"
