"""A fleet as Markdown: the table of stacks, the most urgent first."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.reports.fleet import FleetStatus
from reconciler.views.markdown.page import code, findings, page, table, whole, words
from reconciler.views.table import Display
from reconciler.views.text.fleet import HEADS, cells_of, counts_text, names_of, note_of, outage_text
from reconciler.views.text.fleet import show_fleet as show_text
from reconciler.views.text.style import PLAIN

_NAMES = frozenset({"STACK", "ACCOUNT"})


def show_fleet(status: FleetStatus, display: Display) -> str:
    """When the first calls fail, and a row for each stack; the rest folded."""
    counts = counts_text(status).partition(": ")[2]
    return page("fleet status", status.fleet, counts, _parts(status, display), show_text(status, whole(display)))


def _parts(status: FleetStatus, display: Display) -> Iterator[str]:
    yield code(outage_text(status))
    yield from findings(status.diagnostics, display)
    heads = (*HEADS, "NOTE")
    rows = []
    for one, name in zip(status.stacks, names_of(status), strict=True):
        cells = [*(cell.text for cell in cells_of(one, name, status.made, PLAIN)), note_of(one)]
        named = zip(heads, cells, strict=True)
        rows.append([code(cell) if head in _NAMES and cell != "-" else words(cell) for head, cell in named])
    yield from table([head.capitalize() for head in heads], rows)
