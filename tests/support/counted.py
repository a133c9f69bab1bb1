"""How much work something is, counted in calls of functions: the same on every machine, however busy it is.

Seconds say how fast a machine is. A loop inside a loop is found by the calls that it makes. What a single call does on
its own, such as the match of a regular expression, is not counted: that is found by a text so large that no patience
would be enough for a second look at each sign of it. This file is also a program: the command line, counted.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from cProfile import Profile
from pathlib import Path


def count_calls(effect: Callable[[], object]) -> int:
    """How many calls, of Python's own functions too, an effect makes. What it raises is passed on."""
    profile = Profile()
    profile.runcall(effect)
    return _calls(profile)


def growth(effect: Callable[[int], Callable[[], object]], size: int) -> float:
    """How many times as many calls twice the size takes: 2 is linear, 4 quadratic."""
    return count_calls(effect(2 * size)) / count_calls(effect(size))


def _calls(profile: Profile) -> int:
    return sum(entry.callcount for entry in profile.getstats())


def _run_counted(report: Path) -> None:
    """The command line with the arguments that are left; its calls are written down when it ends."""
    profile = Profile()

    def tell() -> None:
        profile.disable()
        report.write_text(str(_calls(profile)))

    atexit.register(tell)
    profile.enable()
    from reconciler.cli import main

    main()


if __name__ == "__main__":
    _run_counted(Path(sys.argv.pop(1)))
