"""The local store: a certificate store in one file next to mtls.toml, for working without an account.

It answers like Cloudflare's API, refusals included, so that a plan that works here works there. Private keys are
checked and never written. It must not decide what should be stored.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.values import dataclass
from reconciler.model import CA_LIMIT, CaList, Entry, EntryId, HyperdriveConfig, Listing, StoreSettings, Zone
from reconciler.model.errors import AlreadyStored, EntryNotFound, QuotaReached, StoreRefused
from reconciler.model.ownership import CUSTOM
from reconciler.model.ports import Clock, NewEntry
from reconciler.model.stores import LOCAL_ID_PREFIX
from reconciler.stores import Connection, StoreContext, Uses
from reconciler.stores.database import (
    HOSTNAMES,
    HYPERDRIVES,
    STORE_FILE,
    Database,
    FileDatabase,
    ReadableDatabase,
    damaged,
    has_table,
    read_rows,
)
from reconciler.x509.certificates import Bundle, parse_stored, rfc3339, stored_fields
from reconciler.x509.key_pairs import check_pair
from reconciler.x509.pem import find_blocks

_COLUMNS = "id, name, ca, certificates, type, issuer, serial_number, signature, expires_on, uploaded_on"
_MICROSECOND = timedelta(microseconds=1)
_EXAMINE_S = 2.0


def new_id() -> str:
    """A random id that no account has: a UUID version 4 whose first group is the local store's prefix."""
    from uuid import uuid4

    return LOCAL_ID_PREFIX + str(uuid4()).partition("-")[2]


def connect(
    settings: StoreSettings,
    *,
    root: Path,
    clock: Clock,
    context: StoreContext,  # noqa: ARG001 - as StoreRoom
    beside: Connection | None = None,  # noqa: ARG001
) -> LocalConnection:
    """A connection to the store in `.mtlsctl/store.db` in `root`."""
    return LocalConnection(root, clock, settings.limit)


@dataclass(frozen=True, slots=True)
class LocalConnection:
    """The local store next to one mtls.toml."""

    root: Path
    clock: Clock
    limit: int

    def reader(self) -> LocalReader:
        """The read-only part; a missing file is an empty store and is not created."""
        return LocalReader(FileDatabase(self.root))

    def store(self) -> LocalStore:
        """The whole store; the file and its folder are created at the first write."""
        return LocalStore(FileDatabase(self.root), clock=self.clock, limit=self.limit)

    def edge(self) -> None:
        """None: no Worker runs with its certificates, and no key is kept."""

    def examine(self, _: Uses) -> Iterator[Diagnostic]:
        """Whether the file opens, is intact, and every entry in it can be read. StoreError if not.

        Every user who can write the file may do everything.
        """
        database = FileDatabase(self.root, timeout_s=_EXAMINE_S)
        with database.reading() as connection:
            rows = connection.execute("PRAGMA quick_check").fetchall() if connection else None
        version = f"SQLite {sqlite3.sqlite_version}"
        if rows is None:
            yield Diagnostic(Severity.INFO, Code.STORE, f"{version}; no {STORE_FILE} yet")
            return
        if rows != [("ok",)]:
            raise damaged(f"fails SQLite's quick_check: {len(rows)} problem{'' if len(rows) == 1 else 's'}")
        count = len(LocalReader(database).list_entries().entries)
        message = f"{version}; {STORE_FILE} is intact, with {count} certificate{'' if count == 1 else 's'}"
        yield Diagnostic(Severity.INFO, Code.STORE, message)


class LocalReader:
    """The port `StoreReader` over a database that can be read."""

    def __init__(self, database: ReadableDatabase) -> None:
        self._database = database

    @property
    def calls(self) -> None:
        """None: there is no server to call."""

    @property
    def lag_s(self) -> float:
        """0: the list is read from the file, so it never lags."""
        return 0.0

    def list_entries(self) -> Listing:
        """Every entry, oldest first. Always stable: it is one read of one file."""
        with self._database.reading() as connection:
            if connection is None:
                return Listing(())
            # Without the name of the index, statistics in a strange file could make SQLite read all of it to sort it.
            rows = read_rows(
                connection,
                f"SELECT {_COLUMNS} FROM entries INDEXED BY entries_by_uploaded_on ORDER BY uploaded_on",  # noqa: S608
            )
        return Listing(tuple(_entry(row) for row in rows))

    def hyperdrives(self, wanted: Iterable[str]) -> tuple[HyperdriveConfig, ...]:
        """The configurations that are declared, for rehearsals: each begins without certificates."""
        return tuple(self.hyperdrive(config) for config in dict.fromkeys(wanted))

    def hyperdrive(self, config: str) -> HyperdriveConfig:
        """The configuration with this ID, which is also its name."""
        with self._database.reading() as connection:
            return HyperdriveConfig(config, config, _mtls(connection, config) if connection is not None else {})

    def zones(self, name: str | None = None) -> tuple[Zone, ...]:
        """The zone with this name, which is also its ID, for rehearsals; without one, those with a list."""
        if name is not None:
            return (Zone(name, name),)
        with self._database.reading() as connection:
            if connection is None or not has_table(connection, "hostnames"):
                return ()
            rows = read_rows(connection, "SELECT zone FROM hostnames")
        return tuple(Zone(zone, zone) for zone in dict.fromkeys(_text(row[0]) for row in rows))

    def ca_lists(self, zone: str, cas: Iterable[EntryId]) -> tuple[CaList, ...]:
        """As in the port; each begins empty."""
        with self._database.reading() as connection:
            return tuple(CaList(zone, ca, _names(connection, zone, ca) if connection else ()) for ca in cas)

    def live(self) -> None:
        """None: no Worker can use a certificate that exists only in a file of this machine."""

    def get(self, entry_id: EntryId) -> Entry | None:
        """The entry with exactly this id, or None."""
        with self._database.reading() as connection:
            return _find(connection, entry_id) if connection is not None else None

    def get_all(self, ids: Iterable[EntryId]) -> dict[EntryId, Entry | None]:
        """As in the port."""
        return {entry_id: self.get(entry_id) for entry_id in ids}


class LocalStore(LocalReader):
    """The port `Store` over a database. `limit` is the leaf quota; `ids` gives a new id at each call.

    `uploaded_on` is the clock's time, but always later than that of every existing entry: if the clock did not move or
    went back, it is a microsecond after the latest. So the order of these times is always the order of the uploads, as
    a retire requires; after a time that a wrong clock set in the future, all later ones follow it.
    """

    def __init__(self, database: Database, *, clock: Clock, limit: int = 1000, ids: Callable[[], str] = new_id) -> None:
        super().__init__(database)
        self._writable = database
        self._clock = clock
        self._limit = limit
        self._ids = ids

    @property
    def at_once(self) -> int:
        """1: writes to a file wait for each other anyway, and a connection belongs to its thread."""
        return 1

    def give_up(self) -> None:
        """Do nothing: no call waits."""

    def look_back(self) -> tuple[Diagnostic, ...]:
        """Empty: the file always contains what was written."""
        return ()

    def upload(self, new: NewEntry) -> Entry:
        """The entry as stored; the key is compared with the certificate and not kept.

        StoreRefused for a CA that is not one, or a leaf without its key; AlreadyStored (1471) if an entry has the same
        certificates; QuotaReached (1489 for CAs).
        """
        check_upload(new)
        return self._insert(new.bundle, name=new.name, ca=new.ca, type_=CUSTOM)

    def seed(self, *, type_: str, name: str, ca: bool, certificates: str) -> Entry:
        """Add an entry that no upload can: one of Gateway or Access, outside every quota. Not in the port."""
        return self._insert(parse_upload(certificates), name=name, ca=ca, type_=type_)

    def delete(self, entry_id: EntryId) -> None:
        """Delete an entry. EntryNotFound (1472); StoreRefused for one that Gateway or Access manages."""
        if self.get(entry_id) is None:
            raise not_found()
        with self._writable.writing() as connection:
            entry = _find(connection, entry_id)
            if entry is None:
                raise not_found()
            if entry.type != CUSTOM:
                raise _refused(
                    "Unauthorized", f"delete it in the Cloudflare service that manages it; its type is {entry.type}"
                )
            connection.execute("DELETE FROM entries WHERE id = ?", (entry_id,))

    def update_hyperdrive(self, before: HyperdriveConfig, mtls: Mapping[str, object]) -> HyperdriveConfig:
        """As in the port. StoreRefused if it names a certificate that is not stored, as Cloudflare refuses that."""
        with self._writable.writing() as connection:
            for key, value in mtls.items():
                if key.endswith("_certificate_id") and _find(connection, EntryId(str(value))) is None:
                    raise not_found()
            if not has_table(connection, "hyperdrives"):
                connection.execute(HYPERDRIVES)
            row = (before.id, json.dumps(mtls))
            connection.execute("INSERT OR REPLACE INTO hyperdrives (config, mtls) VALUES (?, ?)", row)
        return HyperdriveConfig(before.id, before.name, mtls)

    def add_hostnames(self, before: CaList, names: Sequence[str]) -> None:
        """As in the port. StoreRefused if the CA is not stored."""
        with self._writable.writing() as connection:
            if _find(connection, before.ca) is None:
                raise not_found()
            if not has_table(connection, "hostnames"):
                connection.execute(HOSTNAMES)
            row = (before.zone, before.ca, json.dumps([*before.names, *names]))
            connection.execute("INSERT OR REPLACE INTO hostnames (zone, ca, names) VALUES (?, ?, ?)", row)

    def _insert(self, bundle: Bundle, *, name: str, ca: bool, type_: str) -> Entry:
        fields = stored_fields(bundle)
        with self._writable.writing() as connection:
            if connection.execute("SELECT 1 FROM entries WHERE digest = ?", (bundle.digest,)).fetchone():
                raise already_stored()
            if type_ == CUSTOM:
                self._demand_room(connection, ca)
            entry = Entry(
                id=EntryId(self._ids()),
                name=name,
                ca=ca,
                certificates=bundle.pem().rstrip("\n"),
                type=type_,
                issuer=fields.issuer,
                serial_number=fields.serial_number,
                signature=fields.signature,
                expires_on=fields.expires_on.replace(microsecond=0),
                uploaded_on=self._next_time(connection),
            )
            _write(connection, entry, bundle.digest)
        return entry

    def _demand_room(self, connection: sqlite3.Connection, ca: bool) -> None:
        counting = "SELECT count(*) FROM entries WHERE type = ? AND ca = ?"
        (count,) = connection.execute(counting, (CUSTOM, ca)).fetchone()
        if ca and count >= CA_LIMIT:
            hint = f"delete a CA that nothing uses; an account can have {CA_LIMIT}"
            raise QuotaReached("Hit maximum CA cert allocation.", number=1489, hint=hint)
        if not ca and count >= self._limit:
            # Cloudflare's number and text for this refusal are not published.
            hint = f"raise `limit` in [store] if the account may have more than {self._limit} certificates"
            raise QuotaReached("Hit maximum cert allocation.", number=0, hint=hint)

    def _next_time(self, connection: sqlite3.Connection) -> datetime:
        now = self._clock.now().astimezone(UTC)
        (latest,) = connection.execute("SELECT max(uploaded_on) FROM entries").fetchone()
        return now if latest is None else max(now, _time(latest) + _MICROSECOND)


def parse_upload(certificates: str) -> Bundle:
    """The certificates in an uploaded text; StoreRefused if it has none, or contains anything else."""
    blocks = find_blocks(certificates)
    only_certificates = all(block.is_certificate and block.fault is None for block in blocks)
    # Anything else may be a key, which must reach neither the file nor the parser's cache.
    bundle = parse_stored(certificates) if blocks and only_certificates else None
    if bundle is None:
        raise _refused("Unable to parse certificate", "send only certificates, in PEM; send the key separately")
    return bundle


def check_upload(new: NewEntry) -> None:
    """StoreRefused for a name that is not valid text, a CA that is not one, or a key that is missing or another's."""
    if not _is_storable(new.name):
        raise _refused("name is not valid text", "use a name of letters, digits, dots and hyphens")
    if new.ca:
        _demand_ca(new.bundle)
    _demand_pair(new)


def _demand_ca(bundle: Bundle) -> None:
    for certificate in bundle.certificates:
        try:
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        except (x509.ExtensionNotFound, ValueError):
            constraints = None
        if constraints is None or not constraints.ca:
            raise _refused(
                "certificate is not a CA", "use CA certificates: with ca = true, each needs basic constraints CA:TRUE"
            )


def _demand_pair(new: NewEntry) -> None:
    """StoreRefused if the key is missing or does not match; a pair that was checked before is not checked again."""
    if new.key is None:
        if not new.ca:
            raise _refused("private_key is missing", "upload the certificate with its key, which a Worker needs")
        return
    if new.key.proved_for == new.bundle.digest:
        return
    problems = check_pair(new.bundle, new.key.pem, where=None)
    if problems:
        raise _refused(problems[0].message, problems[0].hint)


def _find(connection: sqlite3.Connection, entry_id: EntryId) -> Entry | None:
    if not _is_storable(entry_id):
        return None
    row = connection.execute(f"SELECT {_COLUMNS} FROM entries WHERE id = ?", (entry_id,)).fetchone()  # noqa: S608
    return _entry(row) if row else None


def _mtls(connection: sqlite3.Connection, config: str) -> Mapping[str, object]:
    if not _is_storable(config) or not has_table(connection, "hyperdrives"):
        return {}
    row = connection.execute("SELECT mtls FROM hyperdrives WHERE config = ?", (config,)).fetchone()
    try:
        found = json.loads(_text(row[0])) if row else {}
    except ValueError as error:
        raise damaged("contains a Hyperdrive configuration that mtlsctl did not write") from error
    if not isinstance(found, dict):
        raise damaged("contains a Hyperdrive configuration that mtlsctl did not write")
    return found


def _names(connection: sqlite3.Connection, zone: str, ca: EntryId) -> tuple[str, ...]:
    if not _is_storable(zone) or not has_table(connection, "hostnames"):
        return ()
    row = connection.execute("SELECT names FROM hostnames WHERE zone = ? AND ca = ?", (zone, ca)).fetchone()
    try:
        found = json.loads(_text(row[0])) if row else []
    except ValueError as error:
        raise damaged("contains a list of hostnames that mtlsctl did not write") from error
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise damaged("contains a list of hostnames that mtlsctl did not write")
    return tuple(found)


def _is_storable(text: str) -> bool:
    """False for a text with half a surrogate pair, which JSON can express and a database can't store."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _write(connection: sqlite3.Connection, entry: Entry, digest: str) -> None:
    values = (
        entry.id,
        entry.name,
        entry.ca,
        entry.certificates,
        entry.type,
        entry.issuer,
        entry.serial_number,
        entry.signature,
        rfc3339(entry.expires_on) if entry.expires_on else "",
        _text_of(entry.uploaded_on) if entry.uploaded_on else "",
        digest,
    )
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO entries ({_COLUMNS}, digest) VALUES ({marks})", values)  # noqa: S608


def _entry(row: tuple[object, ...]) -> Entry:
    """The entry of a row, in the order of `_COLUMNS`; StoreError if `_write` did not write the row like this."""
    id_, name, ca, certificates, type_, issuer, serial, signature, expires_on, uploaded_on = row
    return Entry(
        id=EntryId(_text(id_)),
        name=_text(name),
        ca=bool(ca),
        certificates=_text(certificates),
        type=_text(type_),
        issuer=_text(issuer),
        serial_number=_text(serial),
        signature=_text(signature),
        expires_on=_time(expires_on),
        uploaded_on=_time(uploaded_on),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise damaged("contains a certificate with a value that is not text")
    return value


def _time(value: object) -> datetime:
    try:
        return datetime.fromisoformat(_text(value)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise damaged("contains a certificate with a time that is not valid") from error


def _text_of(time: datetime) -> str:
    """RFC 3339 with microseconds, as in the API; always of the same length, so that texts sort like times."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _refused(message: str, hint: str | None) -> StoreRefused:
    # Cloudflare's numbers for these refusals are not known.
    return StoreRefused(message, number=0, hint=hint)


def already_stored() -> AlreadyStored:
    """The error for content that an entry has already (1471)."""
    hint = "plan again to use the uploaded one; a store can have the same certificate only once, under any name"
    return AlreadyStored("Certificate already exists", number=1471, hint=hint)


def not_found() -> EntryNotFound:
    """The error for an ID that no entry has (1472)."""
    return EntryNotFound(
        "Certificate not found", number=1472, hint="plan again: it was already deleted, or was never in this store"
    )
