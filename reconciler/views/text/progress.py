"""How far long work is, as one line: with a bar for a terminal, without one for a log."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.values import dataclass
from reconciler.views.text.layout import shortened

_LONGEST_BAR = 24
_SHORTEST_BAR = 8
_GAP = "   "
_RATE_AFTER_S = 1.0
"""Seconds of work before its rate means anything."""

_ESTIMATED_FROM = 10
"""The time of a few steps differs too much for an estimate."""


@dataclass(frozen=True, slots=True)
class Work:
    """Work that is being done. `total`: None if it is unknown."""

    what: str
    done: int
    total: int | None
    elapsed_s: float


def bar_line(work: Work, room: int) -> str:
    """The line in at most `room` columns: what does not fit is left out, the bar first, and no number is cut."""
    count, *more = _facts(work)
    for facts in ((count, *more), (count, *more[-1:]), (count,)):
        text = _GAP.join((work.what, *facts))
        if len(text) <= room:
            return _with_bar(work, facts, room) or text
    return shortened(work.what, room) if room >= _SHORTEST_BAR else ""


def plain_line(work: Work) -> str:
    """The line for a log."""
    count, *more = _facts(work)
    return ", ".join((f"{work.what}: {count.replace('/', ' of ')}", *more))


def _with_bar(work: Work, facts: tuple[str, ...], room: int) -> str | None:
    """The line with a bar; None if the total is unknown or there is no room."""
    size = min(room - len(_GAP.join((work.what, "", *facts))), _LONGEST_BAR)
    if not work.total or size < _SHORTEST_BAR:
        return None
    filled = size * min(work.done, work.total) // work.total
    return _GAP.join((work.what, "#" * filled + "-" * (size - filled), *facts))


def _facts(work: Work) -> Iterator[str]:
    """The count; then the rate and the time left, as far as they are known."""
    yield f"{work.done}/{work.total}" if work.total is not None else str(work.done)
    if work.elapsed_s < _RATE_AFTER_S or not work.done:
        return
    rate = work.done / work.elapsed_s
    yield _rate(rate)
    if work.total is not None and work.total >= _ESTIMATED_FROM and work.done < work.total:
        yield f"about {_time((work.total - work.done) / rate)} left"


def _rate(rate: float) -> str:
    if rate >= 10:
        return f"{rate:.0f}/s"
    return f"{rate:.1f}/s" if rate >= 1 else f"{rate * 60:.1f}/min"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
