"""What became of a plan: every change of it, done or not, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.exits import ExitCode, strongest
from reconciler.model import Action, Change, EntryId, Waiting
from reconciler.plan.plan import Plan, exit_code_of


class StepStatus(StrEnum):
    """How one change ended. `unproved` is a proof that neither succeeded nor failed."""

    DONE = "done"
    FAILED = "failed"
    NOT_STARTED = "not-started"
    WAITING = "waiting"
    UNPROVED = "unproved"


@dataclass(frozen=True, slots=True)
class Step:
    """One change and how it ended. `entry`: the id that it made or bound. `note`: why it was not started, or how."""

    change: Change
    status: StepStatus
    entry: EntryId | None = None
    problem: Diagnostic | None = None
    note: str | None = None
    waiting: Waiting | None = None
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class StepBegan:
    """For the log of a run: the first effect of a change comes next."""

    change: Change


@dataclass(frozen=True, slots=True)
class StepEnded:
    """For the log of a run: how a change ended, `ms` after it began."""

    step: Step
    ms: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that was carried out. `findings` came up while applying, such as a key file that others can read."""

    plan: Plan
    steps: tuple[Step, ...]
    findings: tuple[Diagnostic, ...] = ()
    interrupted: bool = False

    @classmethod
    def of_nothing(cls, plan: Plan) -> Outcome:
        """The outcome of a run in which nothing was to be done in the phases asked for."""
        steps = (Step(change, StepStatus.NOT_STARTED, note="its phase was not asked for") for change in plan.changes)
        return cls(plan, tuple(steps))

    def of(self, status: StepStatus) -> tuple[Step, ...]:
        """The steps that ended so, in order."""
        return tuple(step for step in self.steps if step.status is status)

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """What the plan knew to be waiting, and retires that turned out to be."""
        return (*self.plan.waiting, *(step.waiting for step in self.steps if step.waiting is not None))

    @property
    def exit_code(self) -> ExitCode:
        """Partly done is 5; nothing done is 1, or 3 where only guard rails stood in the way."""
        codes: list[ExitCode] = [exit_code_of((*self.plan.diagnostics, *self.findings))]
        if self.interrupted:
            codes.append(ExitCode.INTERRUPTED)
        if any(step.blocked for step in self.steps):
            codes.append(ExitCode.BLOCKED)
        if self.of(StepStatus.FAILED):
            codes.append(ExitCode.FAILED)
        # A proof changes nothing, so a run in which only proofs succeeded is not done in part.
        if ExitCode.FAILED in codes and any(
            step.change.action is not Action.VERIFY for step in self.of(StepStatus.DONE)
        ):
            codes.append(ExitCode.PARTIAL)
        return strongest(codes)

    @property
    def problems(self) -> tuple[Diagnostic, ...]:
        """Every finding of the run: the plan's, those met while applying, and each step's own."""
        own = tuple(step.problem for step in self.steps if step.problem is not None)
        return (*self.plan.diagnostics, *self.findings, *own)

    @property
    def errors(self) -> int:
        """How many errors there were."""
        return sum(problem.severity is Severity.ERROR for problem in self.problems)
