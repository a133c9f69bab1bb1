"""One run of apply: its ports, its progress, and the single way in which a step is tried.

Only the store is called from other threads: keys, journal and terminal are used by the thread that applies the plan,
and the start of a change is reported when it really starts. So only the store must be thread-safe.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Protocol

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.values import dataclass
from reconciler.model import BindingChange, Change, Deploy, Desired, EntryId, Phase, Retire, Update, Upload
from reconciler.model.concurrency import DaemonPool
from reconciler.model.errors import StoreClosed, StoreStopped
from reconciler.model.ports import Files, Sources, Store, WorkerDeployer
from reconciler.plan.outcome import Step, StepBegan, StepEnded, StepStatus
from reconciler.plan.plan import Plan
from reconciler.proof.ports import EdgeProver, OriginProver

_log = logging.getLogger(__name__)

PATIENCE_S = 10.0
"""Seconds that an interrupted run waits for calls in progress: only their results show whether something was
changed."""
_NOT_TRIED = "skipped: an earlier error from Cloudflare stopped this run"

Effect = Callable[[], Step]
Prepare = Callable[[], Effect]
"""Runs in the main thread, for example to open a key; returns the part that may run in another thread."""


class Observer(Protocol):
    """Receives the progress of a run: a terminal, or a journal."""

    def started(self, change: Change) -> None:
        """Called before the first effect of a change. A ReconcilerError from it fails the step."""

    def finished(self, step: Step) -> None:
        """Called once for every started change, however it ended. A ReconcilerError from it becomes a finding."""


class Unwatched:
    """Shows no step: the outcome has all of them."""

    def started(self, change: Change) -> None:
        """Show nothing."""

    def finished(self, step: Step) -> None:
        """Show nothing."""


def _nothing() -> None:
    """Do nothing."""


def _silent(changes: Sequence[Change], patience_s: float) -> None:
    """Tell no one."""


def _no_edge() -> EdgeProver:
    raise AssertionError("nothing here is proved at the edge")


def _never(time: datetime) -> None:
    raise AssertionError(f"nothing here waits until {time}")


@dataclass(frozen=True, slots=True)
class World:
    """The ports of `apply`: everything that it may change."""

    store: Store
    files: Files
    keys: Sources
    observer: Observer
    still_safe: Callable[[bool], Container[EntryId]]
    """The entries that a plan made now, with a new search of the whole tree, would retire; the argument is true if this
    run has uploaded something."""
    deployer: Callable[[], WorkerDeployer]
    prover: OriginProver
    now: Callable[[], datetime]
    """The time, read just before a change that is right only up to some time; also called from other threads."""
    edge: Callable[[], EdgeProver] = _no_edge
    """The proofs from Cloudflare's edge. ReconcilerError if this run may make none."""
    waves: Sequence[int | None] = (None,)
    """The number of Workers to deploy in each wave; None means all that remain."""
    wait_until: Callable[[datetime], None] = _never
    """Returns once a time has come: when a certificate begins that the plan waits for."""
    settle: Callable[[], None] = _nothing
    """Makes durable what the observer wrote about starting changes, before their first effect. A ReconcilerError from
    it fails them."""
    stopping: Callable[[Sequence[Change], float], None] = _silent
    """Called by an interrupted run with the changes in progress that it waits for, and for how many seconds at most."""
    demand_lock: Callable[[], None] = _nothing
    """Raises LockedError, which ends the run, if the lock of the checkout was lost. Called before each change."""
    looks_back: bool = True
    """Whether the uploads are compared with the store's list at the end."""


@dataclass(slots=True)
class Run:
    """The progress of a run: steps by their index in the plan, and the ids from uploads."""

    plan: Plan
    desired: Desired
    world: World
    phases: Sequence[Phase]
    steps: dict[int, Step] = field(default_factory=dict)
    under_way: dict[int, float] = field(default_factory=dict)
    """The changes that were begun, and when, in seconds of a clock that only goes forward."""
    uploaded: dict[str, EntryId] = field(default_factory=dict)
    findings: list[Diagnostic] = field(default_factory=list)
    proved: set[bytes] = field(default_factory=set, repr=False)
    """Hashes of the pairs of certificates and key that were checked."""
    stopped: bool = False
    """True once the store accepts no more changes."""

    def of(self, phase: Phase) -> Iterator[tuple[int, Change]]:
        """The changes of a phase that have not ended yet, with their indexes."""
        for index, change in enumerate(self.plan.changes):
            if change.phase is phase and index not in self.steps:
                yield index, change

    def start(self, index: int) -> bool:
        """Report the start of a change. False, with the change failed, if that could not be reported."""
        return bool(self.start_all((index,)))

    def start_all(self, indexes: Iterable[int]) -> list[int]:
        """Report the start of several changes at once; returns those that could be reported, the others have failed.

        LockedError, before anything begins, if the lock of the checkout was lost.
        """
        self.world.demand_lock()
        begun: list[int] = []
        for index in indexes:
            self.under_way[index] = time.monotonic()
            try:
                self.world.observer.started(self.plan.changes[index])
            except ReconcilerError as error:
                self.steps[index] = self.failure(index, error)
            else:
                begun.append(index)
                _log.info(StepBegan(self.plan.changes[index]))
        try:
            if begun:
                self.world.settle()
        except ReconcilerError as error:
            for index in begun:
                self.end(index, self.failure(index, error))
            return []
        return begun

    def end(self, index: int, step: Step) -> None:
        """Record and report how a change ended."""
        self.steps[index] = step
        _log.info(StepEnded(step, (time.monotonic() - self.under_way[index]) * 1000))
        if isinstance(step.change, Upload) and step.status is StepStatus.DONE and step.entry is not None:
            self.uploaded[step.change.digest] = step.entry
        try:
            self.world.observer.finished(step)
        except ReconcilerError as error:
            self.findings.extend(replace(found, severity=Severity.WARNING) for found in error.diagnostics())

    def leave(self, index: int) -> None:
        """Mark a change as not started, because the store accepts no more changes."""
        self.steps[index] = Step(self.plan.changes[index], StepStatus.NOT_STARTED, note=_NOT_TRIED, skipped=True)

    def is_late(self, change: Upload | BindingChange | Deploy | Update | Retire) -> bool:
        """Whether the time has passed up to which the change was right."""
        return change.not_after is not None and self.world.now() > change.not_after

    def stopping(self, indexes: Iterable[int]) -> None:
        """Report the changes in progress that an interrupted run waits for."""
        self.world.stopping([self.plan.changes[index] for index in sorted(indexes)], PATIENCE_S)

    def failure(self, index: int, error: ReconcilerError) -> Step:
        """The step of a change that an error stopped; failed, unless the change was not even tried."""
        change = self.plan.changes[index]
        if isinstance(error, StoreStopped):
            self.stopped = True
            return Step(change, StepStatus.NOT_STARTED, note=_NOT_TRIED, skipped=True)
        problem = next(found for found in error.diagnostics() if found.severity is Severity.ERROR)
        return Step(change, StepStatus.FAILED, problem=replace(problem, certificate=change.certificate))


def expired_meanwhile(what: str, where: Pointer | None = None) -> ReconcilerError:
    """The error of a change whose certificate expired between the plan and now. `what` was not done."""
    return ReconcilerError(
        f"{what}: its certificate expired during this run",
        hint="replace the certificate file with a valid certificate, then run `mtlsctl plan`",
        where=where,
        code=Code.CERTIFICATE_EXPIRED,
    )


def attempt_all(run: Run, changes: Iterable[tuple[int, Prepare]]) -> None:
    """Try changes: each is reported before and after, and an error fails only its own change. Several run at once if
    the store allows it.

    They run one at a time until the first success: a refusal that would repeat, such as a missing permission, costs a
    single call.
    """
    left = iter(changes)
    if run.world.store.at_once > 1:
        _attempt_at_once(run, left)
    for index, prepare in left:
        if run.stopped:
            run.leave(index)
        elif run.start(index):
            _end(run, index, _try(run, index, partial(_carry_out, prepare)))


def attempt_together(run: Run, effect: Callable[[], Mapping[int, Step]]) -> None:
    """Try changes that were begun, and that one call makes. `effect`: their steps, by their index; those that it leaves
    out have no known result. As `attempt_all`, it runs in another thread if the store allows it, so that an interrupt
    lets it end."""
    if run.world.store.at_once == 1:
        _end_all(run, effect())
        return
    with DaemonPool[Mapping[int, Step]](1) as pool:
        try:
            pool.begin(0, effect)
            pool.wait()
        except BaseException:
            run.world.store.give_up()
            pool.let_end(PATIENCE_S, lambda _: run.stopping(run.under_way.keys() - run.steps.keys()))
            _end_all(run, pool.results.get(0, {}))
            raise
        _end_all(run, pool.result(0))


def _end_all(run: Run, steps: Mapping[int, Step]) -> None:
    for index, step in steps.items():
        run.end(index, step)


def _carry_out(prepare: Prepare) -> Step:
    return prepare()()


def _attempt_at_once(run: Run, changes: Iterator[tuple[int, Prepare]]) -> None:
    """Try all changes, or those until the store accepts no more. On an early end, calls in progress may finish, so that
    their outcome is known; so the first one, too, runs in a thread of its own."""
    most = 1
    with DaemonPool[Step | None](run.world.store.at_once) as pool:
        try:
            while not run.stopped and (batch := dict(islice(changes, min(most, pool.room)))):
                for index in run.start_all(batch):
                    _begin(run, pool, index, batch[index])
                _take_ended(run, pool)
                if any(run.steps[index].status is StepStatus.DONE for index in batch if index in run.steps):
                    most = run.world.store.at_once
            while pool.under_way:
                _take_ended(run, pool)
        except BaseException:
            run.world.store.give_up()
            pool.let_end(PATIENCE_S, run.stopping)
            for index, step in sorted(pool.results.items()):
                _end(run, index, step)
            raise


def _begin(run: Run, pool: DaemonPool[Step | None], index: int, prepare: Prepare) -> None:
    try:
        effect = prepare()
    except ReconcilerError as error:
        run.end(index, run.failure(index, error))
    else:
        pool.begin(index, partial(_try, run, index, effect))


def _take_ended(run: Run, pool: DaemonPool[Step | None]) -> None:
    for index in pool.wait():
        _end(run, index, pool.result(index))


def _try(run: Run, index: int, effect: Effect) -> Step | None:
    """The step of a change, done or failed; None if an interrupt prevented its start. Runs in any thread."""
    try:
        return effect()
    except StoreClosed:
        return None
    except ReconcilerError as error:
        return run.failure(index, error)


def _end(run: Run, index: int, step: Step | None) -> None:
    if step is not None and index not in run.steps:
        run.end(index, step)
