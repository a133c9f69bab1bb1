"""Every port of a project, in memory and behind the gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from posixpath import basename, dirname, join

from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import CaList, Entry, EntryId, HyperdriveConfig, Listing, StoreSettings, Sweep, Zone
from reconciler.model.keys import KeyFile
from reconciler.model.ports import NewEntry, Store, StoreReader
from reconciler.stores.local import LocalStore
from reconciler.system.atomic import leftover_of
from tests.simulation import failures
from tests.simulation.gate import Gate, T
from tests.simulation.record import Recorder
from tests.support.memory import MemoryFiles
from tests.support.sinks import MemoryKeyFolders


@dataclass
class GatedFiles(MemoryFiles):
    """The project's tree."""

    gate: Gate = field(default_factory=Gate)
    recorder: Recorder = field(default_factory=Recorder)
    used: set[str] = field(default_factory=set)

    @property
    def root(self) -> Path:
        return Path("/simulated")

    @property
    def key_folders(self) -> MemoryKeyFolders:
        return MemoryKeyFolders(self.tree)

    def read(self, path: str, *, limit: int) -> bytes:
        def effect() -> bytes:
            self.used.add(path)
            data = MemoryFiles.read(self, path, limit=limit)
            self.recorder.planned_from.setdefault(path, data)
            return data

        return self.gate.passes("file.read", path, effect, fails=failures.reading(path))

    def read_key(self, path: str, *, limit: int) -> KeyFile:
        def cut() -> KeyFile:
            return KeyFile(self.tree[path][:150])

        fails = (failures.missing_key(path), *failures.reading(path), *([cut] if path in self.tree else []))
        return self.gate.passes(
            "key.open", path, lambda: KeyFile(MemoryFiles.read(self, path, limit=limit)), fails=fails
        )

    def identity(self, path: str) -> str:
        fails = failures.reading(path)[1:2]
        return self.gate.passes("file.identity", path, lambda: MemoryFiles.identity(self, path), fails=fails)

    def files_in(self, folder: str) -> frozenset[str] | None:
        return self.gate.passes("folder.list", folder, lambda: self._files_in(folder), fails=(lambda: None,))

    def _files_in(self, folder: str) -> frozenset[str] | None:
        start = "" if folder == "." else f"{folder}/"
        inside = [path.removeprefix(start) for path in self.tree if path.startswith(start)]
        return frozenset(name for name in inside if "/" not in name) if inside else None

    def sweep(self, ids: Iterable[EntryId]) -> Sweep:
        wanted = tuple(ids)
        return self.gate.passes(
            "file.sweep",
            "",
            lambda: MemoryFiles.sweep(self, wanted),
            fails=(lambda: Sweep(unread=("other/wrangler.json",)),),
        )

    def replace(self, path: str, *, old: bytes, new: bytes) -> None:
        def effect() -> None:
            self.used.add(path)
            MemoryFiles.replace(self, path, old=old, new=new)
            self.recorder.replaced(path, old, new)

        def half() -> None:
            name = f".{basename(path)}.mtlsctl-{len(self.gate.seen):08x}.tmp"
            self.tree[join(dirname(path), name)] = new[: len(new) // 2]

        self.gate.passes(
            "file.replace", path, effect, fails=failures.writing(path), lost=failures.writing(path)[1:2], half=half
        )

    def tidy(self) -> None:
        def effect() -> None:
            for path in list(self.tree):
                if any(
                    dirname(path) == dirname(of) and leftover_of(basename(path)) == basename(of) for of in self.used
                ):
                    del self.tree[path]

        # The real one does what it can and never complains.
        self.gate.passes("file.tidy", "", effect, fails=(lambda: None,))


@dataclass
class GatedReader:
    """The reading half of the store."""

    store: LocalStore
    gate: Gate

    @property
    def calls(self) -> int | None:
        return self.store.calls

    @property
    def lag_s(self) -> float:
        return self.store.lag_s

    def list_entries(self) -> Listing:
        return self.gate.passes("store.list", "", self.store.list_entries, fails=failures.store_reading())

    def live(self) -> None:
        return self.store.live()

    def hyperdrives(self, wanted: Iterable[str]) -> tuple[HyperdriveConfig, ...]:
        found = tuple(wanted)
        return self.gate.passes(
            "hyperdrive.list", "", lambda: self.store.hyperdrives(found), fails=failures.store_reading()
        )

    def hyperdrive(self, config: str) -> HyperdriveConfig | None:
        return self.gate.passes(
            "hyperdrive.get", config, lambda: self.store.hyperdrive(config), fails=failures.store_reading()
        )

    def zones(self, name: str | None = None) -> tuple[Zone, ...]:
        return self.gate.passes(
            "hostnames.zones", name or "", lambda: self.store.zones(name), fails=failures.store_reading()
        )

    def ca_lists(self, zone: str, cas: Iterable[EntryId]) -> tuple[CaList, ...]:
        asked = tuple(cas)
        return self.gate.passes(
            "hostnames.read", zone, lambda: self.store.ca_lists(zone, asked), fails=failures.store_reading()
        )

    def get(self, entry_id: EntryId) -> Entry | None:
        return self.gate.passes("store.get", entry_id, lambda: self.store.get(entry_id), fails=failures.store_reading())

    def get_all(self, ids: Iterable[EntryId]) -> dict[EntryId, Entry | None]:
        return {entry_id: self.get(entry_id) for entry_id in ids}


@dataclass
class GatedStore(GatedReader):
    """The whole store."""

    recorder: Recorder

    @property
    def at_once(self) -> int:
        return self.store.at_once

    def give_up(self) -> None:
        self.store.give_up()

    def look_back(self) -> tuple[Diagnostic, ...]:
        return self.store.look_back()

    def upload(self, new: NewEntry) -> Entry:
        certificates = new.bundle.pem()
        self.recorder.asked(certificates)

        def effect() -> Entry:
            entry = self.store.upload(new)
            self.recorder.uploaded(entry.id, new.name, certificates)
            return entry

        return self.gate.passes(
            "store.upload",
            certificates,
            effect,
            fails=(*failures.store_writing(), failures.quota()),
            lost=failures.store_lost(),
        )

    def delete(self, entry_id: EntryId) -> None:
        def effect() -> None:
            self.recorder.deleting(entry_id)
            self.store.delete(entry_id)
            self.recorder.deleted(entry_id)

        self.gate.passes(
            "store.delete",
            entry_id,
            effect,
            fails=(*failures.store_writing(), failures.in_use()),
            lost=failures.store_lost(),
        )

    def update_hyperdrive(self, before: HyperdriveConfig, mtls: Mapping[str, object]) -> HyperdriveConfig:
        return self.gate.passes(
            "hyperdrive.update",
            before.id,
            lambda: self.store.update_hyperdrive(before, mtls),
            fails=failures.store_writing(),
            lost=failures.store_lost(),
        )

    def add_hostnames(self, before: CaList, names: Sequence[str]) -> None:
        self.gate.passes(
            "hostnames.add",
            before.zone,
            lambda: self.store.add_hostnames(before, names),
            fails=failures.store_writing(),
            lost=failures.store_lost(),
        )


@dataclass(frozen=True)
class GatedStores:
    """The way to the store."""

    store: LocalStore
    gate: Gate
    recorder: Recorder

    def open_reader(self, _settings: StoreSettings) -> StoreReader:
        return GatedReader(self.store, self.gate)

    def open_store(self, _settings: StoreSettings) -> Store:
        return GatedStore(self.store, self.gate, self.recorder)


@dataclass
class GatedLines:
    """The journal of a checkout, as bytes. A torn line is ended by the next one, as in the real file."""

    journal: bytearray
    gate: Gate

    def rotate(self) -> None:
        self.gate.passes("journal.rotate", "", lambda: None, fails=failures.private("journal.jsonl"))

    def append(self, line: bytes) -> None:
        def write(part: bytes) -> None:
            torn = self.journal and not self.journal.endswith(b"\n")
            self.journal.extend(b"\n" + part if torn else part)

        fails = failures.private("journal.jsonl")

        def full() -> None:
            write(line[: len(line) // 2])
            fails[0]()

        self.gate.passes(
            "journal.append",
            "",
            lambda: write(line),
            fails=(*fails, full),
            lost=fails[1:2],
            half=lambda: write(line[: len(line) // 2]),
        )

    def sync(self) -> None:
        self.gate.passes("journal.sync", "", lambda: None, fails=failures.private("journal.jsonl"))


@dataclass
class GatedLock:
    """The lock of a checkout. The kernel frees it when its holder dies, so a crash never leaves it."""

    gate: Gate

    @contextmanager
    def __call__(
        self, *, command: str, timeout_s: float, waiting: Callable[[str], None]
    ) -> Iterator[Callable[[], None]]:
        self.gate.passes("lock.acquire", command, lambda: None, fails=failures.locked())
        try:
            yield lambda: None
        finally:
            if not self.gate.dead:
                self.gate.passes("lock.release", command, lambda: None)


@dataclass
class GatedClock:
    """The clock of a run. To wait is an effect, in the middle of which much can happen."""

    time: Callable[[], datetime]
    pass_time: Callable[[timedelta], None]
    gate: Gate

    def now(self) -> datetime:
        return self.time()

    def wait_until(self, time: datetime) -> None:
        self.gate.passes("clock.wait", "", lambda: self.pass_time(max(time - self.time(), timedelta())))


@dataclass
class GatedEnvironment(Mapping[str, str]):
    """The variables that hold keys."""

    values_: Mapping[str, str] = field(repr=False)
    gate: Gate = field(repr=False)

    def __getitem__(self, name: str) -> str:
        value = self.values_[name]
        fails: tuple[Callable[[], str], ...] = (self._unset(name), lambda: "", lambda: value[:150])
        return self.gate.passes("key.open", name, lambda: value, fails=fails)

    def _unset(self, name: str) -> Callable[[], str]:
        def fail() -> str:
            raise KeyError(name)

        return fail

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


__all__ = ["GatedClock", "GatedEnvironment", "GatedFiles", "GatedLines", "GatedLock", "GatedStores", "T"]
