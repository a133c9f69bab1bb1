"""One line of a run's log, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.events import CallMade, FileTouched, ProgramStarted
from reconciler.plan.outcome import StepBegan, StepEnded

LogEvent = CallMade | FileTouched | ProgramStarted | StepBegan | StepEnded | Diagnostic | str
"""What a line is about. A text is something that fits nowhere else, and public as everything here."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """What happened, and when (UTC)."""

    time: datetime
    event: LogEvent
