"""Drift as Markdown: what differs, in a table."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.findings.escape import printable
from reconciler.reports.drift import Drift, DriftFinding
from reconciler.views.markdown.page import code, fence, findings, not_checked, page, table, whole, words
from reconciler.views.table import Display
from reconciler.views.text.drift import counts_text, show_drift
from reconciler.views.text.findings import place_lines

_TITLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,99}")
_MOST_TEXT = 20_000


def show_drift_page(drift: Drift, display: Display) -> str:
    """Each difference with what removes it; the places and the fixes folded."""
    details = show_drift(drift, whole(display))
    return page("drift", drift.stack, counts_text(drift), _parts(drift, display), details, display.most_characters)


def _parts(drift: Drift, display: Display) -> Iterator[str]:
    yield from findings(drift.diagnostics, display)
    yield from not_checked(drift.not_checked, drift.command)
    yield from table(("", "About", "What", "`mtlsctl apply`"), [_row(one) for one in drift.findings])


def issue_title(finding: DriftFinding, stack: str) -> str:
    """A line of plain text, in which a forge finds no markup; a name that could be more is left out."""
    names = (finding.certificate, getattr(finding.at, "binding", None), finding.at.config if finding.at else None)
    about = next((f" {name}" for name in names if name is not None and _TITLE.fullmatch(name)), "")
    return f"Certificate drift in {stack}: {finding.state} {finding.subject}{about}"


def issue_text(finding: DriftFinding, stack: str, display: Display) -> str:
    """What differs, where, and how it is fixed; the same for the same thing, so that no run changes it for nothing."""
    lines = [printable(finding.message)]
    lines += place_lines(finding.where, finding.hint, display.place, folder=display.folder)
    text = "\n".join(lines)
    fixes = f"{code('mtlsctl apply')} fixes it." if finding.apply else f"{code('mtlsctl apply')} does not fix it."
    return "\n\n".join(
        (
            f"{code('mtlsctl drift')} finds this in the stack {code(stack)}:",
            fence(text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."),
            fixes,
            "This issue is closed once nothing differs any more. Keep its first line, which is hidden.\n",
        )
    )


def _row(finding: DriftFinding) -> list[str]:
    about = finding.certificate or (finding.at.config if finding.at is not None else None)
    fixes = "fixes it" if finding.apply else "does not"
    return [words(finding.state), code(about) if about else words(finding.subject), code(finding.message), fixes]
