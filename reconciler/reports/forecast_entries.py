"""How many entries the account will hold: a timeline from now on, with assumptions that the forecast lists.

Each renewal adds an entry on its due date. The old entry is deleted after its grace period, if this stack manages it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum

from reconciler.findings.values import dataclass
from reconciler.model import CertificateName, Condition, Desired, Retire, Upload, Waiting
from reconciler.plan.assess import scene_of
from reconciler.plan.assessment import CertificateRow, Waits
from reconciler.plan.plan import Plan
from reconciler.plan.policy import grace_of, lifetime_of, renew_before_of, renewal_lead, renewal_start
from reconciler.plan.retire import RetireScene, conditions_of
from reconciler.reports.kept import is_deployed_here
from reconciler.x509.certificates import Bundle
from reconciler.x509.chains import window_of

MAX_STEPS = 10_000
"""The forecast ends after so many: a certificate that lives an hour would have 87,600 in ten years."""


class Event(StrEnum):
    """An event that changes the number of uploaded certificates."""

    UPLOAD = "upload"
    RENEWAL = "renewal"
    RETIRE = "retire"


@dataclass(frozen=True, slots=True)
class ForecastStep:
    """One uploaded certificate more or less. `entries`: how many of its kind there are then. `again`: of an assumed
    successor."""

    at: datetime
    event: Event
    certificate: CertificateName
    ca: bool
    entries: int
    again: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """A content with the declared certificates that share it; they are renewed together.

    `cycle`: the time from one renewal to the next; None if unknown. `retires`: this stack manages its entry, which is
    deleted after the renewal. `foreign`: its entry is not managed here, and stays. `trusted`: hostnames trust
    it, so that every old entry stays until a person removes them.
    """

    names: tuple[CertificateName, ...]
    ca: bool
    renew_from: datetime
    lifetime: timedelta
    cycle: timedelta | None
    grace: timedelta
    retires: bool
    foreign: bool
    trusted: bool


@dataclass(frozen=True, slots=True)
class Stays:
    """An old entry that stays to the end, because it does not wait for a date alone. `why`: a clause, from `facts`."""

    waiting: Waiting
    condition: Condition
    facts: Mapping[str, str]
    why: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The steps in order, uploads before retires. `until`: its end, earlier than requested if `cut`.

    `stay`: the waiting entries that stay. `deploy`: those that are deleted if Workers are deployed before, as assumed.
    """

    until: datetime
    steps: tuple[ForecastStep, ...]
    cut: bool = False
    stay: tuple[Stays, ...] = ()
    deploy: tuple[Stays, ...] = ()


def group_contents(plan: Plan) -> tuple[Content, ...]:
    """Every declared content that could be read. Entries that are uploaded now will be managed by this stack."""
    declaration, inventory = plan.assessment.desired.declaration, plan.assessment.inventory
    ours = {upload.digest for upload in _uploads(plan)}
    groups: dict[Bundle, list[CertificateRow]] = {}
    by_digest: dict[str, Bundle] = {}
    for row in sorted(plan.assessment.certificates, key=lambda row: row.name):
        if row.bundle is not None:
            groups.setdefault(by_digest.setdefault(row.bundle.digest, row.bundle), []).append(row)
    contents: list[Content] = []
    for bundle, rows in groups.items():
        names = tuple(row.name for row in rows)
        lifetime = lifetime_of(bundle)
        cycle = lifetime - max(renewal_lead(bundle, renew_before_of(declaration, name)) for name in names)
        ends = window_of(bundle, now=plan.made, ca=rows[0].declared.ca).ends or bundle.not_after
        entry = next((row.entry for row in rows if row.entry is not None), None)
        is_ours = bundle.digest in ours or bool(entry and inventory and entry.id in inventory.owned)
        contents.append(
            Content(
                names=names,
                ca=rows[0].declared.ca,
                renew_from=min(renewal_start(bundle, ends, renew_before_of(declaration, name)) for name in names),
                lifetime=lifetime,
                cycle=cycle if cycle > timedelta(0) else None,
                grace=max(grace_of(declaration.policy, row.declared.grace) for row in rows),
                retires=is_ours,
                foreign=entry is not None and not is_ours,
                trusted=any(name in zone.cas for zone in declaration.zones for name in names),
            )
        )
    return tuple(contents)


def make_timeline(plan: Plan, contents: Iterable[Content], now: Mapping[bool, int], until: datetime) -> Timeline:
    """The number of entries from `plan.made` to `until`. `now`: those that the account has, of CAs (True) and leaves.

    Without counts (offline), `entries` of the steps are differences.
    """
    run, desired = _ForecastWalk(until, dict(now)), plan.assessment.desired
    for change in plan.changes:
        if isinstance(change, Upload):
            run.add(
                plan.made, Event.UPLOAD, change.certificate, desired.declaration.certificates[change.certificate].ca
            )
        elif isinstance(change, Retire):
            run.add(plan.made, Event.RETIRE, change.certificate, change.entry.ca)
    stay: list[Stays] = []
    deploy: list[Stays] = []
    scene = scene_of(plan.assessment)
    for wait in plan.waiting:
        match wait.change:
            case Retire() as retire:
                at, further = _leaves(retire, wait, desired, plan), _further_wait(wait, plan, scene)
                is_assumed = further is not None and is_deployed_here(
                    further.condition, retire.entry.id, plan.assessment
                )
                if further is not None and is_assumed:
                    deploy.append(further)
                if at is None or (further is not None and not is_assumed):
                    stay.append(further or _stays(wait, plan))
                else:
                    run.add(at, Event.RETIRE, retire.certificate, retire.entry.ca)
            case Upload() as upload if wait.until is not None:
                ca = desired.declaration.certificates[upload.certificate].ca
                run.add(wait.until, Event.UPLOAD, upload.certificate, ca)
            case _:
                pass
    for content in contents:
        run.renew(content, max(content.renew_from, plan.made))
    steps = tuple(run.walk())
    return Timeline(run.until, steps, run.cut, tuple(stay), tuple(deploy))


def _further_wait(wait: Waiting, plan: Plan, scene: RetireScene) -> Stays | None:
    """What else than its grace period is known to keep an entry. Hostnames of an old CA stay, whatever it waits for."""
    is_grace = wait.condition is Condition.GRACE
    if wait.entry is None or not (is_grace or wait.entry.ca):
        return None
    judged = conditions_of(plan.assessment.by_entry[wait.entry.id], scene)
    known = [one for one in judged if one.holds is False and one.condition is not Condition.GRACE]
    other = next((one for one in known if is_grace or one.condition is Condition.STILL_TRUSTED), None)
    return None if other is None else Stays(wait, other.condition, other.facts, other.detail or wait.detail)


def _stays(wait: Waiting, plan: Plan) -> Stays:
    row = plan.assessment.by_entry.get(wait.entry.id) if wait.entry is not None else None
    facts = row.verdict.facts if row is not None and isinstance(row.verdict, Waits) else {}
    return Stays(wait, wait.condition, facts, wait.detail)


def _leaves(retire: Retire, wait: Waiting, desired: Desired, plan: Plan) -> datetime | None:
    """When a waiting entry will be deleted; None if not only time decides, so that it counts to the end."""
    match wait.condition:
        case Condition.GRACE if wait.until is not None:
            return max(wait.until, plan.made)
        case Condition.FROZEN if wait.until is not None:
            return wait.until
        case Condition.MAX_DELETES:
            return plan.made
        case Condition.SUCCESSOR_MISSING if not _is_uploaded(retire.certificate, plan):
            return None
        case Condition.SUCCESSOR_MISSING | Condition.BINDINGS_PENDING | Condition.SUCCESSOR_NOT_VALID:
            # An apply resolves these now, or once the successor is valid; then the grace period begins.
            declared, bundle = desired.declaration.certificates.get(retire.certificate), None
            if declared is not None:
                bundle = desired.bundles.get(retire.certificate)
            begins = window_of(bundle, now=plan.made).begins if bundle is not None else None
            now = next((one.until for one in plan.waiting if one.condition is Condition.FROZEN), None) or plan.made
            bound = max(now, begins) if begins is not None else now
            return bound + grace_of(desired.declaration.policy, declared.grace if declared else None)
        case _:
            return None


def _is_uploaded(name: CertificateName, plan: Plan) -> bool:
    return any(name in (upload.certificate, *upload.shared_with) for upload in _uploads(plan))


def _uploads(plan: Plan) -> Iterator[Upload]:
    """The uploads of this run, and those that a freeze keeps from it."""
    frozen = (one.change for one in plan.waiting if one.condition is Condition.FROZEN)
    yield from (change for change in (*plan.changes, *frozen) if isinstance(change, Upload))


@dataclass(order=True, slots=True)
class _Due:
    """One future event. Ordered by time; at the same time additions come first, so that the peak is counted."""

    at: datetime
    removes: bool
    name: CertificateName
    event: Event = field(compare=False)
    ca: bool = field(compare=False)
    content: Content | None = field(compare=False, default=None)
    again: bool = field(compare=False, default=False)


class _ForecastWalk:
    """Walks from one event to the next; a renewal adds the retire of the old entry, and the next renewal."""

    def __init__(self, until: datetime, counts: dict[bool, int]) -> None:
        self.until, self.cut = until, False
        self._counts = counts
        self._heap: list[_Due] = []

    def add(self, at: datetime, event: Event, name: CertificateName, ca: bool, *, again: bool = False) -> None:
        self._push(_Due(at, event is Event.RETIRE, name, event, ca, again=again))

    def renew(self, content: Content, at: datetime, *, again: bool = False) -> None:
        self._push(_Due(at, False, content.names[0], Event.RENEWAL, content.ca, content, again))

    def _push(self, due: _Due) -> None:
        if due.at <= self.until:
            heapq.heappush(self._heap, due)

    def walk(self) -> Iterator[ForecastStep]:
        made = 0
        while self._heap:
            due = heapq.heappop(self._heap)
            if made == MAX_STEPS:
                self.until, self.cut = due.at, True
                return
            made += 1
            self._counts[due.ca] += -1 if due.removes else 1
            yield ForecastStep(due.at, due.event, due.name, due.ca, self._counts[due.ca], due.again)
            if due.content is not None:
                self._follow(due.content, due.at, due.again)

    def _follow(self, content: Content, at: datetime, again: bool) -> None:
        left = self.until - at
        if (content.retires or again) and not content.trusted and content.grace <= left:
            self.add(at + content.grace, Event.RETIRE, content.names[0], content.ca, again=again)
        if content.cycle is not None and content.cycle <= left:
            self.renew(content, at + content.cycle, again=True)
