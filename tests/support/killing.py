"""Runs `mtlsctl` in a process of its own that sends itself a signal at an exact point: no sleeping, no luck.

`python tests/killing.py SIGNAL WHAT NTH WHEN ARGUMENTS...`: at the NTH call of WHAT (write, fsync, replace, commit),
WHEN before, after, or (write) half. The tool knows nothing of it.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from functools import partial
from typing import Any


class Trigger:
    """Counts the calls of one thing, and sends the signal at one of them."""

    def __init__(self, name: str, what: str, nth: str, when: str) -> None:
        self.signal = getattr(signal, name)
        self.what, self.left, self.when = what, int(nth), when

    def around(self, what: str, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """The call, and the signal where it is due."""
        self.left -= what == self.what
        if what != self.what or self.left:
            return call(*arguments, **named)
        self.left = -1
        if self.when == "half":
            descriptor, data = arguments
            call(descriptor, data[: len(data) // 2])
        result = call(*arguments, **named) if self.when == "after" else None
        os.kill(os.getpid(), self.signal)
        return result if self.when == "after" else call(*arguments, **named)


def install(trigger: Trigger) -> None:
    """Stand between the tool and the system."""
    for name in ("write", "fsync", "replace"):
        setattr(os, name, partial(trigger.around, name, getattr(os, name)))

    class Connection(sqlite3.Connection):
        def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
            call = partial(super().execute, statement, *arguments)
            result = trigger.around("commit", call) if statement == "COMMIT" else call()
            assert isinstance(result, sqlite3.Cursor)
            return result

    sqlite3.connect = partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]


if __name__ == "__main__":
    from reconciler.cli import main

    install(Trigger(*sys.argv[1:5]))
    sys.argv = ["mtlsctl", *sys.argv[5:]]
    main()
