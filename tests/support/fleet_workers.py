"""Workers of the engine as processes, whose jobs are processes as well, and what judges them.

A job takes the lock of its key and then works: it waits for the gate, which the test opens. A judge that knows nothing
of the database, a lock of the kernel on a file for each key, says whether two of them ever worked at the same time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from reconciler.postgres.engine import Pace, PostgresEngine
from tests.support.postgres import Postgres

GATE = 4711
_PATIENCE_S = 40
FAST = Pace(beat_s=0.5, dead_s=3.0, poll_s=0.5, janitor="* * * * * *", minute="* * * * * *")

TABLES = """
CREATE TABLE trial (number bigserial PRIMARY KEY, key text, at timestamptz DEFAULT clock_timestamp(), what text);
CREATE TABLE plan_of_failures (key text, left_over int);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('trial', ''); RETURN NULL; END $$;
CREATE TRIGGER tell AFTER INSERT ON trial FOR EACH STATEMENT EXECUTE FUNCTION tell();
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON mtlsctl.run FOR EACH STATEMENT EXECUTE FUNCTION tell();
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON mtlsctl.procrastinate_jobs
  FOR EACH STATEMENT EXECUTE FUNCTION tell();
"""

WORKER = """
import os, sys
from pathlib import Path

import psycopg

from reconciler.model.engine import Duty
from reconciler.postgres.engine import PostgresEngine
from reconciler.runs.fleet.children import Children
from tests.support.fleet_workers import FAST

url, folder, at_once, *command = sys.argv[1:]
tell = lambda text: print(text, file=sys.stderr, flush=True)
children = Children(command, os.environ, Path(folder), tell, busy_s=1.0, failed_s=1.0)


def tick(at):
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO trial (key, what) VALUES (%s, 'tick')", (at.isoformat(),))


PostgresEngine(url, "acme", FAST).work({"act": children.handler("act")}, int(at_once), Duty(tick, children.stop, tell))
"""

CHILD = """
import fcntl, os, signal, sys
from pathlib import Path

import psycopg

from reconciler.findings.errors import LockedError
from reconciler.postgres.lock import locked

url, folder, gate, *command = sys.argv[1:-2]
kind, key = sys.argv[-2:]


def write(connection, what):
    connection.execute("INSERT INTO trial (key, what) VALUES (%s, %s)", (key, what))


try:
    with (
        locked(url, key, 60) as demand,
        psycopg.connect(url, autocommit=True) as connection,
        Path(folder, key.replace("/", "_")).open("a") as judge,
    ):
        if Path(folder, "deaf").exists():
            asked = psycopg.connect(url, autocommit=True)
            signal.signal(signal.SIGTERM, lambda *_: write(asked, "asked"))
        try:
            fcntl.flock(judge, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            write(connection, "overlap")
        write(connection, "begun")
        connection.execute("SELECT pg_advisory_lock_shared(%s)", (int(gate),))
        failing = connection.execute("UPDATE plan_of_failures SET left_over = left_over - 1"
                                     " WHERE key = %s AND left_over > 0 RETURNING 1", (key,)).fetchone()
        if failing:
            sys.exit(1)
        if command:
            from reconciler.cli import main

            os.chdir(Path(folder, "stacks", key))
            sys.argv = ["mtlsctl", *command]
            try:
                main()
            except SystemExit as done:
                if done.code:
                    sys.exit(done.code)
        demand()
        write(connection, "ended")
except LockedError:
    sys.exit(6)
"""


@dataclass
class Works:
    """A database with workers, and what they did."""

    server: Postgres
    url: str
    folder: Path
    at_once: int = 2
    command: Sequence[str] = ()
    engine: PostgresEngine = field(init=False)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = PostgresEngine(self.url, "acme", FAST)
        self.listening = psycopg.connect(self.url, autocommit=True)
        self.listening.execute(TABLES)
        self.listening.execute("LISTEN trial")
        self.gate = psycopg.connect(self.url, autocommit=True)

    def close_gate(self) -> None:
        """Let no job get past its beginning."""
        self.gate.execute("SELECT pg_advisory_lock(%s)", (GATE,))

    def open_gate(self) -> None:
        """Let all jobs pass, those that come too."""
        self.gate.execute("SELECT pg_advisory_unlock(%s)", (GATE,))

    def start(self, number: int) -> None:
        """Start workers."""
        child = [sys.executable, "-c", CHILD, self.url, str(self.folder), str(GATE), *self.command]
        for _ in range(number):
            values = [self.url, str(self.folder), str(self.at_once), *child]
            self.workers.append(subprocess.Popen([sys.executable, "-c", WORKER, *values], stdout=subprocess.DEVNULL))

    def kill(self, worker: int, how: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a worker alone; after SIGKILL wait for its end."""
        self.workers[worker].send_signal(how)
        if how is signal.SIGKILL:
            self.workers[worker].wait()

    def counted(self, what: str) -> dict[str, int]:
        """How often each key has this in its record."""
        rows = self.listening.execute("SELECT key, count(*) FROM trial WHERE what = %s GROUP BY key", (what,))
        return {str(key): int(count) for key, count in rows}

    def wait_for(self, question: str) -> None:
        """Return once a question to the database is answered with true. AssertionError after two minutes."""
        end = time.monotonic() + _PATIENCE_S
        while self.listening.execute(question).fetchone() != (True,):
            left = end - time.monotonic()
            assert left > 0, f"{question}\n{self.told()}"
            list(self.listening.notifies(timeout=left, stop_after=1))

    def wait_until_idle(self, *keys: str) -> None:
        """Return once all of these keys have ended at least once, and no job is left."""
        for key in keys:
            self.wait_for(f"SELECT EXISTS (SELECT FROM trial WHERE key = '{key}' AND what = 'ended')")  # noqa: S608
        self.wait_for("SELECT NOT EXISTS (SELECT FROM mtlsctl.procrastinate_jobs WHERE task_name = 'act')")

    def told(self) -> str:
        """The record, for a failure."""
        rows = self.listening.execute("SELECT at, key, what FROM trial WHERE what <> 'tick' ORDER BY number").fetchall()
        jobs = self.listening.execute("SELECT id, task_name, status, args FROM mtlsctl.procrastinate_jobs").fetchall()
        return "\n".join(map(str, (*rows, *jobs)))

    def reconnect(self) -> None:
        """After a restart of the server."""
        self.listening.close()
        self.gate.close()
        self.listening = psycopg.connect(self.url, autocommit=True)
        self.listening.execute("LISTEN trial")
        self.gate = psycopg.connect(self.url, autocommit=True)

    def end(self) -> list[int]:
        """Ask all workers to end, and give their exit codes."""
        for one in self.workers:
            one.send_signal(signal.SIGCONT)
            one.terminate()
        return [one.wait() for one in self.workers]


@contextlib.contextmanager
def works(server: Postgres, url: str, folder: Path, **settings: object) -> Iterator[Works]:
    """An empty database with the tables of mtlsctl, without workers at first; all of them end with it."""
    made = Works(server, url, folder, **settings)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        for one in made.workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
            one.wait()
        made.engine.close()
        made.listening.close()
        made.gate.close()
