"""What goes wrong between the tool and an account: one request in so many meets a fault that it can meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from random import Random

from reconciler.emulator.faults import Fault, FaultKind

ANYWHERE = (
    Fault(FaultKind.LOST_REPLY),
    Fault(FaultKind.RESET),
    Fault(FaultKind.HANG),
    Fault(FaultKind.HANG_AFTER),
    Fault(FaultKind.RATE_LIMITED),
    Fault(FaultKind.RATE_LIMITED, retry_after=0),
    Fault(FaultKind.RATE_LIMITED, retry_after=70),
    Fault(FaultKind.SERVER_ERROR, status=500),
    Fault(FaultKind.SERVER_ERROR, status=520),
    Fault(FaultKind.SERVER_ERROR_AFTER, status=503),
    Fault(FaultKind.TRUNCATED),
    Fault(FaultKind.HTML),
    Fault(FaultKind.BROKEN_JSON),
    Fault(FaultKind.SLOW, seconds=25.0),
    Fault(FaultKind.REDIRECT),
)
ON_LISTS = (
    Fault(FaultKind.LIST_LAG, count=1),
    Fault(FaultKind.LIST_LAG, count=3),
    Fault(FaultKind.SHIFTED_PAGES),
    Fault(FaultKind.WRONG_TOTAL),
    Fault(FaultKind.IGNORED_PAGE),
)
ON_DELETES = (Fault(FaultKind.IN_USE),)


@cache
def faults_at(name: str) -> tuple[Fault, ...]:
    """Every fault that a request of this name can meet."""
    return tuple(_faults_at(name))


def _faults_at(name: str) -> Iterator[Fault]:
    yield from ANYWHERE
    if name == "store.list":
        yield from ON_LISTS * 4
    if name == "store.delete":
        yield from ON_DELETES


@dataclass(frozen=True, slots=True)
class Weather:
    """A share of `rate` of all requests meets a fault; twice as many of those that change something."""

    rate: float = 0.0
    random: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - a seed must replay

    def draw(self, name: str) -> Fault | None:
        """The fault that this request meets."""
        rate = 2 * self.rate if name in ("store.upload", "store.delete") else self.rate
        return self.random.choice(faults_at(name)) if self.random.random() < rate else None
