"""`mtlsctl.log/1`: the lines of `--verbose --log-format json`, one document a line."""

from __future__ import annotations

from typing import Literal, assert_never

from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic, Resolve
from reconciler.findings.events import CallMade, FileAction, FileTouched, ProgramStarted
from reconciler.plan.outcome import StepBegan, StepEnded, StepStatus
from reconciler.records.base import DiagnosticPart, JsonPart, UtcTime, diagnostic_part, to_json
from reconciler.records.journal import ChangeSummary, summary_of
from reconciler.reports.log import LogEvent, LogLine
from reconciler.views.table import Display
from reconciler.views.text.log import sentence


class LoggedCall(JsonPart):
    """A call over the network. `path` has the names of ids in their places; without a `status` no answer came.

    `rate_remaining` and `rate_limit`: the calls that the rate limit leaves and allows, where the answer says so.
    """

    method: str
    path: str
    page: int | None = None
    status: int | None = None
    ms: float
    cf_ray: str | None = None
    rate_remaining: int | None = None
    rate_limit: int | None = None
    note: str | None = None


class FilePart(JsonPart):
    """A file that was changed. `bytes`: its size, where it was written whole."""

    action: FileAction
    path: str
    bytes: int | None = None


class ProgramPart(JsonPart):
    """A program that was started: its argv and its working directory."""

    command: tuple[str, ...]
    folder: str


class ProgressPart(JsonPart):
    """A change that began or ended.

    `status` and `ms` where it ended; `entry` is the id that it made, bound or deleted.
    """

    change: ChangeSummary
    status: StepStatus | None = None
    ms: float | None = None
    entry: str | None = None
    note: str | None = None
    problem: DiagnosticPart | None = None


class LogDocument(JsonPart):
    """What happened, and when. `message`: in words. `event` names the part that has the facts; a message has none."""

    format: Literal["mtlsctl.log/1"] = "mtlsctl.log/1"
    time: UtcTime
    level: Severity
    event: Literal["call", "file", "program", "step-started", "step-finished", "finding", "message"]
    message: str
    call: LoggedCall | None = None
    file: FilePart | None = None
    program: ProgramPart | None = None
    step: ProgressPart | None = None
    finding: DiagnosticPart | None = None


def show_line(line: LogLine, display: Display) -> str:
    """The document on one line."""
    return to_json(log_document(line, display.place), indent=None)


def log_document(line: LogLine, resolve: Resolve) -> LogDocument:
    """A line as its document."""
    time, event, message = line.time, line.event, sentence(line.event)
    level = _level(event)
    match event:
        case CallMade():
            call = _call_part(event)
            return LogDocument(time=time, level=level, event="call", message=message, call=call)
        case FileTouched(action, path, size):
            file = FilePart(action=action, path=path, bytes=size)
            return LogDocument(time=time, level=level, event="file", message=message, file=file)
        case ProgramStarted(command, folder):
            program = ProgramPart(command=command, folder=folder)
            return LogDocument(time=time, level=level, event="program", message=message, program=program)
        case StepBegan(change):
            began = ProgressPart(change=summary_of(change))
            return LogDocument(time=time, level=level, event="step-started", message=message, step=began)
        case StepEnded():
            ended = _ended_part(event, resolve)
            return LogDocument(time=time, level=level, event="step-finished", message=message, step=ended)
        case Diagnostic():
            finding = diagnostic_part(event, resolve)
            return LogDocument(time=time, level=level, event="finding", message=message, finding=finding)
        case str():
            return LogDocument(time=time, level=level, event="message", message=message)
        case _:
            assert_never(event)


def _level(event: LogEvent) -> Severity:
    """How much a person should care. A call that is refused may be tried again, so it is no error yet."""
    match event:
        case Diagnostic():
            return event.severity
        case StepEnded(step) if step.status is StepStatus.FAILED:
            return Severity.ERROR
        case CallMade() if event.status is None or event.status >= 400:
            return Severity.WARNING
        case _:
            return Severity.INFO


def _call_part(call: CallMade) -> LoggedCall:
    return LoggedCall.made_from(
        call, ms=round(call.ms, 3), cf_ray=call.ray, rate_remaining=call.remaining, rate_limit=call.limit
    )


def _ended_part(ended: StepEnded, resolve: Resolve) -> ProgressPart:
    step = ended.step
    return ProgressPart.made_from(
        step,
        change=summary_of(step.change),
        ms=round(ended.ms, 3),
        note=step.waiting.detail if step.waiting is not None else step.note,
        problem=diagnostic_part(step.problem, resolve) if step.problem else None,
    )
