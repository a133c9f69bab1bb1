"""The history as Markdown: who changed what, a row for each run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from reconciler.records.history import HistoryDocument, HistoryRun, SkippedGuard, StepEnd
from reconciler.views.markdown.page import code, page, table, whole
from reconciler.views.table import Display
from reconciler.views.text.history import counts_text, ending_text, notes_of, since_text, who
from reconciler.views.text.history import show_history as show_as_text
from reconciler.views.text.lines import counted


def show_history(history: HistoryDocument, display: Display) -> str:
    """How many runs there were and how they ended, a table of them, and each step folded."""
    stacks = {run.stack for run in history.runs}
    stack = stacks.pop() if len(stacks) == 1 else None
    return page("history", stack, _title(history), _parts(history, stack), show_as_text(history, whole(display)))


def _title(history: HistoryDocument) -> str:
    ends = Counter(run.ended for run in history.runs)
    counts = ", ".join(f"{count} {end}" for end, count in ends.items())
    since = f" {since_text(history)}" if history.since is not None else ""
    return f"{counted(len(history.runs), 'run')}{since}{f' ({counts})' if counts else ''}"


def _parts(history: HistoryDocument, stack: str | None) -> Iterator[str]:
    yield from table(("When (UTC)", "Who", "Command", "Result", "Changes"), [_row(run, stack) for run in history.runs])
    yield from table(
        ("When (UTC)", "Deploy without a guard", "Reason"), list(map(_skipped, history.skipped_guards or ()))
    )
    yield from notes_of(history)


def _row(run: HistoryRun, stack: str | None) -> list[str]:
    command = run.command if stack is not None else f"{run.command} {run.stack}"
    return [f"{run.started:%Y-%m-%d %H:%M}", _who(run), code(command), ending_text(run), _changes(run)]


def _skipped(skipped: SkippedGuard) -> list[str]:
    command = f"wrangler {skipped.command}" if skipped.command else "wrangler"
    return [f"{skipped.time:%Y-%m-%d %H:%M}", code(command), code(skipped.reason)]


def _who(run: HistoryRun) -> str:
    if run.actor is None:
        return ""
    ref = f" on {code(run.actor.ref)}" if run.actor.ref else ""
    return f"{code(who(run.actor))}{ref}"


def _changes(run: HistoryRun) -> str:
    """`2 certificates uploaded, 1 binding written; 1 failed`."""
    done = counts_text(step for step in run.steps if step.status is StepEnd.DONE)
    others = Counter(step.status for step in run.steps if step.status is not StepEnd.DONE)
    rest = ", ".join(f"{count} {status}" for status, count in others.items())
    return "; ".join(filter(None, (done, rest)))
