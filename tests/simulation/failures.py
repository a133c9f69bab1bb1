"""How effects fail: what the real edges say when the system or SQLite complains, in their own words."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from functools import cache, partial
from typing import NoReturn

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileError, LockedError
from reconciler.model.errors import EntryInUse, QuotaReached
from reconciler.private.folder import unusable
from reconciler.stores.database import in_words
from reconciler.system.atomic import unwritten
from reconciler.system.confine import unopened as unread

Failure = Callable[[], NoReturn]

_READ = (errno.EIO, errno.EACCES, errno.EMFILE, errno.ENOENT)
_WRITE = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE)


@cache
def reading(path: str) -> tuple[Failure, ...]:
    """A file of the tree can't be read."""
    return tuple(_raise(partial(_unread, path, number)) for number in _READ)


@cache
def writing(path: str) -> tuple[Failure, ...]:
    """A file of the tree can't be replaced; the old one stands."""
    return tuple(_raise(partial(_unwritten, path, number)) for number in _WRITE)


@cache
def private(name: str) -> tuple[Failure, ...]:
    """A file of `.mtlsctl/` can't be used."""
    return tuple(_raise(partial(_unusable, name, number)) for number in _WRITE)


@cache
def locked() -> tuple[Failure, ...]:
    """The lock can't be had, or another run has it."""
    return (*private("lock"), _raise(partial(LockedError, "this checkout is locked by another run")))


@cache
def store_reading() -> tuple[Failure, ...]:
    """The store's file can't be read."""
    return _database(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)


@cache
def store_writing() -> tuple[Failure, ...]:
    """The store's file can't be written; nothing is half stored."""
    return _database(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)


@cache
def store_lost() -> tuple[Failure, ...]:
    """The store did it, and the reply was lost."""
    return _database(sqlite3.SQLITE_IOERR)


@cache
def quota() -> Failure:
    """Others have filled the account."""
    return _raise(partial(QuotaReached, "Hit maximum cert allocation.", number=0))


@cache
def in_use() -> Failure:
    """Something presents the entry."""
    return _raise(partial(EntryInUse, "Certificate is in use", number=1473))


@cache
def missing_key(path: str) -> Failure:
    """The key's file is not there."""
    return _raise(partial(FileError, f"{path!r} does not exist", where=Place(path), code=Code.FILE_MISSING))


def _unread(path: str, number: int) -> FileError:
    return unread(path, OSError(number, "simulated"))


def _unwritten(path: str, number: int) -> FileError:
    return unwritten(OSError(number, "simulated"), Place(path))


def _unusable(name: str, number: int) -> FileError:
    return unusable(name, OSError(number, "simulated"))


def _raise(make: Callable[[], Exception]) -> Failure:
    def fail() -> NoReturn:
        raise make()

    return fail


def _database(*codes: int) -> tuple[Failure, ...]:
    def failure(code: int) -> Failure:
        def fail() -> NoReturn:
            with in_words():
                error = sqlite3.OperationalError("simulated")
                error.sqlite_errorcode = code
                raise error
            raise AssertionError

        return fail

    return tuple(failure(code) for code in codes)
