"""`apply` over several stacks: all plans are shown and asked about once, then each stack is applied by itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import typer

from reconciler.cli.carrying import Doing, confirm, perform, warn_of_keys
from reconciler.cli.record import joined
from reconciler.cli.session import Session
from reconciler.cli.terminal import TEXT, say
from reconciler.findings.errors import ReconcilerError, UsageError
from reconciler.findings.values import dataclass
from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.records.saved_plan import MAX_BYTES, read_plan
from reconciler.reports.left import Applied
from reconciler.reports.stacks import StackResult, join
from reconciler.runs.apply import LookBack, demand_programs
from reconciler.runs.journal import NO_RUN
from reconciler.runs.plan import Planned, PlanRequest, plan, plan_approved
from reconciler.runs.plan_folder import PlanFolder, read_folder
from reconciler.runs.stacks import Member, plan_each
from reconciler.system.files import read_named
from reconciler.views.table import render


@dataclass(frozen=True, slots=True)
class Saved:
    """The folder of saved plans, and how old they may be."""

    folder: Path
    max_age: timedelta


def apply_several(
    session: Session,
    request: PlanRequest,
    saved: Saved | None,
    doing: Doing,
    timeout_s: float,
    *,
    yes: bool,
    out: Path | None,
) -> NoReturn:
    """Apply several stacks, one after the other, and end the command. A stack that fails stops no other one."""
    members = session.open_members()
    for member in members:
        member.project.allow_commands = doing.allow_commands
    folder = open_plans(session, members, saved.folder) if saved is not None else None
    if folder is not None:
        members = tuple(member for member in members if member.file in folder.names)

    def make(member: Member) -> Planned:
        if folder is None or saved is None:
            return plan(member.project, request)
        path = folder.path_of(member)
        approved = read_plan(read_named(path, limit=MAX_BYTES), str(path))
        return plan_approved(member.project, approved, request, saved.max_age)

    def again(member: Member) -> Sequence[str]:
        return doing.again[1:] if folder is None else (str(folder.path_of(member)), *doing.again[2:])

    with ExitStack() as locks:
        held = _lock_all(session, members, locks, timeout_s)
        doing.keep(NO_RUN)
        found = list(plan_each(members, make, request.only))
        _ask(session, members, found, doing, yes=yes or saved is not None)
        results = _apply_all(session, members, found, doing, held, again)
    stacks = join("apply", results)
    if session.format == TEXT and out is None and not any(map(_has_news, results)):
        raise typer.Exit(stacks.exit_code)
    session.end_with_all(stacks, out)


def _has_news(result: StackResult) -> bool:
    """Whether the plan that was shown does not say it already."""
    report = result.report
    return not isinstance(report, Applied) or bool(report.outcome.steps or report.to_deploy)


def open_plans(session: Session, members: Sequence[Member], saved: Path) -> PlanFolder:
    """The folder of the saved plans, after a line on whom to trust, and one on the stacks without a plan."""
    if not os.path.lexists(saved):
        raise UsageError(f"{saved} does not exist", hint="make it with `mtlsctl plan --out`, for the same stacks")
    if not saved.is_dir():
        raise UsageError(
            f"{saved} is the plan of one stack, but this run is over several",
            hint="name the folder that `mtlsctl plan --out` made, or one stack with `--file`",
        )
    folder = read_folder(saved, members)
    session.tell(
        f"{saved}: {len(folder.names)} saved plans. They are not signed: anyone can make one, so use only those"
        " from a job that you trust."
    )
    left = [member.file for member in members if member.file not in folder.names]
    if left:
        session.tell(f"{len(left)} of {len(members)} stacks have no plan there and are left out: {', '.join(left)}")
    return folder


def _lock_all(
    session: Session, members: Sequence[Member], locks: ExitStack, timeout_s: float
) -> dict[Path, Callable[[], None]]:
    """The lock of each git tree, taken once and always in the same order; what raises LockedError once it is lost."""
    held: dict[Path, Callable[[], None]] = {}
    for member in sorted(members, key=lambda one: one.project.files.root):
        root = member.project.files.root
        if root not in held and member.problem is None:
            session.project = member.project  # an error about its lock names a place in it
            lock = member.project.lock(command="apply", timeout_s=timeout_s, waiting=session.tell)
            held[root] = locks.enter_context(lock)
    session.project = None
    return held


def _ask(
    session: Session, members: Sequence[Member], found: list[Planned | StackResult], doing: Doing, *, yes: bool
) -> None:
    """Show all plans and ask. A stack whose deploys lack a program fails here, before anything is changed."""
    for index, (member, one) in enumerate(zip(members, found, strict=True)):
        if isinstance(one, Planned) and doing.is_pending(one.plan):
            try:
                demand_programs(member.project, one, doing.phases)
            except ReconcilerError as error:
                found[index] = member.failure(error)
    planned = [(member, one) for member, one in zip(members, found, strict=True) if isinstance(one, Planned)]
    pending = any(doing.is_pending(one.plan) for _, one in planned)
    if session.format == TEXT or (pending and not yes):
        results = [
            one if isinstance(one, StackResult) else member.result(one.plan, one.plan.exit_code)
            for member, one in zip(members, found, strict=True)
        ]
        text = render(join("plan", results), TEXT, session.display(sys.stdout))
        say(text, nl=False, err=session.format != TEXT)
    if pending:
        for member, one in planned:
            if not yes:
                warn_of_keys(one.plan, member.project, doing.phases)
        confirm(yes, can_save=True)


def _apply_all(
    session: Session,
    members: Sequence[Member],
    found: Sequence[Planned | StackResult],
    doing: Doing,
    held: dict[Path, Callable[[], None]],
    again: Callable[[Member], Sequence[str]],
) -> list[StackResult]:
    """The result of each stack. An interrupt stops all that were not begun. `again`: what continues one stack alone."""
    results: list[StackResult] = []
    later: dict[int, list[LookBack]] = {}
    keep_also = joined(doing.keep)
    interrupted = False
    for index, (member, one) in enumerate(zip(members, found, strict=True)):
        if isinstance(one, StackResult):
            results.append(one)
            continue
        words = (doing.again[0], "-f", member.file, *again(member))
        own = replace(doing, again=words, keep=keep_also(), later=later.setdefault(index, []))
        if interrupted:
            results.append(_result(member, _not_begun(one, own)))
            continue
        session.project = member.project
        try:
            applied = perform(session, member.project, one, own, held[member.project.files.root])
        except ReconcilerError as error:
            results.append(member.failure(error))
            continue
        finally:
            session.project = None
        interrupted = applied.outcome.interrupted
        results.append(_result(member, applied))
    return [one if interrupted else _looked_back(one, later.get(index, ())) for index, one in enumerate(results)]


def _result(member: Member, applied: Applied) -> StackResult:
    return member.result(applied, applied.outcome.exit_code)


def _not_begun(planned: Planned, doing: Doing) -> Applied:
    """The outcome of a stack whose turn did not come."""
    note = "the run was interrupted"
    steps = tuple(Step(change, StepStatus.NOT_STARTED, note=note) for change in planned.plan.changes)
    return Applied(Outcome(planned.plan, steps, interrupted=True), (), ("mtlsctl", *doing.again))


def _looked_back(result: StackResult, later: Sequence[LookBack]) -> StackResult:
    """The result with what the list says about its uploads. The list of an account is read once for all stacks."""
    if not isinstance(result.report, Applied):
        return result
    seen = tuple(finding for look in later for finding in look())
    outcome = result.report.outcome
    report = replace(result.report, outcome=replace(outcome, findings=(*outcome.findings, *seen)))
    return replace(result, report=report, exit_code=report.outcome.exit_code)
