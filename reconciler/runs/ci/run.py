"""Runs a command for a pipeline, by the functions that the command itself runs, and says what the job ends with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace

from reconciler.apply.run import Unwatched
from reconciler.findings.exits import ExitCode, strongest
from reconciler.model import Phase
from reconciler.plan.live import DeployChoice
from reconciler.plan.plan import Plan, exit_code_of
from reconciler.plan.policy import PATIENCE
from reconciler.plan.renewing import Renewals
from reconciler.records.saved_plan import MAX_BYTES, read_plan
from reconciler.reports.checks import Validation
from reconciler.reports.drift import Drift
from reconciler.reports.left import Applied
from reconciler.reports.stacks import Stacks, code_over
from reconciler.runs.apply import apply, apply_nothing, demand_programs, left_to_deploy
from reconciler.runs.ci.pipeline import Pipeline
from reconciler.runs.ci.renew import ProposalTarget, head_of_checkout, propose
from reconciler.runs.ci.settings import CiCommand, CiInputs, Failing
from reconciler.runs.drift import find_drift
from reconciler.runs.journal import Keep
from reconciler.runs.plan import PlanRequest, plan, plan_approved
from reconciler.runs.project import Project
from reconciler.runs.stacks import take
from reconciler.runs.validate import validate
from reconciler.system.files import read_named

CiReport = Validation | Plan | Applied | Renewals | Drift
REPORTS: Mapping[CiCommand, type[CiReport]] = {
    CiCommand.VALIDATE: Validation,
    CiCommand.PLAN: Plan,
    CiCommand.APPLY: Applied,
    CiCommand.RENEW: Renewals,
    CiCommand.DRIFT: Drift,
}
"""What each command reports."""


def run(
    command: CiCommand,
    project: Project,
    settings: CiInputs,
    pipeline: Pipeline,
    tell: Callable[[str], None],
    keep: Keep = lambda _: None,
) -> CiReport:
    """The report of one command on one stack; raises ReconcilerError as the command does. `keep`: keeps the record."""
    match command:
        case CiCommand.VALIDATE:
            return Validation(validate(project))
        case CiCommand.PLAN:
            deploy = DeployChoice(everybody=settings.deploy)
            planned = plan(project, PlanRequest(live=settings.live, deploy=deploy, base=settings.base))
            take(project, planned)
            return replace(planned.plan, apply_with=_options(settings))
        case CiCommand.APPLY:
            return _apply(project, settings, tell, keep)
        case CiCommand.RENEW:
            project.allow_commands = settings.allow_commands
            with closing(pipeline.open_proposals()) as forge:
                checkout = ProposalTarget(forge, head_of_checkout(project), pipeline.base_branch)
                return propose(project, checkout, tell, lock_timeout_s=settings.lock_timeout_s, keep=keep)
        case CiCommand.DRIFT:
            return find_drift(project, live=settings.live)


def _apply(project: Project, settings: CiInputs, tell: Callable[[str], None], keep: Keep) -> Applied:
    """Plan and apply under the lock; with a saved plan only what it has, too."""
    saved = None
    if settings.plan is not None:
        saved = read_plan(read_named(settings.plan, limit=MAX_BYTES), str(settings.plan))
    deploy = DeployChoice(everybody=settings.deploy)
    request = PlanRequest(live=settings.live, deploy=deploy, patience=PATIENCE, acts=True)
    project.allow_commands = settings.allow_commands
    with project.lock(command="apply", timeout_s=settings.lock_timeout_s, waiting=tell) as held:
        planned = plan(project, request) if saved is None else plan_approved(project, saved, request)
        if planned.plan.changes:
            demand_programs(project, planned, tuple(Phase))
            outcome = apply(project, planned, Unwatched(), waves=settings.waves, tell=tell, demand_lock=held, keep=keep)
        else:
            outcome = apply_nothing(project, planned, "apply", keep)
    return Applied(outcome, left_to_deploy(planned, outcome), ("mtlsctl", "apply", *_options(settings)))


def _options(settings: CiInputs) -> tuple[str, ...]:
    """The options of `mtlsctl apply` that do the same."""
    return (
        *(("--deploy",) if settings.deploy else ()),
        *(("--allow-commands",) if settings.allow_commands else ()),
    )


def code_of(report: CiReport) -> ExitCode:
    """The exit code of the command for this report: 2 if there are changes or drift, as with `--detailed-exitcode`."""
    match report:
        case Validation():
            return exit_code_of(report.diagnostics)
        case Plan():
            return strongest((report.exit_code, *([ExitCode.CHANGES] if report.changes else [])))
        case Applied():
            return report.outcome.exit_code
        case Renewals() | Drift():
            return report.exit_code


def job_code(stacks: Stacks, failing: Failing) -> ExitCode:
    """What the job ends with. `never` forgives only what was reported: not an error without a report, nor
    what `apply` and `renew` do."""
    codes = []
    for one in stacks.results:
        is_only_change = one.exit_code is ExitCode.CHANGES and failing is not Failing.CHANGES
        is_forgiven = failing is Failing.NEVER and not one.is_failure and not isinstance(one.report, Applied | Renewals)
        codes.append(ExitCode.OK if is_only_change or is_forgiven else one.exit_code)
    return code_over(stacks.command, codes)
