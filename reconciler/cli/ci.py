"""`ci`: a command for a pipeline, with its result where a reviewer sees it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.applying import AllowCommandsOption, read_waves
from reconciler.cli.planning import BaseOption, LiveOption
from reconciler.cli.record import RecordOption, joined, record_keeper
from reconciler.cli.session import Session, command, seconds
from reconciler.cli.several import open_plans
from reconciler.cli.terminal import say
from reconciler.findings.errors import ReconcilerError, UsageError
from reconciler.findings.exits import ExitCode, strongest
from reconciler.model.forges import ForgeName
from reconciler.plan.plan import Plan
from reconciler.reports.checks import RunFailure
from reconciler.reports.stacks import StackResult, Stacks
from reconciler.runs.ci.pipeline import CiRun, Pipeline, open_pipeline
from reconciler.runs.ci.run import REPORTS, CiReport, code_of, job_code, run
from reconciler.runs.ci.settings import CiCommand, CiInputs, CommentWhen, Failing, read_settings
from reconciler.runs.plan_folder import open_folder
from reconciler.runs.project import Project
from reconciler.runs.stacks import Member, run_each
from reconciler.system.clock import SystemClock
from reconciler.system.discover import FILE_NAME
from reconciler.views.table import Display, formats_of, render
from reconciler.views.text.findings import show_findings
from reconciler.views.text.stacks import display_of
from reconciler.views.text.style import PLAIN


@command(example="mtlsctl ci github plan --comment changes --fail-on changes")
def ci(
    session: Session,
    forge: Annotated[ForgeName, typer.Argument(metavar="FORGE", help="The pipeline's forge: github or gitlab.")],
    action: Annotated[CiCommand, typer.Argument(metavar="COMMAND", help="Run validate, plan, apply, renew or drift.")],
    comment: Annotated[
        CommentWhen | None,
        typer.Option(
            "--comment",
            metavar="WHEN",
            help="Comment a plan: changes (default), always or never. An existing comment is always updated.",
        ),
    ] = None,
    comment_key: Annotated[
        str | None,
        typer.Option("--comment-key", metavar="KEY", help="Keep a comment of its own under KEY (default: the stack)."),
    ] = None,
    fail_on: Annotated[
        Failing | None,
        typer.Option("--fail-on", metavar="WHAT", help="Fail on errors (default), also on changes, or never."),
    ] = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Apply only what this saved plan has (apply).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Save the plan for `mtlsctl apply FILE` (plan).")
    ] = None,
    base: BaseOption = None,
    record: RecordOption = None,
    wave: Annotated[
        str | None,
        typer.Option("--wave", metavar="N,N,all", help="Deploy N Workers, then the next N, then the rest (apply)."),
    ] = None,
    allow_commands: AllowCommandsOption = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write a page to FILE.")] = None,
    deploy: Annotated[bool, typer.Option("--deploy", help="Deploy Workers, as `plan --deploy` (plan, apply).")] = False,
    live: LiveOption = None,
    wait: Annotated[
        str | None,
        typer.Option("--max-wait", metavar="TIME", help="Wait at most TIME for Cloudflare's rate limit: 30s, 15m."),
    ] = None,
    lock_timeout: Annotated[
        str | None,
        typer.Option("--lock-timeout", metavar="TIME", help="Wait at most TIME for another run to end (apply)."),
    ] = None,
) -> None:
    """Run a command in a pipeline, and publish its result.

    Runs validate, plan, apply or drift as the command itself does. On GitHub it then keeps one comment on the pull
    request up to date, writes the job summary, annotations and outputs. On GitLab it keeps one note on the merge
    request, and writes mtlsctl-codequality.json, mtlsctl-junit.xml and, for a plan, mtlsctl-terraform.json into the
    checkout, to be reports. On both it keeps one issue for each difference that drift finds. What can't be published is
    a warning and never fails the job.

    `ci FORGE renew` renews what is due, and opens one pull request or merge request for each certificate; one that is
    open already is left as it is, and nothing is renewed for it.

    Every option can also be a variable: MTLSCTL_CI_ and its name, such as MTLSCTL_CI_FAIL_ON; MTLSCTL_CI_FILE is
    --file. The forge's token is read only from MTLSCTL_CI_GITHUB_TOKEN or GITHUB_TOKEN, and on GitLab from
    MTLSCTL_CI_GITLAB_TOKEN or GITLAB_TOKEN, for renew first from MTLSCTL_RENEW_TOKEN.
    """
    options: dict[str, object] = {
        "files": session.files or None,
        "all": session.all or None,
        "comment": comment,
        "comment_key": comment_key,
        "fail_on": fail_on,
        "deploy": deploy or None,
        "live": live,
        "max_wait_s": None if wait is None else seconds(wait, "--max-wait"),
        "lock_timeout_s": None if lock_timeout is None else seconds(lock_timeout, "--lock-timeout"),
        "plan": plan,
        "plan_out": out,
        "base": base,
        "record": record,
        "waves": None if wave is None else read_waves(wave),
        "allow_commands": allow_commands or None,
        "html": html,
    }
    settings = read_settings(os.environ, options)
    _demand_fitting(action, settings)
    session.files, session.all, session.max_wait_s = settings.files, settings.all, settings.max_wait_s
    pipeline = open_pipeline(forge, os.environ, session.tell)
    session.emit(pipeline.opening)
    try:
        pipeline.demand_safe(action)
        one = _run_several if session.is_over_several else _run
        done = one(session, action, settings, pipeline)
        published = pipeline.publish(done)
        if published.findings:
            say(show_findings(published.findings, session.display(sys.stderr)), err=True)
    finally:
        session.emit(pipeline.closing)
    session.emit(published.text)
    raise typer.Exit(job_code(done.stacks, settings.fail_on))


def _demand_fitting(action: CiCommand, settings: CiInputs) -> None:
    """Raise UsageError for a file that the command does not read or write; a variable may be set for several jobs."""
    if settings.plan is not None and action is not CiCommand.APPLY:
        raise UsageError(
            f"`ci {action}` reads no saved plan", hint="leave out `--plan`, or run `mtlsctl ci FORGE apply`"
        )
    if settings.plan_out is not None and action is not CiCommand.PLAN:
        raise UsageError(f"`ci {action}` saves no plan", hint="leave out `--out`, or run `mtlsctl ci FORGE plan`")
    if settings.html is not None and "html" not in formats_of(REPORTS[action]):
        raise UsageError(f"`ci {action}` has no HTML page", hint="leave out `--html`")


def _run(session: Session, action: CiCommand, settings: CiInputs, pipeline: Pipeline) -> CiRun:
    """Run the command, show its report, and write the files that were asked for."""
    saved = None
    file, stack, account = next(iter(settings.files), Path(FILE_NAME)).as_posix(), None, None
    report: CiReport | RunFailure
    try:
        project = session.open_project()
        file = Path(os.path.relpath(project.folder / project.name)).as_posix()
        declaration, _ = project.declaration()
        stack, account = declaration.stack, declaration.store.account
        keep = record_keeper(session, settings.record, settings.plan)
        report = run(action, project, settings, pipeline, session.tell, keep)
    except ReconcilerError as error:
        session.fail(error)
        report, code = RunFailure(error.diagnostics()), error.exit_code
    else:
        session.show(report)
        code = code_of(report)
        try:
            saved = _write_files(session, report, settings, pipeline)
        except ReconcilerError as error:
            session.fail(error)
            code = strongest((code, error.exit_code))
    result = StackResult(file, stack, report, code, session.place, account=account)
    stacks = Stacks(action, (result,), result.exit_code)
    return CiRun(action, settings, stacks, (session.display(sys.stdout),), SystemClock().now(), saved)


def _run_several(session: Session, action: CiCommand, settings: CiInputs, pipeline: Pipeline) -> CiRun:
    """As `_run`, over several stacks; one that fails stops no other one."""
    members = session.open_members()
    saved_plans: list[tuple[Project, Path]] = []
    if settings.plan is not None:
        plans = open_plans(session, members, settings.plan)
        members = tuple(member for member in members if member.file in plans.names)
        saved_plans = [(member.project, plans.path_of(member)) for member in members]
    keeper = joined(record_keeper(session, settings.record))

    def make(project: Project) -> tuple[CiReport, ExitCode]:
        own = replace(settings, plan=next((path for one, path in saved_plans if one is project), None))
        report = run(action, project, own, pipeline, session.tell, keeper())
        return report, code_of(report)

    stacks = run_each(action, members, make)
    session.show(stacks)
    saved = None
    try:
        saved = _write_several(session, members, stacks, settings, pipeline)
    except ReconcilerError as error:
        session.fail(error)
        stacks = replace(stacks, exit_code=strongest((stacks.exit_code, error.exit_code)))
    displays = tuple(display_of(one, session.display(sys.stdout)) for one in stacks.results)
    return CiRun(action, settings, stacks, displays, SystemClock().now(), saved)


def _write_several(
    session: Session, members: Sequence[Member], stacks: Stacks, settings: CiInputs, pipeline: Pipeline
) -> Path | None:
    """Write the page, and the saved plans, whose folder is returned."""
    if settings.html is not None:
        display = replace(session.display(sys.stdout), style=PLAIN, width=None)
        session.write(settings.html, render(stacks, "html", display))
    saved = settings.plan_out
    if saved is None and pipeline.scratch is not None and stacks.command == CiCommand.PLAN:
        saved = pipeline.scratch / "mtlsctl-plans"
    if saved is not None:
        folder = open_folder(saved, members)
        for member, result in zip(members, stacks.results, strict=True):
            if isinstance(result.report, Plan):
                shown = display_of(result, Display())
                session.write(folder.path_of(member), render(result.report, "json", shown))
    return saved


def _write_files(session: Session, report: CiReport, settings: CiInputs, pipeline: Pipeline) -> Path | None:
    """Write the page, and the saved plan, whose place is returned."""
    display = replace(session.display(sys.stdout), style=PLAIN, width=None)
    if settings.html is not None:
        session.write(settings.html, render(report, "html", display))
    if not isinstance(report, Plan):
        return None
    saved = settings.plan_out
    if saved is None and pipeline.scratch is not None:
        saved = pipeline.scratch / f"mtlsctl-plan-{report.stack}.json"
    if saved is not None:
        session.write(saved, render(report, "json", display))
    return saved
