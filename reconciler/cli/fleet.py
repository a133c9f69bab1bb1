"""`fleet`: many stacks in many accounts, in one pass."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from reconciler.cli.session import OutOption, Session, command
from reconciler.findings.errors import UsageError
from reconciler.findings.exits import ExitCode
from reconciler.reports.fleet import FleetList, FleetStatus
from reconciler.reports.stacks import Stacks
from reconciler.runs.fleet.listed import changed_members, list_fleet, validate_fleet
from reconciler.runs.fleet.opened import Desk, FleetMember, OpenedFleet, Selected, open_fleet, read_fleet_file
from reconciler.runs.fleet.record import FileRecord, state_file
from reconciler.runs.fleet.run import PassRequest, run_pass, status_of
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


@command(
    example="mtlsctl fleet validate\nmtlsctl fleet list --changed-since origin/main --format json",
    shows=(FleetStatus, FleetList, Stacks),
    asks=True,
)
def fleet(
    session: Session,
    action: Annotated[FleetCommand, typer.Argument(metavar="COMMAND", help="Run validate, list, plan, run or status.")],
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
    out: OutOption = None,
) -> None:
    """Look after many stacks in many accounts.

    fleet.toml lists the stacks and the tokens of their accounts; --file names it (default: fleet.toml here).

    \b
    validate  Check fleet.toml and all files; ask no server.
    list      List the stacks; as JSON, a pipeline's matrix.
    plan      Show the plan of every stack; change nothing.
    run       Check what is due, then do what is allowed.
    status    Show how each stack was when it was checked.
    """
    selected = Selected(tuple(tag or ()), tuple(only or ()), tuple(exclude or ()))
    _demand_fitting(action, FleetCommand.LIST, {"--changed-since": changed_since is not None})
    _demand_fitting(action, FleetCommand.RUN, {"--all": everything, "--dry-run": dry_run})
    opened = _open(session)
    members = selected.choose(opened.members)
    record = FileRecord(state_file(opened.folder, state), opened.fleet.name)
    match action:
        case FleetCommand.VALIDATE:
            _demand_format(session, Stacks, action)
            session.end_with_all(validate_fleet(opened, members), out)
        case FleetCommand.LIST:
            _demand_format(session, FleetList, action)
            _list(session, opened, members, changed_since, out)
        case FleetCommand.PLAN | FleetCommand.RUN:
            acts = action is FleetCommand.RUN and not dry_run
            checks_all = everything or action is FleetCommand.PLAN
            request = PassRequest(checks_all, whole=selected.is_all, acts=acts, remembers=acts)
            _pass(session, action, opened, members, request, record, out)
        case FleetCommand.STATUS:
            _demand_format(session, FleetStatus, action)
            status = status_of(opened, members, record, SystemClock().now(), whole=selected.is_all)
            session.show(status, out)
            raise typer.Exit(status.exit_code)


def _pass(
    session: Session,
    action: FleetCommand,
    opened: OpenedFleet,
    members: Sequence[FleetMember],
    request: PassRequest,
    record: FileRecord,
    out: Path | None,
) -> NoReturn:
    _demand_format(session, Stacks, action)
    if request.acts:
        demand_merged(os.environ, "fleet run")
    desk = Desk(opened, os.environ, StoreContext(os.environ, session.max_wait_s, session.tell))
    found = run_pass(f"fleet {action}", desk, members, record, request, session.tell)
    if not found.results:
        session.tell("no stack is due; `--all` checks all of them")
    session.end_with_all(found, out)


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


def _demand_format(session: Session, report: type, action: FleetCommand) -> None:
    if not session.can_show(report):
        known = ", ".join(formats_of(report))
        raise UsageError(f"`fleet {action}` has no format {session.format}", hint=f"use one of these: {known}")


def _open(session: Session) -> OpenedFleet:
    """The fleet of `--file`. From here on, what is found in fleet.toml has its place."""
    cwd = Path.cwd()
    file = read_fleet_file(session.file, cwd)
    session.log(f"fleet: {file.path}")
    session.resolve = file.place
    context = StoreContext(os.environ, session.max_wait_s, session.tell)
    return open_fleet(file, cwd=cwd, environ=os.environ, context=context)
