"""Text that fits: short IDs, wrapped lines, columns. A width of None shows everything whole, for a file or a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from unicodedata import combining, east_asian_width

from reconciler.findings.escape import printable
from reconciler.model.stores import LOCAL_ID_PREFIX

NARROWEST = 60
"""The width that is assumed of a terminal that claims less."""
_ID_LENGTH = 8  # as git does
_LEAST_COLUMN = 12
_GAP = "  "
_CUT = "..."


class ShortIds:
    """Shortens the IDs of one report to the shortest prefix that still tells them apart, at least 8 characters."""

    def __init__(self, ids: Iterable[str | None], width: int | None) -> None:
        """`ids`: every ID that the report shows."""
        self._length: int | None = None if width is None else _telling(ids)

    def __call__(self, entry: str) -> str:
        """The ID as it is shown; an ID of the local store keeps its fixed part and 4 characters more."""
        least = len(LOCAL_ID_PREFIX) + 4 if entry.startswith(LOCAL_ID_PREFIX) else 0
        return printable(entry if self._length is None else entry[: max(self._length, least)])


def _telling(ids: Iterable[str | None]) -> int:
    known = {one for one in ids if one}
    lengths = range(_ID_LENGTH, max(map(len, known), default=_ID_LENGTH) + 1)
    return next((length for length in lengths if len({one[:length] for one in known}) == len(known)), _ID_LENGTH)


def wrapped(text: str, width: int | None, *, first: str = "", then: str | None = None) -> Iterator[str]:
    """The lines of a text of single spaces, never cut in a word. `first` begins the first, `then` all others."""
    after = " " * len(first) if then is None else then
    if width is None:
        yield f"{first}{text}"
    else:
        yield from wrap(
            text,
            width,
            initial_indent=first,
            subsequent_indent=after,
            break_long_words=False,
            break_on_hyphens=False,
        ) or (first,)


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

    Where they do not fit, the columns that may be shortened are; what still does not fit goes to a line below its row.
    """
    if not rows:
        return
    widths = [max(cells(row[index].text) for row in rows) for index in range(len(rows[0]))]
    shrinking = [index for index in range(len(widths)) if all(row[index].shrinks for row in rows)]
    room = None if width is None else width - len(indent)
    while room is not None and _total(widths) > room:
        widest = max(shrinking, key=lambda index: widths[index], default=None)
        if widest is None or widths[widest] <= _LEAST_COLUMN:
            break
        widths[widest] -= 1
    fitting = len(widths)
    while room is not None and fitting > 1 and _total(widths[:fitting]) > room:
        fitting -= 1
    for row in rows:
        yield indent + _joined(row[:fitting], widths)
        if fitting < len(row):
            rest = _GAP.join(cell.text for cell in row[fitting:] if cell.text)
            yield from wrapped(rest, width, first=f"{indent}    ") if rest else ()


def _joined(row: Sequence[Cell], widths: Sequence[int]) -> str:
    parts = []
    for index, cell in enumerate(row):
        text = shortened(cell.text, widths[index]) if cell.shrinks else cell.text
        pad = "" if not any(one.text for one in row[index + 1 :]) else " " * (widths[index] - cells(text))
        parts.append(cell.paint(text) + pad)
    return _GAP.join(parts).rstrip()


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)
