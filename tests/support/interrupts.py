"""Ctrl-C in tests, as a person presses it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C interrupts, even where the tests run in the background, which ignores it. Decorates a test, too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def interrupt_main() -> None:
    """Ctrl-C, from another thread."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
