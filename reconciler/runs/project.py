"""One project for one run: its mtls.toml, and the ports to everything that a run may touch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from reconciler import keys
from reconciler.desired.parse import MAX_BYTES, parse_declaration
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.errors import KeySourceError, ReconcilerError, UsageError
from reconciler.findings.escape import printable, shell_word
from reconciler.findings.values import dataclass
from reconciler.model import Declaration, DeclaredCertificate, EnvironmentName, StoreSettings
from reconciler.model.accounts import account_problem
from reconciler.model.key_places import RENEWED
from reconciler.model.keys import KeyContext, KeyFiles, KeyFolders, Programs
from reconciler.model.ports import Clock, Files, PrivateKey, Sources, Store, StoreReader, WorkerDeployer
from reconciler.model.progress import SILENT, Progress
from reconciler.model.renewal import SearchableIssuer
from reconciler.runs.budget import DATABASE_URL, open_budget
from reconciler.runs.ledger import Ledger
from reconciler.runs.operator import is_on, read_operator, unmerged_event
from reconciler.stores import Connections, StoreContext
from reconciler.syntax.places import Places
from reconciler.system.clock import SystemClock
from reconciler.system.discover import FILE_NAME, find_file, git_root
from reconciler.system.files import ProjectFiles, read_named
from reconciler.system.journal import JournalFile, Lines
from reconciler.system.key_folders import KEY_DIRS
from reconciler.system.lock import checkout_lock
from reconciler.system.piped import read_piped
from reconciler.system.process import hide_from_other_programs
from reconciler.system.several import find_all

VERIFY_VARIABLE = "MTLSCTL_VERIFY_PRIVATE"
_MOST_OF_OWN = 100_000
"""Bytes of a file with the operator's own keys."""

if TYPE_CHECKING:
    from reconciler.model.edge import EdgeAccount
    from reconciler.proof.ports import Prober
    from reconciler.proof.reach import Runtime
    from reconciler.web.vault import Vault


class ProjectTree(Files, KeyFiles, Protocol):
    """The project's files, private keys among them."""

    @property
    def root(self) -> Path:
        """The root of the tree, absolute, links resolved."""

    @property
    def key_folders(self) -> KeyFolders:
        """The port to the folders in which sinks keep keys."""

    def create(self, path: str, data: bytes) -> None:
        """Create a file, with its folders, in one step; FileError if something is there, or outside the tree."""

    def demand_writable(self, path: str, *, new: bool) -> None:
        """FileError if `replace`, or `create` of a `new` file, is bound to fail, or git would ignore the new file."""


class Stores(Protocol):
    """Opens the store that mtls.toml names."""

    def open_reader(self, settings: StoreSettings) -> StoreReader:
        """The reading half of the store; creates nothing."""

    def open_store(self, settings: StoreSettings) -> Store:
        """The whole store."""


class WorkerDeployers(Protocol):
    """Opens the port that deploys Workers."""

    def open(self, declaration: Declaration) -> WorkerDeployer:
        """The port that deploys into the account of mtls.toml; nothing is run yet."""


class Provers(Protocol):
    """Opens the ports that prove that certificates work."""

    def prober(self) -> Prober:
        """The port that calls origins from this machine."""

    def runtime(self, near: Iterable[str]) -> Runtime:
        """The port that runs a Worker on this machine; its runtime is searched next to these paths, then mtls.toml."""

    def edge(self, settings: StoreSettings) -> EdgeAccount | None:
        """The port that deploys throw-away Workers to the account; None for a store without one. Makes no call."""

    def dry_run(self, config: str, environment: EnvironmentName, on_line: Callable[[str], None]) -> bytes | None:
        """The port that runs the project's own wrangler without uploading; None if wrangler was not found."""


class Lock(Protocol):
    """The lock of the checkout."""

    def __call__(
        self, *, command: str, timeout_s: float, waiting: Callable[[str], None]
    ) -> AbstractContextManager[Callable[[], None]]:
        """The lock, held during the `with`; LockedError if another run holds it for longer than `timeout_s`.

        Gives a function that raises LockedError if the lock was lost since.
        """


@dataclass(slots=True)
class Project:
    """Everything that a run may touch. `sources`: the files that were read, to look up lines and columns.

    `allow_commands`: this run may start the commands of mtls.toml, for the keys that it needs. `secret_variables`:
    those with private keys, by the mtls.toml that was read last.
    `ledger`: what a run over several stacks knows of their accounts; None in a run over one.
    """

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
    allow_commands: bool = False
    progress: Progress = SILENT
    secret_variables: frozenset[str] = frozenset()
    ledger: Ledger | None = None
    sources: dict[str, bytes] = field(default_factory=dict, repr=False)
    _places: dict[str, Places] = field(default_factory=dict, init=False, repr=False)
    _opened_vault: Vault | None = field(default=None, init=False, repr=False)

    def declaration(self) -> tuple[Declaration, tuple[Diagnostic, ...]]:
        """mtls.toml as it is now, with its warnings; InputError with all its errors.

        Of the environment the account is taken, where the file leaves it open, and the limits of the operator. Nothing
        is kept between two calls: a run that plans again before it deletes must see what others wrote meanwhile.
        """
        data = self.sources[self.name] = self.files.read(self.name, limit=MAX_BYTES)
        declaration, warnings = parse_declaration(data, self.name, keys.KINDS)
        self.secret_variables = declaration.secret_variables
        store = declaration.store
        variable = store.kind.traits.account_variable
        if variable is not None and store.account_id is None:
            account = self.environ.get(variable) or None
            problem = account_problem(account) if account is not None else None
            if problem is not None:
                message = f"{variable} {problem.cause}, so wrangler files were not compared with it"
                warnings += (Diagnostic(Severity.WARNING, Code.ACCOUNT_MALFORMED, message, None, problem.hint),)
            store = replace(store, account_id=account)
        return read_operator(self.environ).restrict(replace(declaration, store=store)), warnings

    @property
    def within(self) -> str:
        """mtls.toml from the root of the tree, which is that of its repository."""
        return os.path.relpath(Path(os.path.realpath(self.folder), self.name), self.files.root)

    @property
    def vault(self) -> Vault:
        """Vault for the whole run, which logs in once; imported only where a key may be opened."""
        if self._opened_vault is None:
            from reconciler.web.vault import Vault

            self._opened_vault = Vault(self.environ)
        return self._opened_vault

    @property
    def key_context(self) -> KeyContext:
        """The inputs of key sources and sinks; opens no key."""
        hide_from_other_programs()
        programs = _Programs(self.folder, self.environ, self.secret_variables)
        return KeyContext(
            self.files,
            self.environ,
            programs,
            self.allow_commands,
            self._read_own,
            read_piped,
            folders=self.files.key_folders,
            vault=self.vault,
            unmerged=unmerged_event(self.environ),
        )

    def signing_programs(self, passed: Iterable[str]) -> Programs:
        """The port that runs signing programs: they get no token or key that mtlsctl knows, but those `passed`."""
        from reconciler.runtime.programs import PIPELINE_TOKENS

        withheld = self.secret_variables | keys.SECRET_VARIABLES | PIPELINE_TOKENS | {DATABASE_URL}
        return _Programs(self.folder, self.environ, withheld, frozenset(passed))

    @property
    def key_sources(self) -> Sources:
        """Every source of private keys by its name; opens no key."""
        return keys.open_sources(self.key_context)

    def _read_own(self, path: str) -> bytes:
        return read_named(self.folder / path, limit=_MOST_OF_OWN)

    def managed_ca(self, zone: str, *, tell: Callable[[str], None]) -> SearchableIssuer:
        """The CA that Cloudflare manages, for a zone; makes no call."""
        from reconciler.stores.cloudflare.managed_ca import managed_ca  # only `renew` needs it

        shared, name = open_budget(self.environ), self.ledger.connections.context.token_name if self.ledger else None
        return managed_ca(
            zone, self.environ, root=self.folder, clock=self.clock, tell=tell, shared=shared, token_name=name
        )

    def key_of(self, certificate: DeclaredCertificate, *, only_local: bool = False) -> PrivateKey | None:
        """The private key of a declared certificate; None if mtls.toml has none for it.

        KeySourceError where it can't be had. Opened by each call, so that no key stays in memory for a whole run.
        `only_local`: nothing is started, asked or decrypted for it, as on a pull request.
        """
        if only_local and certificate.key is not None and not keys.is_local(certificate.key):
            raise KeySourceError(
                f"this command reads no key of `{certificate.key.options.get(RENEWED, certificate.key.source)}`"
                + (" with a passphrase" if certificate.key.passphrase is not None else ""),
                hint="`mtlsctl apply` checks it before it changes anything",
            )
        return None if certificate.key is None else self.key_sources[certificate.key.source].open(certificate.key)

    def place(self, where: Pointer | Place | None) -> Place | None:
        """The place of a finding: file, line, column."""
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
    """The real stores for one mtls.toml."""

    folder: Path
    connections: Connections

    def open_reader(self, settings: StoreSettings) -> StoreReader:
        return self.connections.open(settings, self.folder).reader()

    def open_store(self, settings: StoreSettings) -> Store:
        return self.connections.open(settings, self.folder).store()


@dataclass(frozen=True, slots=True)
class _Deployers:
    """The project's own wrangler; imported only for a deploy."""

    files: ProjectFiles
    folder: Path
    environ: Mapping[str, str] = field(repr=False)

    def open(self, declaration: Declaration) -> WorkerDeployer:
        from reconciler.runtime.deploying import WranglerDeployer
        from reconciler.stores.cloudflare.access import base_url_of

        hide_from_other_programs()
        account_id = declaration.store.account_id
        return WranglerDeployer(
            self.folder,
            self.files.root,
            self.environ,
            withheld=declaration.secret_variables,
            account_id=account_id,
            base_url=base_url_of(self.environ),
        )


@dataclass(frozen=True, slots=True)
class _Provers:
    """Real connections, the project's own wrangler and workerd; imported only for a proof."""

    files: ProjectFiles
    folder: Path
    environ: Mapping[str, str] = field(repr=False)
    clock: Clock
    connections: Connections

    @property
    def _deny(self) -> tuple[str, ...]:
        """The networks that the operator has not allowed to call."""
        from reconciler.proof.reach import FORBIDDEN

        return () if is_on(self.environ, VERIFY_VARIABLE) else FORBIDDEN

    def prober(self) -> Prober:
        from reconciler.probe import OriginProber

        return OriginProber(self.clock, deny=self._deny)

    def runtime(self, near: Iterable[str]) -> Runtime:
        from reconciler.runtime.reaching import LocalRuntime

        hide_from_other_programs()
        places = [self.folder / path for path in near]
        return LocalRuntime((*places, self.folder), self.files.root, self.environ, deny=self._deny)

    def edge(self, settings: StoreSettings) -> EdgeAccount | None:
        return self.connections.open(settings, self.folder).edge()

    def dry_run(self, config: str, environment: EnvironmentName, on_line: Callable[[str], None]) -> bytes | None:
        from reconciler.runtime.bundling import bundle
        from reconciler.runtime.find import find_wrangler

        hide_from_other_programs()
        path = self.folder / config
        wrangler = find_wrangler(path.parent, self.files.root, self.environ)
        if wrangler is None:
            return None
        return bundle(wrangler, path, environment, environ=self.environ, on_line=on_line)


@dataclass(frozen=True, slots=True)
class _Programs:
    """Programs of this machine; imported only where one is started."""

    folder: Path
    environ: Mapping[str, str] = field(repr=False)
    withheld: frozenset[str]
    passed: frozenset[str] = frozenset()

    def output(self, command: Sequence[str], *, limit: int, stdin: bytes | None = None) -> bytes:
        from reconciler.runtime.programs import output

        hide_from_other_programs()
        return output(
            command,
            folder=self.folder,
            environ=self.environ,
            withheld=self.withheld,
            limit=limit,
            stdin=stdin,
            passed=self.passed,
        )

    def has(self, program: str) -> bool:
        return shutil.which(program, path=self.environ.get("PATH", os.defpath)) is not None


def open_project(
    file: Path | None, *, cwd: Path, environ: Mapping[str, str], context: StoreContext | None = None
) -> Project:
    """The project of `--file`, else of the nearest mtls.toml; UsageError if there is none."""
    path = cwd / file if file is not None else find_file(cwd)
    if path is None:
        where = "here or in a parent folder up to the git root"
        if git_root(cwd) is None:
            where = "here; parent folders are not searched, because there is no .git"
        hint = "go to its folder, or name it with `--file`; run `mtlsctl init --from .` to create one"
        below = _below(cwd)
        if below:
            hint = f"name it with `--file {shell_word(below[0])}`"
            hint += f"; or use `--all` for all {len(below)} below the git root" if len(below) > 1 else ""
        raise UsageError(f"{FILE_NAME} was not found {where}", hint=hint)
    if file is not None and not os.path.lexists(path):
        raise UsageError(f"{file} does not exist", hint="check the path of `--file`, which must be an mtls.toml")
    return project_at(path, environ=environ, context=context)


def _below(cwd: Path) -> list[str]:
    """The mtls.toml of this repository, seen from here; empty if they can't be searched for."""
    try:
        return [printable(os.path.relpath(path, cwd)) for path in find_all(cwd)]
    except ReconcilerError:
        return []


def project_at(
    path: Path,
    *,
    environ: Mapping[str, str],
    context: StoreContext | None = None,
    ledger: Ledger | None = None,
    shares_lock: bool = False,
) -> Project:
    """The project of this mtls.toml, an absolute path that need not exist yet. `ledger`: of a run over several.
    `shares_lock`: its lock is held together with others that share it, by runs that write no file of the checkout."""
    context = context or StoreContext(environ)
    folder, clock = path.parent, SystemClock()
    connections = ledger.connections if ledger is not None else Connections(clock, context)
    files = ProjectFiles(
        folder,
        key_dirs=environ.get(KEY_DIRS, ""),
        name=path.name,
        progress=context.progress,
        is_document=_is_document,
    )
    return Project(
        folder=folder,
        name=path.name,
        environ=environ,
        files=files,
        stores=_Stores(folder, connections),
        lines=JournalFile(folder),
        lock=partial(checkout_lock, files.root, clock=clock, seen_from=folder, shared=shares_lock),
        clock=clock,
        deployers=_Deployers(files, folder, environ),
        provers=_Provers(files, folder, environ, clock, connections),
        progress=context.progress,
        ledger=ledger,
    )


def _is_document(text: bytes) -> bool:
    """As `is_document`, imported only where a file of the tree contains an ID that is searched."""
    from reconciler.views.json.schemas import is_document

    return is_document(text)
