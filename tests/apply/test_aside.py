"""Several waits at once: results in order, so many at a time, and nobody keeps the run from ending."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from reconciler.apply.aside import side_by_side


@pytest.mark.parametrize("count", [0, 1, 3, 10])
@pytest.mark.parametrize("at_once", [1, 3])
def test_results_come_in_the_order_of_the_items(count: int, at_once: int) -> None:
    """However they end."""
    assert side_by_side(lambda number: number * number, range(count), at_once) == [n * n for n in range(count)]


def test_no_more_run_at_once_than_are_allowed() -> None:
    """And as many as are."""
    gate, lock = threading.Barrier(3, timeout=60), threading.Lock()
    running: set[int] = set()
    most = 0

    def effect(number: int) -> None:
        nonlocal most
        with lock:
            running.add(number)
            most = max(most, len(running))
        gate.wait()  # three have to be here, or nobody gets on
        with lock:
            running.discard(number)

    side_by_side(effect, range(9), 3)
    assert most == 3


def test_an_error_is_raised_by_whoever_waits() -> None:
    """It is not lost in its thread."""
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda number: 1 // number, [1, 0], 2)


def test_an_interrupt_does_not_wait_for_what_hangs() -> None:
    """Ctrl-C while an origin does not answer."""
    hanging = threading.Event()

    def effect(_: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)  # as a terminal does
        hanging.wait(60)

    try:
        with pytest.raises(KeyboardInterrupt):
            side_by_side(effect, [1], 1)
    finally:
        hanging.set()
