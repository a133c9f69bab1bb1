"""The journal: what a run does, recorded as it happens, so that a killed run leaves a trace of its progress.

Nothing is resumed from it; the next run reads the store and the files. The record of a run has the same, of this run
alone, for a place that outlives the checkout.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import FileError
from reconciler.model import Change
from reconciler.model.ports import Clock
from reconciler.plan.outcome import Step
from reconciler.plan.renewing import Renewable, RenewStep
from reconciler.records.history import HistoryDocument, history_document
from reconciler.records.journal import (
    Actor,
    Event,
    JournalRead,
    RunFinished,
    RunStarted,
    StepStarted,
    finished_event,
    read_events,
    renewal_of,
    renewed_event,
    summary_of,
    to_line,
)
from reconciler.system.journal import Lines, read_lines
from reconciler.version import __version__

Keep = Callable[[HistoryDocument], None]
"""Keeps the record of a run in place of the one before; FileError if it can't be kept."""

NO_RUN = history_document(JournalRead(()), limit=1)
"""The record of a command that has begun no run."""


class Journal:
    """The journal of one run, which observes its steps: `begin`, then the steps, then `end`.

    A step whose start can't be written is not made: `begin`, `started` and `settle` raise FileError. A step that was
    made can't be undone, so `finished` and `end` raise nothing; `findings` reports missing lines.

    `keep` gets the record of this run when it begins, so that a killed run leaves one without an end, and when it ends.

    Only `settle` syncs what `started` wrote, once for all steps that start together: two waits for the disk for every
    step would take longer than the steps.
    """

    def __init__(
        self,
        lines: Lines,
        *,
        clock: Clock,
        keep: Keep = lambda _: None,
        new_run: Callable[[], str] = lambda: os.urandom(6).hex(),
    ) -> None:
        self._lines = lines
        self._clock = clock
        self._keep = keep
        self._run = new_run()
        self._events: list[Event] = []
        self._missing: list[FileError] = []
        self._not_kept: tuple[Diagnostic, ...] = ()

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        """A warning if lines are missing, an error if the record is; else empty."""
        if not self._missing:
            return self._not_kept
        first, count = self._missing[0], len(self._missing)
        lines = "a line is" if count == 1 else f"{count} lines are"
        message = f"{lines} missing in the journal; the run itself is not affected: {first.message}"
        warning = Diagnostic(Severity.WARNING, Code.JOURNAL_INCOMPLETE, message, first.where, first.hint)
        return (warning, *self._not_kept)

    def begin(
        self, *, command: str, stack: str, plan_digest: str, actor: Actor, freeze_reason: str | None = None
    ) -> None:
        """Write that the run starts, before it changes anything. FileError if that can't be written."""
        start = RunStarted(
            run=self._run,
            time=self._clock.now(),
            command=command,
            version=__version__,
            stack=stack,
            plan_digest=plan_digest,
            pid=os.getpid(),
            actor=actor,
            freeze_reason=freeze_reason,
        )
        self._keep(_record([start]))
        self._lines.rotate()
        self._write(start)
        self._lines.sync()

    def started(self, change: Change) -> None:
        """Write that a change is next. FileError if that can't be written: then it must not be made."""
        self._write(StepStarted(run=self._run, time=self._clock.now(), change=summary_of(change)))

    def renewing(self, item: Renewable) -> None:
        """As `started` and `settle`, of a renewal."""
        self._write(StepStarted(run=self._run, time=self._clock.now(), change=renewal_of(item)))
        self._lines.sync()

    def renewed(self, step: RenewStep) -> None:
        """Write how a renewal ended."""
        self._write_after(renewed_event(step, run=self._run, time=self._clock.now()))

    def settle(self) -> None:
        """Sync what was written. FileError if that fails: then none of the started changes may be made."""
        self._lines.sync()

    def finished(self, step: Step) -> None:
        """Write how a change ended."""
        self._write_after(finished_event(step, run=self._run, time=self._clock.now()))

    def end(self, *, exit_code: int, interrupted: bool) -> None:
        """Write that the run ended on its own. A run without this line was killed."""
        self._write_after(
            RunFinished(run=self._run, time=self._clock.now(), exit_code=exit_code, interrupted=interrupted)
        )
        try:
            self._keep(_record(self._events))
        except FileError as error:
            self._not_kept = error.diagnostics()

    def _write(self, event: Event) -> None:
        self._events.append(event)
        self._lines.append(to_line(event))

    def _write_after(self, event: Event) -> None:
        try:
            self._write(event)
            if isinstance(event, RunFinished):
                self._lines.sync()
        except FileError as error:
            self._missing.append(error)


class Nowhere:
    """The port `Lines` of a run that changes nothing, which the journal leaves out."""

    def rotate(self) -> None:
        """As in `Lines`."""

    def append(self, line: bytes) -> None:
        """As in `Lines`."""

    def sync(self) -> None:
        """As in `Lines`."""


def _record(events: list[Event]) -> HistoryDocument:
    return history_document(JournalRead(tuple(events)), limit=1)


def read_journal(folder: Path) -> JournalRead:
    """The events in the journals next to mtls.toml, oldest first; empty if there are none. FileError for a link."""
    return read_events(read_lines(folder))
