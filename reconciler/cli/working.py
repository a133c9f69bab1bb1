"""`fleet worker` and what people ask of workers: trigger, pause, resume, history, and the tables of the database."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

import typer

from reconciler.cli.fleet import FleetCommand, WorkerRequest
from reconciler.cli.session import Session, moment
from reconciler.cli.terminal import TEXT, say
from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import LockedError, ReconcilerError, UsageError
from reconciler.findings.escape import printable
from reconciler.findings.values import dataclass
from reconciler.model.engine import Done, Duty, RecordedJob, group_of
from reconciler.model.fleet import Pause, StackKey
from reconciler.reports.fleet import LEFT, FleetHistory, line_about
from reconciler.runs.budget import DATABASE_URL, extra_missing
from reconciler.runs.fleet.act import LOCK_TIMEOUT_S
from reconciler.runs.fleet.children import Children
from reconciler.runs.fleet.opened import OpenedFleet
from reconciler.runs.fleet.run import KnownStack, find_stacks, the_one
from reconciler.runs.fleet.work import (
    ACT,
    LOOK,
    KeptFleet,
    Schedule,
    SharedDesk,
    act_key,
    do_job,
    look_key,
    prepare,
)
from reconciler.runs.operator import demand_merged
from reconciler.stores import StoreContext
from reconciler.system.clock import SystemClock
from reconciler.views.text.findings import show_findings
from reconciler.views.text.fleet import pause_text
from reconciler.views.text.stacks import lines_of

try:
    from reconciler.postgres.budget import PostgresBudget
    from reconciler.postgres.connection import connect, explained, settings_of
    from reconciler.postgres.engine import PostgresEngine
    from reconciler.postgres.history import History
    from reconciler.postgres.lock import locked
    from reconciler.postgres.record import PostgresRecord
    from reconciler.postgres.schema import upgrade
except ModuleNotFoundError as error:
    raise extra_missing("`mtlsctl fleet worker`", error) from error


_SHOWN, _SEARCHED = 50, 500
"""How many jobs a history shows, and among how many of the account it looks for them."""

_LONGEST_WAIT_S = 120.0
"""For another job of the account, which is one of a worker that is taken for dead, or one that is done again."""

_ADDING_S = 10.0
"""For what another worker adds. After that, the next minute adds what is due."""


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
        return {key: pause_text(one) for key, one in record.pauses().items()}


def open_desk(opened: OpenedFleet, context: StoreContext, held: Callable[[], None] | None = None) -> SharedDesk:
    """Connections with the rate budgets and the locks that all processes share. `held`: raises LockedError once the
    lock of the account is lost; None: it is not held yet, so each change waits for it."""
    url = database_url(os.environ)

    def hold(account: str) -> AbstractContextManager[Callable[[], None]]:
        return _account_lock(url, account, LOCK_TIMEOUT_S) if held is None else nullcontext(held)

    return SharedDesk(opened, os.environ, context, open_budget=partial(PostgresBudget, url), hold=hold)


def _account_lock(url: str, account: str, wait_s: float) -> AbstractContextManager[Callable[[], None]]:
    """The lock of an account, the same one for all fleets of the database."""
    return locked(url, f"account {account}", wait_s)


def run_worker_command(
    session: Session, command: FleetCommand, request: WorkerRequest, open_fleet: Callable[[], OpenedFleet]
) -> NoReturn:
    """Do it, and end the command."""
    if session.format != TEXT and not (command is FleetCommand.HISTORY and session.can_show(FleetHistory)):
        hint = "use `--format json`, or leave it out" if command is FleetCommand.HISTORY else "leave out `--format`"
        raise UsageError(f"`fleet {command}` has no format {session.format}", hint=hint)
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
            _about_stack(session, command, url, open_fleet(), request)
    raise typer.Exit(0)


def _demand_words(command: FleetCommand, request: WorkerRequest, number: int) -> None:
    if len(request.words) != number:
        needs = "needs the name of one stack" if number else "takes no name"
        raise UsageError(f"`fleet {command}` {needs}", hint="run `mtlsctl fleet --help`")


def _upgrade(url: str) -> None:
    with explained(settings_of(url)), connect(url) as connection:
        done = upgrade(connection)
    for one in done:
        say(f"done: {one}")
    say(f"The tables are up to date{'' if done else ' already'}.")


# --- one stack ------------------------------------------------------------------------------------------------------


def _about_stack(
    session: Session, command: FleetCommand, url: str, opened: OpenedFleet, request: WorkerRequest
) -> None:
    (name,) = request.words
    with closing(PostgresRecord(url, opened.fleet.name)) as record:
        if command is FleetCommand.HISTORY:
            session.show(_history(url, opened, record, name))
            return
        one = the_one(opened, name, find_stacks(opened, record.rows(), name))
        stack = printable(one.stack)
        match command:
            case FleetCommand.TRIGGER:
                _trigger(url, opened, one, record.pauses().get(one.key))
                if not record.queue().workers:
                    say("No worker runs now; start one: mtlsctl fleet worker")
            case FleetCommand.PAUSE:
                pause = _pause_of(request, SystemClock().now())
                record.pause(one.key, pause)
                rest = "It is still checked." if one.message is None else printable(f"Note: {one.message}.")
                say(f"Nothing is done to {stack} until {pause.until:%Y-%m-%d %H:%M} UTC. {rest}")
            case _:
                was = record.resume(one.key)
                say(f"{stack} is no longer paused." if was else f"{stack} was not paused.")


def _trigger(url: str, opened: OpenedFleet, one: KnownStack, pause: Pause | None) -> None:
    """Have a worker check a stack, and say what it may do."""
    stack = printable(one.stack)
    if one.member is None or one.message is not None:
        hint = f"restore or correct {one.file}; `mtlsctl fleet history {one.stack}` shows what was done"
        raise ReconcilerError(f"{one.stack} can't be checked: {one.message}", hint=hint, code=Code.FLEET_STACK_MISSING)
    with closing(PostgresEngine(url, opened.fleet.name)) as engine:
        engine.cancel(ACT, act_key(one.key))  # it may wait for a later time
        engine.defer(ACT, act_key(one.key), first=True)
    denied = opened.deny_text(SystemClock().now())
    if pause is not None:
        held = f"It changes nothing: {pause_text(pause)}. `mtlsctl fleet resume {stack}` ends the pause."
    elif denied is not None:
        held = f"It changes nothing: {denied}."
    else:
        held = f"It does what is allowed (act = {one.member.act})."
    say(f"A worker checks {stack} next. {printable(held)}")


def _history(url: str, opened: OpenedFleet, record: PostgresRecord, name: str) -> FleetHistory:
    """What workers did for a stack, also for one that left the fleet."""
    fleet = opened.fleet
    with closing(History(url, fleet.name)) as history:
        found = find_stacks(opened, record.rows(), name)
        if not found:
            accounts = dict.fromkeys(account for one in fleet.credentials.values() for account in one.accounts)
            left = (KnownStack(account, name, message=LEFT) for account in accounts)
            found = tuple(one for one in left if history.of(act_key(one.key)))
        one = the_one(opened, name, found)
        looks = (
            [look_key(one.account, name) for name in fleet.credentials]
            if one.member is None
            else [look_key(one.account, one.member.rule.credential)]
        )
        names = [one.stack, *(other.member.stack for other in opened.members if other.account == one.account)]
        found_runs = history.of(act_key(one.key), *looks, limit=_SEARCHED)
        runs = tuple(run for run in found_runs if _concerns(run, one.stack, names))[:_SHOWN]
    return FleetHistory(
        fleet=fleet.name,
        stack=one.stack,
        account=one.account,
        alias=fleet.alias(one.account),
        file=one.file,
        runs=runs,
        pause=record.pauses().get(one.key),
        message=one.message,
    )


def _concerns(run: RecordedJob, stack: str, names: Iterable[str | None]) -> bool:
    """Whether a job was about a stack: the act on it, a look that has a line about it, or one that ended before it had
    a line about any of the stacks of the account, of these `names`."""
    if run.kind == ACT or line_about(stack, run.message) is not None:
        return True
    return not any(name is not None and line_about(name, run.message) is not None for name in names)


def _pause_of(request: WorkerRequest, now: datetime) -> Pause:
    if request.until is None or not (request.why or "").strip():
        hint = 'write `mtlsctl fleet pause STACK --until 2027-01-31 --why "..."`'
        raise UsageError("a pause needs an end and a reason", hint=hint)
    until = moment(request.until)
    if until <= now:
        raise UsageError(f"{request.until} is past", hint="give a later time, in UTC")
    return Pause(until, request.why or "")


# --- a worker -------------------------------------------------------------------------------------------------------


def _work(session: Session, url: str, open_fleet: Callable[[], OpenedFleet]) -> None:
    """Do jobs until asked to end."""
    demand_merged(os.environ, "fleet worker")
    fleet = KeptFleet(open_fleet)
    opened = fleet.get()
    fleet.opens = _Watched(session, open_fleet).open
    program = [sys.executable, "-P", "-m", "reconciler"]  # -P: never a folder `reconciler` of the place where it runs
    command = [*program, "--file", str(opened.file.path), "fleet", "worker", "--job"]
    tell = _log(session)
    children = Children(
        command, os.environ, Path.cwd(), tell, withheld=lambda kind, key: prepare(fleet.get(), kind, key, os.environ)
    )
    with closing(PostgresEngine(url, opened.fleet.name)) as engine, closing(History(url, opened.fleet.name)) as history:
        record = PostgresRecord(url, opened.fleet.name)
        schedule = Schedule(engine, record, partial(history.latest, ACT), record.pauses, partial(history.dropped, ACT))

        def add_due(wait_s: float = 0.0) -> None:
            """Add what is due, unless another worker does it for longer than `wait_s`; nothing while fleet.toml is
            broken, which is in the log."""
            try:
                opened = fleet.get()
            except ReconcilerError:
                return
            with suppress(LockedError), locked(url, f"fleet {opened.fleet.name}, schedule", wait_s):
                schedule.add(opened, history.now())

        def look(key: str) -> Done:
            done = children.handler(LOOK)(key)
            try:
                add_due(_ADDING_S)  # the acts that it found, which who adds now may not know of yet
            except ReconcilerError as error:  # the look was made all the same
                tell(error.message)
            return done

        at_once = opened.fleet.concurrency
        add_due()  # fails at once without a database
        tell(f"working for the fleet {opened.fleet.name}, {at_once} jobs at once; Ctrl-C ends it")
        handlers = {LOOK: look, ACT: children.handler(ACT)}
        engine.work(handlers, at_once, Duty(lambda _: add_due(), children.stop, tell))
        record.close()


@dataclass(slots=True)
class _Watched:
    """Opens the fleet of a worker, and logs what is wrong with it once."""

    session: Session
    opens: Callable[[], OpenedFleet]
    found: tuple[Diagnostic, ...] = ()

    def open(self) -> OpenedFleet:
        """As `opens`."""
        try:
            opened = self.opens()
        except ReconcilerError as error:
            self._log(error.diagnostics(), "this worker changes nothing until fleet.toml is corrected")
            raise
        self._log(
            opened.problems, "the other stacks are checked as before" if opened.problems else "the fleet is found again"
        )
        return opened

    def _log(self, found: tuple[Diagnostic, ...], then: str) -> None:
        if found != self.found:
            self.found = found
            if found:
                say(show_findings(found, self.session.display(sys.stderr)), err=True)
            self.session.tell(then)


def _log(session: Session) -> Callable[[str], None]:
    def tell(text: str) -> None:
        session.tell(printable(text))

    return tell


def _do_job(session: Session, url: str, opened: OpenedFleet, kind: str, key: str) -> NoReturn:
    """One job, in the child of a worker, under the lock of its account."""
    if kind not in (LOOK, ACT):
        raise UsageError(f"{kind!r} is not a kind of job", hint="this command is for `mtlsctl fleet worker`")
    with _account_lock(url, group_of(key), _LONGEST_WAIT_S) as demand:
        desk = open_desk(opened, StoreContext(os.environ, session.max_wait_s, session.tell), demand)
        with closing(PostgresRecord(url, opened.fleet.name)) as record:
            paused = {one: pause_text(pause) for one, pause in record.pauses().items()}
            found = do_job(kind, key, desk, record, paused=paused, tell=session.tell)
    for line in lines_of(found):  # for the log of the worker and the history; stdout is dropped
        session.tell(printable(line))
    session.end_with_all(found, None)
