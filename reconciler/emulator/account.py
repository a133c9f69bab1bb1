"""One account: its certificates in the local store, and everything that can use one of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.emulator.settings import Settings
from reconciler.emulator.wire import Json
from reconciler.findings.codes import Code
from reconciler.findings.errors import FileError
from reconciler.findings.values import dataclass
from reconciler.model import Entry, EntryId
from reconciler.model.ports import Clock
from reconciler.stores.database import Database, FileDatabase, MemoryDatabase
from reconciler.stores.local import LocalStore
from reconciler.system.atomic import write_atomic

if TYPE_CHECKING:
    from reconciler.emulator.managed_ca import SigningCa

_FILE = "emulator.json"


@dataclass(slots=True)
class Worker:
    """A Worker. Versions and deployments are kept in the format of the API, oldest first."""

    name: str
    tag: str
    created_on: str
    modified_on: str
    last_deployed_from: str = "api"
    tags: list[str] = field(default_factory=list)
    versions: list[Json] = field(default_factory=list)
    deployments: list[Json] = field(default_factory=list)
    script_settings: Json = field(default_factory=dict)
    subdomain: bool = False
    schedules: list[Json] = field(default_factory=list)

    def version(self, version_id: str) -> Json | None:
        """The version with this id, or None."""
        return next((version for version in self.versions if version["id"] == version_id), None)

    def deployed(self) -> list[Json]:
        """The versions that serve traffic: one, or two of a gradual deployment."""
        if not self.deployments:
            return []
        shares = self.deployments[-1]["versions"]
        assert isinstance(shares, list)  # noqa: S101 - as it was made
        return [version for share in shares if (version := self.version(share["version_id"])) is not None]


@dataclass(slots=True)
class Holders:
    """Everything that can use a certificate: Workers, Hyperdrive configs, hostnames of zones, and Pages projects."""

    workers: dict[str, Worker] = field(default_factory=dict)
    hyperdrive: dict[str, Json] = field(default_factory=dict)
    hostnames: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Hostnames by zone and certificate id; the id "" is Cloudflare's own CA."""
    zones: dict[str, str] = field(default_factory=dict)
    """The names of the zones that were added, by id."""
    pages: dict[str, Json] = field(default_factory=dict)
    signed: dict[str, dict[str, Json]] = field(default_factory=dict)
    """Client certificates of the managed CA, by zone and id."""


class Account:
    """The certificates of one account and what uses them, kept in `folder` or, without one, in memory."""

    def __init__(
        self,
        account_id: str,
        *,
        settings: Settings,
        clock: Clock,
        ids: Callable[[], str],
        folder: Path | None = None,
    ) -> None:
        self.id = account_id
        self.ca: SigningCa | None = None  # a private key, so it is not kept
        self._settings = settings
        self._clock = clock
        self._ids = ids
        self._file = None if folder is None else folder / _FILE
        if folder is not None:
            _refuse_links(folder, folder / _FILE)
        self._database: Database = MemoryDatabase() if folder is None else FileDatabase(folder)
        self.holders = _read(self._file) if self._file is not None and self._file.exists() else Holders()
        self._kept = b""
        self._entries: dict[str, Entry] | None = None
        self.uploaded: dict[str, datetime] = {}
        self.released: dict[str, datetime] = {}
        self.deleted: set[str] = set()

    @property
    def store(self) -> LocalStore:
        """The local store of this account, with the current quota and with ids like Cloudflare's."""
        return LocalStore(self._database, clock=self._clock, limit=self._settings.leaf_limit, ids=self._ids)

    def entries(self) -> tuple[Entry, ...]:
        """Every entry, oldest first."""
        return tuple(self._by_id().values())

    def get(self, entry_id: str) -> Entry | None:
        """The entry with this id, or None."""
        return self._by_id().get(entry_id)

    def added(self, entry: Entry) -> None:
        """Record the time of an upload, from which the lags are counted."""
        self._by_id()[entry.id] = entry
        self.uploaded[entry.id] = self._clock.now()

    def delete(self, entry_id: str) -> None:
        """Delete an entry, even if something uses it."""
        self.store.delete(EntryId(entry_id))
        self._by_id().pop(entry_id, None)
        self.deleted.add(entry_id)

    def _by_id(self) -> dict[str, Entry]:
        """The entries by id, read from the store once. New uploads are added at the end, so the order stays right."""
        if self._entries is None:
            self._entries = {entry.id: entry for entry in self.store.list_entries().entries}
        return self._entries

    def is_recent(self, entry_id: str, lag_s: float) -> bool:
        """True if an entry was uploaded less than `lag_s` seconds ago."""
        return _within(self.uploaded.get(entry_id), lag_s, self._clock.now())

    def uses(self) -> Iterator[tuple[str, str, str]]:
        """Every use of a certificate: its id, the service that uses it, and the name of the user in that service."""
        for worker in self.holders.workers.values():
            every = self._settings.held_by == "every-version"
            for version in worker.versions if every else worker.deployed():
                yield from ((used, "workers", worker.name) for used in certificates_of(version))
        for config in self.holders.hyperdrive.values():
            mtls = config.get("mtls")
            if isinstance(mtls, dict):
                used_ids = (mtls.get("mtls_certificate_id"), mtls.get("ca_certificate_id"))
                yield from ((str(used), "hyperdrive", str(config["name"])) for used in used_ids if used)
        for by_id in self.holders.hostnames.values():
            yield from ((used, "api_gateway", name) for used, names in by_id.items() if used for name in names)
        for project in self.holders.pages.values():
            yield from ((used, "pages", str(project["name"])) for used in certificates_of(project))

    def held(self) -> set[str]:
        """The ids of all certificates that something uses."""
        return {used for used, _, _ in self.uses()}

    def is_held(self, entry_id: str) -> bool:
        """True if something uses an entry, or did less than the in-use lag ago."""
        lag = self._settings.in_use_lag_s
        return entry_id in self.held() or _within(self.released.get(entry_id), lag, self._clock.now())

    def release(self, before: set[str]) -> None:
        """Record which ids of `before` are no longer used after a change, and save the change."""
        now = self._clock.now()
        after = self.held()
        self.released.update(dict.fromkeys(before - after, now))
        for used in after:
            self.released.pop(used, None)
        if self._file is not None:
            self._keep(self._file)

    def _keep(self, file: Path) -> None:
        data = json.dumps(asdict(self.holders)).encode()
        if data != self._kept:
            write_atomic(file, data, mode=0o600)
            self._kept = data


def certificates_of(version: Json) -> list[str]:
    """The certificate ids in the mTLS bindings of a version."""
    resources = version.get("resources")
    bindings = resources.get("bindings") if isinstance(resources, dict) else None
    return [
        str(binding.get("certificate_id"))
        for binding in (bindings if isinstance(bindings, list) else [])
        if binding.get("type") == "mtls_certificate"
    ]


def _within(since: datetime | None, lag_s: float, now: datetime) -> bool:
    return since is not None and now < since + timedelta(seconds=lag_s)


def _refuse_links(*places: Path) -> None:
    """FileError if one is a symbolic link: a checkout may have brought it, and what it leads to would be replaced."""
    for place in places:
        if place.is_symlink():
            hint = "remove it, or keep the account in another folder with --store"
            message = f"{str(place)!r} is a symbolic link, through which nothing is written"
            raise FileError(message, hint=hint, code=Code.FILE_NOT_REGULAR)


def _read(file: Path) -> Holders:
    try:
        value = json.loads(file.read_bytes())
        workers = {name: Worker(**worker) for name, worker in value.pop("workers").items()}
        return Holders(workers=workers, **value)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "remove its folder to start with an empty account; an emulator with --store wrote it"
        raise FileError(f"can't read {str(file)!r}: {error}", hint=hint) from error
