"""The history as text: runs, newest first, and what each did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from reconciler.findings.escape import printable
from reconciler.model import HyperdriveField
from reconciler.model.words import names_text
from reconciler.records.history import HistoryDocument, HistoryRun, HistoryStep, RunEnd, StepEnd
from reconciler.records.journal import RENEW, Actor, ChangeSummary
from reconciler.views.table import Display
from reconciler.views.text.layout import ShortIds, wrapped
from reconciler.views.text.lines import counted, led, noun_of, prose
from reconciler.views.text.style import Style

_MOST_DONE = 20
"""Steps that went well and are shown one by one, at a terminal; more are counted."""


def show_history(history: HistoryDocument, display: Display) -> str:
    """The whole history. Every line begins with a word or sign of ours, never with what others named."""
    style, width = display.style, prose(display.width)
    short = ShortIds(_ids(history), display.width)
    lines: list[str] = []
    continued: set[tuple[str, bool]] = set()
    for run in history.runs:
        subject = (run.stack, run.command == RENEW)
        is_over = subject in continued
        lines += ([""] if lines else []) + list(_run_lines(run, style, width, short, is_over=is_over))
        continued |= {subject} if run.ended is RunEnd.DONE else set()
    if not history.runs and history.since is not None:
        lines += wrapped(f"No runs {since_text(history)}.", width)
    elif not history.runs:
        lines += wrapped("No runs yet. `mtlsctl apply` writes down what it does.", width)
    lines += [""] if lines and history.skipped_guards else []
    for skipped in history.skipped_guards or ():
        command = f" of wrangler {printable(skipped.command)}" if skipped.command else ""
        text = f"{skipped.time:%Y-%m-%d %H:%M:%S} UTC{command}: {printable(skipped.reason)}"
        lines += led("guard skipped:", text, width, paint=style.change, then="      ")
    notes = notes_of(history)
    lines += [""] if notes else []
    lines += [style.dim(line) for note in notes for line in wrapped(note, width)]
    return "\n".join(lines) + "\n"


def notes_of(history: HistoryDocument) -> list[str]:
    """What is left out, and lines of the journal that could not be used."""
    notes = []
    if history.more:
        options = "--limit shows" if history.since is None else "--since and --limit show"
        notes.append(f"{counted(history.more, 'older run')} not shown; {options} more.")
    if history.torn:
        notes.append(f"{counted(history.torn, 'line')} of the journal cut off, where a run was killed.")
    if history.unknown:
        notes.append(f"{counted(history.unknown, 'line')} of the journal written by another version.")
    return notes


def since_text(history: HistoryDocument) -> str:
    """`since 2027-01-31 00:00 UTC`; empty without `--since`."""
    return f"since {history.since:%Y-%m-%d %H:%M} UTC" if history.since is not None else ""


def who(actor: Actor) -> str:
    """`octocat (github)` in a pipeline, else `anna@laptop`. Names of others, not escaped."""
    return f"{actor.login} ({actor.forge})" if actor.login else f"{actor.user}@{actor.host}"


def _ids(history: HistoryDocument) -> Iterable[str | None]:
    for run in history.runs:
        for step in run.steps:
            yield from (step.entry, step.change.before)


def _run_lines(run: HistoryRun, style: Style, width: int | None, short: ShortIds, *, is_over: bool) -> Iterator[str]:
    """`is_over`: a later run of the stack went well, so nothing is left of this one."""
    head = f"{run.started:%Y-%m-%d %H:%M:%S} UTC  {printable(run.command)} {printable(run.stack)}"
    ending, (paint, more) = ending_text(run), _about_end(run, style, is_over=is_over)
    if width is not None and len(head) + 2 + len(ending) > width:
        yield style.bold(head)
        yield from map(paint, wrapped(ending, width, first="  "))
    else:
        yield f"{style.bold(head)}  {paint(ending)}"
    if more:
        yield from wrapped(more, width, first="  ")
    if run.actor is not None:
        yield from led("by:", _who_and_where(run.actor), width, paint=style.dim, then="      ")
    if run.freeze_reason is not None:
        yield from led("freeze overridden:", printable(run.freeze_reason), width)
    done = [step for step in run.steps if step.status is StepEnd.DONE]
    folded = width is not None and len(done) > _MOST_DONE
    if folded:
        yield from led("ok:", f"{counts_text(done)}; --wide shows each", width, paint=style.good)
    for step in run.steps:
        if not folded or step.status is not StepEnd.DONE:
            yield from _step_lines(step, style, width, short)
    if not run.steps:
        yield style.dim("  no step was started")


def _who_and_where(actor: Actor) -> str:
    """Who ran it and, in a pipeline, from what, with its page."""
    commit = f"commit {actor.commit[:12]}" if actor.commit else None
    parts = [who(actor), actor.ref, commit, actor.run_url]
    return ", ".join(printable(part) for part in parts if part)


def ending_text(run: HistoryRun) -> str:
    """How a run ended."""
    match run.ended:
        case RunEnd.DONE:
            return "done"
        case RunEnd.UNFINISHED:
            return f"never ended: killed, or still running as pid {run.pid}"
        case RunEnd.INTERRUPTED | RunEnd.BLOCKED:
            return f"{run.ended} (exit {run.exit_code})"
        case RunEnd.PARTIAL:
            return f"failed in part (exit {run.exit_code})"
        case RunEnd.FAILED:
            return f"failed (exit {run.exit_code})"


def _about_end(run: HistoryRun, style: Style, *, is_over: bool) -> tuple[Callable[[str], str], str]:
    """The colour of how a run ended, and what there is to add."""
    match run.ended:
        case RunEnd.DONE:
            return style.good, ""
        case RunEnd.UNFINISHED:
            if is_over:
                return style.change, "A later run finished what was left of it."
            word = run.command if run.command in {RENEW, "fleet run"} else "apply"
            return style.bad, f"The next `mtlsctl {word}` finishes what is left of it."
        case RunEnd.INTERRUPTED | RunEnd.BLOCKED:
            return style.change, ""
        case RunEnd.PARTIAL | RunEnd.FAILED:
            return style.bad, ""


def counts_text(steps: Iterable[HistoryStep]) -> str:
    """`999 certificates uploaded, 2 bindings written`."""
    counts = Counter(noun_of(step.change.action) for step in steps)
    return ", ".join(f"{counted(number, noun)} {verb}" for (noun, verb), number in counts.items())


def _step_lines(step: HistoryStep, style: Style, width: int | None, short: ShortIds) -> Iterator[str]:
    sign, paint = {
        StepEnd.DONE: ("ok:", style.good),
        StepEnd.FAILED: ("FAILED:", style.bad),
        StepEnd.NOT_STARTED: ("not started:", style.change),
        StepEnd.WAITING: ("kept:", style.change),
        StepEnd.UNPROVED: ("not proved:", style.change),
        StepEnd.UNFINISHED: ("started, end unknown:", style.bad),
    }[step.status]
    text = f"{step.change.action} {_describe(step.change, short)}"
    if step.status is StepEnd.DONE and step.entry is not None and step.entry != step.change.before:
        text += f" -> {short(step.entry)}"
    if step.renewed is not None:
        text += f" -> serial {printable(step.renewed.serial)}, until {step.renewed.not_after:%Y-%m-%d %H:%M} UTC"
    if step.problem is not None:
        text += f": {printable(step.problem.message)} [{printable(step.problem.code)}]"
    text += f" ({printable(step.note)})" if step.note else ""
    yield from led(sign, text, width, paint=paint, then="      ")


def _describe(change: ChangeSummary, short: ShortIds) -> str:
    """A change's subject in one phrase, as far as the journal has it."""
    certificate = printable(change.certificate or "")
    if change.origin is not None:
        return f"{certificate} at {printable(change.origin)}"
    if change.config is not None:
        environment = printable(change.environment) if change.environment is not None else "top level"
        where = f"{printable(change.worker or change.config)} ({environment})"
        if change.script is not None:
            return f"{printable(change.script)}: {where}"
        return f"{printable(change.binding)} of {where}" if change.binding is not None else where
    if change.issuer is not None:
        old = f" (serial {printable(change.serial)})" if change.serial is not None else ""
        return f"{certificate}{old} by {printable(change.issuer)}"
    if change.hyperdrive is not None and change.field is not None:
        value = f" -> {printable(change.after)}" if change.after and change.field is HyperdriveField.SSLMODE else ""
        return f"{change.field.text} of {printable(change.hyperdrive)}{value}"
    if change.zone is not None:
        return f"{printable(names_text(change.hostnames or ()))} of {printable(change.zone)} trust {certificate}"
    serial = f" (serial {printable(change.serial)})" if change.serial is not None else ""
    return f"{short(change.before)} of {certificate}{serial}" if change.before else certificate
