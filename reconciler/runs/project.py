"""One project for one run: its mtls.toml, and the only ways to everything that a run may touch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from reconciler import stores
from reconciler.findings.diagnostics import Place, Pointer
from reconciler.findings.errors import UsageError
from reconciler.model import Declaration, EnvironmentName, StoreSettings
from reconciler.model.keys import KeyFiles
from reconciler.model.ports import Clock, Files, Store, StoreReader, WorkerDeployer
from reconciler.stores import StoreContext
from reconciler.syntax.places import Places
from reconciler.system.clock import SystemClock
from reconciler.system.discover import FILE_NAME, find_file
from reconciler.system.files import ProjectFiles

if TYPE_CHECKING:
    from reconciler.proof.ports import Prober
    from reconciler.proof.reach import Runtime
    from reconciler.system.journal import Lines

KEY_DIRS = "MTLSCTL_KEY_DIRS"


class Tree(Files, KeyFiles, Protocol):
    """The project's files, private keys among them."""

    @property
    def root(self) -> Path:
        """The root of the tree, absolute, links resolved."""


class Stores(Protocol):
    """The way to the store that mtls.toml names."""

    def open_reader(self, settings: StoreSettings) -> StoreReader:
        """The reading half; creates nothing."""

    def open_store(self, settings: StoreSettings) -> Store:
        """The whole store."""


class WorkerDeployers(Protocol):
    """The way to put wrangler files into service."""

    def open(self, declaration: Declaration) -> WorkerDeployer:
        """What deploys into the account of mtls.toml; runs nothing yet."""


class Provers(Protocol):
    """The ways to prove that certificates work."""

    def prober(self) -> Prober:
        """Origins, as they are seen from this machine."""

    def runtime(self, near: Iterable[str]) -> Runtime:
        """A real Worker on this machine; its runtime is looked for beside these paths, then beside mtls.toml."""

    def dry_run(self, config: str, environment: EnvironmentName, on_line: Callable[[str], None]) -> bytes | None:
        """What the project's own wrangler would upload of a wrangler file; None where there is no wrangler."""


class Lock(Protocol):
    """The lock of the checkout."""

    def __call__(
        self, *, command: str, timeout_s: float, waiting: Callable[[str], None]
    ) -> AbstractContextManager[None]:
        """Held as long as the `with` lasts; LockedError where another run has it for longer than `timeout_s`."""


@dataclass(slots=True)
class Project:
    """Everything that a run may touch passes through here. `sources` keeps what was read, to find places in."""

    folder: Path
    name: str
    environ: Mapping[str, str] = field(repr=False)
    files: Tree
    stores: Stores
    lines: Lines
    lock: Lock
    clock: Clock
    deployers: WorkerDeployers
    provers: Provers
    sources: dict[str, bytes] = field(default_factory=dict, repr=False)
    _places: dict[str, Places] = field(default_factory=dict, init=False, repr=False)

    def place(self, where: Pointer | Place | None) -> Place | None:
        """Where a finding is: file, line, column."""
        if not isinstance(where, Pointer):
            return where
        data = self.sources.get(where.path)
        if data is None:
            return Place(where.path)
        places = self._places.get(where.path)
        if places is None or places.data is not data:
            # Whatever `--file` is called, it is read as FILE_NAME is.
            places = Places(FILE_NAME if where.path == self.name else where.path, data)
            self._places[where.path] = places
        return places.find(where)


@dataclass(frozen=True, slots=True)
class _Stores:
    """The real stores, beside one mtls.toml."""

    folder: Path
    clock: Clock
    context: StoreContext
    connections: dict[StoreSettings, stores.Connection] = field(default_factory=dict)

    def open_reader(self, settings: StoreSettings) -> StoreReader:
        return self._connect(settings).reader()

    def open_store(self, settings: StoreSettings) -> Store:
        return self._connect(settings).store()

    def _connect(self, settings: StoreSettings) -> stores.Connection:
        """The same for all of a run, which has one rate limit and one patience."""
        if settings not in self.connections:
            made = stores.connect(settings, root=self.folder, clock=self.clock, context=self.context)
            self.connections[settings] = made
        return self.connections[settings]


@dataclass(frozen=True, slots=True)
class _Deployers:
    """The project's own wrangler; imported only where something is to be deployed."""

    files: ProjectFiles
    folder: Path
    environ: Mapping[str, str] = field(repr=False)

    def open(self, declaration: Declaration) -> WorkerDeployer:
        from reconciler.runtime.deploying import WranglerDeployer

        references = [certificate.key for certificate in declaration.certificates.values() if certificate.key]
        secret = frozenset(name for key in references for name in key.options.values() if name in self.environ)
        account_id = declaration.store.account_id
        return WranglerDeployer(self.folder, self.files.root, self.environ, withheld=secret, account_id=account_id)


@dataclass(frozen=True, slots=True)
class _Provers:
    """Real connections, the project's own wrangler and workerd; imported only where something is to be proved."""

    files: ProjectFiles
    folder: Path
    environ: Mapping[str, str] = field(repr=False)
    clock: Clock

    def prober(self) -> Prober:
        from reconciler.probe import OriginProber

        return OriginProber(self.clock)

    def runtime(self, near: Iterable[str]) -> Runtime:
        from reconciler.runtime.reaching import LocalRuntime

        places = [self.folder / path for path in near]
        return LocalRuntime((*places, self.folder), self.files.root, self.environ)

    def dry_run(self, config: str, environment: EnvironmentName, on_line: Callable[[str], None]) -> bytes | None:
        from reconciler.runtime.bundling import bundle
        from reconciler.runtime.find import find_wrangler

        path = self.folder / config
        wrangler = find_wrangler(path.parent, self.files.root, self.environ)
        if wrangler is None:
            return None
        return bundle(wrangler, path, environment, environ=self.environ, on_line=on_line)


@dataclass(frozen=True, slots=True)
class _Lock:
    """The real lock, beside one mtls.toml; imported only where something is to be locked."""

    folder: Path
    clock: Clock

    def __call__(
        self, *, command: str, timeout_s: float, waiting: Callable[[str], None]
    ) -> AbstractContextManager[None]:
        from reconciler.system.lock import checkout_lock

        return checkout_lock(self.folder, command=command, clock=self.clock, timeout_s=timeout_s, waiting=waiting)


@dataclass(slots=True)
class _Lines:
    """The real journal, beside one mtls.toml; imported only where something is to be written."""

    folder: Path
    _file: Lines | None = field(default=None, init=False)

    def rotate(self) -> None:
        self._open().rotate()

    def append(self, line: bytes) -> None:
        self._open().append(line)

    def sync(self) -> None:
        self._open().sync()

    def _open(self) -> Lines:
        from reconciler.system.journal import JournalFile

        if self._file is None:
            self._file = JournalFile(self.folder)
        return self._file


def open_project(
    file: Path | None, *, cwd: Path, environ: Mapping[str, str], context: StoreContext | None = None
) -> Project:
    """The project of `--file`, else of the nearest mtls.toml; UsageError where there is none."""
    path = cwd / file if file is not None else find_file(cwd)
    if path is None:
        raise UsageError(
            f"there is no {FILE_NAME} here or in a parent folder up to the git root",
            hint="go to its folder, or name it with `--file`; `mtlsctl init --from .` makes one of what is here",
        )
    if file is not None and not os.path.lexists(path):
        raise UsageError(f"{file} does not exist", hint="`--file` names an mtls.toml; is the path right?")
    return project_at(path, environ=environ, context=context)


def project_at(path: Path, *, environ: Mapping[str, str], context: StoreContext | None = None) -> Project:
    """The project of this mtls.toml, an absolute path, which need not be there yet."""
    folder, clock = path.parent, SystemClock()
    files = ProjectFiles(folder, key_dirs=environ.get(KEY_DIRS, ""), name=path.name)
    return Project(
        folder=folder,
        name=path.name,
        environ=environ,
        files=files,
        stores=_Stores(folder, clock, context or StoreContext(environ)),
        lines=_Lines(folder),
        lock=_Lock(folder, clock),
        clock=clock,
        deployers=_Deployers(files, folder, environ),
        provers=_Provers(files, folder, environ, clock),
    )
