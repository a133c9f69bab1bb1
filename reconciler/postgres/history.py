"""What became of each job of a fleet, for people: kept longer than the engine keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from reconciler.model.engine import RecordedJob
from reconciler.postgres.connection import Connection, SharedConnection

_KEPT_DAYS = 90
_LONGEST = 50_000
NOT_DONE = ("busy", "handed back", "unknown")
"""Outcomes of jobs that are done later, or by other workers."""


class History:
    """The runs of one fleet. Thread-safe; each call may raise ReconcilerError."""

    def __init__(self, url: str, fleet: str) -> None:
        """Connects to nothing yet."""
        self._fleet = fleet
        self._database = SharedConnection(url)

    def begin(self, job: int, kind: str, key: str, worker: str) -> None:
        """Record that a worker begins a job."""

        def write(connection: Connection) -> None:
            connection.execute(
                "INSERT INTO run (fleet, job, kind, key, worker) VALUES (%s, %s, %s, %s, %s)",
                (self._fleet, job, kind, key, worker),
            )
            connection.execute("DELETE FROM run WHERE begun < now() - make_interval(days => %s)", (_KEPT_DAYS,))

        self._database.run(write)

    def end(self, job: int, outcome: str, message: str) -> None:
        """Record what became of it. What is recorded already stays: of a worker that was taken for dead."""
        self._database.run(
            lambda connection: connection.execute(
                "UPDATE run SET ended = clock_timestamp(), outcome = %s, message = %s WHERE job = %s AND ended IS NULL",
                (outcome, message.replace("\0", "")[:_LONGEST], job),
            )
        )

    def of(self, *keys: str, limit: int = 50) -> Sequence[RecordedJob]:
        """The latest runs for these keys, the latest first."""
        question = """
            SELECT kind, key, worker, begun, ended, outcome, message FROM run
            WHERE fleet = %s AND key = ANY(%s) ORDER BY number DESC LIMIT %s"""
        values = (self._fleet, list(keys), limit)
        return [RecordedJob(*row) for row in self._database.run(lambda one: one.execute(question, values).fetchall())]

    def latest(self, kind: str, since: datetime) -> Mapping[str, datetime]:
        """When the latest job of a kind was begun for each key, without jobs that are done later."""
        question = """
            SELECT key, max(begun) FROM run
            WHERE fleet = %s AND kind = %s AND begun > %s AND outcome IS NOT NULL AND outcome <> ALL(%s) GROUP BY key"""
        values = (self._fleet, kind, since, [*NOT_DONE])
        return dict(self._database.run(lambda one: one.execute(question, values).fetchall()))

    def dropped(self, kind: str) -> frozenset[str]:
        """The keys whose latest job of a kind was begun in the last day, by a worker that did not know the key."""
        question = """
            SELECT DISTINCT ON (key) key, coalesce(outcome, '') FROM run
            WHERE fleet = %s AND kind = %s AND begun > now() - interval '1 day' ORDER BY key, number DESC"""
        found = self._database.run(lambda one: one.execute(question, (self._fleet, kind)).fetchall())
        return frozenset(key for key, outcome in found if outcome == "unknown")

    def now(self) -> datetime:
        """The time of the database, which is the same for all workers; aware UTC."""
        row = self._database.run(lambda one: one.execute("SELECT clock_timestamp()").fetchone())
        assert row is not None  # noqa: S101 - it is one row
        time: datetime = row[0]
        return time.astimezone(UTC)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()
