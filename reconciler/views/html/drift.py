"""Drift as a page: what differs, with what removes it."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.reports.drift import Drift, DriftFinding, State
from reconciler.views.html.page import (
    MOST_SHOWN,
    FindingItem,
    FindingList,
    Note,
    PageReport,
    Tone,
    findings,
    section,
    show_page,
    tone_of,
)
from reconciler.views.html.rows import WIDTH, waiting_table
from reconciler.views.markdown.page import whole
from reconciler.views.table import Display
from reconciler.views.text.drift import counts_text, next_text, show_drift
from reconciler.views.text.findings import place_text
from reconciler.views.text.lines import counted
from reconciler.views.text.names import ShownNames
from reconciler.views.text.plan import not_checked_lines, store_text
from reconciler.views.text.status import time_text
from reconciler.views.text.style import PLAIN

_TONES = {State.MISSING: Tone.BAD, State.UNUSED: Tone.PLAIN}


def show_drift_page(drift: Drift, display: Display) -> str:
    """The page of a drift."""
    return show_page([drift_report(drift, display)])


def drift_report(drift: Drift, display: Display) -> PageReport:
    """What is on it: each difference with its place and its fix."""
    items = tuple(_items(drift, display))
    waits = [one.entry.id for one in drift.waiting if one.entry is not None]
    differences = FindingList(items[:MOST_SHOWN], items[MOST_SHOWN:], (), None)
    return PageReport(
        command=drift.command,
        stack=drift.stack,
        title=Note(counts_text(drift), tone_of(drift.diagnostics, Tone.LOOK if items else Tone.GOOD)),
        leads=(
            *(Note(text) for text in (next_text(drift, PLAIN),) if text),
            *(Note(line, Tone.LOOK) for line in not_checked_lines(drift.not_checked, drift.command, PLAIN)),
        ),
        facts=(("On", store_text(drift.store, None)), ("Made", time_text(drift.made))),
        sections=(
            findings(drift.diagnostics, display),
            section("Differences", differences if items else None),
            section("Waiting, which is no drift", waiting_table(drift.waiting, ShownNames(WIDTH, waits))),
        ),
        details=show_drift(drift, whole(display)),
    )


def _items(drift: Drift, display: Display) -> Iterator[FindingItem]:
    for one in drift.findings:
        about = one.certificate or (one.at.config if one.at is not None else one.subject)
        label = Note(f"{one.state} ({about})", _TONES.get(one.state, Tone.LOOK))
        fix, *lines = one.hint.splitlines() or ("",)
        place = place_text(one.where, display.place, display.folder)
        yield FindingItem(label, _message(one), place, fix or None, tuple(lines))


def _message(finding: DriftFinding) -> str:
    count = len(finding.follows)
    return f"{finding.message} (affects {counted(count, 'binding')})" if count else finding.message
