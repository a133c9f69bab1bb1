"""The embedded store: a certificate store in one file beside mtls.toml, for working without an account.

It answers as Cloudflare's API does, its refusals included, so that a plan which works here works there. Private keys
are checked and forgotten: none is ever written. It must not decide what should be stored.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import CA_LIMIT, Entry, EntryId, Listing, StoreSettings
from reconciler.model.errors import AlreadyStored, EntryNotFound, QuotaReached, StoreRefused
from reconciler.model.ownership import CUSTOM
from reconciler.model.ports import Clock, NewEntry
from reconciler.model.stores import LOCAL_ID_PREFIX
from reconciler.stores import StoreContext
from reconciler.stores.database import Database, FileDatabase, MemoryDatabase, ReadableDatabase, damaged
from reconciler.x509.certificates import Bundle, parse_stored, rfc3339, stored_fields
from reconciler.x509.key_pairs import check_pair
from reconciler.x509.pem import find_blocks

_COLUMNS = "id, name, ca, certificates, type, issuer, serial_number, signature, expires_on, uploaded_on"
_MICROSECOND = timedelta(microseconds=1)


def new_id() -> str:
    """A random id that no account has: UUID version 4, its first group replaced by the embedded store's mark."""
    from uuid import uuid4

    return LOCAL_ID_PREFIX + str(uuid4()).partition("-")[2]


def connect(settings: StoreSettings, *, root: Path, clock: Clock, context: StoreContext) -> LocalConnection:  # noqa: ARG001 - as StoreRoom
    """The store in `.mtlsctl/store.db` below `root`."""
    return LocalConnection(root, clock, settings.limit)


@dataclass(frozen=True, slots=True)
class LocalConnection:
    """The file beside one mtls.toml."""

    root: Path
    clock: Clock
    limit: int

    def reader(self) -> LocalReader:
        """The reading half; a missing file is an empty store and stays missing."""
        return LocalReader(FileDatabase(self.root))

    def store(self) -> LocalStore:
        """The whole store; the file and its folder are created at the first write."""
        return LocalStore(FileDatabase(self.root), clock=self.clock, limit=self.limit)

    def examine(self, *, cas: bool, pages: bool) -> tuple[Diagnostic, ...]:  # noqa: ARG002 - as Connection
        """Nothing: who can write the file may do everything."""
        return ()


def open_in_memory(settings: StoreSettings, *, clock: Clock, ids: Callable[[], str] = new_id) -> LocalStore:
    """The same store without a file; it is gone with the object."""
    return LocalStore(MemoryDatabase(), clock=clock, limit=settings.limit, ids=ids)


class LocalReader:
    """The port `StoreReader` over a database, of which it needs the reading half only."""

    def __init__(self, database: ReadableDatabase) -> None:
        self._database = database

    @property
    def calls(self) -> None:
        """No server is asked."""

    @property
    def lag_s(self) -> float:
        """None: a list is one look at one file."""
        return 0.0

    def list_entries(self) -> Listing:
        """Every entry, the oldest first. Always stable: it is one look at one file."""
        with self._database.reading() as connection:
            if connection is None:
                return Listing(())
            rows = connection.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY uploaded_on").fetchall()  # noqa: S608
        return Listing(tuple(_entry(row) for row in rows))

    def live(self) -> None:
        """Nothing: no Worker can present what only a file of this machine holds."""

    def get(self, entry_id: EntryId) -> Entry | None:
        """The entry with exactly this id, or None."""
        with self._database.reading() as connection:
            return _find(connection, entry_id) if connection is not None else None

    def get_all(self, ids: Iterable[EntryId]) -> dict[EntryId, Entry | None]:
        """As the port."""
        return {entry_id: self.get(entry_id) for entry_id in ids}


class LocalStore(LocalReader):
    """The port `Store` over a database. `limit` is the leaf quota; `ids` gives a new id at each call.

    `uploaded_on` is the clock's time, but never the same as or before that of an entry that is there: where the clock
    stands still or went back, a microsecond after the latest. So the order of uploads is always the order of these
    times, which retiring depends on; a time that a wrong clock put into the future moves those after it along.
    """

    def __init__(self, database: Database, *, clock: Clock, limit: int = 1000, ids: Callable[[], str] = new_id) -> None:
        super().__init__(database)
        self._writable = database
        self._clock = clock
        self._limit = limit
        self._ids = ids

    @property
    def at_once(self) -> int:
        """One: writes to a file wait for each other anyway, and a connection belongs to its thread."""
        return 1

    def give_up(self) -> None:
        """Nothing: no call waits for anybody."""

    def look_back(self) -> tuple[Diagnostic, ...]:
        """Nothing: what was written is what is there."""
        return ()

    def upload(self, new: NewEntry) -> Entry:
        """The entry as stored; the key is compared with the certificate and forgotten.

        StoreRefused for a CA that is none, a leaf without its key; AlreadyStored (1471) where any entry has the same
        certificates; QuotaReached (1489 for CAs).
        """
        if not _is_storable(new.name):
            raise _refused("name is no text", "give it a name of letters, digits, dots and hyphens")
        if new.ca:
            _demand_ca(new.bundle)
        _demand_pair(new)
        return self._insert(new.bundle, name=new.name, ca=new.ca, type_=CUSTOM)

    def seed(self, *, type_: str, name: str, ca: bool, certificates: str) -> Entry:
        """Put in what no upload can: an entry of Gateway's or Access's, outside of every quota. Not in the port."""
        return self._insert(parse_upload(certificates), name=name, ca=ca, type_=type_)

    def delete(self, entry_id: EntryId) -> None:
        """Gone afterwards. EntryNotFound (1472); StoreRefused for an entry that is managed by Gateway or Access."""
        if self.get(entry_id) is None:
            raise _not_found()
        with self._writable.writing() as connection:
            entry = _find(connection, entry_id)
            if entry is None:
                raise _not_found()
            if entry.type != CUSTOM:
                raise _refused(
                    "Unauthorized", f"the entry is {entry.type}; only Cloudflare's own service can delete it"
                )
            connection.execute("DELETE FROM entries WHERE id = ?", (entry_id,))

    def _insert(self, bundle: Bundle, *, name: str, ca: bool, type_: str) -> Entry:
        fields = stored_fields(bundle)
        with self._writable.writing() as connection:
            if connection.execute("SELECT 1 FROM entries WHERE digest = ?", (bundle.digest,)).fetchone():
                raise _already_stored()
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
            hint = f"an account holds {CA_LIMIT} CAs; delete one that nothing uses"
            raise QuotaReached("Hit maximum CA cert allocation.", number=1489, hint=hint)
        if not ca and count >= self._limit:
            # Cloudflare's number and words for this are not published.
            hint = (
                f"the store holds {self._limit} certificates; raise `limit` in [store] where the account may hold more"
            )
            raise QuotaReached("Hit maximum cert allocation.", number=0, hint=hint)

    def _next_time(self, connection: sqlite3.Connection) -> datetime:
        now = self._clock.now().astimezone(UTC)
        (latest,) = connection.execute("SELECT max(uploaded_on) FROM entries").fetchone()
        return now if latest is None else max(now, _time(latest) + _MICROSECOND)


def parse_upload(certificates: str) -> Bundle:
    """The certificates of a text that was uploaded; StoreRefused where it has none, or anything else."""
    blocks = find_blocks(certificates)
    only_certificates = all(block.is_certificate and block.fault is None for block in blocks)
    # Anything else may be a key: it must reach neither the file nor the parser's cache.
    bundle = parse_stored(certificates) if blocks and only_certificates else None
    if bundle is None:
        raise _refused("Unable to parse certificate", "send certificates in PEM and nothing else; the key goes apart")
    return bundle


def _demand_ca(bundle: Bundle) -> None:
    for certificate in bundle.certificates:
        try:
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        except (x509.ExtensionNotFound, ValueError):
            constraints = None
        if constraints is None or not constraints.ca:
            raise _refused(
                "certificate is not a CA", "with ca = true, every certificate needs basic constraints CA:TRUE"
            )


def _demand_pair(new: NewEntry) -> None:
    """StoreRefused where the key is missing or does not fit; a pair that was proved before is not proved again."""
    if new.key is None:
        if not new.ca:
            raise _refused("private_key is missing", "a certificate that a Worker presents is uploaded with its key")
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


def _is_storable(text: str) -> bool:
    """False for half of a surrogate pair, which JSON can say and no database text can hold."""
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
    """The entry of a row, in the order of `_COLUMNS`; StoreError where the row is not as `_write` wrote it."""
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
        raise damaged("has an entry with a value that is no text")
    return value


def _time(value: object) -> datetime:
    try:
        return datetime.fromisoformat(_text(value)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise damaged("has an entry with a time that is none") from error


def _text_of(time: datetime) -> str:
    """RFC 3339 with microseconds, as the API; always of the same length, so that its order is the order of times."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _refused(message: str, hint: str | None) -> StoreRefused:
    # The numbers that Cloudflare gives these refusals are not known.
    return StoreRefused(message, number=0, hint=hint)


def _already_stored() -> AlreadyStored:
    hint = "the store takes the same certificates once, under whatever name; plan again to adopt that entry"
    return AlreadyStored("Certificate already exists", number=1471, hint=hint)


def _not_found() -> EntryNotFound:
    return EntryNotFound(
        "Certificate not found", number=1472, hint="it was deleted already, or never was in this store"
    )
