"""Several calls side by side, as many as there are connections."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

from reconciler.stores.cloudflare.client import Client

_A = TypeVar("_A")
_R = TypeVar("_R")


def side_by_side(client: Client, function: Callable[[_A], _R], items: Sequence[_A]) -> list[_R]:
    """`function` of each item, in order; the first error of any, once what is under way has ended.

    An interrupt is raised at once, and makes the client give up: nobody waits for a server that hangs.
    """
    at_once = min(len(items), client.at_once)
    if at_once < 2:
        return [function(item) for item in items]
    work = _Work(function, items)
    try:
        for _ in range(at_once):
            threading.Thread(target=work.run, daemon=True).start()
        return work.results(at_once)
    except KeyboardInterrupt:
        client.give_up()
        raise


class _Work(Generic[_A, _R]):
    """Items that several threads take one after the other, until one fails."""

    def __init__(self, function: Callable[[_A], _R], items: Sequence[_A]) -> None:
        self._function = function
        self._items = items
        self._lock = threading.Lock()
        self._taken = 0
        self._results: dict[int, _R] = {}
        self._errors: dict[int, BaseException] = {}
        self._ended: SimpleQueue[None] = SimpleQueue()

    def run(self) -> None:
        """In each of the threads."""
        while (index := self._take()) is not None:
            try:
                self._results[index] = self._function(self._items[index])
            except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
                self._errors[index] = error
        self._ended.put(None)

    def results(self, threads: int) -> list[_R]:
        """What came of all items, once so many threads have ended; the error of the first that failed."""
        for _ in range(threads):
            self._ended.get()
        if self._errors:
            first = self._errors[min(self._errors)]
            self._errors.clear()  # an error holds its frames, and those hold this
            raise first
        return [self._results[index] for index in range(len(self._items))]

    def _take(self) -> int | None:
        with self._lock:
            if self._errors or self._taken == len(self._items):
                return None
            self._taken += 1
            return self._taken - 1
