"""Why a run stopped, as a page of HTML."""

from __future__ import annotations

from dataclasses import replace

from reconciler.reports.checks import RunFailure
from reconciler.views.html.page import Note, PageReport, Tone, findings, show_page
from reconciler.views.table import Display
from reconciler.views.text.findings import show_failure
from reconciler.views.text.style import PLAIN


def failure_report(failure: RunFailure, display: Display) -> PageReport:
    """The findings, and what else there is to say as text."""
    return PageReport(
        command=failure.command,
        stack=display.file,
        title=Note("failed", Tone.BAD),
        leads=(),
        facts=(),
        sections=(findings(failure.diagnostics, display),),
        details=show_failure(failure, replace(display, style=PLAIN, width=None)),
    )


def show_failure_page(failure: RunFailure, display: Display) -> str:
    """The page of a run that an error stopped."""
    return show_page([failure_report(failure, display)])
