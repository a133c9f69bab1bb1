"""What became of a plan, as a page."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.reports.left import Applied
from reconciler.views.html.page import Note, PageReport, Tone, findings, prose, section, show_page, table, tone_of
from reconciler.views.html.rows import WIDTH, waiting_table
from reconciler.views.markdown.page import whole
from reconciler.views.table import Display
from reconciler.views.text.outcome import head_text, ids_of, show_applied, subject, to_commit_lines, what_next_lines
from reconciler.views.text.plan import names_of, store_text
from reconciler.views.text.status import time_text

_RESULTS = {
    StepStatus.FAILED: ("failed", Tone.BAD),
    StepStatus.UNPROVED: ("not proved", Tone.LOOK),
    StepStatus.UNFINISHED: ("result unknown", Tone.LOOK),
    StepStatus.NOT_STARTED: ("not started", Tone.LOOK),
    StepStatus.WAITING: ("kept", Tone.PLAIN),
    StepStatus.DONE: ("done", Tone.GOOD),
}
"""What was not done comes first."""


def show_applied_page(applied: Applied, display: Display) -> str:
    """The page of an outcome."""
    return show_page([applied_report(applied, display)])


def applied_report(applied: Applied, display: Display) -> PageReport:
    """What is on it: what failed first, then what is to be deployed, then every step."""
    outcome = applied.outcome
    is_whole = all(step.status is StepStatus.DONE for step in outcome.steps) and not outcome.interrupted
    return PageReport(
        command="apply",
        stack=outcome.plan.stack,
        title=Note(head_text(applied), tone_of(outcome.problems, Tone.GOOD if is_whole else Tone.LOOK)),
        leads=tuple(Note(line) for line in what_next_lines(applied, None) if line),
        facts=(("On", store_text(outcome.plan.store, None)), ("Planned", time_text(outcome.plan.made))),
        sections=(
            findings(outcome.problems, display),
            section("To commit", prose(filter(None, (" ".join(_to_commit(applied, display)),)))),
            section(
                "To deploy",
                table(
                    "Workers whose live version does not have the new certificates yet",
                    ("Worker", "Command"),
                    (
                        (one.script or one.at.config, " ".join(one.command_from(display.folder)))
                        for one in applied.to_deploy
                    ),
                ),
            ),
            section(
                "Steps", table("Every change of the plan", ("Change", "Certificate", "Result", "Why"), _rows(outcome))
            ),
            section("Waiting", waiting_table(outcome.waiting, names_of(outcome.plan, WIDTH))),
        ),
        details=show_applied(applied, whole(display)),
    )


def _to_commit(applied: Applied, display: Display) -> Iterator[str]:
    yield from (line.strip() for line in to_commit_lines(applied, whole(display)) if line)


def _rows(outcome: Outcome) -> Iterator[tuple[str | Note, ...]]:
    short = ids_of(outcome.steps, WIDTH)
    for status, (word, tone) in _RESULTS.items():
        for step in outcome.of(status):
            yield subject(step.change, short), step.change.certificate or "", Note(word, tone), _why(step)


def _why(step: Step) -> str:
    problem = step.problem.message if step.problem is not None else None
    wait = step.waiting.detail if step.waiting is not None else None
    return "; ".join(filter(None, (problem, wait, step.note)))
