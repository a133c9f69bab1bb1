"""A status as Markdown: the table of certificates, the most urgent first."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.reports.status import Status
from reconciler.views.markdown.page import code, findings, not_checked, page, table, whole, words
from reconciler.views.table import Display
from reconciler.views.text.names import ShownNames
from reconciler.views.text.status import HEADS, counts_of, outage_text, rows_of, show_status
from reconciler.views.text.style import PLAIN

_NAMES = frozenset({"CERTIFICATE", "OWNER"})


def show_status_page(status: Status, display: Display) -> str:
    """When the first calls fail, and a row for each certificate; the rest folded."""
    return page("status", status.stack, counts_of(status), _parts(status, display), show_status(status, whole(display)))


def _parts(status: Status, display: Display) -> Iterator[str]:
    names = ShownNames(None)
    yield code(outage_text(status, names))
    yield from findings(status.diagnostics, display)
    yield from not_checked(status.not_checked, "status")
    rows = [
        [code(cell) if head in _NAMES and cell != "-" else words(cell) for head, cell in zip(HEADS, row, strict=True)]
        for row in ([cell.text for cell in cells] for _, cells in rows_of(status, names, PLAIN))
    ]
    yield from table([head.capitalize() for head in HEADS], rows)
