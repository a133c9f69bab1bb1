"""A lock on a key, held by a session of the database: free once the process that holds it is dead, wherever it ran."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from reconciler.findings.errors import LockedError
from reconciler.postgres.connection import Connection, connect

_CLASS = 1_836_344_172
"""The first of the two numbers of each lock, so that other users of advisory locks have others."""


@contextmanager
def locked(url: str, key: str, wait_s: float = 0.0) -> Iterator[Callable[[], None]]:
    """Hold the lock; LockedError if other sessions do for `wait_s` seconds. Who waits first has it first. Gives what
    raises LockedError once the lock is lost."""
    with connect(url) as connection:
        if not _take(connection, key, wait_s):
            raise LockedError(f"another process works on {key}", hint="it is done when that one has ended")

        def demand() -> None:
            try:
                connection.execute("SELECT")
            except psycopg.Error as error:
                message = f"the lock on {key} was lost with the connection to the database"
                raise LockedError(message, hint="run again: completed steps are kept") from error

        yield demand


def _take(connection: Connection, key: str, wait_s: float) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (_CLASS, key)).fetchone()
    if row == (True,) or not wait_s:
        return row == (True,)
    try:
        with connection.transaction():
            connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{wait_s:.0f}s",))
            connection.execute("SET LOCAL statement_timeout = 0")
            connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", (_CLASS, key))
    except psycopg.errors.LockNotAvailable:
        return False
    return True
