"""Shows how far long work is: one line that is drawn again at a terminal, a line every ten seconds elsewhere.

Made by hand, not with rich: it is one line, needs no import at a cold start, and never hides the cursor.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from reconciler.cli.terminal import BottomLine, bottom, say
from reconciler.findings.values import dataclass
from reconciler.model.progress import Done
from reconciler.views.text.progress import Work, bar_line, plain_line

_SHOWN_AFTER_S = 0.5
"""Seconds. What takes less is over before it is read."""
_REDRAWN_EVERY_S = 0.1
_LOGGED_EVERY_S = 10.0
_MARGIN = 3
"""Columns that stay free, so that the `^C` of the terminal does not begin a new line."""


class Screen(Protocol):
    """Where the line is shown."""

    every_s: float

    def show(self, work: Work) -> None:
        """Show how far the work is now."""

    def hide(self) -> None:
        """Remove what is shown."""


@dataclass(eq=False)
class _Count:
    what: str
    total: int | None
    begun: float
    done: int = 0


class Meter:
    """The port `Progress`. `tick` shows the innermost work; a thread calls it while there is any, unless `ticks` is
    False."""

    def __init__(self, screen: Screen, *, now: Callable[[], float] = time.monotonic, ticks: bool = True) -> None:
        self._screen, self._now, self._ticks = screen, now, ticks
        self._counts: list[_Count] = []
        self._lock = threading.RLock()

    @contextmanager
    def counting(self, what: str, total: int | None) -> Iterator[Done]:
        """As in the port."""
        count = _Count(what, total, self._now())

        def done() -> None:
            with self._lock:
                count.done += 1

        over = threading.Event()
        with self._lock:
            self._counts.append(count)
            is_first = len(self._counts) == 1
        if is_first and self._ticks:
            threading.Thread(target=self._keep_ticking, args=(over,), daemon=True).start()
        try:
            yield done
        finally:
            over.set()
            with self._lock:
                self._counts.remove(count)
                if not self._counts:
                    self._screen.hide()

    def tick(self) -> None:
        """Show how far the work is."""
        with self._lock:
            if self._counts:
                count = self._counts[-1]
                self._screen.show(Work(count.what, count.done, count.total, self._now() - count.begun))

    def _keep_ticking(self, over: threading.Event) -> None:
        while not over.wait(self._screen.every_s):
            self.tick()


class Redrawn:
    """A terminal: one line with a bar, drawn again in its place, as wide as the terminal is at that moment."""

    every_s = _REDRAWN_EVERY_S

    def __init__(self, line: BottomLine, columns: Callable[[], int]) -> None:
        self._line, self._columns = line, columns

    def show(self, work: Work) -> None:
        """Draw the line, unless the work has just begun."""
        if work.elapsed_s >= _SHOWN_AFTER_S:
            self._line.draw(bar_line(work, self._columns() - _MARGIN))

    def hide(self) -> None:
        """Remove the line."""
        self._line.clear()


class Logged:
    """Anything else: a line every ten seconds."""

    every_s = _LOGGED_EVERY_S

    def show(self, work: Work) -> None:
        """Write the line."""
        say(plain_line(work), err=True)

    def hide(self) -> None:
        """Leave what was written."""


def is_redrawn() -> bool:
    """True if stderr is a terminal on which a line can be drawn again."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def make_meter() -> Meter:
    """The progress on stderr."""
    return Meter(Redrawn(bottom, _columns) if is_redrawn() else Logged())


def _columns() -> int:
    """The columns of the terminal now."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80
