"""A fleet as text: its stacks, and how each of them is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial

from reconciler.findings.escape import printable
from reconciler.model.fleet import Look, Pause, Queue
from reconciler.reports.fleet import (
    FleetHistory,
    FleetList,
    FleetStack,
    FleetStackStatus,
    FleetStatus,
    StackState,
    line_about,
)
from reconciler.views.table import Display
from reconciler.views.text.layout import Cell, table, wrapped
from reconciler.views.text.lines import counted, finding_lines, listed, prose
from reconciler.views.text.status import away_text
from reconciler.views.text.style import Style

LIST_HEADS = ("STACK", "ACCOUNT", "ACT", "INTERVAL", "FILE", "CREDENTIAL", "TAGS")


def show_list(found: FleetList, display: Display) -> str:
    """One line for each stack, then what is wrong with some, and what could not be found."""
    style, width = display.style, display.width
    rows = [[Cell(head, style.dim) for head in LIST_HEADS], *map(_list_row, found.stacks)]
    shown = len(LIST_HEADS) if width is None or width >= _WIDE else _IN_NARROW
    wrong = [(one.file, one.problem) for one in found.stacks if one.problem is not None]
    counts = counted(len(found.stacks), "stack") + (f", {len(wrong)} with an error" if wrong else "")
    parts = [
        [*table([row[:shown] for row in rows], width, indent="")] if found.stacks else [],
        [*_problem_lines(wrong, width)],
        [*finding_lines(found.diagnostics, display)],
        [style.bold(f"{printable(found.fleet)}: {counts}.")],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _list_row(one: FleetStack) -> list[Cell]:
    return [
        Cell(printable(one.stack or "-")),
        Cell(printable(one.alias or "-")),
        Cell(one.act),
        Cell(interval_text(one.look)),
        Cell(printable(one.file), shrinks=True),
        Cell(printable(one.credential)),
        Cell(listed(one.tags, len(one.tags)) or "-"),
    ]


_MOST_NAMED = 5


def _problem_lines(problems: Iterable[tuple[str, str]], width: int | None) -> Iterator[str]:
    """Each problem once, after the names that have it."""
    names: dict[str, list[str]] = {}
    for name, problem in problems:
        names.setdefault(problem, []).append(name)
    for problem, those in names.items():
        yield from wrapped(f"{listed(those, _MOST_NAMED)}: {printable(problem)}", prose(width), then="  ")


HEADS = ("STATE", "STACK", "CHECKED", "PENDING", "OUTAGE", "ACCOUNT", "NEXT")
_IN_NARROW = 5
"""How many of these columns there are on a terminal of fewer than 80 columns."""


def show_fleet(status: FleetStatus, display: Display) -> str:
    """The most urgent stacks first, each with what is wrong; then how many are in each state."""
    style, width = display.style, display.width
    shown = len(HEADS) if width is None or width >= _WIDE else _IN_NARROW
    names = names_of(status)
    cells = (cells_of(one, name, status.made, style) for one, name in zip(status.stacks, names, strict=True))
    rows = [[Cell(head, style.dim) for head in HEADS], *cells]
    notes = ((name, note_of(one)) for one, name in zip(status.stacks, names, strict=True))
    parts = [
        [*table([row[:shown] for row in rows], width, indent="")] if status.stacks else [],
        [*_problem_lines(((name, note) for name, note in notes if note), width)],
        [*finding_lines(status.diagnostics, display)],
        [
            *(wrapped(queue_text(status.queue), prose(width)) if status.queue is not None else ()),
            *wrapped(outage_text(status), prose(width)),
            *map(style.bold, wrapped(f"{counts_text(status)}.", width, then="  ")),
        ],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def queue_text(queue: Queue) -> str:
    """What workers do, in one line."""
    waiting = f"{queue.waiting} waiting"
    if queue.waiting:
        waiting += f", the oldest for {age_text(timedelta(seconds=queue.oldest_s))}"
    dead = f", {queue.stalled} of a worker that died" if queue.stalled else ""
    workers = counted(queue.workers, "worker") if queue.workers else "No worker runs (start one: mtlsctl fleet worker)"
    return f"{workers}. Jobs: {queue.running} running{dead}, {waiting}."


def cells_of(one: FleetStackStatus, name: str, now: datetime, style: Style) -> list[Cell]:
    """The row of a stack with this name, as `HEADS`."""
    look, paint = one.look, _PAINTS.get(one.state, Style.bad)
    return [
        Cell(one.state, partial(paint, style)),
        Cell(name, shrinks=True),
        Cell("never" if look is None else f"{age_text(now - look.time)} ago"),
        Cell("-" if look is None else pending_text(look)),
        Cell("-" if look is None or look.outage is None else away_text(look.outage, now)),
        Cell(printable(one.one.alias or "-")),
        Cell("-" if one.due is None else "now" if one.due <= now else f"in {age_text(one.due - now)}"),
    ]


_WIDE = 80
_PAINTS = {
    StackState.OK: Style.good,
    StackState.CHANGES: Style.change,
    StackState.DRIFT: Style.change,
    StackState.BLOCKED: Style.warn,
}


def names_of(status: FleetStatus) -> list[str]:
    """The name of each stack, with its account if another one has that name, or with its file if that one has this
    account, too; else its file."""
    names = Counter(one.one.stack for one in status.stacks)
    keys = Counter((one.one.stack, one.one.alias) for one in status.stacks)

    def name(one: FleetStack) -> str:
        if one.stack is None or names[one.stack] == 1:
            return one.stack or one.file
        return f"{one.stack} ({one.alias if one.alias and keys[one.stack, one.alias] == 1 else one.file})"

    return [printable(name(one.one)) for one in status.stacks]


def note_of(one: FleetStackStatus) -> str:
    """What is wrong with a stack, and its pause; often nothing."""
    notes = (one.message, pause_text(one.pause) if one.pause is not None else None)
    return "; ".join(note for note in notes if note)


def pause_text(pause: Pause) -> str:
    """`paused until 2027-01-31 12:00 UTC: audit`."""
    return f"paused until {pause.until:%Y-%m-%d %H:%M} UTC: {pause.why}"


def show_history(history: FleetHistory, display: Display) -> str:
    """One line for each job, the latest first."""
    lines: list[str] = []
    if history.message is not None:
        lines += wrapped(f"{printable(history.stack)}: {printable(history.message)}", prose(display.width), then="  ")
    if history.pause is not None:
        text = pause_text(history.pause)
        lines += wrapped(f"{text[0].upper()}{printable(text[1:])}", prose(display.width), then="  ")
    if not history.runs:
        return "\n".join([*lines, "No worker did anything for it yet.", ""])
    rows = [[Cell(word, display.style.dim) for word in ("BEGUN (UTC)", "JOB", "TOOK", "OUTCOME", "WORKER", "")]]
    for one in history.runs:
        took = f"{(one.ended - one.begun).total_seconds():.0f} s" if one.ended is not None else "-"
        said = line_about(history.stack, one.message) or next(iter(one.message.splitlines()), "")
        words = (f"{one.begun:%Y-%m-%d %H:%M:%S}", one.kind, took, one.outcome or "running", one.worker)
        rows.append([*(Cell(printable(word)) for word in words), Cell(printable(said))])
    return "\n".join([*lines, *table(rows, display.width, indent=""), ""])


def pending_text(look: Look) -> str:
    """`3 changes`, `1 renewal`, `1 difference`, or `-`."""
    counts = ((sum(look.changes.values()), "change"), (look.renewals, "renewal"))
    parts = [counted(count, noun) for count, noun in counts if count]
    return ", ".join(parts) or (counted(look.drift, "difference") if look.drift else "-")


def counts_text(status: FleetStatus) -> str:
    """`acme: 12 stacks: 1 vanished, 11 ok`."""
    states = ", ".join(f"{count} {_COUNTED.get(state, state)}" for state, count in status.counts.items() if count)
    paused = f"; {status.paused} paused" if status.paused else ""
    return f"{printable(status.fleet)}: {counted(len(status.stacks), 'stack')}{f': {states}' if states else ''}{paused}"


_COUNTED = {
    StackState.CHANGES: "with changes",
    StackState.DRIFT: "with drift",
    StackState.NOT_CHECKED: "not checked",
}


def outage_text(status: FleetStatus) -> str:
    """When the first calls fail, and of which stack."""
    first = status.outage
    if first is None or first.look is None or first.look.outage is None:
        return "No outage is known."
    when = away_text(first.look.outage, status.made)
    return (
        f"First outage: {printable(first.one.stack or first.one.file)} ({printable(first.one.alias or '-')}), {when}."
    )


def age_text(age: timedelta) -> str:
    """`3m`, `5h`, `12d`: a time in its largest unit."""
    seconds = max(int(age.total_seconds()), 0)
    unit, size = next((unit, size) for unit, size in _UNITS if seconds >= size or unit == "s")
    return f"{seconds // size}{unit}"


_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def interval_text(interval: timedelta) -> str:
    """`1h`, `1h30m`: as in fleet.toml."""
    seconds, text = int(interval.total_seconds()), ""
    for unit, size in _UNITS:
        if seconds >= size:
            text += f"{seconds // size}{unit}"
            seconds %= size
    return text or "0s"
