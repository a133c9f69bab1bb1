"""A look: the plan of each stack of one account with one credential, from one list. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from reconciler.findings.diagnostics import Place, Pointer, Resolve
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.exits import ExitCode, strongest
from reconciler.findings.values import dataclass
from reconciler.model import CertificateName
from reconciler.model.errors import StoreError
from reconciler.model.fleet import Fleet, Look, LookState, StackRow
from reconciler.plan.fleet import find_work, needed_act
from reconciler.reports.fleet import differences_of, failed_look, look_of
from reconciler.reports.stacks import StackResult
from reconciler.runs.fleet.members import FleetMember
from reconciler.runs.fleet.opened import Desk, OpenedFleet
from reconciler.runs.ledger import account_of
from reconciler.runs.plan import Planned, PlanRequest, plan
from reconciler.runs.renew import due_names
from reconciler.runs.stacks import Member, plan_each


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found of one stack. `row`: what is remembered of it; None for one without a name or an account.
    `due`: the certificates to renew, also those that a fleet does not renew."""

    one: FleetMember
    result: StackResult
    row: StackRow | None
    due: tuple[CertificateName, ...] = ()


def look_at(desk: Desk, members: Sequence[FleetMember], now: datetime) -> tuple[Looked, ...]:
    """Look at the stacks of one account with one credential. What fails is in their results; raises nothing else."""
    opened = [_opened(desk, one) for one in members]
    found = plan_each(opened, _Planner().plan)
    return tuple(
        _looked(desk, one, member, result, now) for one, member, result in zip(members, opened, found, strict=True)
    )


def _looked(desk: Desk, one: FleetMember, member: Member, found: Planned | StackResult, now: datetime) -> Looked:
    try:
        if isinstance(found, Planned):
            due = tuple(map(CertificateName, due_names(member.project))) if member.renewing else ()
            look = look_of(found.plan, now, len(due))
            renewed = [name for name in due if name not in one.not_renewed]
            no_forge = no_forge_text(desk.opened.fleet)
            held = find_work(found.plan.changes, renewed, one.act, no_forge).held
            look = replace(
                look,
                needs=needed_act(found.plan.changes, renewed, no_forge),
                message=look.message or held,
            )
            result = member.result(found.plan, code_of(found.plan.exit_code, look))
            if look.state is LookState.DRIFT:
                result = replace(result, note="; ".join(f"differs: {each}" for each in differences_of(found.plan)))
            return Looked(one, placed(result, one, desk.opened), _row(one, look), due)
    except ReconcilerError as error:
        found = member.failure(error)
    return Looked(one, placed(found, one, desk.opened), _row(one, failed_look(found.report, now)))


def no_forge_text(fleet: Fleet) -> str | None:
    """Why nothing that writes files can be proposed; None if it can."""
    if fleet.forge is not None:
        return None
    fix = "add it, or run `mtlsctl renew --due` and `mtlsctl apply` in the checkout and commit the files"
    return f"not done: this changes files, and {fleet.path} has no `[forge]`; {fix}"


def code_of(code: ExitCode, look: Look) -> ExitCode:
    """The exit code of a look, or of what was done after it: 2 if something is still pending, or differs."""
    return strongest((code, *([ExitCode.CHANGES] if look.is_pending else [])))


def placed(result: StackResult, one: FleetMember, opened: OpenedFleet) -> StackResult:
    """The same result; what its findings say of fleet.toml is found there, too."""
    return replace(result, place=partial(_place, one, opened, result.place))


def _place(one: FleetMember, opened: OpenedFleet, otherwise: Resolve, where: Pointer | Place | None) -> Place | None:
    if isinstance(where, Pointer) and where.path == opened.fleet.path:
        found = opened.file.place(where)
        return found and replace(found, path=Path(opened.path_from(one.folder)).as_posix())
    return otherwise(where)


def _opened(desk: Desk, one: FleetMember) -> Member:
    """The stack with its token; with a problem if there is none."""
    if one.member.problem is not None:
        return one.member
    try:
        return replace(one.member, project=desk.project(one, acts=False))
    except ReconcilerError as error:
        return replace(one.member, problem=error)


@dataclass(slots=True)
class _Planner:
    """Plans the stacks of one account. If its list can't be read, that fails for all, and is not tried again."""

    failed: StoreError | None = None

    def plan(self, member: Member) -> Planned:
        """The plan of a stack."""
        if self.failed is not None:
            raise self.failed
        try:
            return plan(member.project, PlanRequest())
        except StoreError as error:
            project, ledger = member.project, member.project.ledger
            if member.store is not None and ledger is not None:
                is_listed = ledger.listing(account_of(member.store, project.folder)) is not None
                self.failed = None if is_listed else error
            raise


def _row(one: FleetMember, look: Look) -> StackRow | None:
    if one.key is None:
        return None
    is_whole = look.state not in {LookState.FAILED, LookState.INCOMPLETE}
    return StackRow(*one.key, one.file, look, look.time if is_whole else None, tags=one.rule.tags)
