"""One project for one run: its mtls.toml, and the only ways to everything that a run may touch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from reconciler import keys, stores
from reconciler.desired.parse import MAX_BYTES, parse_declaration
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.errors import UsageError
from reconciler.model import Declaration, DeclaredCertificate, EnvironmentName, StoreSettings
from reconciler.model.accounts import account_problem
from reconciler.model.keys import KeyContext, KeyFiles
from reconciler.model.ports import Clock, Files, PrivateKey, Sources, Store, StoreReader, WorkerDeployer
from reconciler.stores import StoreContext
from reconciler.syntax.places import Places
from reconciler.system.clock import SystemClock
from reconciler.system.discover import FILE_NAME, find_file, git_root
from reconciler.system.files import KEY_DIRS, ProjectFiles
from reconciler.system.journal import JournalFile, Lines
from reconciler.system.lock import checkout_lock

if TYPE_CHECKING:
    from reconciler.proof.ports import Prober
    from reconciler.proof.reach import Runtime


class ProjectTree(Files, KeyFiles, Protocol):
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
    files: ProjectTree
    stores: Stores
    lines: Lines
    lock: Lock
    clock: Clock
    deployers: WorkerDeployers
    provers: Provers
    sources: dict[str, bytes] = field(default_factory=dict, repr=False)
    _places: dict[str, Places] = field(default_factory=dict, init=False, repr=False)

    def declaration(self) -> tuple[Declaration, tuple[Diagnostic, ...]]:
        """mtls.toml as it is now, with its warnings; InputError with everything that is wrong in it.

        Of the environment only the account is taken, where the file leaves it open. Nothing is kept between two calls:
        a run that plans again before it deletes must see what others wrote meanwhile.
        """
        data = self.sources[self.name] = self.files.read(self.name, limit=MAX_BYTES)
        declaration, warnings = parse_declaration(data, self.name, keys.KINDS)
        store = declaration.store
        variable = store.kind.traits.account_variable
        if variable is not None and store.account_id is None:
            account = self.environ.get(variable) or None
            problem = account_problem(account) if account is not None else None
            if problem is not None:
                message = f"{variable} {problem.cause}, so wrangler files were not compared with it"
                warnings += (Diagnostic(Severity.WARNING, Code.ACCOUNT_MALFORMED, message, None, problem.hint),)
            store = replace(store, account_id=account)
        return replace(declaration, store=store), warnings

    @property
    def key_sources(self) -> Sources:
        """Every source of private keys by its name; opens no key."""
        return keys.open_sources(KeyContext(files=self.files, environment=self.environ))

    def key_of(self, certificate: DeclaredCertificate) -> PrivateKey | None:
        """The private key of a declared certificate; None where mtls.toml names none.

        KeySourceError where it can't be had. Opened by each call, so that no key stays in memory for a whole run.
        """
        return None if certificate.key is None else self.key_sources[certificate.key.source].open(certificate.key)

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


def open_project(
    file: Path | None, *, cwd: Path, environ: Mapping[str, str], context: StoreContext | None = None
) -> Project:
    """The project of `--file`, else of the nearest mtls.toml; UsageError where there is none."""
    path = cwd / file if file is not None else find_file(cwd)
    if path is None:
        where = "here or in a parent folder up to the git root"
        if git_root(cwd) is None:
            where = "here; parent folders are not searched, because there is no .git"
        raise UsageError(
            f"there is no {FILE_NAME} {where}",
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
        lines=JournalFile(folder),
        lock=partial(checkout_lock, folder, clock=clock),
        clock=clock,
        deployers=_Deployers(files, folder, environ),
        provers=_Provers(files, folder, environ, clock),
    )
