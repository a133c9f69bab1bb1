"""The tables of mtlsctl in the database, in a schema of their own: made and brought up to date by one command."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.postgres.connection import SCHEMA, Connection

_LOCK = 6_027_431_955
"""An arbitrary number, so that two upgrades wait for each other."""

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
)


def has_budgets(connection: Connection) -> bool:
    """Whether the tables of rate budgets were made. Another process may still be making others."""
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{SCHEMA}.call",)).fetchone()
    return row is not None and bool(row[0])


def upgrade(connection: Connection) -> tuple[str, ...]:
    """Bring the tables up to date, and name what was done."""
    done: list[str] = []
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if connection.execute("SELECT to_regnamespace(%s) IS NULL", (SCHEMA,)).fetchone() == (True,):
            connection.execute(
                f"CREATE SCHEMA {SCHEMA}"
            )  # IF NOT EXISTS would need the right to do it even if it exists
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
        )
        known = {str(row[0]) for row in connection.execute("SELECT name FROM migration")}
        for name, commands in _MIGRATIONS:
            if name not in known:
                connection.execute(commands)
                connection.execute("INSERT INTO migration (name) VALUES (%s)", (name,))
                done.append(name)
    return tuple(done)
