"""A fleet as a page: a row for each stack, the most urgent first."""

from __future__ import annotations

from reconciler.reports.fleet import FleetStatus, StackState
from reconciler.views.html.page import Note, PageReport, Tone, findings, section, show_page, table
from reconciler.views.markdown.page import whole
from reconciler.views.table import Display
from reconciler.views.text.fleet import HEADS, cells_of, counts_text, names_of, note_of, outage_text
from reconciler.views.text.fleet import show_fleet as show_text
from reconciler.views.text.status import time_text
from reconciler.views.text.style import PLAIN

_TONES = {
    StackState.OK: Tone.GOOD,
    StackState.CHANGES: Tone.LOOK,
    StackState.DRIFT: Tone.LOOK,
    StackState.BLOCKED: Tone.LOOK,
}


def show_fleet(status: FleetStatus, display: Display) -> str:
    """The page of a fleet."""
    heads = ("Stack", "State", *(head.capitalize() for head in HEADS[2:]), "Note", "File")
    rows: list[tuple[str | Note, ...]] = []
    for one, name in zip(status.stacks, names_of(status), strict=True):
        _, _, *rest = [cell.text for cell in cells_of(one, name, status.made, PLAIN)]
        tone = _TONES.get(one.state, Tone.BAD)
        rows.append((name, Note(one.state, tone), *rest, note_of(one), one.one.file))
    worst = next((_TONES.get(one.state, Tone.BAD) for one in status.stacks), Tone.PLAIN)
    return show_page(
        [
            PageReport(
                command="fleet status",
                stack=status.fleet,
                title=Note(counts_text(status).partition(": ")[2], worst),
                leads=(Note(outage_text(status)),),
                facts=(("Made", time_text(status.made)),),
                sections=(findings(status.diagnostics, display), section("Stacks", table("Stacks", heads, rows))),
                details=show_text(status, whole(display)),
            )
        ]
    )
