"""The engine on a real PostgreSQL: workers that are killed, frozen, or lose the database, and what becomes of jobs."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.findings.errors import ReconcilerError, UsageError
from reconciler.model.engine import Done, Duty
from reconciler.postgres.engine import PostgresEngine
from reconciler.postgres.history import History
from reconciler.postgres.record import PostgresRecord
from reconciler.runs.fleet.children import Children
from tests.support.fleet_workers import FAST, Works, works
from tests.support.postgres import Postgres

KEYS = ("a", "b", "c", "d")


@pytest.fixture
def fleet(server: Postgres, url: str, tmp_path: Path) -> Iterator[Works]:
    with works(server, url, tmp_path) as made:
        yield made


def begun(number: int) -> str:
    return f"SELECT count(*) >= {number} FROM trial WHERE what = 'begun'"  # noqa: S608


def test_a_job_waits_once_however_often_it_is_added(fleet: Works) -> None:
    """And another key or kind has its own."""
    engine = fleet.engine
    added = [engine.defer(kind, key) for kind, key in (("act", "a"), ("act", "a"), ("look", "a"), ("act", "b"))]
    assert added == [True, False, True, True]
    assert [(one.kind, one.key) for one in engine.waiting()] == [("act", "a"), ("look", "a"), ("act", "b")]
    assert engine.running() == engine.stalled() == []


def test_jobs_of_one_group_run_one_after_the_other(fleet: Works) -> None:
    """In their order, after the one that goes first; other groups run at the same time, and what is for later stops no
    group."""
    fleet.engine.defer("act", "x/0", datetime(2099, 1, 1, tzinfo=UTC))
    for key in ("x/1", "x/2", "y/1"):
        fleet.engine.defer("act", key)
    fleet.engine.defer("act", "x/3", first=True)
    fleet.close_gate()
    fleet.start(2)
    fleet.wait_for(begun(2))
    assert fleet.counted("begun") == {"x/3": 1, "y/1": 1}
    assert len(fleet.engine.running()) == 2
    fleet.open_gate()
    fleet.wait_for("SELECT count(*) = 4 FROM trial WHERE what = 'ended'")
    order = fleet.listening.execute("SELECT key FROM trial WHERE what = 'begun' AND key LIKE 'x%' ORDER BY number")
    assert [key for (key,) in order] == ["x/3", "x/1", "x/2"]
    assert [one.key for one in fleet.engine.waiting()] == ["x/0"]
    assert fleet.end() == [0, 0]


def test_fleets_of_one_database_have_jobs_of_their_own(fleet: Works) -> None:
    """Also of the same key; a worker does those of its fleet, and its own chores."""
    other = PostgresEngine(
        fleet.url, "a name of a fleet that is longer than a channel of PostgreSQL may be: " + "x" * 60
    )
    added = [engine.defer("act", "x/1") for engine in (fleet.engine, other, fleet.engine, other)]
    assert added == [True, True, False, False]
    fleet.start(1)
    fleet.wait_for("SELECT count(*) = 1 FROM mtlsctl.procrastinate_jobs WHERE task_name = 'act'")
    fleet.wait_for("SELECT EXISTS (SELECT FROM trial WHERE what = 'tick')")
    assert fleet.end() == [0]
    assert [[one.key for one in engine.waiting()] for engine in (fleet.engine, other)] == [[], ["x/1"]]
    assert other.cancel("act", "x/1")
    other.close()


def test_a_job_that_waits_can_be_cancelled(fleet: Works) -> None:
    """Once."""
    fleet.engine.defer("act", "a")
    assert [fleet.engine.cancel("act", "a"), fleet.engine.cancel("act", "a")] == [True, False]
    assert fleet.engine.waiting() == []


def test_what_a_killed_worker_did_is_done_by_another_and_once(fleet: Works) -> None:
    """Its children die with it; no job is lost, none is done twice, none at the same time as another of its key."""
    fleet.close_gate()
    for key in KEYS:
        fleet.engine.defer("act", key)
    fleet.start(1)
    fleet.wait_for(begun(2))
    fleet.start(1)
    fleet.wait_for(begun(4))
    fleet.kill(0)
    fleet.wait_for("SELECT count(*) = 2 FROM mtlsctl.procrastinate_jobs WHERE task_name = 'act' AND status = 'todo'")
    fleet.open_gate()
    fleet.wait_until_idle(*KEYS)
    assert fleet.counted("ended") == dict.fromkeys(KEYS, 1)
    assert fleet.counted("overlap") == {}
    assert fleet.end()[1] == 0


def test_a_frozen_worker_that_wakes_overlaps_with_nobody(fleet: Works) -> None:
    """Its child holds the lock until it ends, so the job that was added anew waits for it."""
    fleet.close_gate()
    fleet.engine.defer("act", "a")
    fleet.start(1)
    fleet.wait_for(begun(1))
    fleet.kill(0, signal.SIGSTOP)
    fleet.start(1)
    fleet.wait_for("SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND classid > 0 AND NOT granted")
    assert fleet.counted("begun") == {"a": 1}
    fleet.open_gate()
    fleet.kill(0, signal.SIGCONT)
    fleet.wait_until_idle("a")
    assert fleet.counted("overlap") == {}
    assert fleet.end() == [0, 0]


def test_a_restart_of_the_database_ends_no_worker(fleet: Works) -> None:
    """What ran loses its lock and is done again; nothing is lost."""
    fleet.close_gate()
    for key in KEYS:
        fleet.engine.defer("act", key)
    fleet.start(2)
    fleet.wait_for(begun(3))
    fleet.server.stop()
    fleet.server.start()
    fleet.reconnect()  # the gate is open
    fleet.wait_until_idle(*KEYS)
    assert fleet.counted("ended") == dict.fromkeys(KEYS, 1)
    assert fleet.counted("overlap") == {}
    assert fleet.end() == [0, 0]


def test_a_job_that_ends_while_the_database_is_away_keeps_its_reason(server: Postgres, url: str) -> None:
    """It is done again, and does not count as lost: its worker lives."""
    engine = PostgresEngine(url, "acme", FAST)
    engine.defer("act", "a")
    begun, away = threading.Event(), threading.Event()

    def act(_: str) -> Done:
        if begun.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
            return Done("done")
        begun.set()
        server.stop()
        away.set()
        return Done("failed", "the database was away")

    def tell(said: str) -> None:
        if "beginning again" in said and away.is_set():
            away.clear()
            server.start()

    try:
        engine.work({"act": act}, 1, Duty(tell=tell))
    finally:
        engine.close()
    with closing(History(url, "acme")) as history, closing(PostgresRecord(url, "acme")) as record:
        found = [(one.outcome, one.message) for one in history.of("a")]
        lost = record.queue().lost
    assert (found, lost) == ([("done", ""), ("failed", "the database was away")], 0)


def test_a_worker_ends_at_once_while_the_database_is_away(fleet: Works) -> None:
    """Idle, though its next connection would wait for an hour for a server that does not answer."""
    fleet.url += "?connect_timeout=3600"
    fleet.start(1)
    fleet.wait_for("SELECT EXISTS (SELECT FROM trial WHERE what = 'tick')")
    fleet.server.stop()
    try:
        with socket.create_server(("127.0.0.1", fleet.server.port)) as silent, silent.accept()[0]:
            fleet.workers[0].terminate()
            assert fleet.workers[0].wait(timeout=60) == 0
    finally:
        fleet.server.start()


@pytest.mark.parametrize("is_silent", [False, True], ids=["it refuses", "it is silent"])
def test_a_database_that_is_away_is_told_by_its_first_connection(*, is_silent: bool) -> None:
    """With the reason, or with how long it took."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql://x@127.0.0.1:{server.getsockname()[1]}/x?connect_timeout=2"
        if not is_silent:
            server.close()
        with pytest.raises(ReconcilerError) as caught:
            PostgresEngine(url, "acme").waiting()
    assert ("did not answer within 2 s" if is_silent else "refused") in caught.value.message


@pytest.mark.parametrize("how", ["it fails", "its worker is killed"])
def test_a_failure_while_another_job_waits_wedges_nothing(fleet: Works, how: str) -> None:
    """The one that waits is done; the follow-up is the same."""
    fleet.close_gate()
    fleet.engine.defer("act", "a")
    fleet.start(1)
    fleet.wait_for(begun(1))
    assert fleet.engine.defer("act", "a")
    if how == "it fails":
        fleet.listening.execute("INSERT INTO plan_of_failures VALUES ('a', 1)")
    else:
        fleet.kill(0)
        fleet.start(1)
        fleet.wait_for(begun(2))
    fleet.open_gate()
    fleet.wait_until_idle("a")
    assert fleet.counted("ended") == {"a": 1}
    assert fleet.counted("overlap") == {}
    assert fleet.end()[-1] == 0


def test_of_three_workers_one_does_what_is_due_by_the_clock(fleet: Works) -> None:
    """Each moment once; also after one of them was killed."""
    ticks = "SELECT count(*) >= {} FROM trial WHERE what = 'tick'"
    fleet.start(3)
    fleet.wait_for(ticks.format(3))
    fleet.kill(0)
    before = sum(fleet.counted("tick").values())
    fleet.wait_for(ticks.format(before + 3))
    found = fleet.counted("tick")
    assert set(found.values()) == {1}
    assert max(map(datetime.fromisoformat, found)) - min(map(datetime.fromisoformat, found)) >= timedelta(seconds=5)
    assert fleet.end()[1:] == [0, 0]


def test_a_worker_that_is_asked_to_end_hands_its_jobs_back(fleet: Works) -> None:
    """They are done by the next worker; what they did became nothing worse than interrupted."""
    fleet.close_gate()
    fleet.engine.defer("act", "a")
    fleet.start(1)
    fleet.wait_for(begun(1))
    assert fleet.end() == [0]
    assert [one.key for one in fleet.engine.waiting()] == ["a"]
    fleet.open_gate()
    fleet.workers.clear()
    fleet.start(1)
    fleet.wait_until_idle("a")
    assert (fleet.counted("ended"), fleet.counted("overlap")) == ({"a": 1}, {})


def test_a_job_that_hears_no_signal_is_ended_by_the_second_one(fleet: Works) -> None:
    """And is handed back as others are."""
    Path(fleet.folder, "deaf").touch()
    fleet.close_gate()
    fleet.engine.defer("act", "a")
    fleet.start(1)
    fleet.wait_for(begun(1))
    fleet.workers[0].terminate()
    fleet.wait_for("SELECT EXISTS (SELECT FROM trial WHERE what = 'asked')")
    fleet.workers[0].terminate()
    assert fleet.workers[0].wait(timeout=50) == 0
    assert [one.key for one in fleet.engine.waiting()] == ["a"]


def test_a_job_that_takes_too_long_is_stopped_and_done_again(tmp_path: Path) -> None:
    """Also one that hears no signal, as if it were frozen."""
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('waits', flush=True); signal.pause()"
    command = [sys.executable, "-c", deaf]
    children = Children(command, os.environ, tmp_path, longest_s=0.01, patience_s=0.0, failed_s=7.0)
    assert children.handler("act")("a") == Done("failed", "stopped: it took longer than 0 minutes", 7.0)


def test_the_log_of_a_worker_has_each_line_of_a_job(tmp_path: Path) -> None:
    """With the job, because several run at once."""
    told: list[str] = []
    command = [sys.executable, "-c", "import sys; sys.stderr.write('one: 1 upload\\ntwo: no changes\\n')"]
    Children(command, os.environ, tmp_path, told.append).handler("look")("a/b")
    assert told == ["look a/b: done", "look a/b: one: 1 upload", "look a/b: two: no changes"]


def test_a_job_of_no_stack_is_not_done_again(tmp_path: Path) -> None:
    """A worker with a newer fleet.toml adds it again if it has one."""

    def withheld(kind: str, key: str) -> frozenset[str]:
        raise UsageError(f"the fleet has no stack {key}")

    children = Children(["false"], {}, tmp_path, withheld=withheld)
    assert children.handler("act")("a") == Done("unknown", "the fleet has no stack a")


def test_the_history_tells_what_became_of_each_job(fleet: Works) -> None:
    """The latest first; a job of a dead worker is lost."""
    fleet.close_gate()
    fleet.engine.defer("act", "a")
    fleet.start(1)
    fleet.wait_for(begun(1))
    fleet.kill(0)
    fleet.start(1)
    fleet.wait_for(begun(2))
    fleet.open_gate()
    fleet.wait_until_idle("a")
    history = History(fleet.url, "acme")
    found = history.of("a")
    history.close()
    assert [(one.outcome, one.message) for one in found] == [
        ("done", ""),
        ("lost", "its worker died, or lost the database"),
    ]
    assert all(one.ended is not None and one.ended >= one.begun for one in found)


def test_a_job_counts_as_dropped_until_one_of_its_key_is_done(url: str) -> None:
    """So that a worker that has its stack adds it again."""
    jobs = [("a/x", "unknown"), ("a/y", "done"), ("a/z", "unknown"), ("a/z", "done"), ("a/x", "unknown")]
    with closing(History(url, "acme")) as history, closing(History(url, "other")) as other:
        for number, (key, outcome) in enumerate(jobs):
            history.begin(number, "act", key, "x")
            history.end(number, outcome, "")
        assert history.dropped("act") == {"a/x"}
        assert history.dropped("look") == other.dropped("act") == frozenset()
