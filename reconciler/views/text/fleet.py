"""A fleet as text: its stacks, and how each of them is."""

from __future__ import annotations

from datetime import timedelta

from reconciler.findings.escape import printable
from reconciler.reports.fleet import FleetList, FleetStack
from reconciler.views.table import Display
from reconciler.views.text.layout import Cell, table
from reconciler.views.text.lines import counted, finding_lines, listed
from reconciler.views.text.style import Style


def show_list(found: FleetList, display: Display) -> str:
    """One line for each stack, then what could not be found."""
    style = display.style
    heads = ("STACK", "ACCOUNT", "FILE", "CREDENTIAL", "ACT", "LOOK", "TAGS")
    rows = [[Cell(head, style.dim) for head in heads]] if found.stacks else []
    rows += [_row(one, style) for one in found.stacks]
    lines = [*table(rows, display.width, indent=""), *finding_lines(found.diagnostics, display)]
    bad = sum(one.problem is not None for one in found.stacks)
    counts = counted(len(found.stacks), "stack") + (f", {bad} with an error" if bad else "")
    return "\n".join((*lines, style.bold(f"{printable(found.fleet)}: {counts}."))) + "\n"


def _row(one: FleetStack, style: Style) -> list[Cell]:
    last = Cell(f"error: {printable(one.problem)}", style.bad) if one.problem else Cell(listed(one.tags, len(one.tags)))
    return [
        Cell(printable(one.stack or "-")),
        Cell(printable(one.alias or "-")),
        Cell(printable(one.file), shrinks=True),
        Cell(printable(one.credential)),
        Cell(one.act),
        Cell(f"every {interval_text(one.look)}"),
        last,
    ]


def interval_text(interval: timedelta) -> str:
    """`1h`, `1h30m`: as in fleet.toml."""
    seconds, text = int(interval.total_seconds()), ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if seconds >= size:
            text += f"{seconds // size}{unit}"
            seconds %= size
    return text or "0s"
