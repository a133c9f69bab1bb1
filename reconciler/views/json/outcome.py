"""`mtlsctl.outcome/1`: what became of an apply, for the next step of a pipeline."""

from __future__ import annotations

from typing import Literal

from reconciler.findings.diagnostics import Resolve
from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.plan.plan import next_of
from reconciler.records.base import DiagnosticPart, JsonPart, UtcTime, diagnostic_part, to_json
from reconciler.records.changes import ChangePart, change_part
from reconciler.records.plan import WaitingPart, waiting_part
from reconciler.reports.left import Applied, ToDeploy
from reconciler.views.table import Display


class StepPart(JsonPart):
    """One change and how it ended. `entry` is the id that it made, bound or deleted."""

    change: ChangePart
    entry: str | None = None
    note: str | None = None
    problem: DiagnosticPart | None = None


class DeployPart(JsonPart):
    """What somebody has to deploy. `command` is an argv, to be run in the folder of mtls.toml."""

    worker: str
    config: str
    environment: str | None = None
    script: str | None = None
    command: tuple[str, ...]


class OutcomeDocument(JsonPart):
    """What was done, what failed, what was not started, what waits. `plan_digest` names the plan.

    `unproved`: proofs that neither succeeded nor failed. `unfinished`: what was in progress when the run ended, and may
    have been made; the next run checks it.
    """

    format: Literal["mtlsctl.outcome/1"] = "mtlsctl.outcome/1"
    stack: str
    plan_digest: str
    interrupted: bool
    exit_code: int
    done: tuple[StepPart, ...]
    failed: tuple[StepPart, ...]
    not_started: tuple[StepPart, ...]
    unproved: tuple[StepPart, ...] = ()
    unfinished: tuple[StepPart, ...] = ()
    waiting: tuple[WaitingPart, ...]
    next: UtcTime | None = None
    to_deploy: tuple[DeployPart, ...] = ()
    diagnostics: tuple[DiagnosticPart, ...]


def outcome_document(outcome: Outcome, resolve: Resolve, to_deploy: tuple[ToDeploy, ...] = ()) -> OutcomeDocument:
    """An outcome as its document."""

    def part(step: Step) -> StepPart:
        problem = diagnostic_part(step.problem, resolve) if step.problem else None
        return StepPart(change=change_part(step.change), entry=step.entry, note=step.note, problem=problem)

    return OutcomeDocument(
        stack=outcome.plan.stack,
        plan_digest=outcome.plan.digest,
        interrupted=outcome.interrupted,
        exit_code=outcome.exit_code,
        done=tuple(map(part, outcome.of(StepStatus.DONE))),
        failed=tuple(map(part, outcome.of(StepStatus.FAILED))),
        not_started=tuple(map(part, outcome.of(StepStatus.NOT_STARTED))),
        unproved=tuple(map(part, outcome.of(StepStatus.UNPROVED))),
        unfinished=tuple(map(part, outcome.of(StepStatus.UNFINISHED))),
        waiting=tuple(map(waiting_part, outcome.waiting)),
        next=next_of(outcome.waiting),
        to_deploy=tuple(_deploy_part(one) for one in to_deploy),
        diagnostics=tuple(diagnostic_part(problem, resolve) for problem in outcome.problems),
    )


def show_applied(applied: Applied, display: Display) -> str:
    """The outcome, with what it leaves to deploy."""
    return to_json(outcome_document(applied.outcome, display.place, applied.to_deploy))


def _deploy_part(one: ToDeploy) -> DeployPart:
    return DeployPart.made_from(one, one.at)
