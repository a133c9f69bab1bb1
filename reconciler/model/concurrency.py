"""The one way to do several things at once: in threads that can't keep the process from ending.

One thread begins effects and takes what comes of them; only the effects run elsewhere. No effect of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Generic, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


class DaemonPool(Generic[_R]):
    """Effects under way in up to `at_once` threads, each known by a number. Leave the `with` to let idle threads end.

    `results` and `errors` have what came of every effect, also of one that an interrupt kept `wait` from returning.
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
        self.errors.clear()  # an error holds its frames, and those hold this pool
        for _ in range(self._threads):
            self._begun.put(None)

    @property
    def room(self) -> int:
        """How many effects may begin now."""
        return self._at_once - len(self.under_way)

    def begin(self, number: int, effect: Callable[[], _R]) -> None:
        """Hand an effect to a thread. Only while there is room, so that it begins at once."""
        self.under_way.add(number)
        self._begun.put((number, effect))
        if self._threads < len(self.under_way):
            self._threads += 1
            Thread(target=self._work, daemon=True).start()

    def wait(self) -> list[int]:
        """The numbers of effects that have ended: at least one, none where nothing is under way."""
        if not self.under_way:
            return []
        ended = [self._ended.get()]
        with suppress(Empty):
            while True:
                ended.append(self._ended.get_nowait())
        self.under_way.difference_update(ended)
        return ended

    def let_end(self, patience_s: float) -> None:
        """Wait for what is under way, at most so many seconds; an interrupt ends the waiting."""
        ends = time.monotonic() + patience_s
        with suppress(Empty, KeyboardInterrupt):
            while self.under_way - self.results.keys() - self.errors.keys():
                self._ended.get(timeout=max(ends - time.monotonic(), 0.0))

    def result(self, number: int) -> _R:
        """What an effect gave; raises what it raised."""
        if number in self.errors:
            raise self.errors.pop(number)
        return self.results[number]

    def _work(self) -> None:
        while self._do_one():
            pass

    def _do_one(self) -> bool:
        """Do the next effect; False where none will come. A thread that waits for the next one holds nothing of it."""
        job = self._begun.get()
        if job is None:
            return False
        number, effect = job
        try:
            self.results[number] = effect()
        except BaseException as error:  # noqa: BLE001 - raised by the thread that asks for the result
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
) -> list[_R]:
    """What `effect` makes of each item, in their order, at most so many at a time; with 1 in this thread alone.

    After an error nothing more begins, and the first one in the order of the items is raised once what is under way
    has ended. Ctrl-C is raised at once, or after `patience_s` where something is still under way then; `give_up` is
    called first, to end it sooner.
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
            pool.let_end(patience_s)
            raise
        if pool.errors:
            pool.result(min(pool.errors))
        return [pool.results[number] for number in range(len(items))]
