"""`fleet worker` and what people ask of workers: trigger, pause, resume, history, and the tables of the database."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

import typer

from reconciler.cli.fleet import FleetCommand, WorkerRequest
from reconciler.cli.session import Session, moment
from reconciler.cli.terminal import TEXT, say
from reconciler.findings.codes import Code
from reconciler.findings.errors import LockedError, ReconcilerError, UsageError
from reconciler.findings.escape import printable
from reconciler.model.engine import Done, Duty
from reconciler.model.fleet import StackKey
from reconciler.runs.budget import DATABASE_URL, extra_missing
from reconciler.runs.fleet.children import Children
from reconciler.runs.fleet.opened import FleetMember, OpenedFleet
from reconciler.runs.fleet.work import (
    ACT,
    LOOK,
    Schedule,
    SharedDesk,
    account_of_key,
    act_key,
    do_job,
    look_key,
    withheld,
)
from reconciler.runs.operator import demand_merged
from reconciler.stores import StoreContext
from reconciler.system.clock import SystemClock
from reconciler.views.text.layout import Cell, table

try:
    from reconciler.postgres.budget import PostgresBudget
    from reconciler.postgres.connection import connect
    from reconciler.postgres.engine import PostgresEngine
    from reconciler.postgres.history import History, RecordedJob
    from reconciler.postgres.lock import locked
    from reconciler.postgres.record import Pause, PostgresRecord
    from reconciler.postgres.schema import upgrade
except ModuleNotFoundError as error:
    raise extra_missing("`mtlsctl fleet worker`", error) from error


def database_url(environ: Mapping[str, str]) -> str:
    """The address of the database. ReconcilerError if it is not set."""
    url = environ.get(DATABASE_URL)
    if not url:
        hint = f"set {DATABASE_URL} to its address, such as postgresql://mtlsctl@db.example/mtlsctl"
        raise ReconcilerError(
            f"workers need a PostgreSQL, but {DATABASE_URL} is not set", hint=hint, code=Code.DATABASE
        )
    return url


def open_record(opened: OpenedFleet) -> PostgresRecord:
    """What the workers of a fleet remember."""
    return PostgresRecord(database_url(os.environ), opened.fleet.name)


def paused(opened: OpenedFleet) -> Mapping[StackKey, str]:
    """The stacks of a fleet that are paused, each with the reason."""
    with closing(open_record(opened)) as record:
        return {key: f"paused until {one.until:%Y-%m-%d %H:%M} UTC: {one.why}" for key, one in record.pauses().items()}


def open_desk(opened: OpenedFleet, context: StoreContext, demand: Callable[[], None] = lambda: None) -> SharedDesk:
    """Connections with the rate budgets that all processes share. `demand`: raises LockedError once a lock is lost."""
    url = database_url(os.environ)
    return SharedDesk(opened, os.environ, context, open_budget=partial(PostgresBudget, url), demand=demand)


def run_worker_command(
    session: Session, command: FleetCommand, request: WorkerRequest, open_fleet: Callable[[], OpenedFleet]
) -> NoReturn:
    """Do it, and end the command."""
    if session.format != TEXT:
        raise UsageError(f"`fleet {command}` prints text alone", hint="leave out `--format`")
    url = database_url(os.environ)
    match command:
        case FleetCommand.DATABASE:
            if list(request.words) != ["upgrade"]:
                raise UsageError("`fleet database` needs a word", hint="write `mtlsctl fleet database upgrade`")
            _upgrade(url)
        case FleetCommand.WORKER if request.job is not None:
            _demand_words(command, request, 1)
            _do_job(session, url, open_fleet(), request.job, request.words[0])
        case FleetCommand.WORKER:
            _demand_words(command, request, 0)
            _work(session, url, open_fleet)
        case _:
            _demand_words(command, request, 1)
            opened = open_fleet()
            _about_stack(session, command, url, opened, _named(opened, request.words[0]), request)
    raise typer.Exit(0)


def _demand_words(command: FleetCommand, request: WorkerRequest, number: int) -> None:
    if len(request.words) != number:
        needs = "needs the name of one stack" if number else "takes no name"
        raise UsageError(f"`fleet {command}` {needs}", hint="run `mtlsctl fleet --help`")


def _named(opened: OpenedFleet, name: str) -> FleetMember:
    """The stack with this name, or with this file. UsageError if there is none, or several."""
    found = [one for one in opened.members if name in (one.member.stack, one.file) and one.key is not None]
    if len(found) != 1:
        what = "no stack" if not found else f"{len(found)} stacks"
        raise UsageError(f"the fleet has {what} with the name {name!r}", hint="name its file; see `mtlsctl fleet list`")
    return found[0]


def _upgrade(url: str) -> None:
    with connect(url) as connection:
        done = upgrade(connection)
    for one in done:
        say(f"done: {one}")
    say(f"The tables are up to date{'' if done else ' already'}.")


# --- one stack ------------------------------------------------------------------------------------------------------


def _about_stack(
    session: Session, command: FleetCommand, url: str, opened: OpenedFleet, one: FleetMember, request: WorkerRequest
) -> None:
    assert one.key is not None  # noqa: S101 - as `_named` gives it
    name = printable(one.member.stack or one.file)
    with closing(PostgresRecord(url, opened.fleet.name)) as record:
        match command:
            case FleetCommand.TRIGGER:
                with closing(PostgresEngine(url)) as engine:
                    engine.cancel(ACT, act_key(one.key))  # it may wait for a later time
                    engine.defer(ACT, act_key(one.key))
                say(f"A worker checks {name} next, and does what is allowed (act = {one.act}).")
            case FleetCommand.PAUSE:
                pause = _pause_of(request, SystemClock().now())
                record.pause(one.key, pause)
                say(f"Nothing is done to {name} until {pause.until:%Y-%m-%d %H:%M} UTC. It is still checked.")
            case FleetCommand.RESUME:
                was = record.resume(one.key)
                say(f"{name} is no longer paused." if was else f"{name} was not paused.")
            case _:
                with closing(History(url)) as history:
                    runs = history.of(act_key(one.key), look_key(one))
                for line in _history_lines(runs, record.pauses().get(one.key), session.width(sys.stdout)):
                    say(line)


def _pause_of(request: WorkerRequest, now: datetime) -> Pause:
    if request.until is None or not (request.why or "").strip():
        hint = 'write `mtlsctl fleet pause STACK --until 2027-01-31 --why "..."`'
        raise UsageError("a pause needs an end and a reason", hint=hint)
    until = moment(request.until)
    if until <= now:
        raise UsageError(f"{request.until} is past", hint="give a later time, in UTC")
    return Pause(until, request.why or "")


def _history_lines(runs: Sequence[RecordedJob], pause: Pause | None, width: int | None) -> list[str]:
    lines = []
    if pause is not None:
        lines.append(f"Paused until {pause.until:%Y-%m-%d %H:%M} UTC: {printable(pause.why)}")
    if not runs:
        return [*lines, "No worker did anything for it yet."]
    rows = [[Cell(word) for word in ("BEGUN (UTC)", "JOB", "TOOK", "OUTCOME", "WORKER", "")]]
    for one in runs:
        took = f"{(one.ended - one.begun).total_seconds():.0f} s" if one.ended is not None else "-"
        said = (one.message.splitlines() or [""])[0]
        words = (f"{one.begun:%Y-%m-%d %H:%M:%S}", one.kind, took, one.outcome or "running", one.worker, said)
        rows.append([Cell(printable(word)) for word in words])
    return [*lines, *table(rows, width, indent="")]


# --- a worker -------------------------------------------------------------------------------------------------------


def _work(session: Session, url: str, open_fleet: Callable[[], OpenedFleet]) -> None:
    """Do jobs until asked to end."""
    demand_merged(os.environ, "fleet worker")
    opened = open_fleet()
    program = [sys.executable, "-P", "-m", "reconciler"]  # -P: never a folder `reconciler` of the place where it runs
    command = [*program, "--file", str(opened.file.path), "fleet", "worker", "--job"]
    tell = _log(session)
    children = Children(
        command, os.environ, Path.cwd(), tell, withheld=lambda kind, key: withheld(open_fleet(), kind, key)
    )
    with closing(PostgresEngine(url)) as engine, closing(History(url)) as history:
        record = PostgresRecord(url, opened.fleet.name)
        schedule = Schedule(engine, record, partial(history.latest, ACT), record.pauses)

        def add_due(now: datetime) -> None:
            """Add what is due. fleet.toml is read again each time, so a change of it counts at once."""
            with suppress(LockedError), locked(url, f"fleet {opened.fleet.name}, schedule"):  # another worker does it
                schedule.add(open_fleet(), now)

        def look(key: str) -> Done:
            done = children.handler(LOOK)(key)
            add_due(SystemClock().now())  # the acts that it found
            return done

        at_once = opened.fleet.concurrency
        add_due(SystemClock().now())  # fails at once without a database
        tell(f"working for the fleet {opened.fleet.name}, {at_once} jobs at once; Ctrl-C ends it")
        handlers = {LOOK: look, ACT: children.handler(ACT)}
        engine.work(handlers, at_once, Duty(add_due, children.stop, tell))
        record.close()


def _log(session: Session) -> Callable[[str], None]:
    def tell(text: str) -> None:
        session.tell(printable(text))

    return tell


def _do_job(session: Session, url: str, opened: OpenedFleet, kind: str, key: str) -> NoReturn:
    """One job, in the child of a worker, under the lock of its account."""
    if kind not in (LOOK, ACT):
        raise UsageError(f"{kind!r} is not a kind of job", hint="this command is for `mtlsctl fleet worker`")
    with locked(url, f"fleet {opened.fleet.name}, account {account_of_key(key)}") as demand:
        desk = open_desk(opened, StoreContext(os.environ, session.max_wait_s, session.tell), demand)
        with closing(PostgresRecord(url, opened.fleet.name)) as record:
            is_paused = kind == ACT and any(act_key(one) == key for one in record.pauses())
            found = do_job(kind, key, desk, record, may_act=not is_paused, tell=session.tell)
    session.end_with_all(found, None)
