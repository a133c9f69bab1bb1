"""What a pipeline publishes as Markdown: the comment on a pull request, and the summary of a job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reconciler.plan.plan import Plan
from reconciler.reports.checks import RunFailure
from reconciler.reports.left import Applied
from reconciler.reports.stacks import StackResult, Stacks
from reconciler.views.markdown.checks import show_failure_page
from reconciler.views.markdown.mermaid import show_bindings
from reconciler.views.markdown.stacks import show_stacks
from reconciler.views.table import MOST_CHARACTERS, Display, render

MOST_COMMENT = MOST_CHARACTERS + 2_000
"""A page and the facts. GitHub takes 65,536; the markers, and that the comment is old, take some of that, too."""


def page_of(stacks: Stacks, displays: Sequence[Display], most: int = MOST_CHARACTERS) -> str:
    """The page of a run, of at most so many characters: of its stack, or of all of them below one table."""
    display = replace(displays[0], most_characters=most)
    if len(stacks.results) > 1:
        return show_stacks(stacks, display)
    (result,) = stacks.results
    if isinstance(result.report, RunFailure):
        return show_failure_page(replace(result.report, command=stacks.command), display)
    return render(result.report, "markdown", display)


def comment_text(page: str, facts: str) -> str:
    """The page and a line of facts below it; if that is too long, as `short_text`."""
    text = f"{page}\n{facts}"
    return text if len(text) <= MOST_COMMENT else short_text(page, facts)


def short_text(page: str, facts: str) -> str:
    """The title of the page, which has the counts, and the facts."""
    title = page.partition("\n")[0]
    return "\n\n".join((title, "Too long to show here: see the summary of the run.", facts))


def summary_text(page: str, results: Sequence[StackResult], facts: str, most_bytes: int) -> str:
    """The page, who uses which certificate as a picture, and the facts; at most so many bytes, else as `short_text`."""
    plans = [plan for one in results if (plan := _plan_of(one.report)) is not None]
    end = "\n".join(filter(None, (show_bindings(plans), facts, "")))
    whole, short = f"{page}\n{end}", f"{short_text(page, facts)}\n"
    return next((text for text in (whole, short) if len(text.encode()) <= most_bytes), "")


def _plan_of(report: object) -> Plan | None:
    if isinstance(report, Applied):
        return report.outcome.plan
    return report if isinstance(report, Plan) else None
