"""The certificate stores, by the kind that mtls.toml names. A new one is a new file and a line in `_ROOMS`.

A store's file has `open_reader` and `open_store`, as `StoreRoom` says, and is imported only when it is asked for. It
must not import another edge, and must keep the contract of tests/store_contract.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from reconciler.core.errors import StoreError
from reconciler.core.model import StoreKind, StoreSettings
from reconciler.core.ports import Clock, Store, StoreReader


class StoreRoom(Protocol):
    """What the file of a store offers."""

    def open_reader(self, settings: StoreSettings, *, root: Path, clock: Clock) -> StoreReader:
        """The reading half, which can't change the store."""

    def open_store(self, settings: StoreSettings, *, root: Path, clock: Clock) -> Store:
        """The whole store."""


_ROOMS: Mapping[StoreKind, str] = {
    StoreKind.LOCAL: "reconciler.stores.local",
}


def open_reader(settings: StoreSettings, *, root: Path, clock: Clock) -> StoreReader:
    """The reading half of the store that `settings` names; `root` is the folder of mtls.toml.

    StoreError where this version has no such store. Creates and changes nothing.
    """
    return _room(settings.kind).open_reader(settings, root=root, clock=clock)


def open_store(settings: StoreSettings, *, root: Path, clock: Clock) -> Store:
    """The whole store that `settings` names; otherwise as `open_reader`. Creates nothing before the first write."""
    return _room(settings.kind).open_store(settings, root=root, clock=clock)


def _room(kind: StoreKind) -> StoreRoom:
    name = _ROOMS.get(kind)
    if name is None:
        raise StoreError(
            f'this version of mtlsctl has the embedded store only, it can\'t talk to kind = "{kind.value}"',
            hint='`mtlsctl validate` and `mtlsctl plan --offline` work with this file; for the rest use kind = "local"',
            code="store-unavailable",
        )
    return cast(StoreRoom, import_module(name))
