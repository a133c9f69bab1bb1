"""One run of apply: what it may touch, how far it is, and the one way in which a step is tried.

Only the store is called from other threads: keys, journal and terminal stay in the one that applies the plan, and a
change is said to begin when it really does. So no port but the store has to be safe for several threads.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Protocol

from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import ReconcilerError
from reconciler.model import Change, Desired, EntryId, Phase, Upload
from reconciler.model.concurrency import DaemonPool
from reconciler.model.errors import StoreClosed, StoreStopped
from reconciler.model.ports import Files, Sources, Store, WorkerDeployer
from reconciler.plan.outcome import Step, StepBegan, StepEnded, StepStatus
from reconciler.plan.plan import Plan
from reconciler.proof.ports import OriginProver

_log = logging.getLogger(__name__)

PATIENCE_S = 10.0
"""So long an interrupted run lets calls end that are on their way: only they can tell whether something was changed."""
_NOT_TRIED = "not tried, for an earlier answer of the store stopped this run"

Effect = Callable[[], Step]
Prepare = Callable[[], Effect]
"""What is done in this thread, such as opening a key; it gives what may be done in another one."""


class Observer(Protocol):
    """Whoever wants to know how it goes: a terminal, a journal."""

    def started(self, change: Change) -> None:
        """Called before the first effect of a change. A ReconcilerError from here fails the step."""

    def finished(self, step: Step) -> None:
        """Called once for every change that was started, however it ended. A ReconcilerError becomes a finding."""


def _nothing() -> None:
    """Nobody has to make sure of anything."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything that `apply` may touch."""

    store: Store
    files: Files
    keys: Sources
    observer: Observer
    still_safe: Callable[[bool], Container[EntryId]]
    """Which entries a plan of this very moment would retire, the whole tree looked through again; told whether this run
    has uploaded something."""
    deployer: Callable[[], WorkerDeployer]
    prover: OriginProver
    waves: Sequence[int | None] = (None,)
    """How many Workers are deployed at a time; None: all that are left."""
    settle: Callable[[], None] = _nothing
    """Makes sure of what the observer was told of changes that begin, before their first effect. A ReconcilerError from
    here fails them."""


@dataclass(slots=True)
class Run:
    """One run's progress: steps by their place in the plan, and the ids that uploads gave."""

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
    """Hashes of the pairs of certificates and key that were proved."""
    stopped: bool = False
    """The store takes no change any more."""

    def of(self, phase: Phase) -> Iterator[tuple[int, Change]]:
        """The changes of a phase that have not ended yet, with their places."""
        for index, change in enumerate(self.plan.changes):
            if change.phase is phase and index not in self.steps:
                yield index, change

    def start(self, index: int) -> bool:
        """Say that a change begins; False, and the change has failed, where that could not be said."""
        return bool(self.start_all((index,)))

    def start_all(self, indexes: Iterable[int]) -> list[int]:
        """Say that changes begin together; those of which it could be said, the others have failed."""
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
        """Say how a change ended."""
        self.steps[index] = step
        _log.info(StepEnded(step, (time.monotonic() - self.under_way[index]) * 1000))
        if isinstance(step.change, Upload) and step.status is StepStatus.DONE and step.entry is not None:
            self.uploaded[step.change.digest] = step.entry
        try:
            self.world.observer.finished(step)
        except ReconcilerError as error:
            self.findings.extend(replace(found, severity=Severity.WARNING) for found in error.diagnostics())

    def leave(self, index: int) -> None:
        """Leave a change that the store would not take any more."""
        self.steps[index] = Step(self.plan.changes[index], StepStatus.NOT_STARTED, note=_NOT_TRIED)

    def failure(self, index: int, error: ReconcilerError) -> Step:
        """The step of a change that an error stopped; one that was not even tried has not failed."""
        change = self.plan.changes[index]
        if isinstance(error, StoreStopped):
            self.stopped = True
            return Step(change, StepStatus.NOT_STARTED, note=_NOT_TRIED)
        problem = next(found for found in error.diagnostics() if found.severity is Severity.ERROR)
        return Step(change, StepStatus.FAILED, problem=replace(problem, certificate=change.certificate))


def attempt_all(run: Run, changes: Iterable[tuple[int, Prepare]]) -> None:
    """Try changes: reported before and after, and an error fails its own change alone. Several at once where the store
    takes them.

    They go alone until one is done: what would be refused each time, for a missing permission, is asked for once.
    """
    left = iter(changes)
    for index, prepare in left:
        if run.stopped:
            run.leave(index)
        elif run.start(index):
            step = _try(run, index, partial(_carry_out, prepare))
            _end(run, index, step)
            if run.world.store.at_once > 1 and step is not None and step.status is StepStatus.DONE:
                _attempt_at_once(run, left)


def _carry_out(prepare: Prepare) -> Step:
    return prepare()()


def _attempt_at_once(run: Run, changes: Iterator[tuple[int, Prepare]]) -> None:
    """Every change, or those until the store takes no more. What ends this early lets end what is under way, so that
    its outcome is known."""
    with DaemonPool[Step | None](run.world.store.at_once) as pool:
        try:
            while not run.stopped and (batch := dict(islice(changes, pool.room))):
                for index in run.start_all(batch):
                    _begin(run, pool, index, batch[index])
                _take_ended(run, pool)
            while pool.under_way:
                _take_ended(run, pool)
        except BaseException:
            run.world.store.give_up()
            pool.let_end(PATIENCE_S)
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
    """The step of a change, done or failed; None where an interrupt kept it from being begun. In any thread."""
    try:
        return effect()
    except StoreClosed:
        return None
    except ReconcilerError as error:
        return run.failure(index, error)


def _end(run: Run, index: int, step: Step | None) -> None:
    if step is not None and index not in run.steps:
        run.end(index, step)
