"""An act: what may be done to one stack without a person, while no other run changes its checkout.

Uploads and deletions are made; wrangler files and certificates are only proposed. Workers are never deployed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from posixpath import dirname

from reconciler.apply.run import Unwatched
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.errors import LockedError, ReconcilerError
from reconciler.findings.exits import ExitCode, strongest
from reconciler.findings.values import dataclass
from reconciler.model import (
    Act,
    Action,
    Phase,
)
from reconciler.model.fleet import Acted, ActState
from reconciler.model.forges import Proposals, PullRequest, PullState
from reconciler.plan.fleet import Permit, find_work
from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.plan.policy import PATIENCE
from reconciler.plan.renewing import Renewals
from reconciler.private.folder import FOLDER
from reconciler.reports.checks import RunFailure
from reconciler.reports.left import Applied
from reconciler.reports.stacks import StackResult
from reconciler.runs.apply import apply, apply_nothing, left_to_deploy
from reconciler.runs.ci.renew import ProposalTarget, propose
from reconciler.runs.fleet.look import Looked, placed
from reconciler.runs.fleet.members import HINTS, FleetMember
from reconciler.runs.fleet.opened import Desk
from reconciler.runs.fleet.proposals import StagedFiles, branch_of, find_target, propose_files
from reconciler.runs.plan import Planned, PlanRequest, plan
from reconciler.runs.project import Project
from reconciler.runs.stacks import take
from reconciler.system.state_file import StateFile
from reconciler.views.table import Display, render

LOCK_TIMEOUT_S = 20.0
"""How long to wait for a person's `apply` in the same checkout."""
_OF_ACCOUNT = frozenset({Action.UPLOAD, Action.RETIRE})
"""What changes the account; bindings are only proposed."""


@dataclass(frozen=True, slots=True)
class ActDone:
    """What an act came to. `acted`: what is remembered of it."""

    result: StackResult
    acted: Acted


def not_renewed(looked: Looked) -> tuple[Diagnostic, ...]:
    """A finding for each certificate that is due and not renewed by this fleet."""
    one = looked.one
    reasons = {name: one.not_renewed[name] for name in looked.due if name in one.not_renewed}
    return tuple(
        _not_done(one.member.project, f"{name!r} is due, and this fleet does not renew it: {reason}", HINTS[reason])
        for name, reason in reasons.items()
    )


def act_on(desk: Desk, looked: Looked, permit: Permit, forge: Proposals | None, tell: Callable[[str], None]) -> ActDone:
    """Do to one stack what is permitted. What fails is in the result; raises nothing else."""
    one, renewed = looked.one, None
    now = one.member.project.clock.now()
    try:
        project = desk.project(one, acts=True)
        project = replace(project, lock=partial(_stack_lock, project))
        proposing = _Proposing(desk, project, forge)
        renewed = _renew(looked, project, permit, proposing, tell)
        applied, pull, is_new = _apply(desk, one, project, permit, proposing, tell)
    except ReconcilerError as error:
        return _failed(desk, one, permit, renewed, error, now)
    own = (*not_renewed(looked), *_left_alone(project, pull)) if permit.act.allows(Act.ROTATE) else ()
    outcome = applied.outcome
    outcome = replace(outcome, findings=(*outcome.findings, *own, *_findings(renewed)))
    code = strongest((outcome.exit_code, *([renewed.exit_code] if renewed is not None else [])))
    urls = [*([pull.url] if pull is not None else []), *_urls(renewed)]
    done = Counter(step.change.action for step in outcome.of(StepStatus.DONE) if step.change.action in _OF_ACCOUNT)
    errors = [problem.message for problem in outcome.problems if problem.is_error]
    state = ActState.FAILED if code not in {ExitCode.OK, ExitCode.BLOCKED} else ActState.DONE
    state = ActState.INTERRUPTED if code in {ExitCode.INTERRUPTED, ExitCode.LOCKED} else state
    state = ActState.PROPOSED if urls and state is ActState.DONE else state
    note = "; ".join((permit.why, *(f"proposed: {url}" for url in urls)))
    report = replace(applied, outcome=outcome, renewed=renewed)
    result = replace(one.member.result(report, code), place=project.place, note=note)
    left = [found.message for found in (*own, *_findings(renewed)) if found.code is Code.FORGE]
    left = left or [f"waits for the merge of {url}" for url in urls]
    message = errors[0] if errors else "; ".join(left) or None
    changed = is_new or bool(done) or state is ActState.FAILED or _is_new(renewed)
    acted = Acted(now, permit.act, state, dict(done), message, urls[0] if urls else None, changed)
    return ActDone(placed(result, one, desk.opened), acted)


def _failed(
    desk: Desk, one: FleetMember, permit: Permit, renewed: Renewals | None, error: ReconcilerError, now: datetime
) -> ActDone:
    """What an act came to that an error stopped, with the renewals that were made before it."""
    urls = _urls(renewed)
    note = "; ".join((permit.why, *(f"proposed: {url}" for url in urls)))
    report = RunFailure((*error.diagnostics(), *_findings(renewed)))
    failed = replace(one.member.result(report, error.exit_code), note=note)
    state = ActState.INTERRUPTED if isinstance(error, LockedError) else ActState.FAILED
    url = urls[0] if urls else None
    return ActDone(placed(failed, one, desk.opened), Acted(now, permit.act, state, message=error.message, url=url))


def _urls(renewed: Renewals | None) -> tuple[str, ...]:
    return () if renewed is None else tuple(one.url for one in renewed.proposals)


def _is_new(renewed: Renewals | None) -> bool:
    return renewed is not None and any(one.opened for one in renewed.proposals)


@dataclass(slots=True)
class _Proposing:
    """Where one act proposes its changes. It is checked once, when it is needed first. `forge` None: nowhere."""

    desk: Desk
    project: Project
    forge: Proposals | None
    _target: ProposalTarget | None = None

    def target(self) -> ProposalTarget | None:
        """As `find_target`; None if there is no forge."""
        declared = self.desk.opened.fleet.forge
        if self._target is None and self.forge is not None and declared is not None:
            self._target = find_target(self.forge, declared.base, self.project)
        return self._target


@contextmanager
def _stack_lock(
    project: Project, *, command: str, timeout_s: float, waiting: Callable[[str], None]
) -> Iterator[Callable[[], None]]:
    """The lock of one stack. That of the checkout is shared with acts on other stacks: each writes only its own keys
    and journal, and what it would write into other files is proposed. So none reads what another one writes."""
    with (
        project.lock(command=command, timeout_s=timeout_s, waiting=waiting) as held,
        StateFile(project.folder / FOLDER / "act").locked(f"a fleet on the stack in {project.within}"),
    ):
        yield held


def _findings(renewed: Renewals | None) -> tuple[Diagnostic, ...]:
    return () if renewed is None else (*renewed.findings, *(one for step in renewed.steps for one in step.problems))


def _renew(
    looked: Looked, project: Project, permit: Permit, proposing: _Proposing, tell: Callable[[str], None]
) -> Renewals | None:
    """Renew what is due, each certificate as a pull request. None if nothing is due, or can be proposed."""
    names = tuple(name for name in looked.due if name not in looked.one.not_renewed)
    target = proposing.target() if names and permit.act.allows(Act.ROTATE) else None
    if target is None:
        return None
    staged = replace(project, files=StagedFiles(project.files))
    return propose(staged, target, tell, lock_timeout_s=LOCK_TIMEOUT_S, keep=lambda _: None, names=names)


def _apply(
    desk: Desk,
    one: FleetMember,
    project: Project,
    permit: Permit,
    proposing: _Proposing,
    tell: Callable[[str], None],
) -> tuple[Applied, PullRequest | None, bool]:
    """Carry out a plan that is made under the lock, as far as it is permitted; with the pull request of what it writes,
    and whether that is new."""
    staged = StagedFiles(project.files)
    project = replace(project, files=staged)
    with project.lock(command="fleet run", timeout_s=LOCK_TIMEOUT_S, waiting=tell) as held:
        planned, phases = _permitted(project, permit, None if proposing.forge is not None else "no forge")
        take(project, planned)
        writes = Phase.BIND in phases and any(change.phase is Phase.BIND for change in planned.plan.changes)
        target = proposing.target() if writes else None
        if phases:
            outcome = apply(project, planned, Unwatched(), phases, command="fleet run", tell=tell, demand_lock=held)
        else:
            outcome = apply_nothing(project, planned, "fleet run", lambda _: None)
        applied = Applied(outcome, left_to_deploy(planned, outcome), desk.opened.command("run", "--all"))
        applied = replace(applied, file=one.member.file if one.rule.git is None else None)
        changes = staged.changes()
        if not changes or target is None or one.key is None:
            return applied, None, False
        applied = replace(applied, pulls=())
        title = f"Use the renewed certificates of {planned.plan.stack}"
        body = render(
            replace(applied, file=project.within),
            "markdown",
            Display(place=project.place, folder=dirname(project.within)),
        )
        try:
            pull, is_new = propose_files(target, branch_of(one.key), title, body, changes)
        except ReconcilerError as error:  # what was uploaded is reported all the same
            return replace(applied, outcome=_unproposed(outcome, error), to_deploy=()), None, False
    if pull.state is not PullState.OPEN:
        return replace(applied, to_deploy=()), pull, is_new
    return replace(applied, pulls=(pull.url,)), pull, is_new


def _unproposed(outcome: Outcome, error: ReconcilerError) -> Outcome:
    """The same; what could not be proposed failed."""
    problem = error.diagnostics()[0]

    def failed(step: Step) -> Step:
        is_lost = step.change.phase is Phase.BIND and step.status is StepStatus.DONE
        return replace(step, status=StepStatus.FAILED, problem=problem) if is_lost else step

    return replace(outcome, steps=tuple(map(failed, outcome.steps)))


def _permitted(project: Project, permit: Permit, no_forge: str | None) -> tuple[Planned, tuple[Phase, ...]]:
    """The plan of what may be done, and the phases of it."""
    request = PlanRequest(patience=PATIENCE, acts=True)
    planned = plan(project, request)
    work = find_work(planned.plan.changes, (), permit.act, no_forge)
    names = tuple(name for name in planned.desired.declaration.certificates if name not in work.new)
    if Phase.UPLOAD not in work.phases or not work.new or not names:
        return planned, work.phases
    return plan(project, replace(request, only=names)), work.phases


def _not_done(project: Project, message: str, hint: str) -> Diagnostic:
    return Diagnostic(Severity.WARNING, Code.FLEET_NOT_DONE, message, Pointer(project.name), hint)


def _left_alone(project: Project, pull: PullRequest | None) -> Iterator[Diagnostic]:
    """What to do about a pull request that is not open any more."""
    if pull is None or pull.state is PullState.OPEN:
        return
    if pull.state is PullState.MERGED:
        message, hint = f"{pull.url} was merged, but this checkout does not have it yet", "update the checkout"
    else:
        message = f"{pull.url} was closed without a merge, so its changes are not proposed again"
        hint = "delete its branch to have them proposed again, or change mtls.toml"
    yield Diagnostic(Severity.WARNING, Code.FORGE, message, Pointer(project.name), hint)
