"""The ports: the interfaces to the outside world. Every effect goes through one of them, so tests can intercept it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Protocol

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.values import dataclass
from reconciler.model import (
    CaList,
    Entry,
    EntryId,
    EnvironmentName,
    HyperdriveConfig,
    KeyReference,
    Listing,
    Live,
    LiveQuestion,
    Sweep,
    Zone,
)
from reconciler.x509.certificates import Bundle


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key in PEM, never shown. Keep it only as long as the work takes.

    `findings` are those of its source, such as a file that others can read. `proved_for`: the content digest of the
    certificates that it was proved to match; None: not proved yet. `several`: of a source that has the keys of several
    certificates, all of them by the digest of their public keys; else empty.
    """

    pem: bytes = field(repr=False)
    findings: tuple[Diagnostic, ...] = ()
    proved_for: str | None = None
    several: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return "PrivateKey(hidden)"


@dataclass(frozen=True, slots=True)
class NewEntry:
    """A certificate to upload. `key` is None only for a CA."""

    name: str
    ca: bool
    bundle: Bundle
    key: PrivateKey | None = None


class LiveReader(Protocol):
    """Reads which live Workers and other users use certificates."""

    def look(self, question: LiveQuestion) -> Live:
        """The answer to the question. What could not be checked is not an error: see `Live.unread`."""


class StoreReader(Protocol):
    """The reading half of the certificate store; a plan has nothing else of it."""

    @property
    def calls(self) -> int | None:
        """How many calls this run has made to a server; None if the store has no server."""

    @property
    def lag_s(self) -> float:
        """Seconds for which a list can be out of date: a list that is not older is as good as a new one."""

    def live(self) -> LiveReader | None:
        """The reader for users of this store's entries; None if nothing can use them."""

    def list_entries(self) -> Listing:
        """Every entry, in any order. StoreError if the list is incomplete."""

    def get(self, entry_id: EntryId) -> Entry | None:
        """The entry, or None if it does not exist. StoreError if that is unknown."""

    def get_all(self, ids: Iterable[EntryId]) -> Mapping[EntryId, Entry | None]:
        """Several entries, each requested once; in parallel if the store supports that."""

    def hyperdrives(self, wanted: Iterable[str]) -> tuple[HyperdriveConfig, ...]:
        """Every Hyperdrive configuration. StoreError if the list is incomplete.

        `wanted`: the IDs or names that are declared; a store without Hyperdrive has a configuration for each of them.
        """

    def hyperdrive(self, config: str) -> HyperdriveConfig | None:
        """The configuration with this ID, or None if it does not exist. StoreError if that is unknown."""

    def zones(self, name: str | None = None) -> tuple[Zone, ...]:
        """The zones with this name, or all of the account. StoreError if the list is incomplete.

        A store without zones has one with each name, which is also its ID, and all that have a list.
        """

    def ca_lists(self, zone: str, cas: Iterable[EntryId]) -> tuple[CaList, ...]:
        """For each of these CAs the hostnames of the zone with this ID that trust it. StoreError if one is unknown."""


class Store(StoreReader, Protocol):
    """The whole store. Entries can't be changed."""

    @property
    def at_once(self) -> int:
        """How many calls can run at once, each in its own thread; 1: one at a time, always from the same thread."""

    def upload(self, new: NewEntry) -> Entry:
        """The entry as stored. AlreadyStored, QuotaReached, or StoreRefused for any other refusal."""

    def delete(self, entry_id: EntryId) -> None:
        """Delete the entry. EntryNotFound, EntryInUse, UseUnknown if it could not be checked whether something uses it,
        or StoreRefused for any other refusal."""

    def update_hyperdrive(self, before: HyperdriveConfig, mtls: Mapping[str, object]) -> HyperdriveConfig:
        """The configuration after its `mtls` was replaced, and nothing else of it. `before`: as it was just read.

        StoreRefused for a refusal; after any other StoreError it is unknown whether it was replaced.
        """

    def add_hostnames(self, before: CaList, names: Sequence[str]) -> None:
        """Let these hostnames trust a CA as well. `before`: its list as it was just read, which this replaces.

        StoreRefused for a refusal; after any other StoreError it is unknown whether the list was replaced.
        """

    def look_back(self) -> tuple[Diagnostic, ...]:
        """Findings, after all changes, about differences between the store's answers and its list. Never an error."""

    def give_up(self) -> None:
        """Start no more calls: waiting and new calls raise StoreClosed. Calls in progress can end."""


class KeySource(Protocol):
    """A source of private keys."""

    def open(self, reference: KeyReference) -> PrivateKey:
        """The key. KeySourceError if it can't be read. Called only if a key is needed."""


class FileReader(Protocol):
    """The reading half of the project's tree. Paths are relative to the folder of mtls.toml, with `/`.

    Only regular files inside the tree (its git root, or the folder of mtls.toml), links resolved, never in `.git`.
    """

    def read(self, path: str, *, limit: int) -> bytes:
        """The whole file. FileError if it is missing, larger than `limit` bytes, not a regular file, or outside."""

    def identity(self, path: str) -> str:
        """The file's real path relative to the tree's root, so that two names of one file compare equal."""

    def files_in(self, folder: str) -> frozenset[str] | None:
        """The names of the regular files directly in a folder of the tree; None if the folder can't be read."""

    def folders_up(self, path: str) -> tuple[str, ...]:
        """A folder and its parents up to the root of the tree, nearest first, in the same form as `path`."""

    def sweep(self, ids: Iterable[EntryId]) -> Sweep:
        """The files of the whole tree, except this mtls.toml, that may configure a Worker and contain these IDs."""


class Files(FileReader, Protocol):
    """The project's tree, for reading and writing."""

    def replace(self, path: str, *, old: bytes, new: bytes) -> None:
        """Replace the content `old` by `new`, atomically. FileChangedError if the file is no longer `old`.

        Mode and symbolic links do not change.
        """

    def tidy(self) -> None:
        """Remove temporary files of a killed run that are next to files that this run may replace."""


class WorkerDeployer(Protocol):
    """Deploys wrangler files. Calls can run in parallel."""

    def demand_programs(self, configs: Iterable[str]) -> None:
        """ReconcilerError with the code program-missing if a program is missing that deploys of these files need."""

    def deploy(self, config: str, environment: EnvironmentName, script: str) -> str | None:
        """The ID of the deployed version, or None if it is unknown. DeployError if the deploy failed.

        `config` is a path as in `FileReader`, `script` the real name of the Worker; nothing else is deployed.
        """

    def give_up(self) -> None:
        """End calls in progress in all threads, and start no more."""


class Clock(Protocol):
    """The current time."""

    def now(self) -> datetime:
        """The current time, aware UTC."""

    def wait_until(self, time: datetime) -> None:
        """Return once `time`, which is aware, has come; at once where it is past."""


Sources = Mapping[str, KeySource]
