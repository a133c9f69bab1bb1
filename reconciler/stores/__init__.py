"""The certificate stores, by the kind that mtls.toml names. A new one is a new file or
package and a line in `_ROOMS`.

A store's file has `open_reader` and `open_store`, as `StoreRoom` says, and is imported only when it is asked for. It
must not import another edge, and must keep the contract of tests/store_contract.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from reconciler.core.model import StoreKind, StoreSettings
from reconciler.core.ports import Clock, Store, StoreReader
from reconciler.stores.surroundings import Surroundings

__all__ = ["StoreRoom", "Surroundings", "open_reader", "open_store"]


class StoreRoom(Protocol):
    """What the file of a store offers."""

    def open_reader(self, settings: StoreSettings, *, root: Path, clock: Clock, around: Surroundings) -> StoreReader:
        """The reading half, which can't change the store."""

    def open_store(self, settings: StoreSettings, *, root: Path, clock: Clock, around: Surroundings) -> Store:
        """The whole store."""


_ROOMS: Mapping[StoreKind, str] = {
    StoreKind.LOCAL: "reconciler.stores.local",
    StoreKind.CLOUDFLARE: "reconciler.stores.cloudflare",
}
_NOTHING = Surroundings()


def open_reader(settings: StoreSettings, *, root: Path, clock: Clock, around: Surroundings = _NOTHING) -> StoreReader:
    """The reading half of the store that `settings` names; `root` is the folder of mtls.toml.

    StoreError where the store can't be opened. Creates and changes nothing.
    """
    return _room(settings.kind).open_reader(settings, root=root, clock=clock, around=around)


def open_store(settings: StoreSettings, *, root: Path, clock: Clock, around: Surroundings = _NOTHING) -> Store:
    """The whole store that `settings` names; otherwise as `open_reader`. Creates nothing before the first write."""
    return _room(settings.kind).open_store(settings, root=root, clock=clock, around=around)


def _room(kind: StoreKind) -> StoreRoom:
    return cast(StoreRoom, import_module(_ROOMS[kind]))
