"""Wires a plan: load -> observe -> judge -> read more -> plan. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from reconciler.findings.errors import StalePlanError, UsageError
from reconciler.findings.suggest import suggest
from reconciler.findings.values import dataclass
from reconciler.model import (
    Actual,
    Condition,
    Declaration,
    Deploy,
    Desired,
    HostnamesAddress,
    HyperdriveAddress,
    Listing,
    Reason,
    Retire,
    Update,
)
from reconciler.model.identifiers import whole_id
from reconciler.model.ownership import read_mark
from reconciler.model.ports import StoreReader
from reconciler.plan.approval import approve, demand_appliable, demand_recent
from reconciler.plan.assessment import Assessment, PlanOptions
from reconciler.plan.guards import hold
from reconciler.plan.inputs import CallsMade, PlanInputs, draw, judge_first
from reconciler.plan.live import NOBODY, DeployChoice
from reconciler.plan.plan import LONGEST_PATTERN, Plan, SavedPlan, Selection, match_names
from reconciler.plan.policy import PATIENCE
from reconciler.runs.base import NOT_ASKED, compare_with
from reconciler.runs.ledger import account_of
from reconciler.runs.look import FurtherLook, look, look_further, observe
from reconciler.runs.operator import is_on, read_operator
from reconciler.runs.project import Project
from reconciler.system.discover import head_commit

ANY_NUMBER = 10**9
DEPLOY_VARIABLE = "MTLSCTL_DEPLOY"
"""With 1, the operator allows what `deploy = "wrangler"` asks for."""
MAX_AGE = timedelta(days=7)
"""Of a saved plan: who approved it knew the world of that time."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with the request that it was made for, and all that it was made from. `unmatched`: the patterns of `only`
    that match nothing here, in a run in which they may be of another stack."""

    plan: Plan
    request: PlanRequest
    inputs: PlanInputs
    unmatched: tuple[str, ...] = ()

    @property
    def desired(self) -> Desired:
        """What mtls.toml declares."""
        return self.plan.assessment.desired

    @property
    def actual(self) -> Actual:
        """What was found."""
        return self.plan.assessment.actual


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """The options of a plan. `at`: preview it at this time. `live`: read live Workers, too; None: as in `check_live` of
    the policy. `deploy`: which Workers are deployed if their live version differs.

    `allow_deletes`, `allow_unbinds`: instead of the limits of the policy. `prune`: also retire what mtls.toml no longer
    declares; the operator's variable orders that, too. `take_over`: the former stacks whose entries may be retired.

    `retire`: only the retires of this certificate or ID; `skip_grace`: without their grace period;
    `ignore_rollback`: even if a rollback could restore a version that uses one. `patience`: how long to wait until a
    certificate is valid. `base`: the revision whose guards are compared with those of now. `every_condition`: where
    live Workers are read, check all conditions of every old certificate. `again`: just before deletions, so live
    Workers are read again.

    `acts`: the changes are made by this run, so what a freeze or `protect` holds is an error, unless it runs by
    schedule. `unprotected`, `allow_empty`, `freeze_reason`: what it may do all the same, and why during a freeze.
    """

    only: tuple[str, ...] = ()
    at: datetime | None = None
    offline: bool = False
    allow_deletes: int | None = None
    allow_unbinds: int | None = None
    prune: bool = False
    take_over: tuple[str, ...] = ()
    live: bool | None = None
    deploy: DeployChoice = NOBODY
    retire: str | None = None
    skip_grace: bool = False
    ignore_rollback: bool = False
    patience: timedelta = timedelta(0)
    approved: bool = False
    every_condition: bool = False
    base: str | None = None
    again: bool = False
    acts: bool = False
    unprotected: tuple[str, ...] = ()
    allow_empty: bool = False
    freeze_reason: str | None = None


def plan(project: Project, request: PlanRequest, listing: Listing | None = None) -> Planned:
    """The plan found now. Uses the reading half of the store, opens no key, and writes nothing. Runs no command,
    but for `base` git.

    `listing`: a recent list, so that the store is not listed again.
    """
    return _guarded(_find(project, request, listing))


def _guarded(planned: Planned) -> Planned:
    """The same, but what must not be done now waits."""
    return replace(planned, plan=hold(planned.plan, refuses=planned.inputs.refuses))


def _find(project: Project, request: PlanRequest, listing: Listing | None = None) -> Planned:
    """The plan found now, without what a run must not do now."""
    checkout = look(project)
    desired, operator = checkout.desired, read_operator(project.environ)
    compared = NOT_ASKED if request.base is None else compare_with(project, request.base)
    _demand_former(desired.declaration, request)
    others = _not_declared(desired, request.only)
    if others and request.offline and project.ledger is None:
        raise _no_match(others[0], desired.declaration.certificates)
    now = request.at or project.clock.now()
    reader = None if request.offline else project.stores.open_reader(desired.declaration.store)
    begun = reader.calls or 0 if reader else 0  # of the stacks before, in a run over several
    actual = observe(checkout, reader, listing or _listing(project, desired.declaration, reader))
    request = replace(request, retire=_whole(request.retire, actual.listing))
    live_reader = reader.live() if reader else None
    is_live_wanted = desired.declaration.policy.check_live if request.live is None else request.live
    is_known = project.ledger is not None and not request.again
    further = FurtherLook(project.files, live_reader, is_live_wanted and live_reader is not None, known=is_known)
    asked = "--live" if request.live else "--deploy" if request.deploy.everybody else None
    has_updates = bool(desired.declaration.hyperdrives or desired.declaration.zones)
    is_about_updates = asked == "--deploy" and has_updates and not request.offline
    if asked is not None and further.reader is None and not is_about_updates:
        _demand_account(desired.declaration, request, asked)
    before = reader.calls if reader else None
    inputs = PlanInputs(
        desired=desired,
        actual=actual,
        now=now,
        ask=_options(request, project.environ, every_condition=request.every_condition and further.live),
        findings=checkout.findings,
        selection=Selection(request.only, request.retire),
        allow_deletes=request.allow_deletes,
        allow_unbinds=request.allow_unbinds,
        at=request.at is not None,
        show_live=further.live,
        refuses=request.acts and not operator.scheduled,
        weakened=compared.weakened,
        compared=compared.findings,
    )
    assessment = judge_first(inputs)
    others = _not_uploaded(others, assessment)
    if others and project.ledger is None:
        removed = (row.owner for row in assessment.entries if row.reason is Reason.ORPHANED and row.owner is not None)
        raise _no_match(others[0], {*desired.declaration.certificates, *removed})
    assessment = look_further(assessment, further)
    calls = None
    if reader is not None and before is not None:
        calls = CallsMade(before - begun, (reader.calls or 0) - begun)
    inputs = replace(inputs, actual=assessment.actual, calls=calls, commit=head_commit(project.folder))
    return Planned(draw(inputs, assessment), request, inputs, tuple(others))


def _options(request: PlanRequest, environ: Mapping[str, str], *, every_condition: bool) -> PlanOptions:
    """What is asked for, as it is judged; what a saved plan approved is not widened by the operator's variables."""
    return PlanOptions(
        skip_grace=request.retire if request.skip_grace else None,
        ignore_rollback=request.retire if request.ignore_rollback else None,
        deploy=replace(request.deploy, allowed=not request.approved and is_on(environ, DEPLOY_VARIABLE)),
        patience=request.patience,
        every_condition=every_condition,
        prune=request.prune or (read_operator(environ).prune and not request.approved),
        take_over=frozenset(request.take_over),
        unprotected=frozenset(request.unprotected),
        allow_empty=request.allow_empty or request.retire is not None,  # who names one does not mean all
        freeze_reason=request.freeze_reason,
    )


def _listing(project: Project, declaration: Declaration, reader: StoreReader | None) -> Listing | None:
    """The list that this run over several stacks read already, or reads now; None in a run over one stack."""
    ledger = project.ledger
    if ledger is None or reader is None:
        return None
    account, began = account_of(declaration.store, project.folder), project.clock.now()
    return ledger.listing(account) or ledger.keep(account, reader.list_entries(), began)


def plan_approved(
    project: Project, saved: SavedPlan, request: PlanRequest | None = None, max_age: timedelta = MAX_AGE
) -> Planned:
    """The plan found now, limited to a saved one; StalePlanError if it has other changes, or is too old.

    `request`: how to deploy, and which guard rails this run may pass, for a saved plan says nothing about that.
    """
    given = request or PlanRequest()
    demand_appliable(saved)
    demand_recent(saved, project.clock.now(), max_age)
    try:
        # What a freeze held when the plan was saved is approved as well, for after it.
        frozen = (one.change for one in saved.waiting if one.condition is Condition.FROZEN)
        meant = (*saved.changes, *frozen)
        deploys = [change for change in meant if isinstance(change, Deploy)]
        split = frozenset(change.script for change in deploys if len(change.serving) > 1)
        updated = [change.at for change in meant if isinstance(change, Update)]
        hyperdrives = frozenset(at.config for at in updated if isinstance(at, HyperdriveAddress))
        zones = frozenset(at.zone_id for at in updated if isinstance(at, HostnamesAddress))
        workers = frozenset(change.at.worker for change in deploys)
        wanted = replace(given.deploy, workers=workers, split=split, hyperdrives=hyperdrives, zones=zones)
        retires = [change for change in meant if isinstance(change, Retire)]
        request = replace(
            given,
            only=saved.partial,
            allow_deletes=ANY_NUMBER,
            allow_unbinds=ANY_NUMBER,
            prune=any(Reason.ORPHANED in change.reasons for change in retires),
            take_over=tuple({change.entry.name.partition(".")[0] for change in retires}),
            deploy=wanted,
            patience=PATIENCE,
            approved=True,
        )
        planned = _find(project, request)
    except UsageError as error:
        message = f"the saved plan selects certificates that are no longer declared: {error.message}"
        raise StalePlanError(message, hint="make a new plan and have it approved") from error
    return _guarded(replace(planned, plan=approve(planned.plan, saved)))


def _demand_former(declaration: Declaration, request: PlanRequest) -> None:
    """UsageError if a stack that is to be taken over is not a former one; a saved plan names others, too."""
    former = declaration.former_stacks
    other = next((stack for stack in request.take_over if stack not in former), None)
    if other is None or request.approved:
        return
    known = suggest(other, former) if former else "add it to `former_stacks` in mtls.toml first, if it was renamed"
    raise UsageError(f"`--take-over {other}`: `former_stacks` in mtls.toml does not list that stack", hint=known)


def _demand_account(declaration: Declaration, request: PlanRequest, asked: str) -> None:
    if request.offline:
        message = f"`{asked}` reads the account, but `--offline` calls no server"
        raise UsageError(message, hint="use only one of the two options")
    if not declaration.store.kind.traits.has_live_workers:
        message = f"`{asked}` reads live Workers, but this project uses {declaration.store.title}, which has none"
        hint = 'set `kind = "cloudflare"` in `[store]`; to try it without an account, run `mtlsctl emulator`'
        raise UsageError(message, hint=hint)


def _not_declared(desired: Desired, only: tuple[str, ...]) -> list[str]:
    """The patterns that match no declared certificate; UsageError if one is too long."""
    long = next((pattern for pattern in only if len(pattern) > LONGEST_PATTERN), None)
    if long is not None:
        raise UsageError(
            f"`--only {long[:20]}...` is longer than any name", hint=f"use at most {LONGEST_PATTERN} characters"
        )
    return [pattern for pattern, names in match_names(desired, only).items() if not names]


def _not_uploaded(patterns: Iterable[str], assessment: Assessment) -> list[str]:
    """The patterns that match no removed certificate that is still uploaded either."""
    removed = {row.owner for row in assessment.entries if row.reason is Reason.ORPHANED and row.owner is not None}
    return [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in removed)]


def _no_match(pattern: str, known: Iterable[str]) -> UsageError:
    return UsageError(f"`--only {pattern}` matches no declared certificate", hint=suggest(pattern, known))


def _whole(name: str | None, listing: Listing | None) -> str | None:
    """The name of a certificate as it is; the ID that a short ID is of."""
    entries = listing.entries if listing is not None else ()
    if name is None or any((mark := read_mark(entry)) and mark.certificate == name for entry in entries):
        return name
    return whole_id(name, (entry.id for entry in entries)) or name
