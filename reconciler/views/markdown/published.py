"""What a pipeline publishes as Markdown: the comment on a pull request, and the summary of a job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reconciler.plan.plan import Plan
from reconciler.reports.checks import RunFailure
from reconciler.reports.left import Applied
from reconciler.reports.stacks import StackResult
from reconciler.views.markdown.checks import show_failure_page
from reconciler.views.markdown.mermaid import show_bindings
from reconciler.views.table import MOST_CHARACTERS, Display, render

MOST_COMMENT = MOST_CHARACTERS + 2_000
"""A page and the facts. GitHub takes 65,536; the markers, and that the comment is old, take some of that, too."""


def pages_of(
    command: str, results: Sequence[StackResult], displays: Sequence[Display], most: int = MOST_CHARACTERS
) -> list[str]:
    """A page for each stack of at most so many characters, what failed first."""
    found = sorted(zip(results, displays, strict=True), key=lambda one: not one[0].is_failure)
    return [_page(command, result, replace(display, most_characters=most)) for result, display in found]


def _page(command: str, result: StackResult, display: Display) -> str:
    if isinstance(result.report, RunFailure):
        return show_failure_page(result.report, command, display)
    return render(result.report, "markdown", display)


def comment_text(pages: Sequence[str], facts: str) -> str:
    """The pages and a line of facts below them; if that is too long, as `short_text`."""
    text = "\n".join((*pages, facts))
    return text if len(text) <= MOST_COMMENT else short_text(pages, facts)


def short_text(pages: Sequence[str], facts: str) -> str:
    """The titles of the pages, which have the counts, and the facts."""
    titles = [page.partition("\n")[0] for page in pages]
    shown, size = [], 0
    for title in titles:
        size += len(title) + 2
        if size > MOST_CHARACTERS // 2:
            break
        shown.append(title)
    more = [f"and {len(titles) - len(shown)} more stacks"] if len(shown) < len(titles) else []
    return "\n\n".join((*shown, *more, "Too long to show here: see the summary of the run.", facts))


def summary_text(pages: Sequence[str], results: Sequence[StackResult], facts: str, most_bytes: int) -> str:
    """The pages that fit, who uses which certificate as a picture, and the facts; at most so many bytes."""
    plans = [plan for one in results if (plan := _plan_of(one.report)) is not None]
    end = "\n".join(filter(None, (show_bindings(plans), facts, "")))
    room = most_bytes - len(end.encode()) - 200
    shown = []
    for page in pages:
        room -= len(page.encode()) + 1
        if room < 0:
            break
        shown.append(page)
    missing = len(pages) - len(shown)
    more = [f"{missing} more of {len(pages)} stacks are not shown: see the log of this run.\n"] if missing else []
    text = "\n".join((*shown, *more, end))
    return text if len(text.encode()) <= most_bytes else ""


def _plan_of(report: object) -> Plan | None:
    if isinstance(report, Applied):
        return report.outcome.plan
    return report if isinstance(report, Plan) else None
