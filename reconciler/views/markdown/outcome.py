"""What became of a plan, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.diagnostics import Diagnostic
from reconciler.plan.outcome import Outcome, StepStatus
from reconciler.reports.left import Applied
from reconciler.views.markdown.page import findings, listed, page, whole
from reconciler.views.table import Display
from reconciler.views.text.lines import counted
from reconciler.views.text.outcome import head_text, show_applied


def show_applied_page(applied: Applied, display: Display) -> str:
    """How much was done, what failed, and which Workers are to be deployed; the rest folded."""
    outcome = applied.outcome
    details = show_applied(applied, whole(display))
    stack, most = outcome.plan.stack, display.most_characters
    return page("apply", stack, head_text(applied), _parts(applied, display), details, most)


def _parts(applied: Applied, display: Display) -> Iterator[str]:
    outcome = applied.outcome
    yield from findings(_problems(outcome), display)
    if applied.to_deploy:
        workers = [one.script or one.at.config for one in applied.to_deploy]
        yield f"**To deploy:** {counted(len(workers), 'Worker')}: {listed(workers)}"


def _problems(outcome: Outcome) -> Iterator[Diagnostic]:
    """What failed first, then the findings of the run and of its plan."""
    for status in (StepStatus.FAILED, StepStatus.UNPROVED):
        yield from (step.problem for step in outcome.of(status) if step.problem is not None)
    yield from outcome.findings
    yield from outcome.plan.diagnostics
