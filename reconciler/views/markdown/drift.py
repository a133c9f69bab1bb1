"""Drift as Markdown: what differs, in a table."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.reports.drift import Drift, DriftFinding
from reconciler.views.markdown.page import code, findings, not_checked, page, table, whole, words
from reconciler.views.table import Display
from reconciler.views.text.drift import counts_text, show_drift


def show_drift_page(drift: Drift, display: Display) -> str:
    """Each difference with what removes it; the places and the fixes folded."""
    return page("drift", drift.stack, counts_text(drift), _parts(drift, display), show_drift(drift, whole(display)))


def _parts(drift: Drift, display: Display) -> Iterator[str]:
    yield from findings(drift.diagnostics, display)
    yield from not_checked(drift.not_checked, drift.command)
    yield from table(("", "About", "What", "`mtlsctl apply`"), [_row(one) for one in drift.findings])


def _row(finding: DriftFinding) -> list[str]:
    about = finding.certificate or (finding.at.config if finding.at is not None else None)
    fixes = "fixes it" if finding.apply else "does not"
    return [words(finding.state), code(about) if about else words(finding.subject), code(finding.message), fixes]
