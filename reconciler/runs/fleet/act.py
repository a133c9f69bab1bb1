"""An act: what may be done to one stack without a person, while no other run changes its checkout.

Uploads and deletions are made; wrangler files and certificates are only proposed. Workers are never deployed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.errors import LockedError, ReconcilerError
from reconciler.findings.exits import ExitCode, strongest
from reconciler.findings.values import dataclass
from reconciler.model import (
    Act,
    Action,
    BindingChange,
    CertificateName,
    Change,
    Phase,
    Reason,
    Upload,
)
from reconciler.model.fleet import Acted, ActState
from reconciler.model.forges import Proposals, PullRequest, PullState
from reconciler.plan.fleet import Permit
from reconciler.plan.outcome import StepStatus
from reconciler.plan.plan import Plan
from reconciler.plan.policy import PATIENCE
from reconciler.plan.renewing import Renewals
from reconciler.private.folder import FOLDER
from reconciler.reports.left import Applied
from reconciler.reports.stacks import StackResult
from reconciler.runs.apply import apply, apply_nothing, left_to_deploy
from reconciler.runs.ci.renew import ProposalTarget, propose
from reconciler.runs.fleet.look import placed
from reconciler.runs.fleet.members import HINTS, FleetMember
from reconciler.runs.fleet.opened import Desk
from reconciler.runs.fleet.proposals import StagedFiles, branch_of, head, propose_files
from reconciler.runs.plan import Planned, PlanRequest, plan
from reconciler.runs.project import Project
from reconciler.runs.renew import due_names
from reconciler.runs.stacks import take
from reconciler.system.state_file import StateFile
from reconciler.views.table import Display, render

LOCK_TIMEOUT_S = 20.0
"""How long to wait for a person's `apply` in the same checkout."""
_WRITING = (Phase.UPLOAD, Phase.BIND, Phase.RETIRE)
_OF_ACCOUNT = frozenset({Action.UPLOAD, Action.RETIRE})
"""What changes the account; bindings are only proposed."""


@dataclass(frozen=True, slots=True)
class ActDone:
    """What an act came to. `acted`: what is remembered of it. `changed`: it may have changed something, instead of only
    finding what was proposed before."""

    result: StackResult
    acted: Acted
    changed: bool = True


@dataclass(frozen=True, slots=True)
class _Unwatched:
    """Shows no step: the outcome has all of them."""

    def started(self, change: Change) -> None:
        """Show nothing."""

    def finished(self, step: object) -> None:
        """Show nothing."""


def has_work(one: FleetMember, made: Plan, act: Act) -> bool:
    """Whether an act would do anything that a plan shows, or renew something."""
    new = _new_in(made)
    if any(_allows(act, change, new) for change in made.changes):
        return True
    return act.allows(Act.ROTATE) and any(name not in one.not_renewed for name in due_of(one))


def due_of(one: FleetMember) -> tuple[CertificateName, ...]:
    """The certificates of a stack that are due for renewal, also those that a fleet does not renew."""
    return tuple(map(CertificateName, due_names(one.member.project))) if one.member.renewing else ()


def not_renewed(one: FleetMember) -> tuple[Diagnostic, ...]:
    """A finding for each certificate that is due and not renewed by this fleet."""
    reasons = {name: one.not_renewed[name] for name in due_of(one) if name in one.not_renewed}
    return tuple(
        _not_done(one.member.project, f"{name!r} is due, and this fleet does not renew it: {reason}", HINTS[reason])
        for name, reason in reasons.items()
    )


def _allows(act: Act, change: Change, new: frozenset[CertificateName | None]) -> bool:
    if change.phase is Phase.RETIRE:
        return act.allows(Act.RETIRE)
    is_allowed = act.allows(Act.ALL) or (act.allows(Act.ROTATE) and change.certificate not in new)
    return change.phase in _WRITING and is_allowed


def _new_in(made: Plan) -> frozenset[CertificateName | None]:
    """The certificates of which a plan does more than to put one in the place of an older one."""
    writing = (change for change in made.changes if change.phase in {Phase.UPLOAD, Phase.BIND})
    return frozenset(change.certificate for change in writing if not _replaces(change))


def _replaces(change: Change) -> bool:
    if isinstance(change, Upload):
        return Reason.CONTENT_CHANGED in change.reasons
    return isinstance(change, BindingChange) and change.action is Action.REBIND


def act_on(
    desk: Desk, one: FleetMember, permit: Permit, forge: Proposals | None, tell: Callable[[str], None]
) -> ActDone:
    """Do to one stack what is permitted. What fails is in the result; raises nothing else."""
    now = one.member.project.clock.now()
    try:
        project = desk.project(one, acts=True)
        project = replace(project, lock=partial(_stack_lock, project))
        renewed, held = _renew(desk, one, project, permit, forge, tell)
        applied, pull, is_new, findings = _apply(desk, one, project, permit, forge, tell)
    except ReconcilerError as error:
        failed = replace(one.member.failure(error), note=permit.why)
        state = ActState.INTERRUPTED if isinstance(error, LockedError) else ActState.FAILED
        return ActDone(placed(failed, one, desk.opened), Acted(now, permit.act, state, message=error.message))
    outcome = applied.outcome
    applied = replace(
        applied, outcome=replace(outcome, findings=(*outcome.findings, *findings, *held, *_findings(renewed)))
    )
    code = strongest((applied.outcome.exit_code, *([renewed.exit_code] if renewed is not None else [])))
    urls = [*([pull.url] if pull is not None else []), *(one.url for one in (renewed.proposals if renewed else ()))]
    done = Counter(step.change.action for step in outcome.of(StepStatus.DONE) if step.change.action in _OF_ACCOUNT)
    errors = [problem.message for problem in applied.outcome.problems if problem.is_error]
    state = ActState.FAILED if code not in {ExitCode.OK, ExitCode.BLOCKED} else ActState.DONE
    state = ActState.INTERRUPTED if code in {ExitCode.INTERRUPTED, ExitCode.LOCKED} else state
    state = ActState.PROPOSED if urls and state is ActState.DONE else state
    note = "; ".join((permit.why, *(f"proposed: {url}" for url in urls)))
    result = replace(one.member.result(applied, code), place=project.place, note=note)
    left = [*(one.message for one in (*findings, *(renewed.findings if renewed else ())) if one.code is Code.FORGE)]
    left = left or [f"waits for the merge of {url}" for url in urls]
    message = errors[0] if errors else "; ".join(left) or None
    acted = Acted(now, permit.act, state, dict(done), message, urls[0] if urls else None)
    changed = is_new or state is ActState.FAILED or any(p.opened for p in (renewed.proposals if renewed else ()))
    return ActDone(placed(result, one, desk.opened), acted, changed or not _OF_ACCOUNT.isdisjoint(done))


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
    desk: Desk,
    one: FleetMember,
    project: Project,
    permit: Permit,
    forge: Proposals | None,
    tell: Callable[[str], None],
) -> tuple[Renewals | None, tuple[Diagnostic, ...]]:
    """Renew what is due, each certificate as a pull request. None, with the reason, if nothing can be proposed."""
    if not permit.act.allows(Act.ROTATE):
        return None, ()
    left = not_renewed(one)
    names = tuple(name for name in due_of(one) if name not in one.not_renewed)
    if not names:
        return None, left
    if forge is None or desk.opened.fleet.forge is None:
        found = _without_forge(desk, project, "certificates are due for renewal", "run `mtlsctl renew --due`")
        return None, (*left, found)
    staged = replace(project, files=StagedFiles(project.files))
    checkout = ProposalTarget(forge, head(project), desk.opened.fleet.forge.base)
    return propose(staged, checkout, tell, lock_timeout_s=LOCK_TIMEOUT_S, keep=lambda _: None, names=names), left


def _apply(
    desk: Desk,
    one: FleetMember,
    project: Project,
    permit: Permit,
    forge: Proposals | None,
    tell: Callable[[str], None],
) -> tuple[Applied, PullRequest | None, bool, tuple[Diagnostic, ...]]:
    """Carry out a plan that is made under the lock, as far as it is permitted; with the pull request of what it writes,
    and whether that is new."""
    staged = StagedFiles(project.files)
    project = replace(project, files=staged)
    with project.lock(command="fleet run", timeout_s=LOCK_TIMEOUT_S, waiting=tell) as held:
        planned, phases = _permitted(project, permit)
        take(project, planned)
        findings: tuple[Diagnostic, ...] = ()
        if forge is None and any(change.phase is Phase.BIND for change in planned.plan.changes if phases == _WRITING):
            otherwise = "run `mtlsctl apply` in the checkout and commit the files"
            findings = (_without_forge(desk, project, "bindings would change in wrangler files", otherwise),)
            phases = (Phase.RETIRE,)
        if any(change.phase in phases for change in planned.plan.changes):
            outcome = apply(project, planned, _Unwatched(), phases, command="fleet run", tell=tell, demand_lock=held)
        else:
            outcome = apply_nothing(project, planned, "fleet run", lambda _: None)
        applied = Applied(outcome, left_to_deploy(planned, outcome), desk.opened.command("run", "--all"))
        changes = staged.changes()
        if not changes or forge is None or desk.opened.fleet.forge is None or one.key is None:
            return applied, None, False, findings
        title = f"Use the renewed certificates of {planned.plan.stack}"
        body = render(applied, "markdown", Display(place=project.place))
        pull, is_new = propose_files(
            forge, head(project), desk.opened.fleet.forge.base, branch_of(one.key), title, body, changes
        )
    return applied, pull, is_new, (*findings, *_left_alone(project, pull))


def _permitted(project: Project, permit: Permit) -> tuple[Planned, tuple[Phase, ...]]:
    """The plan of what may be done, and the phases of it."""
    request = PlanRequest(patience=PATIENCE, acts=True)
    planned = plan(project, request)
    if not permit.act.allows(Act.ROTATE):
        return planned, (Phase.RETIRE,)
    if permit.act.allows(Act.ALL):
        return planned, _WRITING
    new = _new_in(planned.plan)
    if not new:
        return planned, _WRITING
    names = tuple(name for name in planned.desired.declaration.certificates if name not in new)
    if not names:
        return planned, (Phase.RETIRE,)
    return plan(project, replace(request, only=names)), _WRITING


def _without_forge(desk: Desk, project: Project, message: str, otherwise: str) -> Diagnostic:
    """What is not done because nothing can be proposed: fleet.toml has no `[forge]`, or its error is reported."""
    if desk.opened.fleet.forge is None:
        message, fix = f"{message}, and fleet.toml has no `[forge]`", "add `[forge]` to fleet.toml"
    else:
        message, fix = f"{message}, and `[forge]` of fleet.toml can't be used", "correct the error of `[forge]`"
    return _not_done(project, message, f"{fix}, or {otherwise}")


def _not_done(project: Project, message: str, hint: str) -> Diagnostic:
    return Diagnostic(Severity.WARNING, Code.FLEET_NOT_DONE, message, Pointer(project.name), hint)


def _left_alone(project: Project, pull: PullRequest) -> Iterator[Diagnostic]:
    """What to do about a pull request that is not open any more."""
    if pull.state is PullState.OPEN:
        return
    if pull.state is PullState.MERGED:
        message, hint = f"{pull.url} was merged, but this checkout does not have it yet", "update the checkout"
    else:
        message = f"{pull.url} was closed without a merge, so its changes are not proposed again"
        hint = "delete its branch to have them proposed again, or change mtls.toml"
    yield Diagnostic(Severity.WARNING, Code.FORGE, message, Pointer(project.name), hint)
