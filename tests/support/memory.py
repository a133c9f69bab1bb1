"""A tree of files and a clock in memory, behind the same ports as the real ones, so that a run costs a millisecond."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import NoReturn

from reconciler.findings.codes import Code
from reconciler.findings.errors import FileChangedError, FileError
from reconciler.model import Declaration, EntryId, EnvironmentName, KeyReference, Origin, StoreSettings, Sweep
from reconciler.model.ports import Clock, PrivateKey
from reconciler.proof.ports import ClientIdentity
from reconciler.stores.database import MemoryDatabase
from reconciler.stores.local import LocalStore, new_id
from tests.support.pki import NOW


def open_in_memory(settings: StoreSettings, *, clock: Clock, ids: Callable[[], str] = new_id) -> LocalStore:
    """The local store in memory; it lasts as long as the object."""
    return LocalStore(MemoryDatabase(), clock=clock, limit=settings.limit, ids=ids)


class NoDeployer:
    """Deploys nothing, and is surprised to be asked."""

    def deploy(self, config: str, environment: EnvironmentName, script: str) -> str | None:
        raise AssertionError(f"nobody wanted {config} ({environment}) deployed as {script}")

    def demand_programs(self, configs: Iterable[str]) -> None: ...

    def give_up(self) -> None: ...


class NoDeployers:
    """The way to `NoDeployer`."""

    def open(self, declaration: Declaration) -> NoDeployer:
        return NoDeployer()


class NoProver:
    """Proves nothing, and is surprised to be asked."""

    def prove(self, origin: Origin, pair: ClientIdentity) -> NoReturn:
        raise AssertionError(f"nobody wanted anything proved at {origin.url}")


class NoProvers:
    """The ways to prove, where nothing is to be proved."""

    def prober(self) -> NoReturn:
        raise AssertionError("nothing is to be proved here")

    def runtime(self, near: Iterable[str]) -> NoReturn:
        raise AssertionError("nothing is to be run here")

    def edge(self, settings: StoreSettings) -> NoReturn:
        raise AssertionError("nothing is to be deployed here")

    def dry_run(self, config: str, environment: EnvironmentName, on_line: Callable[[str], None]) -> NoReturn:
        raise AssertionError("nothing is to be made here")


@dataclass
class MemoryClock:
    """A clock that a test moves."""

    time: datetime = NOW

    def now(self) -> datetime:
        return self.time

    def wait_until(self, time: datetime) -> None:
        self.time = max(self.time, time)


@dataclass
class MemoryFiles:
    """The port `Files` over a mapping."""

    tree: dict[str, bytes] = field(default_factory=dict)
    writes: int = 0

    def read(self, path: str, *, limit: int) -> bytes:
        if path not in self.tree:
            raise FileError(f"{path} does not exist", code=Code.FILE_MISSING)
        if len(self.tree[path]) > limit:
            raise FileError(f"{path} is too large", code=Code.FILE_TOO_LARGE)
        return self.tree[path]

    def identity(self, path: str) -> str:
        return path

    def files_in(self, folder: str) -> frozenset[str] | None:
        inside = [PurePosixPath(path) for path in self.tree if PurePosixPath(folder) in PurePosixPath(path).parents]
        direct = frozenset(path.name for path in inside if path.parent == PurePosixPath(folder))
        return direct if inside or folder == "." else None

    def folders_up(self, path: str) -> tuple[str, ...]:
        parts = PurePosixPath(path)
        return tuple(str(folder) for folder in (parts, *parts.parents))

    def sweep(self, ids: Iterable[EntryId]) -> Sweep:
        named = {one: tuple(path for path, data in self.tree.items() if one.encode() in data) for one in ids}
        return Sweep({one: paths for one, paths in named.items() if paths})

    def replace(self, path: str, *, old: bytes, new: bytes) -> None:
        if self.tree.get(path) != old:
            raise FileChangedError(f"{path} changed")
        self.writes += 1
        self.tree[path] = new

    def create(self, path: str, data: bytes) -> None:
        assert path not in self.tree
        self.writes += 1
        self.tree[path] = data

    def demand_writable(self, path: str, *, new: bool) -> None:
        assert new == (path not in self.tree)

    def tidy(self) -> None:
        pass


@dataclass
class MemoryKeys:
    """A key source that has its keys by the name of an environment variable."""

    keys: Mapping[str, bytes]
    opened: int = 0

    def open(self, reference: KeyReference) -> PrivateKey:
        self.opened += 1
        return PrivateKey(self.keys[reference.options["env"]])
