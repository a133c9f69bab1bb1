"""Runs several effects at once, in threads that don't prevent the process from ending.

The calling thread starts effects and takes their results; only the effects run in other threads. It has no effect of
its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Generic, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")
_MOMENT_S = 0.1
"""Seconds. What ends within them is not worth a message that it is waited for."""


def _silent(_: Collection[int]) -> None:
    """Tell no one."""


class DaemonPool(Generic[_R]):
    """Runs effects in up to `at_once` threads, each effect with a number. Idle threads end when the `with` ends.

    `results` and `errors` have the outcome of every effect, even of one that `wait` did not return because of an
    interrupt.
    """

    def __init__(self, at_once: int) -> None:
        self.results: dict[int, _R] = {}
        self.errors: dict[int, BaseException] = {}
        self.under_way: set[int] = set()
        self._at_once = at_once
        self._threads = 0
        self._begun: SimpleQueue[tuple[int, Callable[[], _R]] | None] = SimpleQueue()
        self._ended: SimpleQueue[int] = SimpleQueue()

    def __enter__(self) -> DaemonPool[_R]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.errors.clear()  # an error refers to its frames, and they refer to this pool
        for _ in range(self._threads):
            self._begun.put(None)

    @property
    def room(self) -> int:
        """How many effects can start now."""
        return self._at_once - len(self.under_way)

    def begin(self, number: int, effect: Callable[[], _R]) -> None:
        """Start an effect in a thread. Call it only while there is `room`, so that the effect starts at once."""
        self.under_way.add(number)
        self._begun.put((number, effect))
        if self._threads < len(self.under_way):
            self._threads += 1
            Thread(target=self._work, daemon=True).start()

    def wait(self) -> list[int]:
        """The numbers of effects that have ended: at least one, or none if no effect is in progress."""
        if not self.under_way:
            return []
        ended = [self._ended.get()]
        with suppress(Empty):
            while True:
                ended.append(self._ended.get_nowait())
        self.under_way.difference_update(ended)
        return ended

    def let_end(self, patience_s: float, waiting: Callable[[Collection[int]], None] = _silent) -> None:
        """Wait for effects in progress, at most `patience_s` seconds; an interrupt ends the wait.

        `waiting` gets the numbers of those that take longer than a moment.
        """
        ends = time.monotonic() + patience_s
        with suppress(KeyboardInterrupt):
            self._let_end_until(min(time.monotonic() + _MOMENT_S, ends))
            if patience_s and self._unfinished:
                waiting(self._unfinished)
                self._let_end_until(ends)

    @property
    def _unfinished(self) -> Collection[int]:
        return self.under_way - self.results.keys() - self.errors.keys()

    def _let_end_until(self, ends: float) -> None:
        with suppress(Empty):
            while self._unfinished:
                self._ended.get(timeout=max(ends - time.monotonic(), 0.0))

    def result(self, number: int) -> _R:
        """The result of an effect; raises its error if it failed."""
        if number in self.errors:
            raise self.errors.pop(number)
        return self.results[number]

    def _work(self) -> None:
        while self._do_one():
            pass

    def _do_one(self) -> bool:
        """Run the next effect; False if there is none. A waiting thread keeps no reference to the previous effect."""
        job = self._begun.get()
        if job is None:
            return False
        number, effect = job
        try:
            self.results[number] = effect()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that gets the result
            self.errors[number] = error
        self._ended.put(number)
        return True


def run_all(
    effect: Callable[[_T], _R],
    items: Sequence[_T],
    at_once: int,
    *,
    give_up: Callable[[], None] = lambda: None,
    patience_s: float = 0.0,
    waiting: Callable[[Collection[int]], None] = _silent,
) -> list[_R]:
    """The results of `effect` for each item, in order, at most `at_once` at a time; with 1, all in this thread.

    After an error, no more effects start. When those in progress have ended, the error of the first item is raised.
    Ctrl-C is raised when effects in progress have ended, but at most `patience_s` later; `give_up` is called first, to
    end them sooner, and `waiting` gets the numbers of the items that are waited for.
    """
    if at_once == 1:
        return [effect(item) for item in items]
    left = iter(range(len(items)))
    with DaemonPool[_R](at_once) as pool:
        try:
            while not pool.errors and (batch := list(islice(left, pool.room))):
                for number in batch:
                    pool.begin(number, partial(effect, items[number]))
                pool.wait()
            while pool.wait():
                pass
        except BaseException:
            give_up()
            pool.let_end(patience_s, waiting)
            raise
        if pool.errors:
            pool.result(min(pool.errors))
        return [pool.results[number] for number in range(len(items))]
