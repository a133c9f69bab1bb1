"""Wires a run: load -> observe -> diff -> plan (-> apply). Knows every room and decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from reconciler import keys
from reconciler.configs import load_configs
from reconciler.core.approval import approve, demand_appliable
from reconciler.core.diff import make_changes, take_stock
from reconciler.core.errors import InputError, StalePlanError, UsageError
from reconciler.core.key_shapes import KeyContext
from reconciler.core.model import Actual, Change, Desired, EntryId, Phase, Retire
from reconciler.core.names import suggest
from reconciler.core.plan import Plan, make_plan, match_names, only_retires
from reconciler.observe import Close, load_certificates, load_declaration, look_closer, observe
from reconciler.project import Project

if TYPE_CHECKING:  # what only `apply` needs is imported by it: a plan, a status or an explanation comes sooner
    from reconciler.apply import Observer
    from reconciler.core.outcome import Outcome, Step
    from reconciler.system.journal import Journal

_ANY_NUMBER = 10**9
_LONGEST_PATTERN = 200
"""Of `--only`, and of what a saved plan says was its. A name has 48 characters; to match a long glob can take hours."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with what it was made from."""

    plan: Plan
    desired: Desired
    actual: Actual
    request: PlanRequest


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What the command line asks of a plan. `at`: another moment than now, for looking. `live`: what serves as well.

    `retire`: only the retires of this certificate or id; `skip_grace`: their grace is skipped, and nothing else.
    """

    only: tuple[str, ...] = ()
    at: datetime | None = None
    offline: bool = False
    allow_deletes: int | None = None
    live: bool = False
    retire: str | None = None
    skip_grace: bool = False


def plan(project: Project, request: PlanRequest) -> Planned:
    """The plan of this moment. Holds the reading half of the store, opens no key, runs no command, writes nothing."""
    declaration, warnings = load_declaration(project.files, project.name, keys.KINDS, project.sources, project.environ)
    desired, blocked = load_certificates(declaration, project.files)
    try:
        configs, noticed = load_configs(declaration, project.files, project.sources)
    except InputError as error:
        raise InputError((*warnings, *blocked, *error.problems)) from error
    if request.only:
        _demand_matches(desired, request.only)
    now = request.at or project.clock.now()
    reader = None if request.offline else project.stores.open_reader(declaration.store)
    actual = observe(desired, configs, reader)
    without_grace = request.retire if request.skip_grace else None
    stock = take_stock(desired, actual)
    close = Close(project.files, reader.live() if reader else None, now, without_grace, live=request.live)
    actual = look_closer(desired, actual, stock, close)
    changes = make_changes(desired, actual, now, without_grace, stock=stock)
    changes = replace(changes, diagnostics=(*warnings, *blocked, *noticed, *changes.diagnostics))
    if request.retire is not None:
        changes = only_retires(changes, request.retire)
    made = make_plan(
        changes,
        desired,
        actual.listing,
        now=now,
        allow_deletes=request.allow_deletes,
        only=request.only,
        at=request.at is not None,
    )
    return Planned(made, desired, actual, request)


def plan_approved(project: Project, saved: Plan) -> Planned:
    """The plan of this moment as far as a saved one allows it; StalePlanError where it goes beyond."""
    demand_appliable(saved)
    try:
        planned = plan(project, PlanRequest(only=saved.partial, allow_deletes=_ANY_NUMBER))
    except UsageError as error:
        message = f"the saved plan is of certificates that are not declared any more: {error.message}"
        raise StalePlanError(message, hint="make a new plan and have it approved") from error
    return replace(planned, plan=approve(planned.plan, saved))


def apply(
    project: Project,
    planned: Planned,
    observer: Observer,
    phases: Sequence[Phase] = tuple(Phase),
    *,
    command: str = "apply",
) -> Outcome:
    """Carry out a plan that was made in this run, under the lock of the checkout, and write the journal."""
    from reconciler.apply import World, apply_plan
    from reconciler.system.journal import Journal

    made = planned.plan
    project.files.tidy()
    journal = Journal(project.lines, clock=project.clock)
    journal.begin(command=command, stack=made.stack, plan_digest=made.digest)
    world = World(
        store=project.stores.open_store(made.store),
        files=project.files,
        keys=keys.open_sources(KeyContext(files=project.files, environment=project.environ)),
        observer=_Both(journal, observer),
        still_safe=partial(_retirable, project, planned.request),
    )
    outcome = apply_plan(made, planned.desired, world, phases)
    journal.end(exit_code=outcome.exit_code, interrupted=outcome.interrupted)
    return replace(outcome, findings=(*outcome.findings, *journal.findings))


def _retirable(project: Project, request: PlanRequest) -> frozenset[EntryId]:
    """What a plan of this moment would retire: while a person thought about the plan, git may have been at work."""
    again = plan(replace(project, sources={}), replace(request, allow_deletes=_ANY_NUMBER)).plan
    return frozenset(change.entry.id for change in again.changes if isinstance(change, Retire))


@dataclass(frozen=True, slots=True)
class _Both:
    """The journal, and whoever else watches."""

    journal: Journal
    other: Observer

    def started(self, change: Change) -> None:
        self.journal.started(change)
        self.other.started(change)

    def finished(self, step: Step) -> None:
        self.journal.finished(step)
        self.other.finished(step)


def _demand_matches(desired: Desired, only: tuple[str, ...]) -> None:
    long = next((pattern for pattern in only if len(pattern) > _LONGEST_PATTERN), None)
    if long is not None:
        raise UsageError(
            f"`--only {long[:20]}...` is longer than any name", hint=f"give at most {_LONGEST_PATTERN} characters"
        )
    for pattern, names in match_names(desired, only).items():
        if not names:
            hint = suggest(pattern, desired.declaration.certificates)
            raise UsageError(f"`--only {pattern}` names no declared certificate", hint=hint)
