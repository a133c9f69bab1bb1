"""The outcome of a run: how each change of the plan ended, and why."""

from __future__ import annotations

from enum import StrEnum

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.exits import ExitCode, strongest
from reconciler.findings.values import dataclass
from reconciler.model import Action, Change, EntryId, Waiting
from reconciler.plan.plan import Plan, exit_code_of


class StepStatus(StrEnum):
    """How one change ended. `unproved` is a proof that neither succeeded nor failed. `unfinished`: it was in progress
    when the run ended, and may have been made."""

    DONE = "done"
    FAILED = "failed"
    NOT_STARTED = "not-started"
    UNFINISHED = "unfinished"
    WAITING = "waiting"
    UNPROVED = "unproved"


@dataclass(frozen=True, slots=True)
class Step:
    """One change and how it ended. `entry`: the ID that it uploaded or bound. `note`: such as why it did not start.

    `skipped`: it was not tried, because an earlier error stopped the run.
    """

    change: Change
    status: StepStatus
    entry: EntryId | None = None
    problem: Diagnostic | None = None
    note: str | None = None
    waiting: Waiting | None = None
    blocked: bool = False
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class StepBegan:
    """For the log of a run: a change begins."""

    change: Change


@dataclass(frozen=True, slots=True)
class StepEnded:
    """For the log of a run: how a change ended, `ms` after it began."""

    step: Step
    ms: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run. `findings`: those of the run itself, such as a key file that others can read."""

    plan: Plan
    steps: tuple[Step, ...]
    findings: tuple[Diagnostic, ...] = ()
    interrupted: bool = False

    @classmethod
    def of_nothing(cls, plan: Plan) -> Outcome:
        """The outcome of a run whose requested phases have no changes."""
        steps = (
            Step(change, StepStatus.NOT_STARTED, note=f"the phase {change.phase} was not requested")
            for change in plan.changes
        )
        return cls(plan, tuple(steps))

    def of(self, status: StepStatus) -> tuple[Step, ...]:
        """The steps that ended so, in order."""
        return tuple(step for step in self.steps if step.status is status)

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """What waits in the plan, and the retires that turned out to be unsafe during the run."""
        return (*self.plan.waiting, *(step.waiting for step in self.steps if step.waiting is not None))

    @property
    def exit_code(self) -> ExitCode:
        """5 if some changes failed, or were skipped after an error, and others were made; 1 if none was made; 3 if some
        were blocked.

        6 if the run lost its lock.
        Of `retire`, 3 also if one of the uploads that it was asked to delete is kept.
        """
        codes: list[ExitCode] = [exit_code_of((*self.plan.diagnostics, *self.findings))]
        if self.interrupted:
            codes.append(ExitCode.INTERRUPTED)
        if any(found.code is Code.LOCKED for found in self.findings):
            codes.append(ExitCode.LOCKED)
        kept = self.plan.waiting or self.of(StepStatus.WAITING)
        if any(step.blocked for step in self.steps) or (self.plan.selection.retire is not None and kept):
            codes.append(ExitCode.BLOCKED)
        if self.of(StepStatus.FAILED) or any(step.skipped for step in self.steps):
            codes.append(ExitCode.FAILED)
        # A proof changes nothing, so a run in which only proofs succeeded is not done in part.
        if ExitCode.FAILED in codes and any(
            step.change.action is not Action.VERIFY for step in self.of(StepStatus.DONE)
        ):
            codes.append(ExitCode.PARTIAL)
        return strongest(codes)

    @property
    def problems(self) -> tuple[Diagnostic, ...]:
        """Every finding: those of the plan, of the run, and of each step."""
        own = tuple(step.problem for step in self.steps if step.problem is not None)
        return (*self.plan.diagnostics, *self.findings, *own)
