"""How far long work is, for a person who waits for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")

Done = Callable[[], None]
"""Called once for each item that is done, in any thread."""


class Progress(Protocol):
    """Shows how far long work is."""

    def counting(self, what: str, total: int | None) -> AbstractContextManager[Done]:
        """Show this work for the duration of the `with`; work inside of it is shown instead of it.

        `what` says what is being done, such as "Reading files"; `total` is None if the number of items is unknown.
        """


def counted(effect: Callable[[_T], _R], done: Done) -> Callable[[_T], _R]:
    """The effect; each return of it is counted."""

    def run(item: _T) -> _R:
        result = effect(item)
        done()
        return result

    return run


def uncounted() -> None:
    """Count nothing."""


class _Silent:
    def counting(self, what: str, total: int | None) -> AbstractContextManager[Done]:  # noqa: ARG002 - as in the port
        return nullcontext(uncounted)


SILENT: Progress = _Silent()
"""Shows nothing."""
