"""(Desired, Actual, now) -> Assessment: every rule of the reconciler, applied once in a run.

Costly reads come in between: after `judge`, `needs` returns what must be read next, and `see` judges again only the
rows that were unseen. The limits only turn pending changes into waiting or held ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import (
    Actual,
    BindingChange,
    Change,
    Condition,
    Deploy,
    Desired,
    Live,
    Retire,
    Sweep,
    Update,
    Upload,
)
from reconciler.plan.assessment import (
    NO_OPTIONS,
    Assessment,
    BindingRow,
    CertificateRow,
    EntryRow,
    Held,
    Looks,
    Need,
    Pending,
    PlanOptions,
    SiteRow,
    Unseen,
    UpdateRow,
    UserRow,
    Waits,
)
from reconciler.plan.binding_findings import ids_not_asked
from reconciler.plan.bindings import BindingJudge, hold
from reconciler.plan.by_id import judge_by_id
from reconciler.plan.certificates import judge_certificates
from reconciler.plan.dates import judge_dates
from reconciler.plan.deploys import judge_sites
from reconciler.plan.hostnames import judge_hostnames
from reconciler.plan.hyperdrives import judge_hyperdrives
from reconciler.plan.inventory import Roles, role_finder, take_inventory
from reconciler.plan.policy import MAX_SKEW, skew_facts
from reconciler.plan.quota import over_quota
from reconciler.plan.rails import find_rails
from reconciler.plan.retire import RetireScene, judge_entries, judge_leaving, leaving_of, make_scene
from reconciler.plan.updates import UpdateScene
from reconciler.plan.wording import wait_text


def judge(
    desired: Desired, actual: Actual, now: datetime, ask: PlanOptions = NO_OPTIONS, findings: Iterable[Diagnostic] = ()
) -> Assessment:
    """Every row. `actual.listing` None: offline, so only from the files.

    `findings`: those of reading `desired` and the files; an error of a certificate holds it.
    """
    inventory = None if actual.listing is None else take_inventory(desired, actual.listing, actual.files)
    role_of = role_finder(desired, inventory) if inventory else None
    roles: Roles = {entry.id: role_of(entry) for entry in inventory.entries.values()} if inventory and role_of else {}
    read = tuple(findings)
    certificates, of_certificates = judge_certificates(desired, inventory, now, read)
    by_name = {row.name: row for row in certificates}
    bindings = BindingJudge(desired, actual, inventory, roles, by_name, now, ask.patience).run()
    updating = UpdateScene(desired, actual, inventory, by_name, now, ask.deploy)
    updates = (*judge_hyperdrives(updating), *judge_hostnames(updating))
    users: tuple[UserRow, ...] = (*bindings.rows, *updates)
    dates = judge_dates(desired, certificates, users, now, inventory)
    held = {at: Held((problem,)) for at, problem in bindings.sites.items()}
    sites, of_sites = judge_sites(desired, actual, inventory, bindings.rows, held, ask.deploy, now)
    scene = make_scene(desired, actual, inventory, users, now, ask)
    rails = find_rails(desired, inventory, bindings.rows)
    by_id, of_ids = judge_by_id(desired, actual, inventory, roles, (*bindings.rows, *bindings.previews), now)
    unasked = (ids_not_asked(desired.declaration, len(actual.asked), len(actual.unasked)),) if actual.unasked else ()
    return Assessment(
        desired=desired,
        actual=actual,
        now=now,
        ask=ask,
        inventory=inventory,
        certificates=dates.certificates,
        sites=sites,
        bindings=bindings.rows,
        previews=bindings.previews,
        entries=judge_entries(inventory, roles, scene) if inventory else (),
        by_id=by_id,
        found=(
            *_skewed(actual),
            *dates.expired,
            *rails,
            *read,
            *of_certificates,
            *dates.findings,
            *bindings.findings,
            *updating.found,
            *unasked,
            *of_ids,
        ),
        found_live=of_sites,
        updates=updates,
    )


def _skewed(actual: Actual) -> Iterator[Diagnostic]:
    """That this machine's clock is wrong, by which every date of this run was judged."""
    ahead = actual.listing.ahead if actual.listing is not None else None
    if ahead is not None and abs(ahead) > MAX_SKEW:
        message = f"{wait_text(Condition.CLOCK_SKEW, skew_facts(ahead))}, so dates are judged wrongly"
        hint = "set the clock of this machine; until then no old certificate is deleted"
        yield Diagnostic(Severity.WARNING, Code.CLOCK_WRONG, message, None, hint)


def scene_of(assessment: Assessment) -> RetireScene:
    """The facts that the conditions of retires check."""
    a = assessment
    return make_scene(a.desired, a.actual, a.inventory, a.users, a.now, a.ask)


def needs(assessment: Assessment) -> Looks:
    """What must be read before every leaving entry can be judged, with all conditions if that is asked for."""
    if assessment.ask.every_condition:
        leaving = tuple(row.entry for row in assessment.entries if row.reason is not None)
        tree = leaving if assessment.actual.sweep is None else ()
        return Looks(tuple(entry.id for entry in tree), leaving if assessment.actual.live is None else ())
    unseen = [(row, row.verdict) for row in assessment.entries if isinstance(row.verdict, Unseen)]
    return Looks(
        tree=tuple(row.entry.id for row, verdict in unseen if verdict.need is Need.TREE),
        live=tuple(row.entry for row, verdict in unseen if verdict.need is Need.LIVE),
    )


def see(assessment: Assessment, *, sweep: Sweep | None = None, live: Live | None = None) -> Assessment:
    """The same after the tree was searched, or live Workers were read: only unseen rows and sites are judged again."""
    a = assessment
    actual = replace(a.actual, sweep=sweep or a.actual.sweep, live=live or a.actual.live)
    seen = replace(a, actual=actual)
    if live is not None:
        held = {row.at: row.verdict for row in a.sites if isinstance(row.verdict, Held)}
        sites, found = judge_sites(a.desired, actual, a.inventory, a.bindings, held, a.ask.deploy, a.now)
        seen = replace(seen, sites=sites, found_live=found)
    scene = scene_of(seen)

    def again(row: EntryRow) -> EntryRow:
        is_unseen = isinstance(row.verdict, Unseen)
        return replace(row, verdict=judge_leaving(leaving_of(row), scene)) if is_unseen else row

    return replace(seen, entries=tuple(map(again, a.entries)))


# --- limits ---------------------------------------------------------------------------------------------------------


def settle(assessment: Assessment) -> Assessment:
    """The same when nothing more is read: an entry that could not be checked completely is kept (rule 5)."""

    def keep(row: EntryRow) -> EntryRow:
        if not isinstance(row.verdict, Unseen) or row.verdict.change is None:
            return row
        condition = Condition.UNCHECKED if row.verdict.need is Need.TREE else Condition.LIVE_UNCHECKED
        return replace(row, verdict=Waits(row.verdict.change, condition))

    return replace(assessment, entries=tuple(map(keep, assessment.entries)))


def limit_uploads(assessment: Assessment, uploads: Iterable[Upload]) -> Assessment:
    """The same, but holding those of these uploads that do not fit into the account, and all that needs them."""
    a = assessment
    if a.actual.listing is None:
        return a
    over = over_quota(uploads, a.desired, a.actual.listing, a.actual.zones, a.entries)
    if not over:
        return a

    def by(change: Change) -> Diagnostic | None:
        match change:
            case Upload() | BindingChange() | Update():
                return over.get(change.digest or "")
            case Deploy():
                found = (over.get(one.digest or "") for one in change.bindings if one.id is None)
                return next((problem for problem in found if problem is not None), None)
            case _:
                return None

    return replace(
        a,
        certificates=_held(a.certificates, by),
        bindings=_held(a.bindings, by),
        sites=_held(a.sites, by),
        updates=_held(a.updates, by),
        limits=(*a.limits, *over.values()),
    )


_Row = TypeVar("_Row", CertificateRow, BindingRow, SiteRow, UpdateRow)


def _held(rows: Iterable[_Row], by: Callable[[Change], Diagnostic | None]) -> tuple[_Row, ...]:
    """The rows; a row whose change `by` has a finding for is held by it."""
    held: list[_Row] = []
    for row in rows:
        problem = by(row.verdict.change) if isinstance(row.verdict, Pending | Waits) else None
        held.append(row if problem is None else replace(row, verdict=hold(row.verdict, problem)))
    return tuple(held)


def limit_retires(assessment: Assessment, waits: Callable[[Retire], Waits | None]) -> Assessment:
    """The same, but the retires for which `waits` returns a verdict wait."""
    return replace(
        assessment, entries=_waiting(assessment.entries, lambda c: waits(c) if isinstance(c, Retire) else None)
    )


def limit_unbinds(assessment: Assessment, waits: Callable[[Change], Waits | None], finding: Diagnostic) -> Assessment:
    """The same, but the removed bindings for which `waits` returns a verdict wait, which is an error."""
    limited = limit_changes(assessment, waits)
    return replace(limited, limits=(*limited.limits, finding))


def limit_changes(assessment: Assessment, waits: Callable[[Change], Waits | None]) -> Assessment:
    """The same, but the changes for which `waits` returns a verdict wait; deploys are judged again after that."""
    a = replace(
        assessment,
        certificates=_waiting(assessment.certificates, waits),
        bindings=_waiting(assessment.bindings, waits),
        updates=_waiting(assessment.updates, waits),
        entries=_waiting(assessment.entries, waits),
    )
    if a.bindings != assessment.bindings:
        held = {row.at: row.verdict for row in a.sites if isinstance(row.verdict, Held)}
        # What was found about live Workers is found again.
        held = {at: verdict for at, verdict in held.items() if not any(one in a.found_live for one in verdict.by)}
        sites, found = judge_sites(a.desired, a.actual, a.inventory, a.bindings, held, a.ask.deploy, a.now)
        a = replace(a, sites=sites, found_live=found)
    return replace(a, sites=_waiting(a.sites, waits))


_Waiter = TypeVar("_Waiter", CertificateRow, BindingRow, SiteRow, UpdateRow, EntryRow)


def _waiting(rows: Iterable[_Waiter], waits: Callable[[Change], Waits | None]) -> tuple[_Waiter, ...]:
    kept: list[_Waiter] = []
    for row in rows:
        found = waits(row.verdict.change) if isinstance(row.verdict, Pending) else None
        kept.append(row if found is None else replace(row, verdict=found))
    return tuple(kept)
