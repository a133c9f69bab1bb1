"""When a stack of a fleet is looked at, what may be done there, and which stacks are missed. Pure: of values and a
time."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

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
from reconciler.model.fleet import Acted, ActState, DenyRule, Fleet, Look, LookState, StackKey, StackRow
from reconciler.model.freezes import Freeze, Once
from reconciler.plan.freeze import Frozen, frozen

_MOST_STARTS = 3
"""Of one rule, how many starts after the last one are looked for. They may follow each other without a gap; and where a
clock was put back, one that local time has still before it has begun already."""

_MOST_STEPS = 200
"""How often it is tried whether another `deny` follows. One that is longer than its interval never ends."""


# --- looks ----------------------------------------------------------------------------------------------------------


def offset_of(key: StackKey, interval: timedelta) -> timedelta:
    """How long after the beginning of each interval a stack is looked at: the same always, spread by its name."""
    number = int.from_bytes(hashlib.sha256("/".join(key).encode()).digest()[:8], "big")
    seconds = int(interval.total_seconds())
    return timedelta(seconds=number % seconds)


def last_turn(key: StackKey, interval: timedelta, now: datetime) -> datetime:
    """The latest time, up to now, from which a look at this stack was due. Intervals are counted from 1970."""
    offset = offset_of(key, interval)
    since = (now - _EPOCH - offset) % interval
    return now - since


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_due(row: StackRow | None, key: StackKey, interval: timedelta, now: datetime) -> bool:
    """Whether a stack has to be looked at: it never was, or not since its last turn."""
    if row is None or row.look is None or _is_unfinished(row.act, row.look):
        return True  # an act that did not end is finished at once
    return row.look.time < last_turn(key, interval, now)


def _is_unfinished(act: Acted | None, look: Look) -> bool:
    """Whether an act did not end, and the stack was not looked at since."""
    return act is not None and (
        act.state is ActState.BEGUN or (act.state is ActState.INTERRUPTED and act.time >= look.time)
    )


def is_overdue(row: StackRow | None, interval: timedelta, now: datetime) -> bool:
    """Whether a stack was not looked at for two intervals, so that what is known of it is no longer true."""
    return row is None or row.look is None or now - row.look.time > 2 * interval


# --- acts -----------------------------------------------------------------------------------------------------------


def denied(rules: Sequence[DenyRule], now: datetime) -> Frozen | None:
    """The `deny` that holds now, and until when those hold that follow it without a gap; None if acts may begin."""
    found = _denied(rules, now)
    until = found.until if found is not None else None
    for _ in range(_MOST_STEPS):
        later = _denied(rules, until) if until is not None else None
        if found is None or later is None:
            return found and replace(found, until=until)
        until = later.until
    return found and replace(found, until=None)


def _denied(rules: Sequence[DenyRule], now: datetime) -> Frozen | None:
    """The `deny` that holds at a time, as far as is told by the starts around it."""
    if not rules:
        return None
    times = [(index, one) for index, rule in enumerate(rules) for one in _times(rule, now)]
    found = frozen([one for _, one in times], now)
    return None if found is None else Frozen(found.freeze, times[found.index][0], found.until)


def _times(rule: DenyRule, now: datetime) -> Iterator[Freeze]:
    """The times of a rule that begin around now, as freezes, whose ends are judged with all doubts about clocks."""
    from cronsim import CronSim  # only a fleet with `deny` needs it

    local = now.astimezone(rule.zone).replace(tzinfo=None, microsecond=0) + timedelta(seconds=1)
    last = islice(CronSim(rule.cron, local, reverse=True), 1)
    for start in (*last, *islice(CronSim(rule.cron, local), _MOST_STARTS)):
        yield Freeze(Once(start, start + rule.length), rule.zone, rule.why)


@dataclass(frozen=True, slots=True)
class Permit:
    """What may be done to one stack. `why`: the rule that decided, for reports."""

    act: Act
    why: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What holds for all stacks of a pass. `deny`: the one that holds now, in words. `shrunk`: fewer than half of the
    known stacks were found. `left`: how many more stacks may be changed."""

    deny: str | None
    shrunk: bool
    left: int


def deny_text(deny: Frozen, place: object) -> str:
    """What holds, until when, and why. `place`: of the `deny`."""
    until = f" until {deny.until:%Y-%m-%d %H:%M} UTC" if deny.until is not None else ", and no end was found"
    return f"`deny` at {place} holds{until}{f' ({deny.freeze.why})' if deny.freeze.why else ''}"


def permit(fleet: Fleet, rule: Act, declared: Act, state: LookState, around: Circumstances, *, source: str) -> Permit:
    """What may be done to a stack now. `rule`: what fleet.toml allows by `source`; `declared`: what its mtls.toml
    allows; `state`: what the look came to."""
    allowed = rule.narrowed(declared)
    source = source if allowed is rule else f'`[fleet] act = "{allowed}"` of its mtls.toml'
    if allowed is Act.NONE:
        return Permit(Act.NONE, f"not allowed by {source}")
    if state is LookState.FAILED:
        return Permit(Act.NONE, "not done: the stack could not be planned")
    if around.shrunk:
        return Permit(Act.NONE, "not done: fewer than half of the known stacks were found")
    if around.deny is not None:
        return Permit(Act.NONE, f"not done: {around.deny}")
    most = fleet.max_acts
    if most == 0:
        return Permit(Act.NONE, "not done: `max_acts = 0` of [defaults] allows no change")
    if around.left <= 0:
        return Permit(Act.NONE, f"waits for its next check: a pass changes no more stacks than `max_acts = {most}`")
    return Permit(allowed, f"allowed by {source}")


_WRITING = (Phase.UPLOAD, Phase.BIND, Phase.RETIRE)


@dataclass(frozen=True, slots=True)
class ActWork:
    """What an act does to a stack. `phases`: those of its plan that it carries out; empty if none has a change.
    `new`: the certificates that it leaves out of them. `renewals`: the certificates that it renews. `held`: why
    it leaves out what would change files; None if it does not."""

    phases: tuple[Phase, ...] = ()
    new: frozenset[CertificateName | None] = frozenset()
    renewals: tuple[CertificateName, ...] = ()
    held: str | None = None

    @property
    def is_any(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.phases or self.renewals)


def find_work(changes: Sequence[Change], due: Sequence[CertificateName], act: Act, no_forge: str | None) -> ActWork:
    """What an act with this permission does. `due`: the certificates that it can renew. `no_forge`: why no pull request
    can be opened; None if it can."""
    if not act.allows(Act.RETIRE):
        return ActWork()
    retires = (Phase.RETIRE,) if any(change.phase is Phase.RETIRE for change in changes) else ()
    if not act.allows(Act.ROTATE):
        return ActWork(retires)
    new = frozenset[CertificateName | None]() if act.allows(Act.ALL) else _new_in(changes)
    writes = [one.phase for one in changes if one.phase in {Phase.UPLOAD, Phase.BIND} and one.certificate not in new]
    held = no_forge if due or Phase.BIND in writes else None
    phases = _WRITING if writes and (held is None or Phase.BIND not in writes) else retires
    return ActWork(phases, new, tuple(due) if held is None else (), held)


def needed_act(changes: Sequence[Change], due: Sequence[CertificateName], no_forge: str | None) -> Act | None:
    """The least permission with which an act would do anything; None if there is none. As `find_work`."""
    acts = (act for act in (Act.RETIRE, Act.ROTATE, Act.ALL) if find_work(changes, due, act, no_forge).is_any)
    return next(acts, None)


def _new_in(changes: Sequence[Change]) -> frozenset[CertificateName | None]:
    """The certificates of which a plan does more than to put one in the place of an older one."""
    writing = (change for change in changes if change.phase in {Phase.UPLOAD, Phase.BIND})
    return frozenset(change.certificate for change in writing if not _replaces(change))


def _replaces(change: Change) -> bool:
    if isinstance(change, Upload):
        return Reason.CONTENT_CHANGED in change.reasons
    return isinstance(change, BindingChange) and change.action is Action.REBIND


# --- alarms ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Missed:
    """The known stacks that were not found. `retired`: those that left for good. `shrunk`: fewer than half of all are
    there."""

    vanished: tuple[StackRow, ...]
    retired: tuple[StackKey, ...]
    shrunk: bool


def find_missed(
    rows: Sequence[StackRow], found: Collection[StackKey], files: Collection[str], retired: Collection[StackKey]
) -> Missed:
    """Compare the known stacks with those that were found. `files`: those that were found and can't be read, which may
    still be the stack that was there. `retired`: those that left the fleet."""
    left = tuple(row.key for row in rows if row.key in retired and row.key not in found)
    known = [row for row in rows if row.key not in left]
    vanished = tuple(row for row in known if row.key not in found and row.file not in files)
    return Missed(vanished, left, shrunk=2 * (len(known) - len(vanished)) < len(known))
