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
from reconciler.model.errors import StoreError
from reconciler.model.fleet import LookState, StackRow
from reconciler.plan.plan import Plan
from reconciler.reports.fleet import failed_look, look_of
from reconciler.reports.stacks import StackResult
from reconciler.runs.fleet.members import FleetMember
from reconciler.runs.fleet.opened import Desk, OpenedFleet
from reconciler.runs.ledger import account_of
from reconciler.runs.plan import Planned, PlanRequest, plan
from reconciler.runs.stacks import Member, plan_each


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found of one stack. `row`: what is remembered of it; None for one without a name or an account."""

    one: FleetMember
    result: StackResult
    row: StackRow | None


def look_at(desk: Desk, members: Sequence[FleetMember], now: datetime) -> tuple[Looked, ...]:
    """Look at the stacks of one account with one credential. What fails is in their results; raises nothing else."""
    opened = [_opened(desk, one) for one in members]
    found = plan_each(opened, _Planner().plan)
    results = [
        one if isinstance(one, StackResult) else member.result(one.plan, code_of(one.plan))
        for member, one in zip(opened, found, strict=True)
    ]
    return tuple(
        Looked(one, placed(result, one, desk.opened), _row(one, result, now))
        for one, result in zip(members, results, strict=True)
    )


def code_of(made: Plan) -> ExitCode:
    """The exit code of a look: 2 if something is pending."""
    return strongest((made.exit_code, *([ExitCode.CHANGES] if made.changes else [])))


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


def _row(one: FleetMember, result: StackResult, now: datetime) -> StackRow | None:
    if one.key is None:
        return None
    account, stack = one.key
    if isinstance(result.report, Plan):
        look = look_of(result.report, now)
        is_whole = look.state not in {LookState.FAILED, LookState.INCOMPLETE}
        return StackRow(account, stack, one.file, look, now if is_whole else None, tags=one.rule.tags)
    return StackRow(account, stack, one.file, failed_look(result.report, now), tags=one.rule.tags)
