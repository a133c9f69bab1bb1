"""What a fleet remembers of its stacks, for all of its workers; and which stacks are paused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

from reconciler.model.fleet import Pause, Queue, StackKey, StackRow
from reconciler.postgres.budget import HANDED_OUT, WINDOW_S
from reconciler.postgres.connection import Connection, SharedConnection
from reconciler.postgres.engine import Pace, Queues
from reconciler.postgres.history import NOT_DONE
from reconciler.records.fleet import read_record, record_text

_QUEUE = """
WITH alive AS (
  SELECT id FROM procrastinate_workers WHERE last_heartbeat > clock_timestamp() - make_interval(secs => %(dead)s)
), job AS (
  SELECT status, worker_id, greatest(scheduled_at, at) AS since
  FROM procrastinate_jobs
  JOIN procrastinate_events ON job_id = procrastinate_jobs.id AND type = 'deferred'
  WHERE queue_name = %(queue)s
), due AS (SELECT since FROM job WHERE status = 'todo' AND since <= clock_timestamp())
SELECT
  (SELECT count(*) FROM worker
   WHERE fleet = %(fleet)s AND seen > clock_timestamp() - make_interval(secs => %(dead)s)),
  (SELECT count(*) FROM job WHERE status = 'doing'),
  (SELECT count(*) FROM due),
  (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(since)), 0)::float8 FROM due),
  (SELECT count(*) FROM job WHERE status = 'doing' AND coalesce(worker_id, 0) NOT IN (SELECT id FROM alive)),
  (SELECT count(*) FROM run
   WHERE fleet = %(fleet)s AND outcome = 'lost' AND begun > clock_timestamp() - interval '1 day'),
  (SELECT coalesce(extract(epoch FROM max(ended - begun)), 0)::float8 FROM run
   WHERE fleet = %(fleet)s AND kind = 'act' AND outcome <> ALL(%(not_done)s)
     AND begun > clock_timestamp() - interval '1 day')"""
_LATER = """
SELECT task_name, args ->> 'key', scheduled_at FROM procrastinate_jobs
WHERE queue_name = %(queue)s AND status = 'todo' AND scheduled_at > clock_timestamp()"""
_BUDGETS = """
SELECT name, (
  SELECT count(*) FROM call WHERE budget = name AND at > clock_timestamp() - make_interval(secs => %s)
), (
  SELECT greatest(extract(epoch FROM max(at) - clock_timestamp()), 0)::float8 FROM call WHERE budget = name
) FROM budget ORDER BY name"""


class PostgresRecord:
    """The port `FleetRecord`. Workers lock the accounts that they work on, so a record needs no lock of its own."""

    def __init__(self, url: str, fleet: str) -> None:
        """Connects to nothing yet."""
        self._fleet = fleet
        self._database = SharedConnection(url)

    def rows(self) -> Sequence[StackRow]:
        """As `FleetRecord`."""
        question = "SELECT record FROM stack WHERE fleet = %s ORDER BY stack, account"
        found = self._database.run(lambda one: one.execute(question, (self._fleet,)).fetchall())
        return [row for (text,) in found for row in read_record(text.encode(), "the database", self._fleet)]

    def put(self, rows: Iterable[StackRow], *, leave_out: Iterable[StackKey] = ()) -> None:
        """As `FleetRecord`."""
        texts = [(*row.key, self._fleet, record_text(self._fleet, [row]).decode()) for row in rows]
        gone = [(*key, self._fleet) for key in leave_out]

        def write(connection: Connection) -> None:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO stack (account, stack, fleet, record) VALUES (%s, %s, %s, %s)"
                    " ON CONFLICT (fleet, account, stack) DO UPDATE SET record = excluded.record",
                    texts,
                )
                cursor.executemany("DELETE FROM stack WHERE account = %s AND stack = %s AND fleet = %s", gone)

        self._database.run(write)

    def later(self) -> Mapping[tuple[str, str], datetime]:
        """As `FleetRecord`."""
        asked = {"queue": Queues(self._fleet).jobs}
        found = self._database.run(lambda one: one.execute(_LATER, asked).fetchall())
        return {(kind, key): time for kind, key, time in found}

    def queue(self) -> Queue:
        """As `FleetRecord`. Its budgets are those of all fleets of the database, which share them."""

        def read(connection: Connection) -> Queue:
            asked = {
                "fleet": self._fleet,
                "queue": Queues(self._fleet).jobs,
                "dead": Pace().dead_s,
                "not_done": [*NOT_DONE, "lost"],
            }
            facts = connection.execute(_QUEUE, asked).fetchone()
            budgets = connection.execute(_BUDGETS, (WINDOW_S,)).fetchall()
            workers, running, waiting, oldest_s, stalled, lost, longest_s = facts or (0, 0, 0, 0.0, 0, 0, 0.0)
            left = {name: max(HANDED_OUT - used, 0) for name, used, _ in budgets}
            waits = {name: wait_s or 0.0 for name, _, wait_s in budgets}
            return Queue(workers, running, waiting, oldest_s, stalled, lost, longest_s, left, waits)

        return self._database.run(read)

    def locked(self) -> AbstractContextManager[None]:
        """As `FleetRecord`: nothing, because each account has a lock."""
        return nullcontext()

    # --- pauses -------------------------------------------------------------------------------------------------------

    def pauses(self) -> dict[StackKey, Pause]:
        """The stacks that are paused now."""
        question = """
            SELECT account, stack, until, why FROM pause WHERE fleet = %s AND until > clock_timestamp()"""
        found = self._database.run(lambda one: one.execute(question, (self._fleet,)).fetchall())
        return {(account, stack): Pause(until, why) for account, stack, until, why in found}

    def pause(self, key: StackKey, pause: Pause) -> None:
        """Pause a stack; one that is paused already has the new time and reason."""
        values = (*key, self._fleet, pause.until, pause.why)
        command = """
            INSERT INTO pause (account, stack, fleet, until, why) VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (fleet, account, stack) DO UPDATE SET until = excluded.until, why = excluded.why"""
        self._database.run(lambda one: one.execute(command, values))

    def resume(self, key: StackKey) -> bool:
        """Whether the stack was paused."""
        command = """
            DELETE FROM pause WHERE account = %s AND stack = %s AND fleet = %s AND until > clock_timestamp()"""
        return self._database.run(lambda one: one.execute(command, (*key, self._fleet)).rowcount) > 0

    def close(self) -> None:
        """Close the connection."""
        self._database.close()
