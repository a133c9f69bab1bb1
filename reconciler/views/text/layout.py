"""Text that fits: short IDs, wrapped lines, columns. A width of None shows everything whole, for a file or a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from unicodedata import combining, east_asian_width

from reconciler.findings.escape import printable
from reconciler.findings.values import dataclass
from reconciler.model.identifiers import ID_PREFIXES

NARROWEST = 60
"""The width that is assumed of a terminal that claims less."""
_ID_LENGTH = 8  # as git does
_LEAST_COLUMN = 12
_LONGEST_LAST = 16
_GAP = "  "
_LONGEST_LINE = 100  # what is at the far right of a wide terminal is not seen
_CUT = "..."


class ShortIds:
    """Shortens the IDs of one report to the shortest prefix that still tells them apart, at least 8 characters."""

    def __init__(self, ids: Iterable[str | None], width: int | None) -> None:
        """`ids`: every ID that the report shows."""
        self._length: int | None = None if width is None else _telling(ids)

    def __call__(self, entry: str) -> str:
        """The ID as it is shown; one that its store marks keeps the mark and 4 characters more."""
        least = max((len(one) + 4 for one in ID_PREFIXES if entry.startswith(one)), default=0)
        return printable(entry if self._length is None else entry[: max(self._length, least)])


def _telling(ids: Iterable[str | None]) -> int:
    known = {one for one in ids if one}
    lengths = range(_ID_LENGTH, max(map(len, known), default=_ID_LENGTH) + 1)
    return next((length for length in lengths if len({one[:length] for one in known}) == len(known)), _ID_LENGTH)


def wrapped(text: str, width: int | None, *, first: str = "", then: str | None = None) -> Iterator[str]:
    """The lines of a text of single spaces, never cut in a word. `first` begins the first, `then` all others.

    A word that does not fit behind that is moved to the left, on a line of its own.
    """
    if width is None:
        yield f"{first}{text}"
        return
    after = " " * cells(first) if then is None else then
    line, is_begun = first, False
    for word in text.split():
        if cells(line) + is_begun + cells(word) <= width:
            line, is_begun = f"{line} {word}" if is_begun else line + word, True
            continue
        if is_begun or (first.strip() and line == first and cells(word) <= width):
            yield line.rstrip()
            line = after if cells(after) + cells(word) <= width else " " * max(width - cells(word), 0)
        line, is_begun = line + word, True
    yield line


def labelled(
    label: str,
    text: str,
    width: int | None,
    *,
    paint: Callable[[str], str] = str,
    indent: str = "  ",
    gap: str = _GAP,
) -> Iterator[str]:
    """A text behind its label, wrapped next to it; the label in its colour."""
    first, *rest = wrapped(text, width, first=f"{indent}{label}{gap}" if text else f"{indent}{label}")
    shown = f"{indent}{label}" if first.startswith(f"{indent}{label}") else f"{indent}{label}".rstrip()
    yield indent + paint(shown[len(indent) :]) + first.removeprefix(shown)
    yield from rest


def spread(left: Cell, right: Cell, width: int | None, *, indent: str = "") -> Iterator[str]:
    """A line with one text at its begin and one at its end; two lines where they do not fit."""
    end = min(width, _LONGEST_LINE) if width is not None else 0
    gap = end - cells(indent) - cells(left.text) - cells(right.text)
    if not right.text:
        yield from map(left.paint, wrapped(left.text, width, first=indent, then=f"{indent}  "))
        return
    if width is None or gap >= len(_GAP):
        yield f"{indent}{left.paint(left.text)}{' ' * max(gap, len(_GAP))}{right.paint(right.text)}"
        return
    yield from map(left.paint, wrapped(left.text, width, first=indent, then=f"{indent}  "))
    yield from map(right.paint, wrapped(right.text, width, first=f"{indent}  "))


def shortened(text: str, room: int) -> str:
    """The text in at most `room` columns: begin and end, with dots between them."""
    if cells(text) <= room:
        return text
    keep = max(room - len(_CUT), 2)
    head, tail = _fitting(text, (keep + 1) // 2), _fitting(text[::-1], keep // 2)[::-1]
    return f"{head}{_CUT}{tail}"


def _fitting(text: str, room: int) -> str:
    end = used = 0
    for sign in text:
        used += cells(sign)
        if used > room:
            break
        end += 1
    return text[:end]


def cells(text: str) -> int:
    """The columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1 for sign in text)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table: its text, its colour, and whether it may be shortened in the middle."""

    text: str
    paint: Callable[[str], str] = str
    shrinks: bool = False


def table(rows: Sequence[Sequence[Cell]], width: int | None, *, indent: str = "  ") -> Iterator[str]:
    """The rows as aligned columns, all with as many cells.

    Where they do not fit, the columns that may be shortened are. The cells of a row that still do not fit are on a line
    below it; for a long text in the last column no other is shortened.
    """
    if not rows:
        return
    room = None if width is None else width - len(indent)
    widths = _widths(rows, room)
    for row in rows:
        fitting = len(row)
        while room is not None and fitting > 1 and cells(_joined(row[:fitting], widths, plain=True)) > room:
            fitting -= 1
        yield indent + _joined(row[:fitting], widths)
        rest = [cell for cell in row[fitting:] if cell.text]
        if rest:
            lines = wrapped(_GAP.join(cell.text for cell in rest), width, first=f"{indent}    ")
            yield from map(rest[0].paint if len(rest) == 1 else str, lines)


def _widths(rows: Sequence[Sequence[Cell]], room: int | None) -> list[int]:
    """The columns, shortened until all fit, or else as many of the first ones as can."""
    natural = [max(cells(row[index].text) for row in rows) for index in range(len(rows[0]))]
    least = [_least([row[index] for row in rows]) for index in range(len(natural))]
    if room is None:
        return natural
    for fitting in range(len(natural), 0, -1):
        widths = natural[:fitting]
        if fitting == len(natural) and least[-1] == natural[-1]:
            widths[-1] = min(widths[-1], _LONGEST_LAST)
        while _total(widths) > room:
            widest = max(
                (one for one in range(fitting) if widths[one] > least[one]), key=widths.__getitem__, default=None
            )
            if widest is None:
                break
            widths[widest] -= 1
        else:
            return [*widths, *natural[fitting:]]
    return natural


def _least(column: Sequence[Cell]) -> int:
    """How narrow a column may be: no cell is cut that may not be."""
    whole = max((cells(cell.text) for cell in column if not cell.shrinks), default=0)
    return max(whole, _LEAST_COLUMN) if any(cell.shrinks for cell in column) else whole


def _joined(row: Sequence[Cell], widths: Sequence[int], *, plain: bool = False) -> str:
    shown = len(row)
    while shown and not row[shown - 1].text:
        shown -= 1
    parts = []
    for index, cell in enumerate(row[:shown]):
        text = shortened(cell.text, widths[index]) if cell.shrinks else cell.text
        pad = " " * (widths[index] - cells(text)) if index < shown - 1 else ""
        parts.append((text if plain else cell.paint(text)) + pad)
    return _GAP.join(parts)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)
