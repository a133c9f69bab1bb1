"""The file of the local store: finding, checking, opening and locking it, and errors that explain what went wrong.

Knows SQLite and nothing about certificates. A file that comes with a checkout may have been made by anyone, so nothing
is opened through a link, and only a database with exactly this schema is used.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import stat
import weakref
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Protocol

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileError
from reconciler.findings.events import FileAction, FileTouched
from reconciler.model.errors import StoreError
from reconciler.private.folder import create_file, make_folder, stands

_log = logging.getLogger(__name__)

STORE_FILE = ".mtlsctl/store.db"
"""The path of the file, relative to the folder of mtls.toml."""

_RESTORE = (
    f"restore {STORE_FILE} from a copy, or move it away, with its -journal file if there is one: then the IDs in the "
    "wrangler files are unknown, and the next apply uploads the declared certificates again"
)
_DISK = "free some disk space, then run again; nothing was stored in part"
_ACCESS = f"let this user read and write {STORE_FILE} and its folder"

# By primary result code (https://www.sqlite.org/rescode.html): our code, what happened, what to do.
_WORDS: dict[int, tuple[Code, str, str]] = {
    sqlite3.SQLITE_BUSY: (Code.STORE_LOCKED, "is in use by another process", "run again when that process is done"),
    sqlite3.SQLITE_LOCKED: (Code.STORE_LOCKED, "is in use by another process", "run again when that process is done"),
    sqlite3.SQLITE_FULL: (Code.STORE_FULL, "could not be written: its disk is full", _DISK),
    sqlite3.SQLITE_IOERR: (Code.STORE_IO, "could not be read or written: its disk reports an error", _ACCESS),
    sqlite3.SQLITE_READONLY: (Code.STORE_READ_ONLY, "can't be written", _ACCESS),
    sqlite3.SQLITE_PERM: (Code.STORE_READ_ONLY, "can't be opened", _ACCESS),
    sqlite3.SQLITE_AUTH: (Code.STORE_READ_ONLY, "can't be opened", _ACCESS),
    sqlite3.SQLITE_CANTOPEN: (Code.STORE_UNREADABLE, "can't be opened", _ACCESS),
    sqlite3.SQLITE_CORRUPT: (Code.STORE_DAMAGED, "is damaged", _RESTORE),
    sqlite3.SQLITE_NOTADB: (Code.STORE_DAMAGED, "is not a database", _RESTORE),
    sqlite3.SQLITE_INTERRUPT: (Code.STORE_DAMAGED, "takes far more steps to read than its size explains", _RESTORE),
    sqlite3.SQLITE_TOOBIG: (Code.STORE_DAMAGED, "contains a value that is too large to read", _RESTORE),
}
_UNFINISHED = (
    Code.STORE_READ_ONLY,
    "has an unfinished write of a killed run, which this user can't undo, because the file or its folder is read-only",
    f"run mtlsctl once as a user who may write {STORE_FILE} and its folder",
)


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Turn errors of SQLite and the file system inside the `with` into StoreErrors; others pass through."""
    try:
        yield
    except sqlite3.Error as error:
        raise _from_sqlite(error) from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "unknown error"
        raise store_error(Code.STORE_UNREADABLE, f"can't be used: {reason}", _ACCESS) from error


def store_error(code: Code, what: str, hint: str) -> StoreError:
    """An error about the file of the local store; `what` completes its sentence."""
    return StoreError(f"the local store {STORE_FILE} {what}", hint=hint, where=Place(STORE_FILE), code=code)


def damaged(what: str) -> StoreError:
    """The error for a file that the local store did not write like this; `what` completes its sentence."""
    return store_error(Code.STORE_DAMAGED, what, _RESTORE)


def _from_sqlite(error: sqlite3.Error) -> StoreError:
    # Errors of the sqlite3 module itself, such as text that is not UTF-8, have no code.
    number = getattr(error, "sqlite_errorcode", None)
    if number == sqlite3.SQLITE_READONLY_ROLLBACK:
        return store_error(*_UNFINISHED)
    words = _WORDS.get(number & 0xFF) if isinstance(number, int) else None
    return store_error(*words) if words else damaged("contains something that mtlsctl did not write")


APPLICATION_ID = 0x6D746C73
"""`mtls` in ASCII: `file` and `sqlite3` show it, and the store recognizes its file by it."""

VERSION = 1

SCHEMA = (
    """CREATE TABLE entries (
  id TEXT NOT NULL PRIMARY KEY,
  digest TEXT NOT NULL,
  type TEXT NOT NULL,
  name TEXT NOT NULL,
  ca INTEGER NOT NULL,
  certificates TEXT NOT NULL,
  issuer TEXT NOT NULL,
  serial_number TEXT NOT NULL,
  signature TEXT NOT NULL,
  expires_on TEXT NOT NULL,
  uploaded_on TEXT NOT NULL
)""",
    "CREATE UNIQUE INDEX entries_by_digest ON entries (digest)",
    "CREATE UNIQUE INDEX entries_by_uploaded_on ON entries (uploaded_on)",
    """CREATE TRIGGER entries_stay BEFORE UPDATE ON entries
BEGIN
  SELECT RAISE(ABORT, 'an entry can not be changed');
END""",
)

HYPERDRIVES = """CREATE TABLE hyperdrives (
  config TEXT NOT NULL PRIMARY KEY,
  mtls TEXT NOT NULL
)"""
"""Added with the first Hyperdrive configuration that is updated."""

HOSTNAMES = """CREATE TABLE hostnames (
  zone TEXT NOT NULL,
  ca TEXT NOT NULL,
  names TEXT NOT NULL,
  PRIMARY KEY (zone, ca)
)"""
"""Added with the first hostname that trusts a CA."""

_MAX_ROW_BYTES = 2_000_000
"""Our rows have at most a hundred kilobytes; SQLite would read a gigabyte."""

MOST_ROWS = 30_000
MOST_BYTES = 50_000_000
"""Of all rows together: a committed file of some kilobytes, packed, could have gigabytes."""

_STEPS = 1_000_000
_MOST_STEPS = 50
"""Of a million instructions of SQLite: to list or check as many rows as there may be takes three. A tree of pages that
point to each other has no end."""

_JOURNAL_MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"


def read_rows(connection: sqlite3.Connection, query: str) -> list[tuple[object, ...]]:
    """All rows of a query that reads each row of the file once, a value at most; StoreError if they are too many.

    Rows that share pages are damage: together they have more text than the file has bytes.
    """
    (pages,), (page,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    size, rows = 0, list[tuple[object, ...]]()
    for row in connection.execute(query):
        rows.append(row)
        size += sum(len(value) for value in row if isinstance(value, (str, bytes)))
        if size > pages * page:
            raise damaged("has rows that share their content")
        if size > MOST_BYTES or len(rows) > MOST_ROWS:
            raise damaged(
                f"has more than {MOST_ROWS:,} certificates, or more than {MOST_BYTES // 1_000_000} MB of them"
            )
    return rows


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    """Whether a table is there that is made only when it is needed."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone() is not None


class ReadableDatabase(Protocol):
    """A database that can be read. A connection lasts as long as the `with`; every error in it becomes a StoreError."""

    def reading(self) -> contextlib.AbstractContextManager[sqlite3.Connection | None]:
        """A connection that can't write, None if nothing was ever stored. Creates nothing."""


class Database(ReadableDatabase, Protocol):
    """A database that can be read and written."""

    def writing(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        """A connection in an exclusive write transaction: committed at the end, rolled back by an exception."""


class MemoryDatabase:
    """A database that lasts as long as this object, for tests, simulations and the emulator. For one thread at a time.

    It can be any thread: the garbage collector closes an unused database in whatever thread it runs.
    """

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._connection.close)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """As in `Database`."""
        with in_words():
            yield self._connection if _is_store(self._connection) else None

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """As in `Database`."""
        with in_words(), _transaction(self._connection):
            yield self._connection


class FileDatabase:
    """`.mtlsctl/store.db` in `root`, shared by any number of processes. Keeps nothing open between two uses.

    The rollback journal (instead of write-ahead logging) keeps it a single file that can be copied, and lets a reader
    work on a read-only file system. `timeout_s` is how long to wait for another process.
    """

    def __init__(self, root: Path, *, timeout_s: float = 10.0) -> None:
        self._path = root.absolute() / STORE_FILE
        self._folder = self._path.parent
        self._timeout_s = timeout_s

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """As in `Database`. The unfinished write of a killed process is undone first, as every SQLite reader must."""
        with in_words():
            if not self._exists():
                yield None
                return
            with self._connect("ro") as connection:
                yield connection if self._recovered(connection) else None

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """As in `Database`. Creates the folder, which git ignores, and the file, readable by this user only."""
        with in_words():
            if not self._exists():
                self._create()
            with self._connect("rw") as connection:
                connection.execute("PRAGMA journal_mode = DELETE")
                connection.execute("PRAGMA synchronous = FULL")
                with _transaction(connection):
                    yield connection
                _log.info(FileTouched(FileAction.WRITTEN, str(self._path)))

    def _exists(self) -> bool:
        """True if the file exists and may be opened; StoreError if something else is in its place."""
        if not _is_kind(self._folder, stat.S_ISDIR) or not _is_kind(self._path, stat.S_ISREG):
            return False
        # Only SQLite may open the database itself: closing it elsewhere in this process would drop SQLite's locks.
        journal = self._path.with_name(f"{self._path.name}-journal")
        if _is_kind(journal, stat.S_ISREG) and _names_another_file(journal):
            raise damaged("has a journal that another program wrote")
        return True

    def _create(self) -> None:
        with _refusals():
            make_folder(self._folder.parent)
        create_file(self._path, b"", 0o600)
        self._exists()

    @contextlib.contextmanager
    def _connect(self, mode: str) -> Iterator[sqlite3.Connection]:
        uri = f"{self._path.as_uri()}?mode={mode}"
        opened = sqlite3.connect(uri, uri=True, timeout=self._timeout_s, isolation_level=None)
        with contextlib.closing(opened) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_ROW_BYTES)
            steps = count()
            connection.set_progress_handler(lambda: next(steps) >= _MOST_STEPS, _STEPS)
            yield connection

    def _recovered(self, reader: sqlite3.Connection) -> bool:
        """As `_is_store`, after undoing the write of a killed process, which a read-only connection can't do itself."""
        try:
            return _is_store(reader)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
        with self._connect("rw") as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return _is_store(reader)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _is_store(connection):
            for statement in (*SCHEMA, f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {VERSION}"):
                connection.execute(statement)
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _is_store(connection: sqlite3.Connection) -> bool:
    """True for a store of this version, False for an empty file, StoreError for anything else."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
    found = {sql for (sql,) in connection.execute(query)}
    if not found and (application, version) == (0, 0):
        return False
    if application == APPLICATION_ID and version > VERSION:
        newer = f"was written by a newer mtlsctl (format {version}; this one knows {VERSION})"
        raise store_error(Code.STORE_NEWER, newer, "update mtlsctl on this machine")
    if application != APPLICATION_ID or version != VERSION or found - {HYPERDRIVES, HOSTNAMES} != set(SCHEMA):
        raise damaged("is a database, but not one that mtlsctl wrote")
    return True


def _is_kind(path: Path, kind: Callable[[int], bool]) -> bool:
    """True if the path exists and is of this kind, False if nothing is there; StoreError for a link or another kind."""
    with _refusals():
        return stands(path, kind)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except FileError as error:
        if error.code is Code.FOLDER_WRITABLE:
            raise StoreError(error.message, hint=error.hint, where=error.where, code=error.code) from error
        raise damaged(f"can't be used: {error.message}") from error


def _names_another_file(journal: Path) -> bool:
    """True if undoing this journal would make SQLite read or delete a file that the journal names.

    Transactions over several databases have such journals (https://www.sqlite.org/fileformat2.html, section 3); this
    store never writes one, so it came with the checkout.
    """
    try:
        with journal.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(_JOURNAL_MAGIC)))
            return size > len(_JOURNAL_MAGIC) and file.read() == _JOURNAL_MAGIC
    except FileNotFoundError:
        return False  # its writer has just finished
