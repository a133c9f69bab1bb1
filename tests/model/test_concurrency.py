"""Running effects at once: results in order, a limited number at a time, and no thread prevents the run from ending."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Collection
from functools import partial

import pytest

from reconciler.model.concurrency import DaemonPool, run_all
from tests.support.interrupts import interrupt_main, interruptible


@pytest.mark.parametrize("count", [0, 1, 3, 10])
@pytest.mark.parametrize("at_once", [1, 3])
def test_results_come_in_the_order_of_the_items(count: int, at_once: int) -> None:
    """Regardless of the order in which they end."""
    assert run_all(lambda number: number * number, range(count), at_once) == [n * n for n in range(count)]


def test_at_most_the_allowed_number_run_at_once() -> None:
    """And as many as allowed do run at once."""
    gate, lock = threading.Barrier(3, timeout=60), threading.Lock()
    running: set[int] = set()
    most = 0

    def effect(number: int) -> None:
        nonlocal most
        with lock:
            running.add(number)
            most = max(most, len(running))
        gate.wait()  # waits until three are here
        with lock:
            running.discard(number)

    run_all(effect, range(9), 3)
    assert most == 3


def test_an_error_is_raised_in_the_waiting_thread() -> None:
    """It is not lost in the thread of the effect."""
    with pytest.raises(ZeroDivisionError):
        run_all(lambda number: 1 // number, [1, 0], 2)


@interruptible()
def test_an_interrupt_does_not_wait_for_an_effect_that_hangs() -> None:
    """For example Ctrl-C while an origin does not respond."""
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
    """A store can be bound to its thread."""
    assert run_all(lambda _: threading.get_ident(), range(3), 1) == [threading.get_ident()] * 3


def test_after_an_error_no_effect_starts_and_those_in_progress_end() -> None:
    """If two fail, the error of the first item is raised, regardless of which failed first."""
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
def test_an_interrupt_gives_up_and_waits_for_effects_to_end() -> None:
    """For example, the folder of a program that was asked to end is removed first."""
    over, ended = threading.Event(), list[int]()

    def effect(number: int) -> None:
        interrupt_main()
        over.wait(60)
        ended.append(number)

    with pytest.raises(KeyboardInterrupt):
        run_all(effect, [1], 2, give_up=over.set, patience_s=60)
    assert ended == [1]


@interruptible()
def test_what_an_interrupt_waits_for_is_reported() -> None:
    """The numbers of the effects in progress; they may end then."""
    over, told = threading.Event(), list[set[int]]()

    def effect(number: int) -> None:
        if number == 1:
            interrupt_main()
        if number > 0:
            over.wait(60)

    def waiting(numbers: Collection[int]) -> None:
        told.append(set(numbers))
        over.set()

    with pytest.raises(KeyboardInterrupt):
        run_all(effect, range(9), 3, patience_s=60, waiting=waiting)
    assert len(told) == 1
    assert told[0] >= {1}
    assert 0 not in told[0]


@interruptible()
def test_a_second_interrupt_ends_the_wait() -> None:
    """Whoever waits can leave at once."""
    over = threading.Event()

    def effect(number: int) -> None:
        interrupt_main()
        over.wait(60)

    with pytest.raises(KeyboardInterrupt):
        run_all(effect, [1], 2, patience_s=3600, waiting=lambda _: interrupt_main())
    assert not over.is_set()
    over.set()


def test_a_thread_is_reused() -> None:
    """Starting a thread takes longer than most effects."""
    with DaemonPool[int](4) as pool:
        threads = set()
        for number in range(9):
            pool.begin(number, threading.get_ident)
            assert pool.wait() == [number]
            threads.add(pool.result(number))
    assert len(threads) == 1


def test_a_waiting_thread_keeps_no_reference_to_its_last_effect() -> None:
    """A private key is released as soon as its upload has ended."""

    class Key:
        """An object that can have a weak reference."""

    with DaemonPool[None](2) as pool:
        key = Key()
        reference = weakref.ref(key)
        pool.begin(1, partial(lambda _: None, key))
        del key
        pool.wait()
        pool.begin(2, lambda: None)  # in the same thread, which has released the first by then
        pool.wait()
        assert reference() is None


def test_idle_threads_end_with_the_pool() -> None:
    """No thread remains."""
    before = set(threading.enumerate())
    with DaemonPool[None](3) as pool:
        for number in range(3):
            pool.begin(number, lambda: None)
        threads = [thread for thread in threading.enumerate() if thread not in before]
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
