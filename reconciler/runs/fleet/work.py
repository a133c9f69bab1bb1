"""What the workers of a fleet do: what is due becomes jobs, and each job is a pass over one account or one stack.

A job of the kind `look` checks the stacks of an account that are due, with one credential; one of the kind `act` checks
one stack and does what is allowed there. Both hold the lock of the account, so that of each account one job runs.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from reconciler.findings.values import dataclass
from reconciler.model.budget import RateBudget
from reconciler.model.engine import Engine
from reconciler.model.fleet import Credential, FleetRecord, LookState, StackKey, StackRow
from reconciler.plan.fleet import denied, is_due
from reconciler.reports.fleet import FleetStackStatus, FleetStatus
from reconciler.reports.stacks import Stacks
from reconciler.runs.fleet.members import FleetMember
from reconciler.runs.fleet.opened import Desk, OpenedFleet, fetch_again
from reconciler.runs.fleet.run import PassRequest, run_pass
from reconciler.runs.project import Project
from reconciler.stores import StoreContext

LOOK, ACT = "look", "act"
_ACTS_ARE_COUNTED = timedelta(hours=1)
MAX_AGE = timedelta(minutes=10)
"""How old a worker's copy of another repository may be, but for that of a job's own stacks."""
_KEPT_S = 50.0
"""Less than a minute, so that what is due is told by files as they are."""


def look_key(account: str | None, credential: str) -> str:
    """The key of the job that looks at the stacks of an account with a credential."""
    return f"{account}/{credential}"


def _look_key(one: FleetMember) -> str:
    return look_key(one.account, one.rule.credential)


def act_key(key: StackKey) -> str:
    """The key of the job that acts on a stack: its account, and its name."""
    return "/".join(key)


def members_of(opened: OpenedFleet, kind: str, key: str) -> tuple[FleetMember, ...]:
    """The stacks of a job. UsageError if there are none, InputError if a file can't be read: it was changed since."""
    found = _found(opened, kind, key)
    if not found:
        raise opened.no_stack(f"the fleet has no stack {key}", "run `mtlsctl fleet list`")
    return found


def _found(opened: OpenedFleet, kind: str, key: str) -> tuple[FleetMember, ...]:
    def is_of(one: FleetMember) -> bool:
        return one.key is not None and key == (act_key(one.key) if kind == ACT else _look_key(one))

    return tuple(filter(is_of, opened.members))


def prepare(opened: OpenedFleet, kind: str, key: str, environ: Mapping[str, str]) -> frozenset[str]:
    """Fetch the repositories of a job's stacks, so that its process finds their newest commits. Gives what is
    `withheld`. UsageError if it has no stacks."""
    members = [one for one in members_of(opened, kind, key) if one.rule.git is not None]
    if members:
        fetch_again(opened, members, environ)
    return withheld(opened, kind, key)


def withheld(opened: OpenedFleet, kind: str, key: str) -> frozenset[str]:
    """The variables that the process of a job does not get: keys of other stacks, tokens of other accounts, and where
    nothing is changed every key and the token of the forge."""
    fleet = opened.fleet
    every, needed = (
        set(fleet.secret_variables).union(*(one.member.secret_variables for one in opened.members)),
        set[str](),
    )
    for one in _found(opened, kind, key):
        credential = fleet.credentials[one.rule.credential]
        places = [credential.token, credential.read_token]
        if kind == ACT:
            needed |= one.member.secret_variables
            places += [fleet.forge.token] if fleet.forge is not None else []
        needed |= {place.env for place in places if place is not None and place.env is not None}
    return frozenset(every - needed)


@dataclass(slots=True)
class KeptFleet:
    """The fleet of a worker. It is opened again once fleet.toml or the mtls.toml of a stack was changed, and after a
    minute, when there may be others. Thread-safe."""

    opens: Callable[[], OpenedFleet]
    _kept: OpenedFleet | None = None
    _state: Sequence[object] = ()
    _until: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def get(self) -> OpenedFleet:
        """The fleet. ReconcilerError if it can't be opened."""
        with self._lock:
            if self._kept is None or time.monotonic() > self._until or _state_of(self._kept) != self._state:
                begun = time.time_ns()
                self._kept, self._until = None, time.monotonic() + _KEPT_S
                opened = self.opens()
                self._state = _state_of(opened)
                if any(facts is None or facts[0] > begun - _CLOCK_NS for facts in self._state):
                    return opened  # a file may have been changed after it was read
                self._kept = opened
            return self._kept


_CLOCK_NS = 1_000_000_000
"""By so much the clock of a file system may be behind."""


def _state_of(opened: OpenedFleet) -> list[tuple[int, int, int] | None]:
    """What differs after a change of fleet.toml or of the mtls.toml of a stack."""
    return [_facts_of(path) for path in (opened.file.path, *(one.path for one in opened.members))]


def _facts_of(path: Path) -> tuple[int, int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_ino, facts.st_size


@dataclass(frozen=True, slots=True)
class Schedule:
    """Adds the jobs that are due: looks by their interval, and acts where the last look found something to do.

    `acted`: when the latest act since a time was begun, by key. `paused`: the stacks that are paused now.
    `dropped`: the keys of the acts that a worker with another fleet.toml dropped.
    """

    engine: Engine
    record: FleetRecord
    acted: Callable[[datetime], Mapping[str, datetime]]
    paused: Callable[[], Mapping[StackKey, object]]
    dropped: Callable[[], Collection[str]] = lambda: ()

    def add(self, opened: OpenedFleet, now: datetime) -> None:
        """Add what is due now. What waits or runs already is not added again."""
        rows = {row.key: row for row in self.record.rows()}
        known = [one for one in opened.members if one.key is not None and one.member.problem is None]
        begun = {(job.kind, job.key) for job in (*self.engine.waiting(), *self.engine.running())}
        due = (one for one in known if one.key and is_due(rows.get(one.key), one.key, one.rule.look, now))
        for key in dict.fromkeys(map(_look_key, due)):
            if (LOOK, key) not in begun:
                self.engine.defer(LOOK, key)
        dropped = self.dropped()
        for key in (act_key(one.key) for one in known if one.key):
            if key in dropped and (ACT, key) not in begun:
                self.engine.defer(ACT, key, first=True)
                begun.add((ACT, key))
        wanting = [one for one in known if one.key and _wants_act(one, rows.get(one.key))]
        if wanting and denied(opened.fleet.deny, now) is None:
            self._add_acts(opened, wanting, rows, {key for kind, key in begun if kind == ACT}, now)

    def _add_acts(
        self,
        opened: OpenedFleet,
        wanting: Sequence[FleetMember],
        rows: Mapping[StackKey, StackRow],
        begun: set[str],
        now: datetime,
    ) -> None:
        """So many that at most `max_acts` stacks are changed in an hour, and of each stack one between two looks: it
        may have been allowed nothing. First the stacks that were not tried for longest, so that none waits forever."""
        longest = max(one.rule.look for one in wanting)
        acted, paused = self.acted(now - longest), self.paused()
        tried = {act_key(key): row.act.time for key, row in rows.items() if row.act is not None}
        tried |= {key: max(time, tried.get(key, time)) for key, time in acted.items()}
        changed = sum(_was_changed(row, now - _ACTS_ARE_COUNTED) for row in rows.values())
        left = opened.fleet.max_acts - changed - len(begun)
        for one in sorted(wanting, key=lambda one: tried.get(act_key(one.key) if one.key else "", _LONG_AGO)):
            key = act_key(one.key) if one.key is not None and one.key not in paused else None
            if left <= 0 or key is None or key in begun or (key in acted and acted[key] > now - one.rule.look):
                continue
            left -= self.engine.defer(ACT, key)


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def _was_changed(row: StackRow, since: datetime) -> bool:
    return row.act is not None and row.act.changed and row.act.time > since


def _wants_act(one: FleetMember, row: StackRow | None) -> bool:
    """Whether an act would do something that the last look found, and that was not tried since."""
    if row is None or row.look is None or row.look.state is LookState.FAILED or row.look.needs is None:
        return False
    return one.act.allows(row.look.needs) and (row.act is None or row.act.time < row.look.time)


def with_later_jobs(status: FleetStatus, later: Mapping[tuple[str, str], datetime]) -> FleetStatus:
    """The same, with the jobs that wait for a later time, because they failed: until then, no look is added."""

    def due(one: FleetStackStatus) -> datetime | None:
        if one.due is None:
            return None
        listed = one.one
        look = later.get((LOOK, look_key(listed.account, listed.credential)), one.due)
        act = later.get((ACT, act_key((listed.account or "", listed.stack or ""))))
        return look if act is None else min(look, act)

    return replace(status, stacks=tuple(replace(one, due=due(one)) for one in status.stacks))


@dataclass(slots=True)
class SharedDesk(Desk):
    """The connections of a job, or of a pass, with what all processes share: rate budgets, and a lock for each account.

    `hold`: holds that lock, or knows that it is held; gives what raises LockedError once it is lost.
    """

    open_budget: Callable[[str], RateBudget | None] = lambda _: None
    hold: Callable[[str], AbstractContextManager[Callable[[], None]]] = lambda _: nullcontext(_nothing)

    def project(self, one: FleetMember, *, acts: bool) -> Project:
        """As `Desk`. What acts reads the list of its account again: others may have changed it before the lock."""
        if acts:
            self.forget_lists()
        project = super(SharedDesk, self).project(one, acts=acts)  # noqa: UP008 - `slots` make a second class
        account = one.account or ""
        return replace(project, lock=lambda **given: _both(self.hold(account), project.lock(**given)))

    def context_of(self, credential: Credential, token: str) -> StoreContext:
        """As `Desk`."""
        context = super(SharedDesk, self).context_of(credential, token)  # noqa: UP008 - the same
        return replace(context, budget=self.open_budget(budget_name(credential, token)))


def budget_name(credential: Credential, token: str) -> str:
    """The name of a rate budget: that in fleet.toml, else one of the token, from which the token can't be told."""
    digest = hashlib.sha256(b"mtlsctl rate budget of " + token.encode()).hexdigest()
    return credential.budget or f"token {digest[:16]}"


def _nothing() -> None:
    """Raise nothing."""


@contextmanager
def _both(*locks: AbstractContextManager[Callable[[], None]]) -> Iterator[Callable[[], None]]:
    with ExitStack() as stack:
        demands = [stack.enter_context(lock) for lock in locks]

        def demand_all() -> None:
            for demand in demands:
                demand()

        yield demand_all


def do_job(
    kind: str,
    key: str,
    desk: Desk,
    record: FleetRecord,
    *,
    paused: Mapping[StackKey, str],
    tell: Callable[[str], None],
) -> Stacks:
    """What a job comes to. `paused`: the stacks that are not changed, each with the reason."""
    members = members_of(desk.opened, kind, key)
    desk.opened = replace(desk.opened, problems=())  # they are of other stacks, and fail no job
    request = PassRequest(
        everything=kind == ACT, misses=lambda _: False, acts=kind == ACT, remembers=True, paused=paused
    )
    return run_pass("fleet worker", desk, members, record, request, tell)
