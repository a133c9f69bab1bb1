"""An outcome as text: how much was done, what was not and why, and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from posixpath import join, normpath
from typing import assert_never

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.escape import printable, shell_command
from reconciler.model import Action, BindingChange, Change, Condition, Deploy, Retire, Update, Upload, Verify
from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.plan.plan import when_text
from reconciler.reports.left import Applied
from reconciler.views.table import Display
from reconciler.views.text.findings import show_findings
from reconciler.views.text.layout import ShortIds, wrapped
from reconciler.views.text.lines import (
    command_lines,
    counted,
    finding_lines,
    job_of,
    led,
    listed,
    next_lines,
    noun_of,
    prose,
    until_text,
)
from reconciler.views.text.renew import ending_lines, renewals_text
from reconciler.views.text.style import Style

_MOST_ALIKE = 5
"""Steps with the same reason that are named; of more only the number is shown. Failed ones are named in a file."""
_MOST_LISTED = 20


def show_applied(applied: Applied, display: Display) -> str:
    """What became of a plan, below its own findings; those of the plan were shown with it."""
    return "\n" + "\n".join(_lines(applied, display)) + "\n"


def failure_lines(step: Step, style: Style, width: int | None) -> Iterator[str]:
    """A change that has just failed, for who watches the run; the outcome has the whole error."""
    if step.problem is not None:
        text = f"{subject(step.change, ids_of([step], width))} failed [{step.problem.code}]"
        yield from led("x", text, width, paint=style.bad)


def _lines(applied: Applied, display: Display) -> Iterator[str]:
    outcome, style = applied.outcome, display.style
    width, short = prose(display.width), ids_of(outcome.steps, display.width)
    if applied.renewed is not None:
        yield from ending_lines(applied.renewed, display)
    if outcome.steps or applied.renewed is None:
        yield from _head_lines(applied, style, width)
    for status, title, sign, paint in (
        (StepStatus.FAILED, "Failed:", "x", style.bad),
        (StepStatus.UNPROVED, "Not proved:", "?", style.change),
        (StepStatus.UNFINISHED, "Result unknown:", "?", style.change),
        (StepStatus.NOT_STARTED, "Not started:", "-", style.change),
    ):
        if steps := outcome.of(status):
            yield ""
            yield style.bold(title)
            for lines in _cut([_group_lines(group, sign, display, short) for group in _alike(steps)], display.width):
                head, *others = lines
                yield f"  {paint(sign)}{head[3:]}"
                yield from others
    yield from _kept_lines(outcome.of(StepStatus.WAITING), style, width, short)
    if outcome.findings:
        yield ""
        yield from finding_lines(outcome.findings, display)
    yield from to_commit_lines(applied, display)
    yield from _to_deploy_lines(applied, display)
    yield from what_next_lines(applied, width)


# --- how much was done ------------------------------------------------------------------------------------------------


def head_text(applied: Applied) -> str:
    """`Done: 2 certificates uploaded, 1 of 2 bindings written, 1 failed`."""
    outcome, renewed = applied.outcome, applied.renewed
    if renewed is not None and not outcome.steps:
        return renewals_text(renewed)
    before = f"{renewals_text(renewed)}. " if renewed is not None else ""
    return f"{before}{_outcome_text(outcome, is_proposed=applied.pulls is not None)}"


def _outcome_text(outcome: Outcome, *, is_proposed: bool) -> str:
    done, failed = outcome.of(StepStatus.DONE), outcome.of(StepStatus.FAILED)
    if not outcome.steps:
        return "Nothing to do"
    word = "Done in part" if failed and done else "Done" if done else "Nothing done"
    word = "Interrupted" if outcome.interrupted else word
    return f"{word}: {', '.join((*_done_counts(outcome.steps, is_proposed), *_other_counts(outcome)))}"


def _head_lines(applied: Applied, style: Style, width: int | None) -> Iterator[str]:
    """How much was done, and where more of it is kept."""
    outcome = applied.outcome
    paint = style.bad if outcome.interrupted or outcome.of(StepStatus.FAILED) else style.good
    begun = len(outcome.of(StepStatus.NOT_STARTED)) < len(outcome.steps)
    details = f"  Details: {shell_command(applied.named(('mtlsctl', 'history')))}" if begun else ""
    text = f"{_outcome_text(outcome, is_proposed=applied.pulls is not None)}."
    if width is None or len(text) + len(details) <= width:
        yield f"{paint(text)}{details}"
        return
    yield from map(paint, wrapped(text, width, then="  "))
    yield from (details,) if details else ()


def _done_counts(steps: Iterable[Step], is_proposed: bool) -> Iterator[str]:
    """What was done, and of how many where that was not all. `is_proposed`: files are in a pull request."""
    total = Counter(noun_of(step.change.action) for step in steps)
    done = Counter(noun_of(step.change.action) for step in steps if step.status is StepStatus.DONE)
    for (noun, verb), number in total.items():
        word = "proposed" if is_proposed and noun == "binding" else verb
        if done[noun, verb] == number:
            yield f"{counted(number, noun)} {word}"
        elif done[noun, verb]:
            yield f"{done[noun, verb]} of {counted(number, noun)} {word}"


def _other_counts(outcome: Outcome) -> Iterator[str]:
    words = {
        StepStatus.FAILED: "failed",
        StepStatus.UNPROVED: "not proved",
        StepStatus.UNFINISHED: "with unknown result",
        StepStatus.NOT_STARTED: "not started",
        StepStatus.WAITING: "kept",
    }
    for status, word in words.items():
        if steps := outcome.of(status):
            yield f"{len(steps)} {word}"


# --- what was not done ------------------------------------------------------------------------------------------------


def _alike(steps: Iterable[Step]) -> list[list[Step]]:
    """The steps, those with the same reason together."""
    groups: dict[tuple[Diagnostic | None, str | None], list[Step]] = {}
    for step in steps:
        problem = replace(step.problem, certificate=None) if step.problem is not None else None
        groups.setdefault((problem, step.note), []).append(step)
    return list(groups.values())


def _group_lines(steps: Sequence[Step], sign: str, display: Display, short: ShortIds) -> list[str]:
    """The steps of one reason, and the reason."""
    width, first = prose(display.width), steps[0]
    is_whole = display.width is None and first.status is StepStatus.FAILED
    if len(steps) > _MOST_ALIKE and not is_whole:
        counts = Counter(job_of(step.change.action) for step in steps)
        subjects = [" and ".join(counted(number, job) for job, number in counts.items())]
    else:
        subjects = [subject(step.change, short) for step in steps]
    note = f": {printable(first.note)}" if first.note else ""
    lines = [line for subject in subjects for line in led(sign, f"{subject}{note}", width)]
    if first.problem is not None:
        inner = replace(display, width=None if display.width is None else display.width - 4)
        lines += [f"    {line}" for line in show_findings([first.problem], inner).splitlines()]
    return lines


def _cut(groups: Sequence[list[str]], width: int | None) -> Iterator[list[str]]:
    """The groups; at a terminal not more than anyone reads."""
    most = len(groups) if width is None else _MOST_LISTED
    yield from groups[:most]
    if len(groups) > most:
        yield [f"  . and {len(groups) - most} more; see mtlsctl history --wide"]


def _kept_lines(steps: Sequence[Step], style: Style, width: int | None, short: ShortIds) -> Iterator[str]:
    """Old certificates that turned out to be needed still."""
    kept = [step.waiting for step in steps if step.waiting is not None]
    if not kept:
        return
    yield ""
    yield style.bold("Kept for now:")
    for one in kept if width is None else kept[:_MOST_LISTED]:
        yield from led(".", f"{_object(one.change, short)}: {printable(one.detail)}{until_text(one)}", width)
    if width is not None and len(kept) > _MOST_LISTED:
        yield f"  . and {len(kept) - _MOST_LISTED} more; see mtlsctl plan"


# --- what to do next --------------------------------------------------------------------------------------------------


def to_commit_lines(applied: Applied, display: Display) -> Iterator[str]:
    """The wrangler files that this run changed, in a git checkout, with the certificates that it uploaded.

    In one commit, so that a revert brings back both.
    """
    outcome = applied.outcome
    done = [step.change for step in outcome.of(StepStatus.DONE)]
    written = [change for change in done if isinstance(change, BindingChange)]
    if not written or outcome.plan.commit is None or applied.pulls is not None:
        return
    declared = outcome.plan.assessment.desired.declaration.certificates
    names = [name for one in done if isinstance(one, Upload) for name in (one.certificate, *one.shared_with)]
    paths = [change.at.config for change in written] + [declared[name].path for name in names if name in declared]
    files = list(dict.fromkeys(normpath(join(display.folder, path)) for path in paths))
    removed = [change.action is Action.UNBIND for change in written]
    what = (
        "the removed bindings"
        if all(removed)
        else "the new IDs and removed bindings"
        if any(removed)
        else "the new IDs"
    )
    together = f", together with {'its certificate' if len(names) == 1 else 'their certificates'}" if names else ""
    yield ""
    if display.width is not None and len(files) > _MOST_ALIKE:
        yield from wrapped(f"Commit {what}{together}: {listed(files, _MOST_ALIKE)}.", prose(display.width), then="  ")
        return
    yield from wrapped(f"Commit {what}{together}:", prose(display.width), then="  ")
    yield from command_lines(("git", "add", *files), display.width)


def _to_deploy_lines(applied: Applied, display: Display) -> Iterator[str]:
    """The Workers whose file is written and whose live version is not."""
    to_deploy = applied.to_deploy
    if not to_deploy:
        return
    yield ""
    one = len(to_deploy) == 1
    head = f"Deploy {'this Worker' if one else f'these {len(to_deploy)} Workers'} next; until then"
    text = f"{head} {'its live version does' if one else 'their live versions do'} not change."
    if applied.pulls is not None:
        workers = "this Worker" if one else f"these {len(to_deploy)} Workers"
        text = f"After the merge, update the checkout and deploy {workers}:"
    yield from map(display.style.bold, wrapped(text, prose(display.width)))
    shown = to_deploy if display.width is None else to_deploy[:_MOST_LISTED]
    for each in shown:
        yield from command_lines(each.command_from(display.folder), display.width)
    if len(to_deploy) > len(shown):
        yield f"  and {len(to_deploy) - len(shown)} more; --wide shows all"
    was_tried = "--deploy" in applied.again  # and the findings say what is in the way
    # After a failure, only the last line has a command.
    if applied.pulls is None and not was_tried and not applied.outcome.of(StepStatus.FAILED):
        yield "Or deploy with: mtlsctl apply --deploy"


def what_next_lines(applied: Applied, width: int | None) -> Iterator[str]:
    """What still waits, and the next command."""
    outcome = applied.outcome
    yield ""
    if outcome.interrupted:
        yield "Completed steps are kept."
    kept = sum(one.entry is not None for one in outcome.plan.waiting)
    waits = len(outcome.plan.waiting) - kept
    more = " more" if outcome.of(StepStatus.WAITING) else ""
    later = [f"{counted(waits, 'change')} {'waits' if waits == 1 else 'wait'}"] if waits else []
    later += [f"{counted(kept, f'{more} old certificate'.strip())} kept for now"] if kept else []
    if later:
        shows = printable(shell_command(applied.named(("mtlsctl", "plan"))))
        yield from wrapped(f"{', '.join(later)}; `{shows}` shows why.", width)
    when = when_text(outcome.waiting)
    if outcome.of(StepStatus.FAILED) or outcome.of(StepStatus.UNPROVED):
        begin = "fix what failed; in a pipeline start a new run, else run: "
        before = begin if applied.is_of_saved_plan else "fix what failed, then run: "
        yield from next_lines(applied.again, width, before=before)
    elif outcome.interrupted or any(step.skipped for step in outcome.steps):
        yield from next_lines(applied.again, width)
    elif any(problem.is_error for problem in outcome.plan.diagnostics):
        yield from next_lines(applied.again, width, before="fix the errors of the plan, then run: ")
    elif applied.pulls is not None:
        yield from (f"Next: merge {printable(url)}" for url in applied.pulls)
    elif outcome.of(StepStatus.NOT_STARTED):
        yield from next_lines(applied.named(("mtlsctl", "apply")), width)
    elif applied.to_deploy:
        yield from next_lines(applied.named(("mtlsctl", "plan")), width, before="deploy, then run: ")
    elif any(one.condition is Condition.UPDATE_NOT_REQUESTED for one in outcome.plan.waiting):
        yield from next_lines(applied.named(("mtlsctl", "apply", "--deploy")), width)
    elif when is not None:
        command = outcome.plan.later_command(deploy="--deploy" in applied.again)
        yield from next_lines(applied.named(command), width, before=f"{when}, run: ")
    elif any(isinstance(step.change, Deploy) for step in outcome.of(StepStatus.DONE)):
        yield from next_lines(applied.named(("mtlsctl", "plan", "--live")), width)
    else:
        yield from next_lines(applied.named(("mtlsctl", "status")), width)


# --- changes ----------------------------------------------------------------------------------------------------------


def ids_of(steps: Iterable[Step], width: int | None) -> ShortIds:
    """How the IDs of these steps are shown."""
    return ShortIds([step.change.entry.id for step in steps if isinstance(step.change, Retire)], width)


def subject(change: Change, short: ShortIds) -> str:
    """`upload ledger`, `rebind PARTNER of partner-gw (production)`."""
    return f"{change.action} {_object(change, short)}"


def _object(change: Change, short: ShortIds) -> str:
    match change:
        case Upload():
            return printable(change.certificate)
        case BindingChange():
            where = printable(change.at.environment) if change.at.environment is not None else "top level"
            return f"{printable(change.at.binding)} of {printable(change.at.worker)} ({where})"
        case Deploy():
            return printable(change.script)
        case Update():
            return printable(change.at.short)
        case Verify():
            return f"{printable(change.certificate)} at {printable(change.origin)}"
        case Retire():
            return f"{short(change.entry.id)} of {printable(change.certificate)}"
        case _:
            assert_never(change)
