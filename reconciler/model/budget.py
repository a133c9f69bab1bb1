"""A rate budget that several processes share: the port. Each call to a server first gets a moment of its own."""

from __future__ import annotations

from typing import Protocol

from reconciler.findings.values import dataclass

LATEST_S = 1.0
"""A moment that is used later than this counts for a time at which nothing was sent, so it is given back."""


@dataclass(frozen=True, slots=True)
class CallMoment:
    """The time of one call. `wait_s`: seconds from now, 0 if it may begin now."""

    number: int
    wait_s: float


class RateBudget(Protocol):
    """Thread-safe. Each method raises BudgetUnavailable if the budget is out of reach; then no call may be made."""

    def take(self) -> CallMoment:
        """The next free moment, after those that were taken before."""

    def holds(self, moment: CallMoment) -> bool:
        """Whether its call may be made, asked after a long wait: not if a call was refused meanwhile."""

    def give_back(self, moment: CallMoment) -> None:
        """Free a moment that was not used."""

    def refused(self, for_s: float) -> None:
        """Let nobody call for this long: the server refused a call because of its rate limit."""

    def seen(self, used: int) -> None:
        """Learn how many calls the server has counted; more than were taken here are those of others."""
