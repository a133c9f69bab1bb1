"""`mtlsctl.history/1`: the runs of this checkout, from its journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Literal, assert_never

from reconciler.findings.exits import ExitCode
from reconciler.findings.values import dataclass
from reconciler.records.base import JsonPart, UtcTime
from reconciler.records.journal import (
    Actor,
    ChangeSummary,
    GuardSkipped,
    JournalRead,
    ProblemSummary,
    RenewedSummary,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
)


class RunEnd(StrEnum):
    """How a run ended; `unfinished`: its end was never written, because it was killed or is still running."""

    DONE = "done"
    PARTIAL = "partial"
    BLOCKED = "blocked"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    UNFINISHED = "unfinished"


class StepEnd(StrEnum):
    """How a step ended; `unfinished`: it was started, and the next plan found out its result."""

    DONE = "done"
    FAILED = "failed"
    NOT_STARTED = "not-started"
    WAITING = "waiting"
    UNPROVED = "unproved"
    UNFINISHED = "unfinished"


class HistoryStep(JsonPart):
    """One change that was started, and how it ended."""

    change: ChangeSummary
    status: StepEnd
    entry: str | None = None
    note: str | None = None
    problem: ProblemSummary | None = None
    renewed: RenewedSummary | None = None


class HistoryRun(JsonPart):
    """One run. `finished` and `exit_code` are left out while its end is unknown.

    `freeze_reason`: why it was allowed to make changes during a freeze; left out if it was not.
    """

    run: str
    command: str
    version: str
    stack: str
    plan_digest: str
    pid: int
    actor: Actor | None = None
    started: UtcTime
    finished: UtcTime | None = None
    ended: RunEnd
    exit_code: int | None = None
    freeze_reason: str | None = None
    steps: tuple[HistoryStep, ...]


class SkippedGuard(JsonPart):
    """A deploy that `mtlsctl guard` did not check, because the operator gave a reason. `command`: that of wrangler."""

    time: UtcTime
    reason: str
    command: str | None = None


class HistoryDocument(JsonPart):
    """Runs, newest first. `more` is the number of older runs in the journal that are left out. `since`: the time of
    `--since`.

    `skipped_guards`, newest first, as many as runs may be shown; left out if no guard was skipped.

    `torn` and `unknown` count lines of the journal that could not be used: cut off when a run was killed, or written by
    another version.
    """

    format: Literal["mtlsctl.history/1"] = "mtlsctl.history/1"
    since: UtcTime | None = None
    runs: tuple[HistoryRun, ...]
    more: int
    torn: int
    unknown: int
    skipped_guards: tuple[SkippedGuard, ...] | None = None


@dataclass(slots=True)
class _RunEvents:
    """The events of one run so far; steps in the order of their starts."""

    started: RunStarted
    finished: RunFinished | None = None
    steps: list[tuple[ChangeSummary, StepFinished | None]] = field(default_factory=list)
    open: dict[ChangeSummary, int] = field(default_factory=dict)

    def start(self, change: ChangeSummary) -> None:
        self.open[change] = len(self.steps)
        self.steps.append((change, None))

    def finish(self, event: StepFinished) -> None:
        index = self.open.pop(event.change, None)
        if index is None:
            self.steps.append((event.change, event))
        else:
            self.steps[index] = (event.change, event)


def history_document(journal: JournalRead, *, limit: int | None, since: datetime | None = None) -> HistoryDocument:
    """The newest `limit` runs of a journal that started at `since` or later; None: all of them."""
    runs = _group(event for event in journal.events if not isinstance(event, GuardSkipped))
    shown = [run for run in runs if since is None or run.started.time >= since]
    shown = shown if limit is None else shown[max(len(shown) - limit, 0) :]
    skips = (event for event in journal.events if isinstance(event, GuardSkipped))
    skipped = [event for event in skips if since is None or event.time >= since]
    newest = skipped[::-1][:limit]
    return HistoryDocument(
        since=since,
        runs=tuple(_run(run) for run in reversed(shown)),
        more=len(runs) - len(shown),
        torn=journal.torn,
        unknown=journal.unknown,
        skipped_guards=tuple(map(SkippedGuard.made_from, newest)) or None,
    )


def _group(events: Iterable[RunStarted | StepStarted | StepFinished | RunFinished]) -> list[_RunEvents]:
    """Runs in the order of their first lines, because the clock may have been set back. Steps of unknown runs are left
    out."""
    runs: list[_RunEvents] = []
    latest: dict[str, _RunEvents] = {}
    for event in events:
        if isinstance(event, RunStarted):
            latest[event.run] = _RunEvents(event)
            runs.append(latest[event.run])
        elif (run := latest.get(event.run)) is not None:
            match event:
                case StepStarted():
                    run.start(event.change)
                case StepFinished():
                    run.finish(event)
                case RunFinished():
                    run.finished = event
                case _:
                    assert_never(event)
    return runs


def _run(run: _RunEvents) -> HistoryRun:
    started, finished = run.started, run.finished
    return HistoryRun.made_from(
        started,
        started=started.time,
        finished=finished.time if finished is not None else None,
        ended=_run_end(finished),
        exit_code=finished.exit_code if finished is not None else None,
        steps=tuple(_step(change, event) for change, event in run.steps),
    )


def _run_end(finished: RunFinished | None) -> RunEnd:
    if finished is None:
        return RunEnd.UNFINISHED
    if finished.interrupted:
        return RunEnd.INTERRUPTED
    known = {ExitCode.OK: RunEnd.DONE, ExitCode.PARTIAL: RunEnd.PARTIAL, ExitCode.BLOCKED: RunEnd.BLOCKED}
    return {int(code): end for code, end in known.items()}.get(finished.exit_code, RunEnd.FAILED)


def _step(change: ChangeSummary, event: StepFinished | None) -> HistoryStep:
    if event is None:
        return HistoryStep(change=change, status=StepEnd.UNFINISHED)
    return HistoryStep.made_from(event, change=change, status=StepEnd(event.status.value))
