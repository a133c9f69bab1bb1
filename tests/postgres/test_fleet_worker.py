"""`mtlsctl fleet worker` with a real PostgreSQL, the real program as its children, and the emulator."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self
from unittest import mock

import psycopg
import pytest

from reconciler.emulator.state import RecordedCall
from reconciler.findings.exits import ExitCode
from reconciler.model.fleet import StackRow
from reconciler.postgres.connection import connect
from reconciler.postgres.history import History
from reconciler.postgres.lock import locked
from reconciler.postgres.record import PostgresRecord
from reconciler.postgres.schema import _MIGRATIONS, upgrade
from tests.support.cli import Result
from tests.support.estates import ACCOUNTS, Estate, make_estate
from tests.support.fleet_workers import Works, works
from tests.support.paths import REPOSITORY
from tests.support.postgres import Postgres

ENDED = "SELECT count(*) >= {} FROM mtlsctl.run WHERE kind = '{}' AND outcome NOT IN ('busy', 'handed back')"

IDLE = "SELECT NOT EXISTS (SELECT FROM mtlsctl.procrastinate_jobs WHERE task_name IN ('look', 'act'))"


class Fleet:
    """A fleet of three stacks in three accounts, of which the first has an old certificate to delete."""

    def __init__(self, estate: Estate, made: Works) -> None:
        self.estate, self.works = estate, made
        estate.environ["MTLSCTL_DATABASE_URL"] = made.url

    def run(self, *words: str) -> Result:
        """`mtlsctl fleet ...`."""
        return self.estate.run("fleet", *words)

    def start(self, *options: str) -> None:
        """Start a worker."""
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(self.estate.folder), "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-m", "reconciler", "fleet", "worker", *options]
        where = self.estate.folder
        self.works.workers.append(subprocess.Popen(command, cwd=where, env={**environ, **self.estate.environ}))

    def wait(self, kind: str, number: int) -> None:
        """Return once so many jobs of a kind have ended."""
        self.works.wait_for(ENDED.format(number, kind))


class Frozen:
    """The process of an act on the first stack, which is stopped once its first deletion was made, until the `with`
    ends. `others`: calls for the same account that came meanwhile."""

    def __init__(self, estate: Estate) -> None:
        self.others: list[RecordedCall] = []
        self._pids: list[int] = []
        self._is_there, self._record = threading.Event(), estate.state.record
        estate.state.record = self._note  # type: ignore[method-assign]

    def __enter__(self) -> Self:
        assert self._is_there.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGCONT)
        self._pids.clear()

    def wait_for_signal(self, number: signal.Signals) -> None:
        """Return once the process was sent a signal, which it gets when it goes on."""
        end = time.monotonic() + 60
        while not any(_is_pending(pid, number) for pid in self._pids):
            assert time.monotonic() < end
            os.sched_yield()

    def _note(self, call: RecordedCall) -> None:
        self._record(call)
        if self._pids and ACCOUNTS[0] in call.path:
            self.others.append(call)
        if call.method == "DELETE" and not self._is_there.is_set():
            words = b"\0".join((b"--job", b"act", f"{ACCOUNTS[0]}/s1".encode()))
            found = (path.parent for path in Path("/proc").glob("[0-9]*/cmdline") if words in path.read_bytes())
            self._pids = [int(one.name) for one in found]
            for pid in self._pids:
                os.kill(pid, signal.SIGSTOP)
            self._is_there.set()


def _is_pending(pid: int, number: signal.Signals) -> bool:
    """Whether a process that is stopped has still to get a signal."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return any(line.startswith("ShdPnd") and int(line.split()[1], 16) >> (number - 1) & 1 for line in lines)


@pytest.fixture
def fleet(server: Postgres, url: str, tmp_path: Path) -> Iterator[Fleet]:
    with make_estate(tmp_path / "checkout", stacks=3) as estate, works(server, url, tmp_path) as made:
        estate.outdate("one/s1", 0, 1)
        yield Fleet(estate, made)


def states(fleet: Fleet) -> dict[str, str]:
    """The state of each stack, as the workers remember it."""
    return {one["stack"]: one["state"] for one in fleet.run("status", "--format", "json").json["stacks"]}


def test_workers_check_each_account_and_do_what_is_allowed(fleet: Fleet, capfd: pytest.CaptureFixture[str]) -> None:
    """All of them know what each found; no table, log, metric or page has a secret."""
    assert set(states(fleet).values()) == {"not-checked"}
    fleet.start()
    fleet.start()
    fleet.wait("look", 3)
    fleet.wait("act", 1)
    fleet.works.wait_for(IDLE)
    queue = fleet.run("status", "--format", "json").json["queue"]
    assert (queue["workers"], queue["running"], queue["waiting"], queue["stalled"], queue["lost"]) == (2, 0, 0, 0, 0)
    assert len(queue["budgets"]) == 3
    assert all(900 < left < 1140 for left in queue["budgets"].values())
    assert fleet.works.end() == [0, 0]
    assert fleet.estate.entries(0) == 1
    assert states(fleet) == {"s1": "ok", "s2": "changes", "s3": "changes"}
    with psycopg.connect(fleet.works.url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'mtlsctl'").fetchall()
        texts = [str(connection.execute(f'SELECT * FROM mtlsctl."{name}"').fetchall()) for (name,) in names]  # noqa: S608
    assert len(texts) > 8
    texts += [fleet.run("status", "--format", form).out for form in ("text", "markdown", "html", "prometheus")]
    log = capfd.readouterr().err
    for line in f"look {ACCOUNTS[1]}/two: s2: 1 upload", f"act {ACCOUNTS[0]}/s1: s1: Done: 1 old certificate deleted":
        assert line in log
    texts += [log, fleet.run("history", "s1").out]
    assert not any("canary" in text or "PRIVATE KEY" in text for text in texts)


def test_a_paused_stack_is_checked_and_not_changed(fleet: Fleet) -> None:
    """Until its pause ends; what was done is in its history."""
    assert (
        "Nothing is done to s1 until 2099-01-01"
        in fleet.run("pause", "s1", "--until", "2099-01-01", "--why", "audit").out
    )
    held = fleet.run("run", "--all", "--only", "s1")
    assert ("not done: paused until 2099-01-01 00:00 UTC: audit" in held.out, fleet.estate.entries(0)) == (True, 2)
    fleet.start()
    fleet.wait("look", 3)
    said = fleet.run("trigger", "s1").out
    assert said.startswith("A worker checks s1 next. It changes nothing: paused until 2099-01-01 00:00 UTC: audit.")
    fleet.wait("act", 1)
    assert fleet.estate.entries(0) == 2
    shown = fleet.run("history", "s1").out
    assert "Paused until 2099-01-01 00:00 UTC: audit" in shown
    assert "s1: 1 deletion; not done: paused until 2099-01-01 00:00 UTC: audit" in shown
    _each_format_shows_the_pause(fleet)
    assert fleet.run("resume", "s1").out == "s1 is no longer paused.\n"
    assert "paused" not in fleet.run("status").out
    fleet.run("trigger", "s1")
    fleet.wait("act", 2)
    assert fleet.estate.entries(0) == 1
    history = fleet.run("history", "s1").out.splitlines()
    assert [line.split()[2] for line in history[1:]] == ["act", "act", "look"]
    assert fleet.works.end() == [0]


def test_fleets_of_one_database_count_only_what_is_of_them(fleet: Fleet) -> None:
    """Workers, jobs, histories, and acts for `max_acts`; each metric has the name of its fleet. Budgets are shared."""
    other = ("-f", "beta.toml")
    text = fleet.estate.read("fleet.toml").replace('"acme"', '"beta"').replace("[defaults]", "[defaults]\nmax_acts = 2")
    fleet.estate.write("beta.toml", text)
    fleet.start()
    fleet.wait("act", 1)
    fleet.works.listening.execute(
        "INSERT INTO mtlsctl.run (fleet, job, kind, key, worker, outcome) VALUES ('acme', 0, 'act', 'x', 'y', 'lost');"
        "INSERT INTO mtlsctl.budget VALUES ('bot');"
        "INSERT INTO mtlsctl.call (budget, at) VALUES ('bot', now() + interval '1 hour')"
    )
    assert fleet.run("trigger", "s3", *other).out.splitlines()[-1].startswith("No worker runs now")
    counted = [fleet.run("status", "--format", "json", *words).json["queue"] for words in ((), other)]
    assert [(one["workers"], one["lost"], one["longest_act_s"] > 0) for one in counted] == [(1, 1, True), (0, 0, False)]
    assert all(3500 < one["waits"]["bot"] <= 3600 for one in counted)
    shown = [fleet.run("history", "s1", "--format", "json", *words).json["runs"] for words in ((), other)]
    assert [bool(runs) for runs in shown] == [True, False]
    metrics = [fleet.run("status", "--format", "prometheus", *words).out for words in ((), other)]
    assert 'mtlsctl_fleet_workers{fleet="acme"} 1' in metrics[0]
    samples = [{line.partition("}")[0] for line in one.splitlines() if "fleet=" in line} for one in metrics]
    assert not samples[0] & samples[1]
    assert fleet.works.end() == [0]
    assert fleet.run("status", "--format", "json").json["queue"]["workers"] == 0
    fleet.estate.outdate("two/s2", 1, 2)
    fleet.start(*other)
    fleet.works.wait_for(
        "SELECT EXISTS (SELECT FROM mtlsctl.run WHERE fleet = 'beta' AND key ~ 's2' AND ended > begun)"
    )
    assert fleet.estate.entries(1) == 1
    assert fleet.works.end()[1] == 0


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--all", "--only", "s1"),
        ("worker", "--job", "act", f"{ACCOUNTS[0]}/s1"),
        ("worker", "--job", "act", f"{ACCOUNTS[0]}/s1", "-f", "beta.toml"),
    ],
    ids=["a pass", "a job", "a job of another fleet"],
)
def test_nothing_changes_an_account_that_another_process_works_on(fleet: Fleet, words: tuple[str, ...]) -> None:
    """In whatever checkout, and for whatever fleet of the database."""
    fleet.estate.write("beta.toml", fleet.estate.read("fleet.toml").replace('"acme"', '"beta"'))
    with (
        locked(fleet.works.url, f"account {ACCOUNTS[0]}"),
        mock.patch("reconciler.cli.working.LOCK_TIMEOUT_S", 0.0),
        mock.patch("reconciler.cli.working._LONGEST_WAIT_S", 0.0),
    ):
        result = fleet.run(*words)
    assert "another process works on account 0123456789abcdef0123456789abcdef" in result.out + result.err
    assert (result.code, fleet.estate.entries(0)) == (ExitCode.LOCKED, 2)
    fleet.run(*words)
    assert fleet.estate.entries(0) == 1


def test_a_pass_reads_the_list_again_under_the_lock(fleet: Fleet) -> None:
    """For each stack: another process may have changed the account since it was read for the one before."""
    fleet.estate.stack(0, 4)
    fleet.estate.outdate("one/s4", 0, 4)
    fleet.estate.calls("GET")
    assert fleet.run("run", "--all", "--only", "one/*").code == 0
    assert fleet.estate.entries(0) == 2
    assert fleet.estate.calls("GET") == 3


def test_jobs_of_an_account_wait_for_one_whose_worker_is_frozen(fleet: Fleet) -> None:
    """The one that is done again, and one for another stack: the process of each waits for the lock of the account."""
    fleet.estate.stack(0, 4)
    frozen = Frozen(fleet.estate)
    fleet.start()
    with frozen:
        fleet.works.kill(0, signal.SIGSTOP)
        fleet.works.listening.execute(
            "UPDATE mtlsctl.procrastinate_workers SET last_heartbeat = now() - interval '1 minute'"
        )
        fleet.works.engine.defer("act", f"{ACCOUNTS[0]}/s4", datetime.now(UTC) - timedelta(seconds=1))
        fleet.start()
        fleet.works.wait_for("SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        assert frozen.others == []
    fleet.works.kill(0, signal.SIGCONT)
    fleet.works.wait_for(IDLE)
    assert (fleet.estate.entries(0), fleet.estate.calls("DELETE", "")) == (1, 1)
    assert fleet.works.end() == [0, 0]


def test_a_worker_that_gets_sigterm_has_its_job_end_what_was_sent_and_begin_nothing_more(fleet: Fleet) -> None:
    """The next worker does the rest, and nothing twice."""
    fleet.estate.put("one/s1", 1, 601)
    fleet.estate.apply("one/s1", 0)
    frozen = Frozen(fleet.estate)
    fleet.start()
    with frozen:
        fleet.works.kill(0, signal.SIGTERM)
        frozen.wait_for_signal(signal.SIGTERM)
    assert fleet.works.workers[0].wait(60) == 0
    assert fleet.estate.entries(0) == 2
    fleet.start()
    fleet.works.wait_for("SELECT EXISTS (SELECT FROM mtlsctl.run WHERE kind = 'act' AND outcome = 'done')")
    assert (fleet.estate.entries(0), fleet.estate.calls("DELETE", "")) == (1, 2)
    assert fleet.works.end()[1] == 0


def test_a_fleet_toml_that_is_broken_for_a_while_ends_no_worker(
    fleet: Fleet, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its jobs fail with the reason, and are done once it is mended; and the tables can be upgraded meanwhile. Its log
    says once where it is broken, and what that means."""
    fleet.start()
    fleet.wait("act", 1)
    good = fleet.estate.read("fleet.toml")
    fleet.estate.write("fleet.toml", "version = ")
    fleet.works.engine.defer("act", f"{ACCOUNTS[0]}/s1")
    fleet.works.wait_for(
        "SELECT EXISTS (SELECT FROM mtlsctl.run WHERE outcome = 'failed' AND message ~ 'invalid TOML')"
    )
    fleet.estate.write("fleet.toml", good)
    assert fleet.run("database", "upgrade").code == 0
    fleet.run("trigger", "s1")
    fleet.works.wait_for("SELECT count(*) >= 2 FROM mtlsctl.run WHERE kind = 'act' AND outcome = 'done'")
    assert fleet.works.end() == [0]
    log = capfd.readouterr().err
    for said in "fleet.toml:1:11", "this worker changes nothing until fleet.toml is corrected", "is found again":
        assert log.count(said) == 1, log


def _each_format_shows_the_pause(fleet: Fleet) -> None:
    """Of `fleet status`: until when, and why; metrics have no texts."""
    for form in ("text", "markdown", "html"):
        assert "paused until 2099-01-01 00:00 UTC: audit" in fleet.run("status", "--format", form).out
    found = {one["stack"]: one.get("paused") for one in fleet.run("status", "--format", "json").json["stacks"]}
    assert found == {"s1": {"until": "2099-01-01T00:00:00Z", "why": "audit"}, "s2": None, "s3": None}
    metrics = fleet.run("status", "--format", "prometheus").out
    assert 'mtlsctl_fleet_stack_paused_until_timestamp_seconds{stack="s1",account="shop"} 4070908800' in metrics


@pytest.mark.parametrize(
    ("file", "before", "after", "held"),
    [
        (
            *("fleet.toml", "[defaults]\n"),
            '[defaults]\ndeny = [{ cron = "* * * * *", for = "2h", why = "fair" }]\n',
            "s1: 1 deletion; not done: `deny` at fleet.toml:5:9 holds, and no end was found (fair)",
        ),
        (
            *("one/s1/mtls.toml", 'grace = "0s"'),
            'grace = "0s"\nfreeze = [{ start = "2020-01-01", end = "2099-01-01" }]',
            "not done: changes are frozen until 2099-01-02 00:00 UTC",
        ),
        ("one/s1/mtls.toml", "version = 1", 'fleet.act = "none"\nversion = 1', 'not allowed by `[fleet] act = "none"`'),
        ("one/s1/mtls.toml", "version = 1", "version = 1\nx = 1", "unknown key `x` at the top level"),
    ],
    ids=["deny", "freeze", "none", "broken"],
)
def test_a_worker_says_what_holds_a_stack(fleet: Fleet, file: str, before: str, after: str, held: str) -> None:
    """In its log and the history, with the end if there is one; a trigger says so where fleet.toml holds it."""
    fleet.estate.write(file, fleet.estate.read(file).replace(before, after, 1))
    result = fleet.run("worker", "--job", "act", f"{ACCOUNTS[0]}/s1")
    assert (held in " ".join(result.err.split()), fleet.estate.entries(0)) == (True, 2), result.err
    if file == "fleet.toml":
        said = fleet.run("trigger", "s1").out
        assert "It changes nothing: `deny` at fleet.toml:5:9 holds, and no end was found" in said
        assert said.splitlines()[-1] == "No worker runs now; start one: mtlsctl fleet worker"


def test_the_history_of_a_stack_that_is_not_there_can_be_read(fleet: Fleet) -> None:
    """Until it is forgotten; each command says what is known."""
    fleet.start()
    fleet.wait("act", 1)
    assert fleet.works.end() == [0]
    (fleet.estate.folder / "one/s1/mtls.toml").unlink()
    fleet.estate.write("one/s8/mtls.toml", fleet.estate.read("two/s2/mtls.toml").replace('"s2"', '"s8"'))
    missing = "its mtls.toml was not found any more"
    history = fleet.run("history", "s1")
    assert (history.code, f"s1: {missing}" in history.out, " act " in history.out) == (0, True, True)
    assert f"Note: {missing}" in fleet.run("pause", "s1", "--until", "2099-01-01", "--why", "x").out
    assert fleet.run("resume", "s1").out == "s1 is no longer paused.\n"
    result = fleet.run("trigger", "one/s1/mtls.toml")
    assert (result.code, f"s1 can't be checked: {missing}" in result.err) == (1, True)
    rule = fleet.estate.read("fleet.toml").replace('tags = ["first"]', 'tags = ["first"]\nretired = ["s1"]')
    fleet.estate.write("fleet.toml", rule)
    fleet.run("run", "--all", "--state", "x.json")
    with psycopg.connect(fleet.works.url, autocommit=True) as connection:
        connection.execute("DELETE FROM mtlsctl.stack WHERE stack = 's1'")  # as the next look does
    history = fleet.run("history", "s1")
    assert (history.code, "s1: it is not in the fleet any more" in history.out, " act " in history.out) == (
        0,
        True,
        True,
    )


def test_the_status_shows_when_a_job_that_failed_is_done_again(fleet: Fleet) -> None:
    """No look is added until then. A later act keeps no look from coming first."""
    for kind, key in ("look", f"{ACCOUNTS[0]}/one"), ("act", f"{ACCOUNTS[1]}/s2"):
        fleet.works.engine.defer(kind, key, datetime(2099, 1, 1, tzinfo=UTC))
    found = {one["stack"]: one["due"] for one in fleet.run("status", "--format", "json").json["stacks"]}
    assert [name for name, due in found.items() if due == "2099-01-01T00:00:00Z"] == ["s1"]


def test_the_history_of_a_stack_has_no_looks_at_others_alone(fleet: Fleet) -> None:
    """Of the same account; but those that failed as a whole."""
    fleet.estate.stack(0, 4)
    messages = ["s4: 1 upload", "s4: 1 upload\ns1: no changes", "invalid TOML"]
    with closing(History(fleet.works.url, "acme")) as history:
        for number, message in enumerate(messages):
            history.begin(number, "look", f"{ACCOUNTS[0]}/one", "x")
            history.end(number, "changes", message)
    shown = fleet.run("history", "s1", "--format", "json").json["runs"]
    assert [one["message"] for one in shown] == messages[:0:-1]


@pytest.mark.parametrize("command", ["history", "resume", "trigger"])
def test_a_name_of_two_stacks_needs_the_file_of_one(fleet: Fleet, command: str) -> None:
    """Whichever stack was in that file before."""
    with closing(PostgresRecord(fleet.works.url, "acme")) as record:
        record.put([StackRow(ACCOUNTS[1], "s2", "two/s2/mtls.toml")])
    fleet.estate.write("two/s2/mtls.toml", fleet.estate.read("two/s2/mtls.toml").replace('"s2"', '"s1"'))
    result = fleet.run(command, "s1")
    said = "2 stacks with the name 's1': one/s1/mtls.toml (shop), two/s2/mtls.toml (bbbbbbbb)"
    assert (result.code, said in " ".join(result.err.split())) == (64, True)
    assert fleet.run(command, "two/s2/mtls.toml").code == 0


def test_the_tables_are_made_by_a_command(server: Postgres, tmp_path: Path) -> None:
    """A second time there is nothing to do."""
    with make_estate(tmp_path / "checkout", stacks=1) as estate:
        estate.environ["MTLSCTL_DATABASE_URL"] = server.new_database("by command")
        url = server.url("by%20command")
        estate.environ["MTLSCTL_DATABASE_URL"] = url
        result = estate.run("fleet", "status")
        assert (result.code, "mtlsctl fleet database upgrade" in result.err) == (1, True)
        assert "done: 0004 fleets of jobs" in estate.run("fleet", "database", "upgrade").out
        assert estate.run("fleet", "database", "upgrade").out == "The tables are up to date already.\n"
        assert estate.run("fleet", "status").code in (0, 1, 2)


def test_an_upgrade_gives_what_was_recorded_to_its_fleet(server: Postgres) -> None:
    """By the stack, else by the account; what is of no known fleet belongs to none."""
    with connect(server.new_database("older")) as connection:
        with mock.patch("reconciler.postgres.schema._MIGRATIONS", _MIGRATIONS[:3]):
            upgrade(connection)
        connection.execute("INSERT INTO stack VALUES ('a', 'x', '1', ''), ('b', 'x', '2', ''), ('c', 'y', '1', '')")
        for key in ("x/1", "x/2", "x/credential", "y/credential", "z/1"):
            connection.execute("INSERT INTO run (job, kind, key, worker) VALUES (1, 'act', %s, '')", (key,))
        assert "0004 fleets of jobs" in upgrade(connection)
        found = connection.execute("SELECT key, fleet FROM run ORDER BY number").fetchall()
    assert found == [("x/1", "a"), ("x/2", "b"), ("x/credential", "a"), ("y/credential", "c"), ("z/1", "")]


def test_a_role_without_rights_is_told_which_it_needs(server: Postgres, tmp_path: Path) -> None:
    """And with what it is told, each command works."""
    owner = server.new_database("owned")
    server.run("CREATE ROLE worker LOGIN")
    with make_estate(tmp_path / "checkout", stacks=1) as estate, connect(owner) as connection:

        def said(*words: str) -> str:
            result = estate.run("fleet", *words)
            assert (result.code, "[database]" in result.err) == (1, True), result.err
            return " ".join(result.err.split())

        estate.environ["MTLSCTL_DATABASE_URL"] = server.url("owned", "worker")
        assert '`CREATE SCHEMA mtlsctl AUTHORIZATION "worker"`' in said("database", "upgrade")
        upgrade(connection)
        for words in ("status",), ("worker",), ("database", "upgrade"):
            assert "permission denied for schema mtlsctl" in said(*words)
        hint = said("trigger", "s1").partition("run `")[2].partition("`")[0]
        connection.execute("GRANT USAGE ON SCHEMA mtlsctl TO worker")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA mtlsctl TO worker")
        assert f"run `{hint}`" in said("resume", "s1")
        assert "with the role that owns the schema: postgres" in said("database", "upgrade")
        connection.execute(hint.encode())
        assert estate.run("fleet", "resume", "s1").code == 0
        assert estate.run("fleet", "trigger", "s1").code == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("trigger", "s9"), 64, "no stack with the name 's9'"),
        (("trigger",), 64, "`fleet trigger` needs the name of one stack"),
        (("pause", "s1"), 64, "a pause needs an end and a reason"),
        (("pause", "s1", "--until", "2099-01-01", "--why", " "), 64, "a pause needs an end and a reason"),
        (("pause", "s1", "--until", "2020-01-01", "--why", "x"), 64, "2020-01-01 is past"),
        (("pause", "s1", "--until", "soon", "--why", "x"), 64, "is not a date"),
        (("resume", "s1"), 0, ""),
        (("database",), 64, "write `mtlsctl fleet database upgrade`"),
        (("worker", "s1"), 64, "`fleet worker` takes no name"),
        (("status", "s1"), 64, "`fleet status` takes no name"),
        (("list", "--until", "2099-01-01"), 64, "`fleet list` has no `--until`"),
        (("trigger", "s1", "--why", "x"), 64, "`fleet trigger` has no `--why`"),
        (("worker", "--only", "s1"), 64, "does not select stacks"),
        (("history", "s1", "--format", "html"), 64, "`fleet history` has no format html"),
        (("pause", "s1", "--format", "json"), 64, "`fleet pause` has no format json"),
        (("job", "act", "x/y"), 64, "'job' is not one of 'validate'"),
        (("worker", "--job", "dance", "x/y"), 64, "is not a kind of job"),
        (("worker", "--job", "act", "x/y"), 64, "the fleet has no stack x/y"),
        (("list", "--job", "act"), 64, "`fleet list` has no `--job`"),
    ],
)
def test_wrong_use_is_explained(fleet: Fleet, words: tuple[str, ...], code: int, said: str) -> None:
    """Each says what to write."""
    result = fleet.run(*words)
    assert (result.code, said in result.err) == (code, True), result


def test_without_a_database_workers_say_which_variable_is_missing(tmp_path: Path) -> None:
    """Everything else works."""
    with make_estate(tmp_path / "checkout", stacks=1) as estate:
        result = estate.run("fleet", "worker")
        assert (result.code, "MTLSCTL_DATABASE_URL is not set" in result.err) == (1, True)
        estate.environ["MTLSCTL_DATABASE_URL"] = "postgresql://x@127.0.0.1:1/x"
        result = estate.run("fleet", "worker")
        assert (result.code, "error[database]" in result.err, "working" in result.err) == (1, True, False)
        del estate.environ["MTLSCTL_DATABASE_URL"]
        assert estate.run("fleet", "list").code == 0
