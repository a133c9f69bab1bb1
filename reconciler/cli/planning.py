"""`plan` and `apply`."""

from __future__ import annotations

import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.session import Format, FormatOption, OutOption, Session, command, say

if TYPE_CHECKING:
    from reconciler.app import Planned, Project
    from reconciler.core.model import Change
    from reconciler.core.outcome import Outcome, Step
    from reconciler.core.plan import Plan


class PhaseName(StrEnum):
    """The phases of `--phase`."""

    UPLOAD = "upload"
    BIND = "bind"
    RETIRE = "retire"


OnlyOption = Annotated[
    list[str] | None, typer.Option("--only", metavar="NAME", help="This certificate alone; a glob, and repeatable.")
]
AllowDeletesOption = Annotated[
    int | None, typer.Option("--allow-deletes", metavar="N", min=0, help="Retire up to N in this run.")
]
AtOption = Annotated[
    datetime | None,
    typer.Option("--at", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"], help="Plan as of this moment (UTC), to look."),
]
PlanOutOption = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Save the plan as JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, example="mtlsctl plan --detailed-exitcode")(plan)
    command(app, example="mtlsctl apply --yes --format json")(apply)


def plan(
    session: Session,
    output_format: FormatOption = Format.TEXT,
    out: PlanOutOption = None,
    detailed_exitcode: Annotated[bool, typer.Option("--detailed-exitcode", help="Exit 2 on changes.")] = False,
    only: OnlyOption = None,
    at: AtOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Read files only; the store is not asked.")] = False,
    allow_deletes: AllowDeletesOption = None,
) -> None:
    """Show what `apply` would do, and why.

    Needs no private key, runs no command and changes nothing, so it may run on a pull request.
    """
    from reconciler.core.errors import ExitCode, strongest
    from reconciler.core.plan import exit_code_of
    from reconciler.documents.base import to_json
    from reconciler.documents.plan import plan_document

    project = session.open_project()
    made = _make_plan(project, only, allow_deletes, at=at, offline=offline).plan
    document = plan_document(made, project.place)
    if output_format is Format.JSON:
        session.emit_document(document)
    else:
        _show(session, made)
    if out is not None:
        session.write(out, to_json(document))
    codes = [exit_code_of(made.diagnostics)]
    if detailed_exitcode and made.changes:
        codes.append(ExitCode.CHANGES)
    raise typer.Exit(strongest(codes))


def apply(
    session: Session,
    output_format: FormatOption = Format.TEXT,
    out: OutOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    phase: Annotated[list[PhaseName] | None, typer.Option("--phase", help="Only this phase; repeatable.")] = None,
    only: OnlyOption = None,
    allow_deletes: AllowDeletesOption = None,
) -> None:
    """Upload, bind and retire what `plan` shows.

    Uploads what is missing, writes the ids into the wrangler files, and retires what nothing uses any
    more. Shows the plan and asks before it changes anything. Running it again is always safe.
    """
    from reconciler.app import apply as carry_out
    from reconciler.core.model import Phase
    from reconciler.core.plan import exit_code_of

    project = session.open_project()
    planned = _make_plan(project, only, allow_deletes)
    made = planned.plan
    if output_format is Format.TEXT:
        _show(session, made)
    phases = tuple(Phase(name) for name in phase) if phase else tuple(Phase)
    if any(change.phase in phases for change in made.changes):
        _confirm(made, yes)
    elif output_format is Format.TEXT:
        raise typer.Exit(exit_code_of(made.diagnostics))
    outcome = carry_out(project, planned, _Progress(session), phases)
    _show_outcome(session, project, outcome, out)
    raise typer.Exit(outcome.exit_code)


def _make_plan(
    project: Project,
    only: list[str] | None,
    allow_deletes: int | None,
    *,
    at: datetime | None = None,
    offline: bool = False,
) -> Planned:
    from datetime import UTC

    from reconciler.app import PlanRequest
    from reconciler.app import plan as make

    request = PlanRequest(
        only=tuple(only or ()),
        at=at.replace(tzinfo=UTC) if at else None,
        offline=offline,
        allow_deletes=allow_deletes,
    )
    return make(project, request)


def _show(session: Session, made: Plan) -> None:
    """The plan on stdout, with its findings."""
    from reconciler.outputs.findings import count_findings
    from reconciler.outputs.plan import render_plan

    style = session.style(sys.stdout)
    if made.diagnostics:
        say(session.findings(made.diagnostics, style) + "\n")
    say(render_plan(made, style), nl=False)
    counted = count_findings(made.diagnostics)
    if counted:
        say(style.warn(f"{counted}, see above."))


def _confirm(made: Plan, yes: bool) -> None:
    """A person's yes, or `--yes`; without a terminal nothing is changed on a guess."""
    from reconciler.core.errors import DeclinedError, UsageError

    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"{len(made.changes)} changes are pending and there is no terminal to ask at; nothing was changed",
            hint="review `mtlsctl plan`, then run `mtlsctl apply --yes`",
        )
    if not typer.confirm("\nApply these changes?", err=True):
        raise DeclinedError("declined; nothing was changed")


def _show_outcome(session: Session, project: Project, outcome: Outcome, out: Path | None) -> None:
    from reconciler.documents.outcome import outcome_document
    from reconciler.outputs.outcome import render_outcome

    if session.format is Format.JSON:
        session.emit_document(outcome_document(outcome, project.place), out)
        return
    style = session.style(sys.stdout)
    problems = tuple(step.problem for step in outcome.steps if step.problem is not None)
    if outcome.findings or problems:
        say("\n" + session.findings((*outcome.findings, *problems), style))
    session.emit("\n" + render_outcome(outcome, style), out)


class _Progress:
    """Steps on stderr while they happen, where a person watches."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.watched = sys.stderr.isatty() or session.verbose

    def started(self, change: Change) -> None:
        if self.watched:
            from reconciler.outputs.plan import describe

            say(f"  ... {change.action} {describe(change)}", err=True)

    def finished(self, step: Step) -> None:
        if self.watched:
            from reconciler.outputs.outcome import step_line

            say(step_line(step, self.session.style(sys.stderr)), err=True)
