"""One line of a run's log, as a value."""

from __future__ import annotations

from datetime import datetime

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.events import CallMade, FileTouched, ProgramStarted
from reconciler.findings.values import dataclass
from reconciler.plan.outcome import StepBegan, StepEnded

LogEvent = CallMade | FileTouched | ProgramStarted | StepBegan | StepEnded | Diagnostic | str
"""What a line is about. A text is for everything that has no type of its own; like all here, it has no secrets."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """What happened, and when (UTC)."""

    time: datetime
    event: LogEvent
