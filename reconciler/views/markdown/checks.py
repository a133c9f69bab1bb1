"""The findings of `validate`, or of a run that an error stopped, as Markdown."""

from __future__ import annotations

from reconciler.reports.checks import RunFailure, Validation
from reconciler.views.markdown.page import findings, fold, whole
from reconciler.views.table import Display
from reconciler.views.text.findings import count_findings, show_failure, show_findings


def show_validation_page(validation: Validation, display: Display) -> str:
    """How many errors and warnings there are, the first of them, and all findings folded."""
    counts = count_findings(validation.diagnostics) or "no errors, no warnings"
    return _page(
        f"mtlsctl validate: {counts}", validation, show_findings(validation.diagnostics, whole(display)), display
    )


def show_failure_page(failure: RunFailure, display: Display) -> str:
    """That a command stopped, and why; of a stale plan also what differs, in the details."""
    title = f"mtlsctl {failure.command}".strip()
    return _page(f"{title}: failed", failure, show_failure(failure, whole(display)), display)


def _page(title: str, report: Validation | RunFailure, details: str, display: Display) -> str:
    return fold(title, findings(report.diagnostics, display), details, display.most_characters)
