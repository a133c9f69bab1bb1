"""Several things at once: results in order, so many at a time, and no thread keeps the run from ending."""

from __future__ import annotations

import threading
import weakref
from functools import partial

import pytest

from reconciler.model.concurrency import DaemonPool, run_all
from tests.support.interrupts import interrupt_main, interruptible


@pytest.mark.parametrize("count", [0, 1, 3, 10])
@pytest.mark.parametrize("at_once", [1, 3])
def test_results_come_in_the_order_of_the_items(count: int, at_once: int) -> None:
    """However they end."""
    assert run_all(lambda number: number * number, range(count), at_once) == [n * n for n in range(count)]


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

    run_all(effect, range(9), 3)
    assert most == 3


def test_an_error_is_raised_by_whoever_waits() -> None:
    """It is not lost in its thread."""
    with pytest.raises(ZeroDivisionError):
        run_all(lambda number: 1 // number, [1, 0], 2)


@interruptible()
def test_an_interrupt_does_not_wait_for_what_hangs() -> None:
    """Ctrl-C while an origin does not answer."""
    hanging = threading.Event()

    def effect(_: int) -> None:
        interrupt_main()
        hanging.wait(60)

    try:
        with pytest.raises(KeyboardInterrupt):
            run_all(effect, [1], 2)
    finally:
        hanging.set()


def test_with_one_at_a_time_nothing_runs_in_another_thread() -> None:
    """As for a store that belongs to its thread."""
    assert run_all(lambda _: threading.get_ident(), range(3), 1) == [threading.get_ident()] * 3


def test_after_an_error_nothing_more_begins_and_what_is_under_way_ends() -> None:
    """Of two that fail, the first in the order of the items is raised, whichever came first."""
    failed, begun, ended = threading.Event(), list[int](), list[int]()

    def effect(number: int) -> None:
        begun.append(number)
        if number == 1:
            failed.set()
            raise KeyError(number)
        failed.wait(60)
        ended.append(number)
        raise IndexError(number)

    with pytest.raises(IndexError):
        run_all(effect, range(9), 2)
    assert sorted(begun) == [0, 1]
    assert ended == [0]


@interruptible()
def test_an_interrupt_gives_up_and_lets_end_what_then_ends() -> None:
    """As a program that is asked to end: its folder is removed before this one goes on."""
    over, ended = threading.Event(), list[int]()

    def effect(number: int) -> None:
        interrupt_main()
        over.wait(60)
        ended.append(number)

    with pytest.raises(KeyboardInterrupt):
        run_all(effect, [1], 2, give_up=over.set, patience_s=60)
    assert ended == [1]


def test_a_thread_does_one_effect_after_the_other() -> None:
    """To start a thread takes longer than most of what is done in one."""
    with DaemonPool[int](4) as pool:
        threads = set()
        for number in range(9):
            pool.begin(number, threading.get_ident)
            assert pool.wait() == [number]
            threads.add(pool.result(number))
    assert len(threads) == 1


def test_a_thread_that_waits_holds_nothing_of_what_it_did() -> None:
    """A private key is gone as soon as its upload has ended."""

    class Key:
        """Something that can be watched."""

    with DaemonPool[None](2) as pool:
        key = Key()
        gone = weakref.ref(key)
        pool.begin(1, partial(lambda _: None, key))
        del key
        pool.wait()
        pool.begin(2, lambda: None)  # by the same thread, which has let go of the first by then
        pool.wait()
        assert gone() is None


def test_idle_threads_end_with_the_pool() -> None:
    """None is left behind."""
    before = threading.active_count()
    with DaemonPool[None](3) as pool:
        for number in range(3):
            pool.begin(number, lambda: None)
        threads = threading.enumerate()
    for thread in threads:
        if thread.daemon:
            thread.join(60)
    assert threading.active_count() <= before
