"""The history as text: runs, newest first, and what each did."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.escape import printable
from reconciler.model.words import environment_text
from reconciler.records.history import HistoryDocument, HistoryRun, HistoryStep, RunEnd, StepEnd
from reconciler.records.journal import ChangeSummary
from reconciler.views.table import Display
from reconciler.views.text.style import Style

_MAX_STEPS = 20


def show_history(history: HistoryDocument, display: Display) -> str:
    """The whole history."""
    return render_history(history, display.style)


def render_history(history: HistoryDocument, style: Style) -> str:
    """The whole history. Every line begins with a word or sign of ours, never with what others named."""
    lines = [line for run in history.runs for line in _run_lines(run, style)]
    if not history.runs:
        lines.append("No runs yet: `mtlsctl apply` writes down what it does.")
    if history.more:
        lines.append(style.dim(f"and {_count(history.more, 'older run')}; see --limit"))
    if history.torn:
        lines.append(style.dim(f"{_count(history.torn, 'line')} of the journal cut off, where a run was killed"))
    if history.unknown:
        lines.append(style.dim(f"{_count(history.unknown, 'line')} of the journal written by another version"))
    return "\n".join(lines) + "\n"


def _run_lines(run: HistoryRun, style: Style) -> Iterator[str]:
    head = style.bold(f"{run.started:%Y-%m-%d %H:%M:%S} UTC  {printable(run.command)} {printable(run.stack)}")
    yield f"{head}  {_ending(run, style)}"
    for step in run.steps[:_MAX_STEPS]:
        yield _step_line(step, style)
    if len(run.steps) > _MAX_STEPS:
        yield f"  and {_count(len(run.steps) - _MAX_STEPS, 'more step')}; see --format json"
    if not run.steps:
        yield style.dim("  no step was started")


def _ending(run: HistoryRun, style: Style) -> str:
    match run.ended:
        case RunEnd.DONE:
            return style.good("done")
        case RunEnd.UNFINISHED:
            words = f"never ended: killed, or still running as pid {run.pid}"
            return style.bad(words) + "; the next apply finishes the job"
        case RunEnd.INTERRUPTED | RunEnd.BLOCKED:
            return style.change(f"{run.ended} (exit {run.exit_code})")
        case RunEnd.PARTIAL:
            return style.bad(f"failed in part (exit {run.exit_code})")
        case RunEnd.FAILED:
            return style.bad(f"failed (exit {run.exit_code})")


def _step_line(step: HistoryStep, style: Style) -> str:
    sign, paint = {
        StepEnd.DONE: ("ok", style.good),
        StepEnd.FAILED: ("FAILED", style.bad),
        StepEnd.NOT_STARTED: ("not started", style.change),
        StepEnd.WAITING: ("waiting", style.change),
        StepEnd.UNPROVED: ("not proved", style.change),
        StepEnd.UNFINISHED: ("started, end unknown", style.bad),
    }[step.status]
    text = f"  {paint(sign)}: {step.change.action} {_describe(step.change)}"
    if step.status is StepEnd.DONE and step.entry is not None and step.entry != step.change.before:
        text += f" -> {printable(step.entry)}"
    if step.problem is not None:
        text += f": {printable(step.problem.message)} [{printable(step.problem.code)}]"
    return f"{text} ({printable(step.note)})" if step.note else text


def _describe(change: ChangeSummary) -> str:
    """A change's subject in one phrase, as far as the journal has it."""
    certificate = printable(change.certificate or "")
    if change.origin is not None:
        return f"{certificate} at {printable(change.origin)}"
    if change.binding is None:
        return f"{printable(change.before)} of {certificate}" if change.before else certificate
    where = f"{printable(change.binding)} in {printable(change.config or '')}"
    where += f" ({printable(environment_text(change.environment))})"
    return f"{where} = {certificate}" if certificate else where


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
