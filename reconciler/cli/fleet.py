"""`fleet`: many stacks in many accounts, in one pass."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, NoReturn, Protocol, cast

import typer

from reconciler.cli.session import OutOption, Session, command
from reconciler.findings.errors import UsageError
from reconciler.findings.escape import printable
from reconciler.findings.exits import ExitCode
from reconciler.findings.values import dataclass
from reconciler.model.fleet import FleetRecord, StackKey, StackRow
from reconciler.plan.plan import Plan
from reconciler.reports.checks import Validation
from reconciler.reports.fleet import FleetHistory, FleetList, FleetStatus
from reconciler.reports.left import Applied
from reconciler.reports.stacks import Stacks
from reconciler.runs.budget import DATABASE_URL
from reconciler.runs.fleet.listed import Selected, changed_members, list_fleet, validate_fleet
from reconciler.runs.fleet.members import FleetMember
from reconciler.runs.fleet.opened import Desk, OpenedFleet, open_fleet, read_fleet_file
from reconciler.runs.fleet.record import FileRecord, state_file
from reconciler.runs.fleet.run import PassRequest, missing_of, run_pass, status_of
from reconciler.runs.fleet.work import MAX_AGE, with_later_jobs
from reconciler.runs.operator import demand_merged
from reconciler.stores import StoreContext
from reconciler.system.clock import SystemClock
from reconciler.views.table import formats_of


class FleetCommand(StrEnum):
    """What is done with a fleet."""

    VALIDATE = "validate"
    LIST = "list"
    PLAN = "plan"
    RUN = "run"
    STATUS = "status"
    WORKER = "worker"
    TRIGGER = "trigger"
    PAUSE = "pause"
    RESUME = "resume"
    HISTORY = "history"
    DATABASE = "database"


_OF_WORKERS = frozenset(
    {
        *(FleetCommand.WORKER, FleetCommand.TRIGGER, FleetCommand.PAUSE, FleetCommand.RESUME),
        *(FleetCommand.HISTORY, FleetCommand.DATABASE),
    }
)
"""The commands that need a PostgreSQL."""
_PASSES = (FleetCommand.PLAN, FleetCommand.RUN)
"""The commands that remember in a file, whether there is a PostgreSQL or not."""


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """The words after a command of workers, and its options. `job`: the kind of the job that a worker started this
    process for; the only word is its key."""

    words: Sequence[str]
    until: str | None = None
    why: str | None = None
    job: str | None = None


class Workers(Protocol):
    """What `cli/working.py` has, which is imported when it is needed: it brings PostgreSQL."""

    def run_worker_command(
        self, session: Session, command: FleetCommand, request: WorkerRequest, open_fleet: Callable[[], OpenedFleet]
    ) -> NoReturn:
        """Do it, and end the command."""

    def open_record(self, opened: OpenedFleet) -> FleetRecord:
        """What the workers of a fleet remember."""

    def paused(self, opened: OpenedFleet) -> Mapping[StackKey, str]:
        """The stacks of a fleet that are paused, each with the reason."""

    def open_desk(self, opened: OpenedFleet, context: StoreContext) -> Desk:
        """Connections with the rate budgets that all processes share."""


def _workers() -> Workers:
    return cast(Workers, import_module("reconciler.cli.working"))


@command(
    example="mtlsctl fleet validate\nmtlsctl fleet list --changed-since origin/main --format json",
    shows=(FleetStatus, FleetList, Stacks, FleetHistory),
    asks=True,
)
def fleet(
    session: Session,
    action: Annotated[FleetCommand, typer.Argument(metavar="COMMAND", help="Run one of the commands above.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="STACK", help="Name the stack of trigger, pause, resume or history."),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Limit it to stacks with TAG (repeatable).")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="STACK", help="Limit it to stacks or files matching STACK (glob; repeatable)."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="STACK", help="Leave out stacks or files matching STACK (glob; repeatable)."),
    ] = None,
    changed_since: Annotated[
        str | None,
        typer.Option("--changed-since", metavar="REF", help="Limit the list to stacks with files changed since REF."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Check stacks that are not due, too (run).")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change and remember nothing; show what would be allowed (run).")
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="FILE", help="Remember the stacks in FILE (default: .mtlsctl/fleet.json)."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DATE", help="Pause the stack until DATE, in UTC (pause).")
    ] = None,
    why: Annotated[str | None, typer.Option("--why", metavar="TEXT", help="Say why it is paused (pause).")] = None,
    job: Annotated[str | None, typer.Option("--job", hidden=True)] = None,
    out: OutOption = None,
) -> None:
    """Look after many stacks in many accounts.

    fleet.toml lists the stacks and the tokens of their accounts.

    \b
    validate  Check fleet.toml and all files; ask no server.
    list      List the stacks; as JSON, a pipeline's matrix.
    plan      Show the plan of every stack; change nothing.
    run       Check what is due, then do what is allowed.
    status    Show how each stack was when it was checked.

    \b
    With a PostgreSQL (MTLSCTL_DATABASE_URL):
    worker    Do what `run` does, all the time, with others.
    trigger   Have a worker check a stack now.
    pause     Do nothing to a stack --until DATE, --why TEXT.
    resume    End the pause of a stack.
    history   Show what workers did for a stack.
    database  `database upgrade`: make or update the tables.
    """
    _demand_fitting(action, FleetCommand.PAUSE, {"--until": until is not None, "--why": why is not None})
    _demand_fitting(action, FleetCommand.WORKER, {"--job": job is not None})
    if action in _OF_WORKERS:
        if any((tag, only, exclude, changed_since, everything, dry_run, state, out)):
            raise UsageError(
                f"`fleet {action}` does not select stacks and writes no file", hint="leave out its options"
            )
        asked = WorkerRequest(words or (), until, why, job)
        max_age = MAX_AGE if action is FleetCommand.WORKER else None
        _workers().run_worker_command(session, action, asked, partial(_open, session, max_age))
    if words:
        raise UsageError(f"`fleet {action}` takes no name", hint="use `--only` to limit it to some stacks")
    selected = Selected(tuple(tag or ()), tuple(only or ()), tuple(exclude or ()))
    _demand_fitting(action, FleetCommand.LIST, {"--changed-since": changed_since is not None})
    _demand_fitting(action, FleetCommand.RUN, {"--all": everything, "--dry-run": dry_run})
    _demand_format(session, action)
    opened = _open(session, None if action is FleetCommand.STATUS else timedelta())
    record = FileRecord(state_file(opened.folder, state), opened.fleet.name)
    members = _choose(
        session, selected, action, opened, lambda: record if action in _PASSES else _record(opened, state)
    )
    match action:
        case FleetCommand.VALIDATE:
            validated = replace(validate_fleet(opened, members, os.environ), again=opened.command("validate"))
            session.end_with_all(validated, out)
        case FleetCommand.LIST:
            _list(session, opened, members, changed_since, out)
        case FleetCommand.PLAN | FleetCommand.RUN:
            acts = action is FleetCommand.RUN and not dry_run
            checks_all = everything or action is FleetCommand.PLAN
            request = PassRequest(checks_all, misses=selected.has_row, acts=acts, remembers=acts)
            _pass(session, action, opened, members, request, record, out)
        case FleetCommand.STATUS:
            found = _record(opened, state)
            status = status_of(opened, members, found, SystemClock().now(), selected.has_row)
            session.show(with_later_jobs(status, found.later()), out)
            raise typer.Exit(status.exit_code)


def _choose(
    session: Session,
    selected: Selected,
    action: FleetCommand,
    opened: OpenedFleet,
    record: Callable[[], FleetRecord],
) -> tuple[FleetMember, ...]:
    """The stacks that are meant; those that are missing are meant, too, by a command that reports them. An exception
    that matches none is no error, because a list of them outlives its stacks, but it may be misspelled."""

    def missing(rows: Sequence[StackRow]) -> Sequence[StackRow]:
        reports = action in (*_PASSES, FleetCommand.STATUS)
        return [row for row, _ in missing_of(opened, rows)] if reports else ()

    for name in selected.unmatched(opened, lambda: record().rows()):
        session.tell(f"`--exclude {printable(name)}` matches no stack of the fleet, so it leaves out nothing")
    return selected.choose(opened, lambda: record().rows(), missing)


def _pass(
    session: Session,
    action: FleetCommand,
    opened: OpenedFleet,
    members: Sequence[FleetMember],
    request: PassRequest,
    record: FileRecord,
    out: Path | None,
) -> NoReturn:
    if request.acts:
        demand_merged(os.environ, "fleet run")
    context = StoreContext(os.environ, session.max_wait_s, session.tell)
    is_shared = bool(os.environ.get(DATABASE_URL))
    desk = _workers().open_desk(opened, context) if is_shared else Desk(opened, os.environ, context)
    if is_shared:
        request = replace(request, paused=_workers().paused(opened))
    found = run_pass(f"fleet {action}", desk, members, record, request, session.tell)
    if not found.results:
        session.tell("no stack is due; `--all` checks all of them")
    session.end_with_all(found, out)


def _record(opened: OpenedFleet, state: Path | None) -> FleetRecord:
    """What is remembered: by workers, if there is a database and no file is named."""
    if state is None and os.environ.get(DATABASE_URL):
        return _workers().open_record(opened)
    return FileRecord(state_file(opened.folder, state), opened.fleet.name)


def _list(
    session: Session,
    opened: OpenedFleet,
    members: Sequence[FleetMember],
    changed_since: str | None,
    out: Path | None,
) -> NoReturn:
    if changed_since is not None:
        members = changed_members(opened, members, changed_since)
    found = list_fleet(opened, members)
    session.show(found, out)
    is_whole = not opened.problems and all(one.problem is None for one in found.stacks)
    raise typer.Exit(ExitCode.OK if is_whole else ExitCode.FAILED)


def _demand_fitting(action: FleetCommand, of: FleetCommand, given: Mapping[str, bool]) -> None:
    """Raise UsageError for an option of another command."""
    for option, is_given in given.items():
        if is_given and action is not of:
            raise UsageError(f"`fleet {action}` has no `{option}`", hint=f"leave it out, or run `mtlsctl fleet {of}`")


_SHOWS: Mapping[FleetCommand, tuple[type, ...]] = {
    FleetCommand.VALIDATE: (Stacks, Validation),
    FleetCommand.LIST: (FleetList,),
    FleetCommand.PLAN: (Stacks, Plan),
    FleetCommand.RUN: (Stacks, Plan, Applied),
    FleetCommand.STATUS: (FleetStatus,),
}
"""What a command shows, and of each stack; in what not all of these can be shown, stacks would be left out silently."""


def _demand_format(session: Session, action: FleetCommand) -> None:
    reports = _SHOWS[action]
    if not all(map(session.can_show, reports)):
        known = ", ".join(one for one in formats_of(reports[0]) if all(one in formats_of(each) for each in reports))
        raise UsageError(f"`fleet {action}` has no format {session.format}", hint=f"use one of these: {known}")


def _open(session: Session, max_age: timedelta | None) -> OpenedFleet:
    """The fleet of `--file`; copies of other repositories may have this age, as in `open_fleet`. From here on, what is
    found in fleet.toml has its place."""
    cwd = Path.cwd()
    file = read_fleet_file(session.file, cwd)
    session.log(f"fleet: {file.path}")
    session.resolve = file.place
    context = StoreContext(os.environ, session.max_wait_s, session.tell)
    return open_fleet(file, cwd=cwd, environ=os.environ, context=context, max_age=max_age)
