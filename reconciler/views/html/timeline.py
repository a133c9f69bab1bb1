"""Where the bars and marks of a timeline are: how long each certificate is valid, when to renew it, when calls fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from reconciler.findings.escape import printable
from reconciler.findings.values import dataclass
from reconciler.views.text.layout import shortened

MOST_ROWS = 40
ROW, HEAD, LANE = 38, 26, 9
"""Heights in pixels: of a row, of the scale above all rows, and from the bar in use to that of its successor."""
_MOST_TICKS = 5
_TICK = 23.0
"""The width of a date in per cent, where the picture is 300 pixels wide."""
_PAST = 0.08
"""So much of the picture is before now."""
_FURTHEST = timedelta(days=400)
_LONGEST_NAME = 30
_STEPS = (*(timedelta(hours=hours) for hours in (1, 6)), *(timedelta(days=days) for days in (1, 2, 7, 14)))
_MONTHS = (1, 2, 3, 6)


class BarKind(StrEnum):
    """A part of the life of a certificate; each has a colour and a form."""

    VALID = "valid"
    DUE = "due"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Validity:
    """The dates of one certificate. `begins` None: before now. `renew_from` None: unknown."""

    ends: datetime
    renew_from: datetime | None = None
    begins: datetime | None = None


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """One row: a name, a few words about it, the certificate in use, and those that follow it.

    `fails`: when calls begin to fail if nothing is done.
    """

    name: str
    note: str
    lives: tuple[Validity, ...]
    fails: datetime | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar, in per cent of the width; `y` from the top of its row."""

    kind: BarKind
    x: float
    width: float
    y: int


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One row: where it is, its texts, its bars, and where calls begin to fail."""

    y: int
    name: str
    whole: str
    note: str
    bars: tuple[Bar, ...]
    fails: float | None


@dataclass(frozen=True, slots=True)
class Tick:
    """A date of the scale. `anchor`: which end of its text is at `x`."""

    x: float
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class TimelinePicture:
    """The picture. `left`: how many rows it leaves out. `begins` and `ends`: what of time it shows."""

    rows: tuple[TimelineRow, ...]
    ticks: tuple[Tick, ...]
    now: float
    height: int
    left: int
    begins: str
    ends: str
    kind: ClassVar[str] = "timeline"


def make_timeline(items: Sequence[TimelineItem], now: datetime) -> TimelinePicture | None:
    """The picture of the first items; None without any. What is outside of its time is cut at its ends."""
    shown = items[:MOST_ROWS]
    if not shown:
        return None
    scale = _scale(shown, now)
    rows = tuple(_row(item, HEAD + index * ROW, scale, now) for index, item in enumerate(shown))
    return TimelinePicture(
        rows,
        tuple(_ticks(scale)),
        scale.x(now),
        HEAD + len(rows) * ROW,
        len(items) - len(shown),
        f"{scale.begins:%Y-%m-%d}",
        f"{scale.ends:%Y-%m-%d}",
    )


_EARLIEST, _LATEST = datetime(10, 1, 1, tzinfo=UTC), datetime(9990, 1, 1, tzinfo=UTC)
"""A plan can be a preview of any time, and there is no date beyond those of Python."""


@dataclass(frozen=True, slots=True)
class _Scale:
    begins: datetime
    ends: datetime

    def x(self, time: datetime) -> float:
        """A moment in per cent of the width, cut at both ends."""
        part = (time - self.begins) / (self.ends - self.begins)
        return round(min(max(part, 0.0), 1.0) * 100, 2)


def _scale(items: Iterable[TimelineItem], now: datetime) -> _Scale:
    times = [time for item in items for life in item.lives for time in (life.ends, life.renew_from) if time is not None]
    ahead = max((time - now for time in times), default=_FURTHEST)
    ahead = min(max(ahead * 1.03, timedelta(days=1)), _FURTHEST)
    middle = min(max(now, _EARLIEST), _LATEST)
    return _Scale(middle - ahead * _PAST, middle + ahead)


def _row(item: TimelineItem, y: int, scale: _Scale, now: datetime) -> TimelineRow:
    bars = (bar for lane, life in enumerate(item.lives) for bar in _bars(life, min(lane, 1) * LANE, scale, now))
    fails = scale.x(item.fails) if item.fails is not None and item.fails <= scale.ends else None
    name = printable(item.name)
    return TimelineRow(y, shortened(name, _LONGEST_NAME), name, item.note, tuple(bars), fails)


def _bars(life: Validity, y: int, scale: _Scale, now: datetime) -> Iterator[Bar]:
    """Valid, then due for renewal, then expired until now; none of a part that is outside of the picture."""
    renew_from = min(life.renew_from or life.ends, life.ends)
    begins = life.begins or scale.begins
    for kind, first, last in (
        (BarKind.VALID, begins, renew_from),
        (BarKind.DUE, max(begins, renew_from), life.ends),
        (BarKind.ENDED, life.ends, now),
    ):
        x, end = scale.x(first), scale.x(last)
        if end > x:
            yield Bar(kind, x, round(end - x, 2), y)


def _ticks(scale: _Scale) -> Iterator[Tick]:
    """Dates at even distances; none that another one would touch on a phone."""
    times, form = _tick_times(scale)
    ends = 0.0
    for time in times:
        x = scale.x(time)
        anchor, left = ("start", x) if x < _TICK / 2 else ("middle", x - _TICK / 2)
        if x > 100 - _TICK / 2:
            anchor, left = "end", x - _TICK
        if left >= ends:
            ends = left + _TICK
            yield Tick(x, time.strftime(form), anchor)


def _tick_times(scale: _Scale) -> tuple[list[datetime], str]:
    day = scale.begins.replace(hour=0, minute=0, second=0, microsecond=0)
    for step in _STEPS:
        if (scale.ends - scale.begins) / step <= _MOST_TICKS:
            first = day + step * max(-(-(scale.begins - day) // step), 0)
            form = "%m-%d %H:%M" if step < timedelta(days=1) else "%Y-%m-%d"
            return [
                first + step * number for number in range(_MOST_TICKS + 1) if first + step * number <= scale.ends
            ], form
    for months in _MONTHS:
        found = list(_months(scale, months))
        if len(found) <= _MOST_TICKS:
            break
    return found, "%Y-%m"


def _months(scale: _Scale, every: int) -> Iterator[datetime]:
    """The first days of months, every so many of a year, within the scale."""
    month = scale.begins.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while month <= scale.ends:
        if month >= scale.begins and (month.month - 1) % every == 0:
            yield month
        month = (month + timedelta(days=32)).replace(day=1)
