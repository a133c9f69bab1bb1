"""What is stored, for everybody in a world: read past the tool, changed by others, and handed to the tool at a gate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Protocol

from reconciler.findings.errors import ReconcilerError
from reconciler.model import CaList, EntryId, StoreSettings
from reconciler.model.ports import NewEntry
from reconciler.runs.project import Stores
from tests.simulation.gate import Gate
from tests.simulation.ports import GatedStores
from tests.simulation.record import Recorder, Row
from tests.simulation.spec import CONFIG, ZONE
from tests.support.memory import MemoryClock, open_in_memory

_ROWS = "SELECT id, name, type, ca, certificates, uploaded_on FROM entries"


class Stock(Protocol):
    """The stored certificates of a world, and what presents them."""

    @property
    def account(self) -> str | None:
        """The account that mtls.toml names; None for the embedded store."""

    def copy(self, clock: MemoryClock) -> Stock:
        """The same again, apart from this one."""

    def rows(self) -> dict[str, Row]:
        """Every entry, read past the tool."""

    def put(self, new: NewEntry) -> None:
        """Somebody uploads."""

    def manage(self, certificates: str) -> None:
        """Gateway makes an entry of its own."""

    def take(self, entry: str) -> None:
        """Somebody deletes an entry, where that is possible."""

    def deploy(self, workers: Mapping[str, Mapping[str, str]]) -> None:
        """Somebody deploys Workers, each with exactly these bindings, where that is possible."""

    def mtls(self) -> dict[str, object]:
        """What the Hyperdrive configuration uses; nothing where there is none."""

    def set_mtls(self, mtls: Mapping[str, object]) -> None:
        """Somebody makes or changes it."""

    def trusted(self) -> dict[str, tuple[str, ...]]:
        """The hostnames of the zone that trust each CA, where there are some."""

    def trust(self, ca: str, names: tuple[str, ...]) -> None:
        """Somebody replaces the list of a CA."""

    def pass_time(self, time: timedelta) -> None:
        """Time passes; a clock on this side of the world may be set back, one on the other never is."""

    def stir(self, random: Random) -> None:
        """From now on things go wrong on the way to the store."""

    def calm(self) -> None:
        """From now on they don't."""

    def stores(self, gate: Gate, recorder: Recorder, tell: Callable[[str], None]) -> Stores:
        """The way of one run to the store."""


class EmbeddedStock:
    """The embedded store, in memory. Nothing can present its entries, and nothing is on the way to it."""

    account: str | None = None

    def __init__(self, clock: MemoryClock) -> None:
        self._numbers: Iterator[int] = iter(range(1, 1_000_000))
        self._store = open_in_memory(StoreSettings(), clock=clock, ids=self._new_id)

    def _new_id(self) -> str:
        return f"10ca1000-0000-4000-8000-{next(self._numbers):012x}"

    def copy(self, clock: MemoryClock) -> EmbeddedStock:
        again = EmbeddedStock(clock)
        with self._store._database.reading(), again._store._database.reading():
            self._store._database._connection.backup(again._store._database._connection)  # type: ignore[attr-defined]
        again._numbers = iter(range(max((int(row[-12:], 16) for row in self.rows()), default=0) + 1, 1_000_000))
        return again

    def rows(self) -> dict[str, Row]:
        with self._store._database.reading() as connection:
            return {row[0]: Row(*row) for row in connection.execute(_ROWS)} if connection else {}

    def put(self, new: NewEntry) -> None:
        self._store.upload(new)

    def manage(self, certificates: str) -> None:
        with suppress(ReconcilerError):
            self._store.seed(type_="gateway_managed", name="Gateway", ca=False, certificates=certificates)

    def take(self, entry: str) -> None:
        with suppress(ReconcilerError):
            self._store.delete(EntryId(entry))

    def deploy(self, workers: Mapping[str, Mapping[str, str]]) -> None:
        pass

    def mtls(self) -> dict[str, object]:
        return dict(self._store.hyperdrive(CONFIG).mtls)

    def set_mtls(self, mtls: Mapping[str, object]) -> None:
        self._store.update_hyperdrive(self._store.hyperdrive(CONFIG), mtls)

    def trusted(self) -> dict[str, tuple[str, ...]]:
        lists = self._store.ca_lists(ZONE, [EntryId(row.id) for row in self.rows().values() if row.ca])
        return {one.ca: one.names for one in lists if one.names}

    def trust(self, ca: str, names: tuple[str, ...]) -> None:
        self._store.add_hostnames(CaList(ZONE, EntryId(ca)), names)

    def pass_time(self, time: timedelta) -> None:
        pass

    def stir(self, random: Random) -> None:
        pass

    def calm(self) -> None:
        pass

    def stores(self, gate: Gate, recorder: Recorder, tell: Callable[[str], None]) -> Stores:
        return GatedStores(self._store, gate, recorder)
