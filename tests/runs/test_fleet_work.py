"""What becomes a job of a fleet's workers: what is due, and what may be done; not more than is allowed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from reconciler.findings.errors import InputError, LockedError
from reconciler.model import Action
from reconciler.model.declared import Act
from reconciler.model.engine import Duty, Handler, Job
from reconciler.model.fleet import Acted, ActState, Credential, Look, LookState, Pause, SecretPlace, StackKey, StackRow
from reconciler.runs.fleet.opened import OpenedFleet, open_fleet, read_fleet_file
from reconciler.runs.fleet.record import FileRecord, state_file
from reconciler.runs.fleet.work import (
    MAX_AGE,
    KeptFleet,
    Schedule,
    SharedDesk,
    act_key,
    budget_name,
    do_job,
    prepare,
    withheld,
)
from reconciler.stores import StoreContext
from tests.support.estates import ACCOUNTS, TOKENS, Estate, make_estate
from tests.support.trees import git

NOW = datetime(2026, 11, 29, 12, 30, tzinfo=UTC)
RETIRE = {Action.RETIRE: 1}


@dataclass
class FakeEngine:
    """Keeps what is added."""

    jobs: list[tuple[str, str]] = field(default_factory=list)
    begun: Sequence[Job] = ()

    def defer(self, kind: str, key: str, not_before: datetime | None = None, *, first: bool = False) -> bool:
        self.jobs.append((kind, key))
        return True

    def cancel(self, kind: str, key: str) -> bool:
        raise AssertionError

    def running(self) -> Sequence[Job]:
        return self.begun

    def waiting(self) -> Sequence[Job]:
        return ()

    def stalled(self) -> Sequence[Job]:
        raise AssertionError

    def work(self, handlers: Mapping[str, Handler], at_once: int, duty: Duty) -> None:
        raise AssertionError


@dataclass
class FakeRecord:
    """Has these rows."""

    known: Sequence[StackRow] = ()

    def rows(self) -> Sequence[StackRow]:
        return self.known

    def put(self, rows: Iterable[StackRow], *, leave_out: Iterable[StackKey] = ()) -> None:
        raise AssertionError

    def later(self) -> Mapping[tuple[str, str], datetime]:
        raise AssertionError

    def queue(self) -> None:
        raise AssertionError

    def pauses(self) -> Mapping[StackKey, Pause]:
        raise AssertionError

    def locked(self) -> nullcontext[None]:
        raise AssertionError


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    """Four stacks in three accounts: two in the first one."""
    with make_estate(tmp_path / "checkout", stacks=4) as made:
        yield made


def opened(estate: Estate) -> OpenedFleet:
    file = read_fleet_file(None, estate.folder)
    return open_fleet(file, cwd=estate.folder, environ=estate.environ, context=StoreContext(estate.environ))


def row(
    number: int, *, changes: Mapping[Action, int] | None = None, act: Acted | None = None, needs: Act | None = None
) -> StackRow:
    """A stack that was looked at just now. `needs`: for what it found; by default what deletions need."""
    account, folder = ACCOUNTS[(number - 1) % 3], ("one", "two", "three")[(number - 1) % 3]
    state = LookState.CHANGES if changes else LookState.OK
    look = Look(NOW, state, changes or {}, needs=needs or (Act.RETIRE if changes else None))
    return StackRow(account, f"s{number}", f"{folder}/s{number}/mtls.toml", look, NOW, act)


def added(
    estate: Estate,
    rows: Sequence[StackRow],
    *,
    begun: Sequence[Job] = (),
    acted: Mapping[str, datetime] | None = None,
    paused: Iterable[StackKey] = (),
    dropped: Iterable[str] = (),
) -> list[tuple[str, str]]:
    """The jobs that are added."""
    engine = FakeEngine(begun=begun)
    schedule = Schedule(
        engine,
        FakeRecord(rows),
        lambda since: {key: time for key, time in (acted or {}).items() if time > since},
        lambda: dict.fromkeys(paused),
        lambda: frozenset(dropped),
    )
    schedule.add(opened(estate), NOW)
    return engine.jobs


ALL = [row(number) for number in (1, 2, 3, 4)]
S1, S4 = f"{ACCOUNTS[0]}/s1", f"{ACCOUNTS[0]}/s4"


def test_stacks_that_are_due_are_looked_at_by_account(estate: Estate) -> None:
    """One job for all stacks of an account; none for what was just looked at."""
    accounts = [("look", f"{account}/{name}") for account, name in zip(ACCOUNTS, ("one", "two", "three"), strict=True)]
    assert added(estate, []) == accounts
    assert added(estate, ALL[1:]) == accounts[:1]
    assert added(estate, ALL) == []


def test_what_waits_or_runs_is_not_added(estate: Estate) -> None:
    """A look that runs will have looked."""
    running = [Job(1, "look", f"{ACCOUNTS[0]}/one"), Job(2, "act", S4)]
    rows = [row(2), row(3), row(4, changes=RETIRE)]
    assert added(estate, rows, begun=running) == []


@pytest.mark.parametrize(
    ("needs", "act", "is_added"),
    [
        (Act.RETIRE, None, True),
        (Act.ROTATE, None, False),
        (None, None, False),
        (Act.RETIRE, Acted(NOW - timedelta(hours=1), Act.RETIRE, ActState.DONE), True),
        (Act.RETIRE, Acted(NOW, Act.RETIRE, ActState.DONE), False),
    ],
    ids=["allowed", "not allowed", "nothing", "acted before the look", "acted since"],
)
def test_an_act_is_added_where_the_last_look_found_something_that_is_allowed(
    estate: Estate, needs: Act | None, act: Acted | None, is_added: bool
) -> None:
    """fleet.toml allows deletions alone."""
    jobs = added(
        estate, [row(1, changes=None if needs is None else {Action.UPLOAD: 1}, needs=needs, act=act), *ALL[1:]]
    )
    assert jobs == ([("act", S1)] if is_added else [])


@pytest.mark.parametrize(
    ("kind", "key", "gets"),
    [
        ("act", S1, {"KEY_1", "TOKEN_0"}),
        ("act", f"{ACCOUNTS[1]}/s2", {"KEY_2", "TOKEN_1"}),
        ("look", f"{ACCOUNTS[0]}/one", {"TOKEN_0"}),
        ("act", f"{ACCOUNTS[0]}/gone", set()),
    ],
)
def test_a_job_gets_the_keys_of_its_stack_and_the_token_of_its_account(
    estate: Estate, kind: str, key: str, gets: set[str]
) -> None:
    """And no other; a look gets no key."""
    secrets = {f"KEY_{number}" for number in range(1, 5)} | {f"TOKEN_{number}" for number in range(3)}
    assert secrets - withheld(opened(estate), kind, key) == gets


def test_nothing_is_tried_again_before_the_next_look_is_due(estate: Estate) -> None:
    """It may have been allowed nothing, as in a window of `deny`."""
    rows = [row(1, changes=RETIRE), *ALL[1:]]
    assert added(estate, rows, acted={S1: NOW - timedelta(minutes=59)}) == []
    assert added(estate, rows, acted={S1: NOW - timedelta(minutes=61)}) == [("act", S1)]


def test_an_act_that_another_worker_dropped_is_added_again(estate: Estate) -> None:
    """It may have been triggered. Not while it waits, and not by a worker that has no such stack either."""
    assert added(estate, ALL, dropped=[S1, f"{ACCOUNTS[0]}/s9"]) == [("act", S1)]
    assert added(estate, ALL, dropped=[S1], begun=[Job(1, "act", S1)]) == []


def test_a_paused_stack_has_no_acts(estate: Estate) -> None:
    """The others have."""
    rows = [row(1, changes=RETIRE), *ALL[1:3], row(4, changes=RETIRE)]
    assert added(estate, rows, paused=[(ACCOUNTS[0], "s1")]) == [("act", S4)]


def test_no_more_stacks_are_changed_in_an_hour_than_max_acts(estate: Estate) -> None:
    """Those that wait or run count, and those that were begun."""
    estate.write("fleet.toml", estate.read("fleet.toml").replace("[defaults]\n", "[defaults]\nmax_acts = 2\n"))
    rows = [row(number, changes=RETIRE) for number in (1, 2, 3, 4)]
    assert len(added(estate, rows)) == 2
    assert len(added(estate, rows, begun=[Job(1, "act", S1)])) == 1
    changed = Acted(NOW - timedelta(minutes=1), Act.RETIRE, ActState.DONE)
    rows[1] = row(2, act=changed)
    assert added(estate, rows, begun=[Job(1, "act", S1)]) == []
    rows[1] = row(2, act=replace(changed, state=ActState.PROPOSED, changed=False))
    assert len(added(estate, rows, begun=[Job(1, "act", S1)])) == 1


def test_stacks_to_which_nothing_is_done_do_not_stop_the_others(estate: Estate) -> None:
    """They leave no act, and take no place of `max_acts`; what was tried comes after what was not."""
    text = estate.read("fleet.toml").replace("[defaults]\n", '[defaults]\nmax_acts = 1\nlook = "30m"\n')
    estate.write("fleet.toml", text)
    rows = [row(number, changes=RETIRE) for number in (1, 2, 3, 4)]
    tried = {act_key(one.key): NOW - timedelta(minutes=ago) for one, ago in zip(rows[:3], (29, 28, 27), strict=True)}
    assert added(estate, rows, acted=tried) == [("act", S4)]


def test_what_was_changed_last_comes_last(estate: Estate) -> None:
    """So that `max_acts` lets no stack wait forever."""
    estate.write("fleet.toml", estate.read("fleet.toml").replace("[defaults]\n", "[defaults]\nmax_acts = 2\n"))
    acts = (timedelta(hours=2), timedelta(hours=3), None, timedelta(hours=4))
    rows = [
        row(number, changes=RETIRE, act=None if ago is None else Acted(NOW - ago, Act.RETIRE, ActState.DONE))
        for number, ago in enumerate(acts, 1)
    ]
    assert [key.partition("/")[2] for _, key in added(estate, rows)] == ["s3", "s4"]


def test_a_window_of_deny_has_no_acts(estate: Estate) -> None:
    """Looks go on."""
    deny = 'deny = [{ cron = "0 12 * * *", for = "1h", zone = "UTC", why = "lunch" }]\n'
    estate.write("fleet.toml", estate.read("fleet.toml").replace("[defaults]\n", f"[defaults]\n{deny}"))
    assert added(estate, [row(1, changes=RETIRE), *ALL[1:3]]) == [("look", f"{ACCOUNTS[0]}/one")]


def test_a_lost_lock_of_the_account_stops_an_act(estate: Estate) -> None:
    """It is asked with the lock of the checkout, before each step."""

    def lost() -> None:
        raise LockedError("lost")

    desk = SharedDesk(opened(estate), estate.environ, StoreContext(estate.environ), hold=lambda _: nullcontext(lost))
    one = desk.opened.members[0]
    lock = desk.project(one, acts=True).lock(command="x", timeout_s=0, waiting=print)
    with lock as held, pytest.raises(LockedError, match="lost"):
        held()


@pytest.mark.parametrize("files", ["one/gone.toml", "gone/*/mtls.toml"])
def test_a_file_that_is_missing_fails_no_job_of_other_stacks(estate: Estate, tmp_path: Path, files: str) -> None:
    """Of the same `[[stacks]]` or of another one: `fleet status` shows the alarm."""
    estate.write("fleet.toml", estate.read("fleet.toml").replace('files = ["one', f'files = ["{files}", "one', 1))
    desk = SharedDesk(opened(estate), estate.environ, StoreContext(estate.environ))
    assert len(desk.opened.problems) == 1
    record = FileRecord(state_file(tmp_path, None), "acme")
    for kind, key in ("act", S1), ("look", f"{ACCOUNTS[1]}/two"):
        done = do_job(kind, key, desk, record, paused={}, tell=lambda _: None)
        assert [(one.stack, one.exit_code) for one in done.results] == [("s1" if kind == "act" else "s2", 2)]
    status = estate.run("fleet", "status")
    assert f"{files!r} matches no file" in status.out + status.err


def test_a_rate_budget_has_the_name_in_the_file_or_one_of_the_token(estate: Estate) -> None:
    """The token can't be told from it; the same token has the same name."""
    asked: list[str] = []
    desk = SharedDesk(opened(estate), estate.environ, StoreContext(estate.environ), open_budget=asked.append)
    for one in desk.opened.members:
        desk.project(one, acts=False)
    assert len(asked) == len(set(asked)) == 3
    assert not any(token in name for token in TOKENS for name in asked)
    named = Credential("one", SecretPlace(env="X"), (), budget="bot")
    assert budget_name(named, "secret") == "bot"


def age(*paths: Path) -> None:
    """Let files be of a minute before: a file of this moment may be changed again unnoticed."""
    for path in paths:
        facts = path.stat()
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns - 60_000_000_000))


def test_a_worker_opens_the_fleet_again_once_a_file_was_changed(estate: Estate) -> None:
    """fleet.toml or the mtls.toml of a stack, but not for each job."""
    count = itertools.count()
    kept = KeptFleet(lambda: (next(count), opened(estate))[1])
    files = [estate.folder / "fleet.toml", *estate.folder.glob("*/*/mtls.toml")]
    age(*files)
    assert kept.get() is kept.get()
    for file in files:
        before = kept.get()
        file.write_text(f"{file.read_text()} ")
        age(file)
        assert kept.get() is not before
        assert kept.get() is kept.get()
    assert next(count) == 1 + len(files)
    files[1].unlink()
    assert files[1] not in [one.path for one in kept.get().members]
    files[0].write_text("version = ")
    with pytest.raises(InputError):
        kept.get()


def test_a_file_that_was_just_changed_is_read_again_for_each_job(estate: Estate) -> None:
    """It may have been changed once more after it was read."""
    kept = KeptFleet(lambda: opened(estate))
    assert kept.get() is not kept.get()


def test_a_job_fetches_the_repositories_of_its_own_stacks(estate: Estate, tmp_path: Path) -> None:
    """The newest commit of these; of others, and in its process, what git said a while ago."""
    remotes = [tmp_path / name for name in ("two", "three")]
    for remote in remotes:
        (estate.folder / remote.name).rename(remote)
        git(remote, "init", "--quiet", "--initial-branch=main")
        git(remote, "add", ".")
        git(remote, "commit", "--quiet", "-m", "x")
        rule = f'git = {{ url = "{remote.as_uri()}" }}\nfiles = ["*/mtls.toml"]'
        estate.write("fleet.toml", estate.read("fleet.toml").replace(f'files = ["{remote.name}/*/mtls.toml"]', rule))
    estate.environ |= {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    file, context = read_fleet_file(None, estate.folder), StoreContext(estate.environ)
    reopen = partial(open_fleet, file, cwd=estate.folder, environ=estate.environ, context=context, max_age=MAX_AGE)
    first = reopen()
    for remote in remotes:
        git(remote, "commit", "--quiet", "--allow-empty", "-m", "y")
    paths = [one.path for one in first.members]
    assert [one.path for one in reopen().members] == paths
    assert "KEY_3" in prepare(first, "act", f"{ACCOUNTS[1]}/s2", estate.environ)
    moved = [one.member.stack for one, path in zip(reopen().members, paths, strict=True) if one.path != path]
    assert moved == ["s2"]
