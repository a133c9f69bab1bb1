"""The tables of mtlsctl in the database, in a schema of their own: made and brought up to date by one command."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import psycopg
from procrastinate.schema import SchemaManager
from psycopg import sql

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.escape import printable
from reconciler.postgres.connection import SCHEMA, Connection

_LOCK = 6_027_431_955
"""An arbitrary number, so that two upgrades wait for each other."""

_OWNER = "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = %s"

_MIGRATIONS: Sequence[tuple[str, str]] = (
    (
        "0001 rate budgets",
        """
        CREATE TABLE budget (name text PRIMARY KEY, blocked_until timestamptz);
        CREATE TABLE call (
            number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            budget text NOT NULL REFERENCES budget ON DELETE CASCADE,
            at timestamptz NOT NULL,
            is_other boolean NOT NULL DEFAULT false
        );
        CREATE INDEX ON call (budget, at);
        """,
    ),
    (
        "0002 history of jobs",
        """
        CREATE TABLE run (
            number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            job bigint NOT NULL,
            kind text NOT NULL,
            key text NOT NULL,
            worker text NOT NULL,
            begun timestamptz NOT NULL DEFAULT clock_timestamp(),
            ended timestamptz,
            outcome text,
            message text NOT NULL DEFAULT ''
        );
        CREATE INDEX ON run (key, number);
        CREATE INDEX ON run (begun);
        CREATE INDEX ON run (job) WHERE ended IS NULL;
        """,
    ),
    (
        "0003 stacks of fleets",
        """
        CREATE TABLE stack (
            fleet text, account text, stack text, record text NOT NULL, PRIMARY KEY (fleet, account, stack)
        );
        CREATE TABLE pause (
            fleet text, account text, stack text, until timestamptz NOT NULL, why text NOT NULL,
            PRIMARY KEY (fleet, account, stack)
        );
        """,
    ),
    (
        "0004 fleets of jobs",
        """
        ALTER TABLE run ADD COLUMN fleet text NOT NULL DEFAULT '';
        UPDATE run SET fleet = coalesce((
            SELECT fleet FROM stack WHERE account = split_part(key, '/', 1)
            ORDER BY account || '/' || stack.stack = key DESC, fleet LIMIT 1
        ), '');
        CREATE INDEX ON run (fleet, begun);
        CREATE TABLE worker (fleet text, name text, seen timestamptz NOT NULL, PRIMARY KEY (fleet, name));
        """,
    ),
)


def has_budgets(connection: Connection) -> bool:
    """Whether the tables of rate budgets were made. Another process may still be making others."""
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{SCHEMA}.call",)).fetchone()
    return row is not None and bool(row[0])


def upgrade(connection: Connection) -> tuple[str, ...]:
    """Bring the tables up to date, and name what was done; each step is a transaction of its own. ReconcilerError if
    the role of the connection may not do that."""
    try:
        return _upgrade(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        found = connection.execute(_OWNER, (SCHEMA,)).fetchone()
        user = sql.Identifier(connection.info.user).as_string()
        raise ReconcilerError(
            f"the database does not allow this: {printable(error.diag.message_primary or '')}",
            hint=f"let the owner of the database run `CREATE SCHEMA {SCHEMA} AUTHORIZATION {user}`"
            if found is None
            else f"run `mtlsctl fleet database upgrade` with the role that owns the schema: {printable(found[0])}",
            code=Code.DATABASE,
        ) from error


def _upgrade(connection: Connection) -> tuple[str, ...]:
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        if connection.execute("SELECT to_regnamespace(%s) IS NULL", (SCHEMA,)).fetchone() == (True,):
            connection.execute(f"CREATE SCHEMA {SCHEMA}")  # IF NOT EXISTS needs the right to do it even if it exists
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
        )
        known = frozenset(str(row[0]) for row in connection.execute("SELECT name FROM migration"))
        return tuple(_apply(connection, known))
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def _apply(connection: Connection, known: frozenset[str]) -> Iterator[str]:
    for names, commands in (*(((name,), text.encode()) for name, text in _MIGRATIONS), *_of_engine(known)):
        if not known.issuperset(names):
            with connection.transaction():
                connection.execute(commands)
                for name in names:
                    connection.execute("INSERT INTO migration (name) VALUES (%s)", (name,))
            yield names[-1]


def _of_engine(known: Collection[str]) -> Iterator[tuple[Sequence[str], bytes]]:
    """The steps of Procrastinate: its whole schema at first, and after that each of its own migrations."""
    files = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    names = [f"procrastinate {file.stem}" for file in files]
    if not any(name in known for name in names):
        yield names, SchemaManager.get_schema().encode()
        return
    for name, file in zip(names, files, strict=True):
        yield (name,), file.read_bytes()
