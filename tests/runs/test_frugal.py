"""A plan of a project in which nothing is to be done: what it opens, reads and writes, counted at the ports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from reconciler.model import Action, EntryId, StoreSettings, Sweep
from reconciler.model.keys import KeyFile, KeyFolders
from reconciler.model.ports import Store, StoreReader
from reconciler.runs import plan as run
from reconciler.runs.project import ProjectTree, Stores, open_project
from tests.bench.project import KEY_VARIABLE, BenchProject


@dataclass
class Counted:
    """What went through the ports."""

    reads: Counter[str] = field(default_factory=Counter)
    readers: int = 0
    keys: int = 0
    writes: int = 0
    sweeps: int = 0


@dataclass
class CountedFiles:
    """The project's files, counted."""

    inner: ProjectTree
    counted: Counted

    @property
    def root(self) -> Path:
        return self.inner.root

    @property
    def key_folders(self) -> KeyFolders:
        return self.inner.key_folders

    def read(self, path: str, *, limit: int) -> bytes:
        self.counted.reads[self.inner.identity(path)] += 1
        return self.inner.read(path, limit=limit)

    def identity(self, path: str) -> str:
        return self.inner.identity(path)

    def files_in(self, folder: str) -> frozenset[str] | None:
        return self.inner.files_in(folder)

    def folders_up(self, path: str) -> tuple[str, ...]:
        return self.inner.folders_up(path)

    def sweep(self, ids: Iterable[EntryId]) -> Sweep:
        self.counted.sweeps += 1
        return self.inner.sweep(ids)

    def read_key(self, path: str, *, limit: int) -> KeyFile:
        self.counted.keys += 1
        return self.inner.read_key(path, limit=limit)

    def replace(self, path: str, *, old: bytes, new: bytes) -> None:
        self.counted.writes += 1
        self.inner.replace(path, old=old, new=new)

    def create(self, path: str, data: bytes) -> None:
        self.counted.writes += 1
        self.inner.create(path, data)

    def demand_writable(self, path: str, *, new: bool) -> None:
        self.inner.demand_writable(path, new=new)

    def tidy(self) -> None:
        self.counted.writes += 1
        self.inner.tidy()


@dataclass
class CountedStores:
    """The stores, counted: whoever opens the whole one may write."""

    inner: Stores
    counted: Counted

    def open_reader(self, settings: StoreSettings) -> StoreReader:
        self.counted.readers += 1
        return self.inner.open_reader(settings)

    def open_store(self, settings: StoreSettings) -> Store:
        self.counted.writes += 1
        return self.inner.open_store(settings)


@dataclass
class NoLines:
    """A journal that nobody may write to."""

    def rotate(self) -> None:
        raise AssertionError("a plan writes no journal")

    def append(self, line: bytes) -> None:
        raise AssertionError("a plan writes no journal")

    def sync(self) -> None:
        raise AssertionError("a plan writes no journal")


def no_lock(
    *, command: str, timeout_s: float, waiting: Callable[[str], None]
) -> AbstractContextManager[Callable[[], None]]:
    raise AssertionError("a plan takes no lock")


class Environment(dict[str, str]):
    """Variables of which one must not be looked at."""

    def __getitem__(self, name: str) -> str:
        assert name != KEY_VARIABLE, "a plan opens no key"
        return super().__getitem__(name)

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        assert name != KEY_VARIABLE, "a plan opens no key"
        return super().get(name, default)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four certificates, one of them with its key in a file, bound in three Workers, all applied."""
    project = BenchProject(tmp_path / "project", certificates=4, workers=3, bindings=7)
    project.write()
    assert project.run("apply", "--yes").code == 0
    return project.folder


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file with its content and the time of its last change."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def plan(folder: Path) -> tuple[run.Planned, Counted]:
    """A plan there, and what went through the ports."""
    counted = Counted()
    environ = Environment({KEY_VARIABLE: "a key"})
    real = open_project(None, cwd=folder, environ=environ)
    project = replace(
        real,
        files=CountedFiles(real.files, counted),
        stores=CountedStores(real.stores, counted),
        lines=NoLines(),
        lock=no_lock,
    )
    return run.plan(project, run.PlanRequest()), counted


def test_a_plan_reads_each_file_once(folder: Path) -> None:
    """mtls.toml, certificates, wrangler files and the store: one look each, and nothing else is read."""
    made, counted = plan(folder)
    assert made.plan.changes == ()
    certificates = [f"certs/c000{number}.pem" for number in range(4)]
    wrangler_files = [f"workers/w000{number}/wrangler.toml" for number in range(3)]
    assert counted.reads == Counter(["mtls.toml", *certificates, *wrangler_files])
    assert (counted.readers, counted.sweeps) == (1, 0)


def test_a_file_that_is_named_twice_is_read_once(folder: Path) -> None:
    """Two certificates from one file, two Workers in one file, by two names of it."""
    text = (folder / "mtls.toml").read_text()
    twice = '[certificates.again]\ncertificate = "certs/c0000.pem"\n[workers.again]\nconfig = "again.toml"\n'
    (folder / "mtls.toml").write_text(text + twice)
    (folder / "again.toml").symlink_to("workers/w0000/wrangler.toml")
    _, counted = plan(folder)
    assert set(counted.reads.values()) == {1}


def test_a_plan_opens_no_key(folder: Path) -> None:
    """Neither a variable nor a file, not even where something is to be uploaded."""
    text = (folder / "mtls.toml").read_text()
    (folder / "mtls.toml").write_text(text.replace(f'{{ env = "{KEY_VARIABLE}" }}', '"a.key"', 2))
    (folder / "a.key").write_text("a key")
    BenchProject(folder, certificates=4, workers=3, bindings=7).write_certificates()
    made, counted = plan(folder)
    assert made.plan.summary[Action.UPLOAD] == 4
    assert counted.keys == 0


def test_a_plan_writes_nothing(folder: Path) -> None:
    """No file of the tree, nor the store, nor the journal; no lock is taken."""
    before = everything(folder)
    _, counted = plan(folder)
    assert counted.writes == 0
    assert everything(folder) == before
