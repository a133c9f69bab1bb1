"""The ports: what the shell may ask of the world. Every effect passes one of these, so a test can stand at the gate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import Entry, EntryId, EnvironmentName, KeyReference, Listing, Live, LiveQuestion, Sweep
from reconciler.x509.certificates import Bundle


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key in PEM, never shown. Hold it for as short a time as the work takes.

    `findings` are what its source has to say about it, such as a file that others can read. `proved_for`: the content
    digest of the certificates that it was proved to belong to; None: nothing was proved yet.
    """

    pem: bytes = field(repr=False)
    findings: tuple[Diagnostic, ...] = ()
    proved_for: str | None = None

    def __str__(self) -> str:
        return "PrivateKey(hidden)"


@dataclass(frozen=True, slots=True)
class NewEntry:
    """What is uploaded. `key` None only for a CA."""

    name: str
    ca: bool
    bundle: Bundle
    key: PrivateKey | None = None


class LiveReader(Protocol):
    """What really presents certificates."""

    def look(self, question: LiveQuestion) -> Live:
        """What was asked about. What can't be told is no error but a doubt: see `Live.unread`."""


class StoreReader(Protocol):
    """The reading half of the certificate store, all that a plan holds."""

    @property
    def calls(self) -> int | None:
        """How many calls this run has made to a server; None where there is none."""

    @property
    def lag_s(self) -> float:
        """For so many seconds a list may not show what happened: a list no older than that is as good as a new one."""

    def live(self) -> LiveReader | None:
        """The way to whatever presents entries of this store; None where nothing can."""

    def list_entries(self) -> Listing:
        """Every entry; StoreError rather than a part of them."""

    def get(self, entry_id: EntryId) -> Entry | None:
        """The entry, or None where there is none; StoreError where that can't be told."""

    def get_all(self, ids: Iterable[EntryId]) -> Mapping[EntryId, Entry | None]:
        """The same of several, each asked for once; side by side where the store takes that."""


class Store(StoreReader, Protocol):
    """The whole store. Entries can't be changed."""

    @property
    def at_once(self) -> int:
        """How many calls it takes at once, each from a thread of its own; 1: one at a time, from one thread alone."""

    def upload(self, new: NewEntry) -> Entry:
        """The entry as stored. AlreadyStored, QuotaReached, or StoreRefused where the store says no."""

    def delete(self, entry_id: EntryId) -> None:
        """Gone afterwards. EntryNotFound, EntryInUse, UseUnknown where it can't be told whether something presents it,
        or StoreRefused where the store says no."""

    def look_back(self) -> tuple[Diagnostic, ...]:
        """After all changes: what the store shows otherwise than it said. Findings, never an error."""

    def give_up(self) -> None:
        """Begin nothing more: whoever waits, and whoever comes, meets StoreClosed. What is under way may end."""


class KeySource(Protocol):
    """A place private keys come from."""

    def open(self, reference: KeyReference) -> PrivateKey:
        """The key; KeySourceError where it can't be had. Called only where a key is needed."""


class FileReader(Protocol):
    """The reading half of the project's tree. Paths are relative to the folder of mtls.toml, with `/`.

    Only regular files inside the tree (its git root, or the folder of mtls.toml), links resolved, never below `.git`.
    """

    def read(self, path: str, *, limit: int) -> bytes:
        """The whole file; FileError where it is missing, larger than `limit` bytes, no regular file, or outside."""

    def identity(self, path: str) -> str:
        """The file's real path relative to the tree's root, so that two names of one file compare equal."""

    def files_in(self, folder: str) -> frozenset[str] | None:
        """The names of the regular files directly in a folder of the tree; None where no such folder can be read."""

    def folders_up(self, path: str) -> tuple[str, ...]:
        """A folder and its parents up to the root of the tree, nearest first, each as paths are written here."""

    def sweep(self, ids: Iterable[EntryId]) -> Sweep:
        """Which files of the whole tree, beside this mtls.toml, may configure a Worker and name these ids."""


class Files(FileReader, Protocol):
    """The whole tree."""

    def replace(self, path: str, *, old: bytes, new: bytes) -> None:
        """Put `new` where `old` is, atomically; FileChangedError where the file is not `old` any more.

        Mode and symbolic links stay as they are.
        """

    def tidy(self) -> None:
        """Remove what a killed run left behind beside files that this run may replace."""


class WorkerDeployer(Protocol):
    """Puts a wrangler file into service. Calls may be made side by side."""

    def deploy(self, config: str, environment: EnvironmentName, script: str) -> str | None:
        """The id of the version that is deployed, None where it is not told. DeployError where it failed.

        `config` is a path as in `FileReader`; `script` the real name of the Worker, and nothing else is deployed.
        """

    def give_up(self) -> None:
        """End what is under way, in any thread; nothing begins any more."""


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Aware, UTC."""

    def wait_until(self, time: datetime) -> None:
        """Return once `time`, which is aware, has come; at once where it is past."""


Sources = Mapping[str, KeySource]
