"""One run of apply: what it may touch, how far it is, and the one way in which a step is tried."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import ReconcilerError
from reconciler.model import Change, Desired, EntryId, Phase, Upload
from reconciler.model.errors import StoreStopped
from reconciler.model.ports import Files, Roller, Sources, Store
from reconciler.plan.outcome import Status, Step
from reconciler.plan.plan import Plan
from reconciler.proof.ports import OriginProver


class Observer(Protocol):
    """Whoever wants to know how it goes: a terminal, a journal."""

    def started(self, change: Change) -> None:
        """Called before the first effect of a change. A ReconcilerError from here fails the step."""

    def finished(self, step: Step) -> None:
        """Called once for every change that was started, however it ended. A ReconcilerError becomes a finding."""


_NOT_TRIED = "not tried, for an earlier answer of the store stopped this run"


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
    roller: Callable[[], Roller]
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
    under_way: set[int] = field(default_factory=set)
    uploaded: dict[str, EntryId] = field(default_factory=dict)
    findings: list[Diagnostic] = field(default_factory=list)
    stopped: bool = False
    """The store takes no change any more."""

    def of(self, phase: Phase) -> Iterator[tuple[int, Change]]:
        """The changes of a phase that have not ended yet, with their places."""
        for index, change in enumerate(self.plan.changes):
            if change.phase is phase and index not in self.steps:
                yield index, change

    def attempt(self, index: int, effect: Callable[[], Step]) -> None:
        """Try one change: said before, said after, and an error fails it alone."""
        if self.start(index):
            try:
                step = effect()
            except ReconcilerError as error:
                step = self.failure(index, error)
            self.end(index, step)

    def start(self, index: int) -> bool:
        """Say that a change begins; False, and the change has failed, where that could not be said."""
        return bool(self.start_all((index,)))

    def start_all(self, indexes: Iterable[int]) -> list[int]:
        """Say that changes begin together; those of which it could be said, the others have failed."""
        begun: list[int] = []
        for index in indexes:
            self.under_way.add(index)
            try:
                self.world.observer.started(self.plan.changes[index])
            except ReconcilerError as error:
                self.steps[index] = self.failure(index, error)
            else:
                begun.append(index)
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
        if isinstance(step.change, Upload) and step.status is Status.DONE and step.entry is not None:
            self.uploaded[step.change.digest] = step.entry
        try:
            self.world.observer.finished(step)
        except ReconcilerError as error:
            self.findings.extend(replace(found, severity=Severity.WARNING) for found in error.diagnostics())

    def leave(self, index: int) -> None:
        """Leave a change that the store would not take any more."""
        self.steps[index] = Step(self.plan.changes[index], Status.NOT_STARTED, note=_NOT_TRIED)

    def failure(self, index: int, error: ReconcilerError) -> Step:
        """The step of a change that an error stopped; one that was not even tried has not failed."""
        change = self.plan.changes[index]
        if isinstance(error, StoreStopped):
            self.stopped = True
            return Step(change, Status.NOT_STARTED, note=_NOT_TRIED)
        problem = next(found for found in error.diagnostics() if found.severity is Severity.ERROR)
        return Step(change, Status.FAILED, problem=replace(problem, certificate=change.certificate))
