"""What is known of a fleet, as values: the stacks that it has, and how each of them is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.exits import ExitCode
from reconciler.findings.values import dataclass
from reconciler.model import Act, Action
from reconciler.model.engine import RecordedJob
from reconciler.model.fleet import Acted, ActState, Look, LookState, Pause, Queue, StackKey, StackRow
from reconciler.plan.fleet import is_due, is_overdue, last_turn
from reconciler.plan.plan import Plan
from reconciler.reports.checks import RunFailure
from reconciler.reports.drift_look import make_drift
from reconciler.reports.metrics import Family, Labels, Sample
from reconciler.reports.outage import find_outages, first_of
from reconciler.reports.stacks import code_over


def look_of(plan: Plan, now: datetime, renewals: int = 0) -> Look:
    """What is remembered of a plan that was made online. `renewals`: how many certificates with `renew` are due."""
    errors = [one.message for one in plan.diagnostics if one.is_error]
    errors += [f"could not be checked: {one}" for one in plan.failed_checks]
    drift = differences_of(plan)
    outage = first_of(find_outages(plan.assessment))
    if plan.exit_code is ExitCode.BLOCKED:
        state = LookState.BLOCKED
    elif plan.exit_code is not ExitCode.OK:
        state = LookState.FAILED
    elif plan.failed_checks:
        state = LookState.INCOMPLETE
    else:
        state = _state_of(plan.changes or renewals, drift)
        errors = list(drift[:1]) if state is LookState.DRIFT else errors
    return Look(
        time=now,
        state=state,
        changes={action: count for action, count in plan.summary.items() if count},
        drift=len(drift),
        outage=outage.time if outage is not None else None,
        digest=plan.digest,
        message=errors[0] if errors else None,
        renewals=renewals,
    )


def differences_of(plan: Plan) -> tuple[str, ...]:
    """What differs from mtls.toml, as far as it counts for an exit code; nothing is known of it offline."""
    return () if plan.offline else tuple(finding.message for finding in make_drift(plan).findings if finding.fails)


def _state_of(pending: object, drift: object) -> LookState:
    return LookState.CHANGES if pending else LookState.DRIFT if drift else LookState.OK


def failed_look(report: object, now: datetime) -> Look:
    """What is remembered of a look that an error stopped."""
    found = report.diagnostics if isinstance(report, RunFailure) else ()
    return Look(now, LookState.FAILED, message=next((one.message for one in found if one.is_error), None))


def look_after(look: Look, acted: Acted) -> Look:
    """What is still true of a look once something was done."""
    left = {action: count - acted.done.get(action, 0) for action, count in look.changes.items()}
    changes = {action: count for action, count in left.items() if count > 0}
    drift = look.drift if changes else max(look.drift - acted.done.get(Action.UPLOAD, 0), 0)
    state = _state_of(changes or look.renewals, drift) if look.state is LookState.CHANGES else look.state
    return replace(look, changes=changes, drift=drift, state=state)


# --- the stacks -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FleetStack:
    """One stack of the list. `stack` and `account` None: its mtls.toml could not be read. `alias`: of the account.
    `problem`: why nothing can be done with it."""

    file: str
    stack: str | None
    account: str | None
    alias: str | None
    credential: str
    tags: tuple[str, ...]
    act: Act
    look: timedelta
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class FleetList:
    """The stacks of a fleet, in the order of fleet.toml."""

    fleet: str
    stacks: tuple[FleetStack, ...]
    diagnostics: tuple[Diagnostic, ...] = ()


# --- how they are ---------------------------------------------------------------------------------------------------


class StackState(StrEnum):
    """How a stack is, most urgent first.

    `vanished`: it is known, and its file is not there. `broken`: its mtls.toml can't be used. `failed`: the last check
    or change failed. `not-checked`: never, or not for two intervals. `blocked`: a guard rail holds something.
    """

    VANISHED = "vanished"
    BROKEN = "broken"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    NOT_CHECKED = "not-checked"
    BLOCKED = "blocked"
    DRIFT = "drift"
    CHANGES = "changes"
    OK = "ok"

    @property
    def exit_code(self) -> ExitCode:
        """What a stack in this state means for the exit code."""
        if self in {StackState.DRIFT, StackState.CHANGES}:
            return ExitCode.CHANGES
        return {StackState.OK: ExitCode.OK, StackState.BLOCKED: ExitCode.BLOCKED}.get(self, ExitCode.FAILED)


@dataclass(frozen=True, slots=True)
class FleetStackStatus:
    """One stack. `one`: as it is listed; of a vanished one without credential. `row`: what is remembered of it, None if
    it was never checked. `due`: when it is checked next, in the past if it is due. `message`: what is wrong. `pause`:
    until when nothing is done to it, if it is paused."""

    one: FleetStack
    state: StackState
    row: StackRow | None = None
    due: datetime | None = None
    message: str | None = None
    pause: Pause | None = None

    @property
    def look(self) -> Look | None:
        """The last check."""
        return None if self.row is None else self.row.look


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """All stacks, the most urgent first, then by the time of their outage. `diagnostics`: about fleet.toml. `queue`: of
    its workers, if it has some."""

    fleet: str
    made: datetime
    stacks: tuple[FleetStackStatus, ...]
    diagnostics: tuple[Diagnostic, ...] = ()
    queue: Queue | None = None

    @property
    def counts(self) -> Mapping[StackState, int]:
        """How many stacks are in each state."""
        return {state: sum(one.state is state for one in self.stacks) for state in StackState}

    @property
    def paused(self) -> int:
        """How many stacks are paused."""
        return sum(one.pause is not None for one in self.stacks)

    @property
    def outage(self) -> FleetStackStatus | None:
        """The stack whose calls fail first."""
        times = [one for one in self.stacks if one.look is not None and one.look.outage is not None]
        return min(times, key=_outage_key, default=None)

    @property
    def exit_code(self) -> ExitCode:
        """That of the status: 5 if some stacks failed, 1 if all did."""
        codes = [one.state.exit_code for one in self.stacks]
        errors = (one.code for one in self.diagnostics if one.is_error)
        whole = [ExitCode.BLOCKED if code is Code.FLEET_SHRUNK else ExitCode.FAILED for code in errors]
        return code_over("fleet status", codes, whole)


@dataclass(frozen=True, slots=True)
class FleetHistory:
    """What workers did for one stack, the latest first, and its pause. `alias`: of the account. `file`: its
    mtls.toml, if it is known. `message`: what is wrong with it now."""

    fleet: str
    stack: str
    account: str
    alias: str
    file: str | None
    runs: tuple[RecordedJob, ...]
    pause: Pause | None = None
    message: str | None = None


def line_about(stack: str, message: str) -> str | None:
    """The first line of the message of a job that is about a stack. None if there is none."""
    return next((line for line in message.splitlines() if line.startswith(f"{stack}: ")), None)


VANISHED = "its mtls.toml was not found any more; nothing is done for it"
LEFT = "it is not in the fleet any more"
UNREAD = "its repository could not be read; nothing is done for it"


def make_fleet_status(
    found: FleetList,
    rows: Sequence[StackRow],
    missing: Sequence[tuple[StackRow, str]],
    alias: Callable[[str], str],
    now: datetime,
    pauses: Mapping[StackKey, Pause],
) -> FleetStatus:
    """The status of the stacks that were found, and of those that are `missing`, each with the reason."""
    known, by_file = {row.key: row for row in rows}, {row.file: row for row in rows}
    stacks = [_status_of(_named(one, by_file, alias), known, now) for one in found.stacks]
    for row, message in missing:
        one = FleetStack(
            row.file, row.stack, row.account, alias(row.account), "", row.tags or (), Act.NONE, timedelta(0)
        )
        stacks.append(FleetStackStatus(one, StackState.VANISHED, row, message=message))
    stacks = [replace(one, pause=pauses.get((one.one.account or "", one.one.stack or ""))) for one in stacks]
    order = list(StackState)
    stacks.sort(key=lambda one: (order.index(one.state), _outage_key(one), one.one.stack or "", one.one.file))
    return FleetStatus(found.fleet, now, tuple(stacks), found.diagnostics)


def _outage_key(one: FleetStackStatus) -> tuple[bool, str]:
    outage = one.look.outage if one.look is not None else None
    return outage is None, str(outage)


def _named(one: FleetStack, by_file: Mapping[str, StackRow], alias: Callable[[str], str]) -> FleetStack:
    """The same; a stack whose file can't be read now is the one that this file was of."""
    row = by_file.get(one.file) if one.stack is None else None
    return one if row is None else replace(one, stack=row.stack, account=row.account, alias=alias(row.account))


def _status_of(one: FleetStack, known: Mapping[StackKey, StackRow], now: datetime) -> FleetStackStatus:
    if one.stack is None or one.account is None:
        return FleetStackStatus(one, StackState.BROKEN, message=one.problem)
    key = (one.account, one.stack)
    row = known.get(key)
    turn = last_turn(key, one.look, now)
    due = turn if is_due(row, key, one.look, now) else turn + one.look
    if one.problem is not None:
        return FleetStackStatus(one, StackState.BROKEN, row, due, one.problem)
    if row is None or row.look is None:
        return FleetStackStatus(one, StackState.NOT_CHECKED, row, due, "it was never checked")
    if row.look.state is LookState.FAILED:
        return FleetStackStatus(one, StackState.FAILED, row, due, row.look.message)
    if is_overdue(row, one.look, now):
        return FleetStackStatus(one, StackState.NOT_CHECKED, row, due, "it was not checked for two intervals")
    act = row.act
    if act is not None and act.state is ActState.FAILED and act.time >= row.look.time:
        return FleetStackStatus(one, StackState.FAILED, row, due, act.message)
    left = act.message if act is not None and row.look.state is LookState.CHANGES else None
    return FleetStackStatus(one, StackState(row.look.state), row, due, row.look.message or left)


def fleet_families(status: FleetStatus) -> tuple[Family, ...]:
    """The metrics of a fleet, of its stacks, and of its workers."""
    return (
        _family(
            "fleet_stacks",
            "Stacks of the fleet, by state.",
            (((("fleet", status.fleet), ("state", state)), count) for state, count in status.counts.items()),
        ),
        *_stack_families(status),
        _family(
            "fleet_made_timestamp_seconds",
            "When these metrics were written; check that they are not outdated.",
            (((("fleet", status.fleet),), status.made.timestamp()),),
        ),
        *(_queue_families(status.fleet, status.queue) if status.queue is not None else ()),
    )


def _stack_families(status: FleetStatus) -> tuple[Family, ...]:
    """The metrics of stacks. They have its name and account as labels, and nothing of a certificate. Of several files
    with one name and account, which is an error, the most urgent one has them: a series is there once."""
    named = [one for one in reversed(status.stacks) if one.one.stack is not None]
    series = {(("stack", one.one.stack or ""), ("account", one.one.alias or "")): one for one in named}
    labelled = list(reversed(series.items()))
    looks = [(labels, one.look) for labels, one in labelled if one.look is not None]
    good = {StackState.OK, StackState.CHANGES, StackState.DRIFT, StackState.BLOCKED}
    return (
        _family(
            "fleet_stack_ok",
            "Whether the stack was found, checked in time, and nothing failed: 1 or 0.",
            ((labels, one.state in good) for labels, one in labelled),
        ),
        _family(
            "fleet_stack_last_look_timestamp_seconds",
            "When the stack was checked last.",
            ((labels, look.time.timestamp()) for labels, look in looks),
        ),
        _family(
            "fleet_stack_last_success_timestamp_seconds",
            "When the stack was checked last without an error.",
            ((labels, one.row.success.timestamp()) for labels, one in labelled if one.row and one.row.success),
        ),
        _family(
            "fleet_stack_outage_timestamp_seconds",
            "When calls through a binding of the stack begin to fail if nothing is done.",
            ((labels, look.outage.timestamp()) for labels, look in looks if look.outage is not None),
        ),
        _family(
            "fleet_stack_changes",
            "Changes that the stack needs, by action.",
            (
                ((*labels, ("action", action)), look.changes.get(action, 0))
                for labels, look in looks
                for action in Action
            ),
        ),
        _family(
            "fleet_stack_renewals",
            "Certificates of the stack that are due, and whose renewal is not in its files yet.",
            ((labels, look.renewals) for labels, look in looks),
        ),
        _family(
            "fleet_stack_drift",
            "Differences from mtls.toml that the last check of the stack found.",
            ((labels, look.drift) for labels, look in looks),
        ),
        _family(
            "fleet_stack_paused_until_timestamp_seconds",
            "Until when nothing is done to the stack; only for a stack that is paused.",
            ((labels, one.pause.until.timestamp()) for labels, one in labelled if one.pause is not None),
        ),
    )


def _queue_families(fleet: str, queue: Queue) -> tuple[Family, ...]:
    """The metrics of the workers of a fleet."""
    labels = (("fleet", fleet),)
    values = (
        ("fleet_workers", "Workers that live.", queue.workers),
        ("fleet_queue_running", "Jobs that workers do now.", queue.running),
        ("fleet_queue_waiting", "Jobs that are due and wait for a worker.", queue.waiting),
        ("fleet_queue_oldest_age_seconds", "How long the oldest job that is due has waited.", queue.oldest_s),
        (
            "fleet_queue_stalled",
            "Jobs whose worker is not heard of; another one does them again.",
            queue.stalled,
        ),
        ("fleet_queue_lost", "Jobs of the last 24 hours whose worker died.", queue.lost),
        (
            "fleet_longest_act_seconds",
            "How long the longest job of the last 24 hours took that may change a stack.",
            queue.longest_act_s,
        ),
    )

    def by_budget(values: Mapping[str, float]) -> Iterable[tuple[Labels, float]]:
        return (((*labels, ("budget", name)), value) for name, value in values.items())

    return (
        *(_family(name, meaning, ((labels, value),)) for name, meaning, value in values),
        _family(
            "budget_remaining",
            "Calls that a shared rate budget has left in its five minutes.",
            by_budget(queue.budgets),
        ),
        _family(
            "budget_wait_seconds",
            "How long the last call that waits for a shared rate budget has still to wait.",
            by_budget(queue.waits),
        ),
    )


def _family(name: str, meaning: str, samples: Iterable[tuple[Labels, float]]) -> Family:
    return Family(name, meaning, tuple(Sample(labels, value) for labels, value in samples))
