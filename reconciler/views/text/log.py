"""The lines of `--verbose`, for people."""

from __future__ import annotations

import shlex
from typing import assert_never

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.escape import printable
from reconciler.findings.events import CallMade, FileAction, FileTouched, ProgramStarted
from reconciler.model import Retire
from reconciler.plan.outcome import StepBegan, StepEnded, StepStatus
from reconciler.reports.log import LogEvent, LogLine
from reconciler.views.table import Display
from reconciler.views.text.plan import describe


def show_line(line: LogLine, display: Display) -> str:  # noqa: ARG001 - as every view
    """The time of day in UTC, to the millisecond, and what happened."""
    return f"{line.time:%H:%M:%S}.{line.time.microsecond // 1000:03}Z {printable(sentence(line.event))}\n"


def sentence(event: LogEvent) -> str:
    """What happened, in one line that is not escaped yet."""
    match event:
        case CallMade():
            return _call(event)
        case FileTouched():
            return _file(event)
        case ProgramStarted(command, folder):
            return f"started {shlex.join(command)} in {folder}"
        case StepBegan(change):
            return f"{change.action} {describe(change)}: started"
        case StepEnded():
            return _ended(event)
        case Diagnostic():
            return f"{event.severity}[{event.code}]: {event.message}" + (f" ({event.hint})" if event.hint else "")
        case str():
            return event
        case _:
            assert_never(event)


def _file(file: FileTouched) -> str:
    match file.action:
        case FileAction.WRITTEN:
            return f"wrote {file.path}" + (f" ({file.size:,} bytes)" if file.size is not None else "")
        case FileAction.OPENED:
            return f"opened {file.path} for writing"
        case FileAction.REMOVED:
            return f"removed {file.path}"
        case _:
            assert_never(file.action)


def _call(call: CallMade) -> str:
    page = f" page {call.page}" if call.page is not None else ""
    end = f"{call.status} {call.ms:.0f} ms" if call.status is not None else f"failed after {call.ms:.0f} ms"
    more = {"cf-ray": call.ray, "rate": _rate(call)}
    told = "".join(f" {name}={value}" for name, value in more.items() if value is not None)
    return f"{call.method} {call.path}{page} {end}{told}" + (f": {call.note}" if call.note else "")


def _rate(call: CallMade) -> str | None:
    if call.remaining is None:
        return None
    return f"{call.remaining}/{call.limit}" if call.limit is not None else str(call.remaining)


def _ended(ended: StepEnded) -> str:
    step = ended.step
    text = f"{step.change.action} {describe(step.change)}: {step.status} after {ended.ms:.0f} ms"
    if step.status is StepStatus.DONE and step.entry is not None and not isinstance(step.change, Retire):
        text += f" -> {step.entry}"
    why = [step.problem.message if step.problem else None, step.waiting.detail if step.waiting else None, step.note]
    return f"{text}{''.join(f': {reason}' for reason in why if reason)}"
