"""Wires a run: load -> observe -> diff -> plan (-> apply). Knows every room and decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from reconciler import keys
from reconciler.findings.errors import InputError, StalePlanError, UsageError
from reconciler.findings.suggest import suggest
from reconciler.model import Actual, Change, Declaration, Deploy, Desired, EntryId, Listing, Phase, Retire, StoreKind
from reconciler.model.calls import Calls, expect_calls
from reconciler.model.keys import KeyContext
from reconciler.plan.approval import approve, demand_appliable
from reconciler.plan.deploys import NOBODY, Wanted
from reconciler.plan.diff import make_changes, take_stock
from reconciler.plan.live import compare_live, count_versions
from reconciler.plan.plan import Plan, make_plan, match_names, only_retires
from reconciler.runs.configs import load_configs
from reconciler.runs.look import Close, load_certificates, load_declaration, look_closer, observe
from reconciler.runs.project import Project

if TYPE_CHECKING:  # what only `apply` needs is imported by it: a plan, a status or an explanation comes sooner
    from reconciler.apply import Observer
    from reconciler.plan.outcome import Outcome, Step
    from reconciler.reports.left import ToDeploy
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
    """What the command line asks of a plan. `at`: another moment than now, for looking. `live`: what serves as well;
    `deploy`: which Workers are deployed where that differs.

    `retire`: only the retires of this certificate or id; `skip_grace`: their grace is skipped, and nothing else.
    """

    only: tuple[str, ...] = ()
    at: datetime | None = None
    offline: bool = False
    allow_deletes: int | None = None
    live: bool = False
    deploy: Wanted = NOBODY
    retire: str | None = None
    skip_grace: bool = False


def plan(project: Project, request: PlanRequest, listing: Listing | None = None) -> Planned:
    """The plan of this moment. Holds the reading half of the store, opens no key, runs no command, writes nothing.

    `listing`: one that will do, so that the store is not listed anew.
    """
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
    actual = observe(desired, configs, reader, listing)
    without_grace = request.retire if request.skip_grace else None
    stock = take_stock(desired, actual)
    close = Close(project.files, reader.live() if reader else None, now, without_grace, request.live, request.deploy)
    asked = "--live" if request.live else "--deploy" if request.deploy.everybody else None
    if asked is not None and close.reader is None:
        _demand_account(declaration, request, asked)
    before = reader.calls if reader else None
    actual = look_closer(desired, actual, stock, close)
    changes = make_changes(desired, actual, now, without_grace, stock=stock, deploy=request.deploy)
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
        show_live=request.live,
    )
    if reader is not None and before is not None:
        made = replace(made, calls=_count_calls(made, actual, before, reader.calls or 0))
    return Planned(made, desired, actual, request)


def _count_calls(made: Plan, actual: Actual, before: int, calls: int) -> Calls:
    entries = len(actual.listing.entries) if actual.listing else 0
    again = calls - before - (count_versions(actual.live) if actual.live else 0)
    return expect_calls(made.changes, made=calls, again=again, entries=entries)


def plan_approved(project: Project, saved: Plan, deploy: Wanted = NOBODY) -> Planned:
    """The plan of this moment as far as a saved one allows it; StalePlanError where it goes beyond."""
    demand_appliable(saved)
    try:
        deploys = [change for change in saved.changes if isinstance(change, Deploy)]
        split = frozenset(change.script for change in deploys if len(change.serving) > 1)
        wanted = replace(deploy, workers=frozenset(change.worker for change in deploys), split=split)
        planned = plan(project, PlanRequest(only=saved.partial, allow_deletes=_ANY_NUMBER, deploy=wanted))
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
    waves: Sequence[int | None] = (None,),
) -> Outcome:
    """Carry out a plan that was made in this run, under the lock of the checkout, and write the journal."""
    from reconciler.apply import World, apply_plan
    from reconciler.runs.proving import Proving
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
        still_safe=partial(_retirable, project, planned),
        roller=partial(project.rollers.open, planned.desired.declaration),
        prover=Proving(project.files, project.provers.prober),
        waves=waves,
        settle=journal.settle,
    )
    outcome = apply_plan(made, planned.desired, world, phases)
    journal.end(exit_code=outcome.exit_code, interrupted=outcome.interrupted)
    return replace(outcome, findings=(*outcome.findings, *journal.findings))


def left_to_deploy(planned: Planned, outcome: Outcome) -> tuple[ToDeploy, ...]:
    """What somebody else has to deploy after this run."""
    from reconciler.reports.left import find_left

    live = compare_live(planned.desired, planned.actual, None)
    return find_left(outcome.steps, live, planned.plan.store, planned.actual.files)


def _retirable(project: Project, planned: Planned, uploaded: bool) -> frozenset[EntryId]:
    """What a plan of this moment would retire: while a person thought about the plan, git may have been at work.

    The list of this run serves again while it is younger than lists lag, and this run has uploaded nothing since: a new
    one would not know more. The entries that go are read by their ids anyhow, each just before its delete.
    """
    request = replace(planned.request, allow_deletes=_ANY_NUMBER, live=False, deploy=NOBODY)
    lag = timedelta(seconds=project.stores.open_reader(planned.plan.store).lag_s)
    is_fresh = not uploaded and project.clock.now() - planned.plan.made < lag
    listing = planned.actual.listing if is_fresh else None
    again = plan(replace(project, sources={}), request, listing).plan
    return frozenset(change.entry.id for change in again.changes if isinstance(change, Retire))


def _demand_account(declaration: Declaration, request: PlanRequest, asked: str) -> None:
    if request.offline:
        raise UsageError(f"`{asked}` asks the account, and `--offline` asks nobody", hint="take one of them")
    if declaration.store.kind is StoreKind.LOCAL:
        message = f"`{asked}` asks what serves in an account; the embedded store has no live Workers"
        raise UsageError(message, hint='see kind = "cloudflare" in `[store]`; `mtlsctl emulator` is an account to try')


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
