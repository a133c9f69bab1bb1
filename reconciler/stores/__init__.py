"""The certificate stores, by the kind that mtls.toml names. A new one is a new file or
package and a line in `_ROOMS`.

A store's file has `connect`, as `StoreRoom` says, and is imported only when it is asked for. It must not import another
edge, and must keep the contract of tests/support/store_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import StoreKind, StoreSettings
from reconciler.model.ports import Clock, Store, StoreReader

__all__ = ["Connection", "StoreContext", "StoreRoom", "connect", "open_reader", "open_store"]


def _silent(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class StoreContext:
    """What a store may use in addition to its own server or file: the environment, and how to wait for a server.

    `max_wait_s` is how long a run may wait for rate limits in all: 15 minutes outlast Cloudflare's block of five.
    `tell` is given each wait in words, and what a person should know of the environment.
    """

    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_wait_s: float = 900.0
    tell: Callable[[str], None] = _silent


class Connection(Protocol):
    """One store for one run: all that it gives shares connections, limits and what was read."""

    def reader(self) -> StoreReader:
        """The reading half, which can't change the store."""

    def store(self) -> Store:
        """The whole store."""

    def examine(self, *, cas: bool, pages: bool) -> Iterable[Diagnostic]:
        """Which right each command needs, and which we have, as far as it can be told without changing anything.

        `cas`, `pages`: whether CAs, or bindings of Pages projects, are declared.
        """


class StoreRoom(Protocol):
    """What the file of a store offers."""

    def connect(self, settings: StoreSettings, *, root: Path, clock: Clock, context: StoreContext) -> Connection:
        """The way to the store; asks and creates nothing yet."""


_ROOMS: Mapping[StoreKind, str] = {
    StoreKind.LOCAL: "reconciler.stores.local",
    StoreKind.CLOUDFLARE: "reconciler.stores.cloudflare",
}
_NOTHING = StoreContext()


def connect(settings: StoreSettings, *, root: Path, clock: Clock, context: StoreContext = _NOTHING) -> Connection:
    """The store that `settings` names, for one run; `root` is the folder of mtls.toml.

    StoreError where it can't be reached as things stand. Creates and asks nothing.
    """
    room = cast(StoreRoom, import_module(_ROOMS[settings.kind]))
    return room.connect(settings, root=root, clock=clock, context=context)


def open_reader(settings: StoreSettings, *, root: Path, clock: Clock, context: StoreContext = _NOTHING) -> StoreReader:
    """The reading half, for whoever needs nothing else."""
    return connect(settings, root=root, clock=clock, context=context).reader()


def open_store(settings: StoreSettings, *, root: Path, clock: Clock, context: StoreContext = _NOTHING) -> Store:
    """The whole store, for whoever needs nothing else. Creates nothing before the first write."""
    return connect(settings, root=root, clock=clock, context=context).store()
