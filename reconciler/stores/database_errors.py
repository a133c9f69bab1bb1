"""What SQLite and the file system complain about, as StoreErrors that a person can act on."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Place
from reconciler.model.errors import StoreError

STORE_FILE = ".mtlsctl/store.db"
"""The file as users know it, relative to the folder of mtls.toml."""

_ASIDE = (
    f"restore {STORE_FILE} from a copy, or move it away with its -journal, if there is one: then the ids in the "
    "wrangler files are unknown, and the next apply uploads the declared certificates again"
)
_DISK = "free some space on its disk, then run again: nothing was half stored"
_ACCESS = f"make sure that this user may read and write {STORE_FILE} and its folder"

# By primary result code, https://www.sqlite.org/rescode.html: stable code, what happened, what to do.
_WORDS: dict[int, tuple[Code, str, str]] = {
    sqlite3.SQLITE_BUSY: (Code.STORE_LOCKED, "is in use by another process", "run again when that one is done"),
    sqlite3.SQLITE_LOCKED: (Code.STORE_LOCKED, "is in use by another process", "run again when that one is done"),
    sqlite3.SQLITE_FULL: (Code.STORE_FULL, "could not be written: its disk is full", _DISK),
    sqlite3.SQLITE_IOERR: (Code.STORE_IO, "could not be read or written: its disk reports an error", _ACCESS),
    sqlite3.SQLITE_READONLY: (Code.STORE_READ_ONLY, "can't be written", _ACCESS),
    sqlite3.SQLITE_PERM: (Code.STORE_READ_ONLY, "can't be opened", _ACCESS),
    sqlite3.SQLITE_AUTH: (Code.STORE_READ_ONLY, "can't be opened", _ACCESS),
    sqlite3.SQLITE_CANTOPEN: (Code.STORE_UNREADABLE, "can't be opened", _ACCESS),
    sqlite3.SQLITE_CORRUPT: (Code.STORE_DAMAGED, "is damaged", _ASIDE),
    sqlite3.SQLITE_NOTADB: (Code.STORE_DAMAGED, "is no database", _ASIDE),
    sqlite3.SQLITE_TOOBIG: (Code.STORE_DAMAGED, "holds more in one place than can be read", _ASIDE),
}
_UNFINISHED = (
    Code.STORE_READ_ONLY,
    "has an unfinished write of a run that was killed, and can't be written here to undo it",
    f"run once as a user who may write {STORE_FILE} and its folder",
)


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Turn what SQLite and the file system raise inside of the `with` into StoreErrors; others pass."""
    try:
        yield
    except sqlite3.Error as error:
        raise _from_sqlite(error) from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "it can't be used"
        raise store_error(Code.STORE_UNREADABLE, f"can't be used: {reason}", _ACCESS) from error


def store_error(code: Code, what: str, hint: str) -> StoreError:
    """The error that says `what` of the embedded store's file."""
    return StoreError(f"the embedded store {STORE_FILE} {what}", hint=hint, where=Place(STORE_FILE), code=code)


def damaged(what: str) -> StoreError:
    """The error for a file that is not as this store writes it."""
    return store_error(Code.STORE_DAMAGED, what, _ASIDE)


def _from_sqlite(error: sqlite3.Error) -> StoreError:
    # Errors of the sqlite3 module itself, such as text that is no UTF-8, carry no code.
    number = getattr(error, "sqlite_errorcode", None)
    if number == sqlite3.SQLITE_READONLY_ROLLBACK:
        return store_error(*_UNFINISHED)
    words = _WORDS.get(number & 0xFF) if isinstance(number, int) else None
    return store_error(*words) if words else damaged("holds what this store did not write")
