"""Waiting for several others at once, in threads that keep nobody from ending."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(effect: Callable[[T], R], items: Sequence[T], at_once: int) -> list[R]:
    """What `effect` makes of each item, in their order, at most so many at a time; the first exception is raised.

    An interrupt ends the waiting, not the threads: these only look at something, and end with the process.
    """
    results: dict[int, R] = {}
    ended: SimpleQueue[int | BaseException] = SimpleQueue()

    def work(index: int) -> None:
        try:
            results[index] = effect(items[index])
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits
            ended.put(error)
        else:
            ended.put(index)

    started = finished = 0
    while finished < len(items):
        while started < len(items) and started - finished < at_once:
            Thread(target=work, args=(started,), daemon=True).start()
            started += 1
        end = ended.get()
        if isinstance(end, BaseException):
            raise end
        finished += 1
    return [results[index] for index in range(len(items))]
