"""The command line: parse, call the app, print, exit. Decides nothing; imports only typer and stdlib at the top."""

from __future__ import annotations

import gc
import signal
import sys
from types import FrameType
from typing import NoReturn

_COLLECT_AFTER = 300_000
"""Objects. A run is short and leaves few circles; looking for them at Python's pace took a fifth of a plan's time."""


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> NoReturn:
    """Run the command line and exit with its code. Signals are caught before anything slow is imported."""
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        gc.set_threshold(_COLLECT_AFTER)
        if sys.argv[1:2] in (["__complete"], ["completion"]):  # a shell waits for the answer
            from reconciler.cli.complete import answer

            if answer(sys.argv[1:]):
                sys.exit(0)
        from reconciler.cli.root import run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
