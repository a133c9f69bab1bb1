"""When each certificate is due for renewal, and whether the renewals fit into the account.

Made from a plan and its assessment alone. The result includes its assumptions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import (
    BindingAddress,
    BindingChange,
    CertificateName,
    Condition,
    Desired,
    Entry,
    EntryId,
    StoreSettings,
    Upload,
)
from reconciler.plan.assessment import Assessment
from reconciler.plan.coverage import NotChecked
from reconciler.plan.dates import declared_due
from reconciler.plan.inventory import Role
from reconciler.plan.later import times_text
from reconciler.plan.plan import Plan
from reconciler.plan.quota import Quota, QuotaCount
from reconciler.plan.renewals import Due
from reconciler.plan.retire_live import can_be_live
from reconciler.plan.users import Use
from reconciler.reports.forecast_entries import (
    MAX_STEPS,
    Content,
    Event,
    ForecastStep,
    Stays,
    Timeline,
    group_contents,
    make_timeline,
)
from reconciler.reports.kept import hint_of, is_deployed_here
from reconciler.reports.status import BoundAt, ByIdStatus, CertificateStatus, Standing, Urgency, make_status, urgency_of
from reconciler.x509.chains import window_of

_MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class DueItem:
    """One line of the calendar. `again`: it is for a successor, assumed to last as long as the present certificate."""

    certificate: CertificateName
    urgency: Urgency
    renew_from: datetime
    not_after: datetime
    owner: str | None
    entry: Entry | None
    places: tuple[BoundAt, ...]
    again: bool = False


@dataclass(frozen=True, slots=True)
class Begin:
    """A renewed certificate becomes valid, and its changes can be made. `places`: the bindings that wait for it."""

    certificate: CertificateName
    at: datetime
    places: tuple[BindingAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class ToRelease:
    """An old entry that stays until Workers are deployed. `what`: what to do, as a clause. `by`: when its grace period
    ends, at which the forecast supposes that it is done; None if that is over, so that it counts to the end."""

    certificate: CertificateName
    entry: EntryId
    what: str
    by: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """The number of entries of one kind over time. `over`: the first step that exceeds the quota."""

    limit: int
    now: int
    peak: int
    peak_at: datetime
    end: int
    over: ForecastStep | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """The calendar from `made` to `until`, the most urgent first. `leaf` and `ca` None: offline, nothing was counted.

    `later`: how many certificates are due after `until`, `upcoming`: the first of them. `unreadable`: those whose dates
    are unknown. `by_id`: certificates that bindings use by ID and that are due by `until`, the first to expire first,
    those with unknown expiry last. `uses`: what else uses the present certificates. `not_checked`: what was not read
    about live Workers and other users. `begins`: certificates that wait to become valid, the first to begin first.
    `releases`: old certificates that Workers still use. `deploys`: how often a Worker must be deployed until no
    rollback can restore what it used before; 0 for a store whose certificates no deployed Worker can use.
    """

    stack: str
    store: StoreSettings
    made: datetime
    until: datetime
    calendar: tuple[DueItem, ...]
    later: int
    upcoming: DueItem | None
    unreadable: tuple[CertificateName, ...]
    steps: tuple[ForecastStep, ...]
    leaf: Outlook | None
    ca: Outlook | None
    assumptions: tuple[str, ...]
    findings: tuple[Diagnostic, ...]
    diagnostics: tuple[Diagnostic, ...]
    by_id: tuple[ByIdStatus, ...] = ()
    uses: tuple[Use, ...] = ()
    not_checked: tuple[NotChecked, ...] = ()
    begins: tuple[Begin, ...] = ()
    releases: tuple[ToRelease, ...] = ()
    deploys: int = 0


def make_forecast(plan: Plan, days: int) -> Forecast:
    """The forecast from a plan without a selection. From an offline plan it has no quota."""
    desired = plan.assessment.desired
    contents = group_contents(plan)
    counts = _counts(plan.quota)
    timeline = make_timeline(plan, contents, counts, plan.made + timedelta(days=days))
    status = make_status(plan)
    dues = {
        row.name: declared_due(row, plan.assessment) if row.due is not None and row.due.renewed else row.due
        for row in plan.assessment.certificates
    }
    known = [_item(one, due, plan.made) for one in status.certificates if (due := dues[one.certificate])]
    soon = [item for item in known if item.renew_from <= timeline.until]
    later = [item for item in known if item.renew_from > timeline.until]
    again = _successors({item.certificate: item for item in known}, contents, timeline.steps)
    outlooks = _outlooks(plan.quota, plan.made, timeline.steps)
    return Forecast(
        stack=plan.stack,
        store=plan.store,
        made=plan.made,
        until=timeline.until,
        calendar=tuple(sorted((*soon, *again), key=_order)),
        later=len(later),
        upcoming=min(later, key=_order, default=None),
        unreadable=tuple(sorted(name for name in desired.declaration.certificates if name not in desired.bundles)),
        steps=() if plan.quota is None else timeline.steps,
        leaf=outlooks.get(False),
        ca=outlooks.get(True),
        assumptions=_assumptions(contents, timeline, plan.assessment, offline=plan.quota is None),
        findings=(*_cut(desired, timeline), *_over(desired, outlooks)),
        diagnostics=plan.diagnostics,
        by_id=_by_id(status.by_id, timeline.until),
        uses=tuple(use for use in status.uses if use.role is Role.CURRENT),
        not_checked=status.not_checked,
        begins=tuple(_begins(plan, timeline.until)),
        releases=tuple(_releases(timeline, plan.assessment)),
        deploys=_deploys(desired),
    )


def _deploys(desired: Desired) -> int:
    return desired.declaration.policy.rollback_versions + 1 if can_be_live(desired) else 0


def _releases(timeline: Timeline, assessment: Assessment) -> Iterator[ToRelease]:
    """Yield what to do about old certificates that only Workers of mtls.toml still use."""
    for one in (*timeline.deploy, *timeline.stay):
        entry = one.waiting.entry
        if entry is None or one.waiting.certificate is None or not _is_released(one, assessment):
            continue
        what = hint_of(one.condition, one.facts, entry.id, assessment)
        if what is not None:
            yield ToRelease(one.waiting.certificate, entry.id, what, one.waiting.until)


def _is_released(one: Stays, assessment: Assessment) -> bool:
    entry = one.waiting.entry
    return entry is not None and is_deployed_here(one.condition, entry.id, assessment)


def _begins(plan: Plan, until: datetime) -> Iterator[Begin]:
    """Yield the times at which waiting changes can be made because a certificate becomes valid.

    Offline no change is known to wait, so each declared certificate counts that is not valid yet.
    """
    found: dict[tuple[datetime, CertificateName], list[BindingAddress]] = defaultdict(list)
    for wait in plan.waiting:
        change = wait.change
        if wait.condition is not Condition.NOT_VALID_YET or wait.until is None or wait.until > until:
            continue
        if isinstance(change, BindingChange | Upload) and change.certificate is not None:
            found[wait.until, change.certificate] += [change.at] if isinstance(change, BindingChange) else []
    for row in plan.assessment.certificates if plan.offline else ():
        begins = window_of(row.bundle, now=plan.made, ca=row.declared.ca).begins if row.bundle is not None else None
        if begins is not None and plan.made < begins <= until:
            found[begins, row.name] = [one.at for one in plan.assessment.bindings if one.certificate == row.name]
    for (at, name), places in sorted(found.items(), key=lambda item: item[0]):
        yield Begin(name, at, tuple(places))


def _by_id(found: Iterable[ByIdStatus], until: datetime) -> tuple[ByIdStatus, ...]:
    soon = [one for one in found if one.row.renew_from is None or one.row.renew_from <= until]
    return tuple(sorted(soon, key=lambda one: (one.row.not_after is None, str(one.row.not_after), one.row.id)))


def _counts(quota: Quota | None) -> Mapping[bool, int]:
    return {False: 0, True: 0} if quota is None else {False: quota.leaf.now, True: quota.ca.now}


def _order(item: DueItem) -> tuple[datetime, bool, str]:
    return item.renew_from, item.again, item.certificate


def _item(status: CertificateStatus, due: Due, now: datetime) -> DueItem:
    """A declared certificate with the bindings that its renewal must reach."""
    return DueItem(
        certificate=status.certificate,
        urgency=urgency_of(due, now),
        renew_from=due.renew_from,
        not_after=due.not_after,
        owner=status.owner,
        entry=status.entry,
        places=tuple(place for place in status.places if _presents(place, status.entry)),
    )


def _presents(place: BoundAt, entry: Entry | None) -> bool:
    """Whether a renewal must reach a binding: if it is declared, or uses the present entry undeclared."""
    return place.standing is not Standing.UNDECLARED or (entry is not None and place.found == entry.id)


def _successors(
    known: Mapping[CertificateName, DueItem], contents: Iterable[Content], steps: Iterable[ForecastStep]
) -> Iterator[DueItem]:
    """Yield the renewals of successors."""
    by_name = {content.names[0]: content for content in contents}
    for step in steps:
        if step.event is Event.RENEWAL and step.again:
            content = by_name[step.certificate]
            ends = step.at - (content.cycle or timedelta(0)) + content.lifetime
            for name in content.names:
                item = known[name]
                yield DueItem(name, Urgency.LATER, step.at, ends, item.owner, None, item.places, again=True)


def _outlooks(quota: Quota | None, made: datetime, steps: tuple[ForecastStep, ...]) -> dict[bool, Outlook]:
    if quota is None:
        return {}
    return {
        ca: _outlook(count, made, [step for step in steps if step.ca is ca])
        for ca, count in ((False, quota.leaf), (True, quota.ca))
    }


def _outlook(count: QuotaCount, made: datetime, steps: list[ForecastStep]) -> Outlook:
    highest = max(steps, key=lambda step: step.entries, default=None)
    rises = highest is not None and highest.entries > count.now
    return Outlook(
        limit=count.limit,
        now=count.now,
        peak=highest.entries if highest is not None and rises else count.now,
        peak_at=highest.at if highest is not None and rises else made,
        end=steps[-1].entries if steps else count.now,
        over=next((step for step in steps if step.entries > count.limit and step.event is not Event.RETIRE), None),
    )


# --- sentences ------------------------------------------------------------------------------------------------------


def _assumptions(
    contents: tuple[Content, ...], timeline: Timeline, assessment: Assessment, *, offline: bool
) -> tuple[str, ...]:
    """The assumptions of the forecast, as sentences: the first about dates, the others about the number of entries."""
    told = ["a renewed certificate is valid as long as the present one, counted from its due date"]
    if offline:
        return tuple(told)
    has_zones = bool(assessment.desired.declaration.zones)
    deployed = f"within the grace period `mtlsctl apply` runs{_deployed_text(assessment.desired)}"
    told += [
        "each certificate is renewed and uploaded on its due date (now if overdue), once for each content",
        f"{deployed}; then the old certificate is deleted",
        *(["hostnames trust an old CA, and so keep it, until a person removes them"] if has_zones else []),
        "nothing else is uploaded or deleted, and no certificate is added to mtls.toml or removed from it",
    ]
    stay = [one for one in timeline.stay if not _is_released(one, assessment)]
    told += (_stays_text(one, assessment) for one in stay[:_MOST_NAMED])
    if len(stay) > _MOST_NAMED:
        told.append(f"{_old_ones(len(stay) - _MOST_NAMED, 'more ')}, see `mtlsctl status`")
    renewed = {step.certificate for step in timeline.steps if step.event is Event.RENEWAL and not step.again}
    foreign = sum(content.foreign and content.names[0] in renewed for content in contents)
    if foreign:
        told.append(f"{_old_ones(foreign)} to the end, not managed here and not handed over with `supersedes`")
    return tuple(told)


def _deployed_text(desired: Desired) -> str:
    times = _deploys(desired)
    many = f" {times_text(times)} (`rollback_versions = {times - 1}`)" if times > 1 else ""
    return f" and each Worker is deployed{many}" if times else ""


def _stays_text(one: Stays, assessment: Assessment) -> str:
    wait = one.waiting
    hint = hint_of(one.condition, one.facts, wait.entry.id, assessment) if wait.entry is not None else None
    then = f"; to have it deleted, {hint}" if hint is not None else ""
    return f"the old certificate of {wait.certificate} stays to the end: {one.why}{then}"


def _old_ones(count: int, more: str = "") -> str:
    return f"1 {more}old certificate stays" if count == 1 else f"{count} {more}old certificates stay"


def _cut(desired: Desired, timeline: Timeline) -> Iterator[Diagnostic]:
    if timeline.cut:
        message = (
            f"the forecast ends on {timeline.until:%Y-%m-%d}, because there are more than {MAX_STEPS:,} uploads and"
            " deletions"
        )
        pointer = Pointer(desired.declaration.path, ("certificates",))
        yield Diagnostic(Severity.WARNING, Code.FORECAST_CUT, message, pointer, "ask for fewer days with `--days`")


def _over(desired: Desired, outlooks: Mapping[bool, Outlook]) -> Iterator[Diagnostic]:
    for ca, outlook in outlooks.items():
        step = outlook.over
        if step is not None:
            kind = "CA certificates" if ca else "certificates"
            message = (
                f"the quota is too small for {step.certificate!r} on {step.at:%Y-%m-%d}: the account would then have"
                f" {step.entries} of {outlook.limit} {kind}; the peak is {outlook.peak}"
            )
            hint = "spread the renewals with `renew_before`, shorten `grace`, or delete certificates that nothing uses"
            hint += "" if ca else "; or ask Cloudflare for a higher quota, then raise `limit` in `[store]`"
            pointer = Pointer(desired.declaration.path, ("certificates", step.certificate))
            yield Diagnostic(Severity.WARNING, Code.FORECAST_QUOTA, message, pointer, hint, step.certificate)
