"""Certificate stores, keyed by the kind in mtls.toml. To add one, add a file or package and a row of `_ROOMS`.

The module of a store has `connect`, as in `StoreRoom`, and is imported only when it is needed. It must not import
another edge, and must pass tests/support/store_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.values import dataclass
from reconciler.model import StoreKind, StoreSettings
from reconciler.model.budget import RateBudget
from reconciler.model.edge import EdgeAccount
from reconciler.model.ports import Clock, Store, StoreReader
from reconciler.model.progress import SILENT, Progress

__all__ = ["Connection", "Connections", "StoreContext", "StoreRoom", "connect"]


def _silent(_: str) -> None:
    """Drop the message."""


@dataclass(frozen=True, slots=True)
class StoreContext:
    """What a store needs in addition to its own server or file: the environment, and how to wait for a server.

    `max_wait_s` is the total time that a run may wait for rate limits: 15 minutes outlast Cloudflare's block of five.
    `tell` gets a message for each wait, and for anything in the environment that the user should know about;
    `progress` shows how far many reads are. `budget`: a rate budget that other processes use, too. `token_name`: where
    the token comes from, for messages; None: its variable.
    """

    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_wait_s: float = 900.0
    tell: Callable[[str], None] = _silent
    progress: Progress = SILENT
    budget: RateBudget | None = None
    token_name: str | None = None


@dataclass(frozen=True, slots=True)
class Uses:
    """What is declared that needs a permission of its own: CAs, bindings of Pages projects, Hyperdrive configurations,
    hostnames, proofs from the edge."""

    cas: bool = False
    pages: bool = False
    updates: bool = False
    hostnames: bool = False
    probes: bool = False


class Connection(Protocol):
    """One store for one run. Its parts share connections, limits and cached reads."""

    def reader(self) -> StoreReader:
        """The read-only part of the store."""

    def store(self) -> Store:
        """The whole store."""

    def edge(self) -> EdgeAccount | None:
        """The throw-away Workers of the account; None if the store has no account that runs Workers."""

    def examine(self, uses: Uses) -> Iterable[Diagnostic]:
        """For `doctor`: whether the store is intact, and which permissions are granted, as far as can be seen without
        changes. StoreError if it can't be read."""


class StoreRoom(Protocol):
    """What the module of a store provides."""

    def connect(
        self, settings: StoreSettings, *, root: Path, clock: Clock, context: StoreContext, beside: Connection | None
    ) -> Connection:
        """A connection to the store. Sends and creates nothing yet. `beside`: another one whose rate limit it shares:
        to another account with the same token, or with another token of the same user."""


_ROOMS: Mapping[StoreKind, str] = {
    StoreKind.LOCAL: "reconciler.stores.local",
    StoreKind.CLOUDFLARE: "reconciler.stores.cloudflare",
}
_NOTHING = StoreContext()


def connect(
    settings: StoreSettings,
    *,
    root: Path,
    clock: Clock,
    context: StoreContext = _NOTHING,
    beside: Connection | None = None,
) -> Connection:
    """The store that `settings` selects, for one run; `root` is the folder of mtls.toml.

    StoreError if the settings or the environment make a connection impossible. Sends and creates nothing.
    """
    room = cast(StoreRoom, import_module(_ROOMS[settings.kind]))
    return room.connect(settings, root=root, clock=clock, context=context, beside=beside)


@dataclass(frozen=True, slots=True)
class Connections:
    """The connections of one run: one for each account, or for each folder with a local store; for all accounts one
    rate limit and one limit for waiting. `budget`: what was connected with this rate limit, also with other tokens."""

    clock: Clock
    context: StoreContext
    made: dict[tuple[StoreSettings, Path | None], Connection] = field(default_factory=dict)
    budget: dict[StoreKind, Connection] = field(default_factory=dict)

    def open(self, settings: StoreSettings, root: Path) -> Connection:
        """The connection to this store, the same for the whole run."""
        has_accounts = settings.kind.traits.has_accounts
        # Of an account it is the same, whatever quota each stack expects.
        key = (replace(settings, limit=0), None) if has_accounts else (settings, root)
        if key not in self.made:
            same = (one for (other, _), one in self.made.items() if other.kind is settings.kind)
            beside = next(same, self.budget.get(settings.kind))
            self.made[key] = connect(settings, root=root, clock=self.clock, context=self.context, beside=beside)
            self.budget.setdefault(settings.kind, self.made[key])
        return self.made[key]
