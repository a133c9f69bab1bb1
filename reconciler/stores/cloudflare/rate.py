"""The rate limit, as pure logic: handed the time and what replies say, it tells when the next call may begin.

Cloudflare allows 1,200 calls in five minutes to a user or an account's token, dashboards included, and 200 a second to
an address; past the first it refuses everything for the next five minutes
(developers.cloudflare.com/fundamentals/api/reference/limits). So a window is spent as fast as it may be, a reserve is
left for others, and then the window is waited for. All times are seconds of one monotonic clock.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime

QUOTA = 1200
WINDOW_S = 300.0
PER_SECOND = 200

_RESERVE_SHARE = 50
_LEAST_RESERVE = 2
_ROUNDING_S = 1.0
"""The headers have whole seconds, rounded nobody says how."""
_LONGEST_BACKOFF_S = 60.0
_ITEM = re.compile(r'"?([^";,]*)"?((?:\s*;\s*[a-z]+\s*=\s*\d+)+)', re.IGNORECASE)
_PARAMETER = re.compile(r"([a-z]+)\s*=\s*(\d{1,9})(?!\d)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a reply says of the limit: calls that remain, seconds to the window's end, the quota where it is said."""

    remaining: int
    resets_s: float
    quota: int | None = None


def read_allowance(headers: Mapping[str, str]) -> Allowance | None:
    """The tightest of `Ratelimit: "default";r=50;t=30`, with `Ratelimit-Policy: "default";q=100;w=60`.

    None where there is no such header (Cloudflare's changelog of 2025-09-03; draft-ietf-httpapi-ratelimit-headers).
    """
    policies = {name: parameters.get("q") for name, parameters in _items(headers.get("ratelimit-policy", ""))}
    lone = next(iter(policies.values())) if len(policies) == 1 else None
    found = [
        Allowance(parameters["r"], float(parameters["t"]), policies.get(name, lone))
        for name, parameters in _items(headers.get("ratelimit", ""))
        if "r" in parameters and "t" in parameters
    ]
    return min(found, key=lambda allowance: allowance.remaining, default=None)


def read_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that `Retry-After` asks for, whether it has a number or a date; None where it has neither."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        return max((parsedate_to_datetime(text) - now).total_seconds(), 0.0)
    except (ValueError, TypeError):  # a date without a zone can't be compared
        return None


def _items(header: str) -> list[tuple[str, dict[str, int]]]:
    return [
        (found[1].strip(), {key.lower(): int(value) for key, value in _PARAMETER.findall(found[2])})
        for found in _ITEM.finditer(header)
    ]


@dataclass(slots=True)
class Budget:
    """How far the limit is spent. Not for several threads at once: whoever shares it holds a lock.

    With the header, what certainly is left is the lowest number that a reply of this window gave, less the calls that
    are under way: any call that no reply has counted yet is one of these. Between two windows one call goes alone, to
    ask. Without the header the own calls of the last five minutes are counted.
    """

    _begun: deque[float] = field(default_factory=deque)
    _under_way: list[float] = field(default_factory=list)
    _lowest: int | None = None
    _window_end: float | None = None
    _quota: int = 0
    _blocked_until: float = 0.0
    _strikes: int = 0

    def delay(self, now: float) -> float | None:
        """Seconds until the next call may begin, 0 at once; None: not before a call that is under way has ended."""
        if now < self._blocked_until:
            return self._blocked_until - now
        pause = self._second_pause(now)
        if pause > 0:
            return pause
        if self._window_end is None:
            return self._count_pause(now)
        if now >= self._window_end:
            asking = any(begun >= self._window_end for begun in self._under_way)
            return None if asking else 0.0
        left = (self._lowest or 0) - len(self._under_way)
        if left > self._reserve(self._quota):
            return 0.0
        return None if self._under_way else self._window_end - now

    def begin(self, now: float) -> None:
        """A call begins."""
        self._begun.append(now)
        self._under_way.append(now)
        while self._begun and self._begun[0] <= now - WINDOW_S:
            self._begun.popleft()

    def end(self, begun: float, now: float, allowance: Allowance | None = None) -> None:
        """The call that began at `begun` has ended; `allowance` is what its reply said, None where nothing was."""
        self._under_way.remove(begun)
        if allowance is not None:
            self._quota = allowance.quota or max(self._quota, allowance.remaining)
            self._note(begun, now, allowance)
        elif self._window_end is not None and begun >= self._window_end:
            self._lowest = self._window_end = None  # asked in vain: count until a header comes again
        elif self._lowest is not None:
            self._lowest -= 1  # it may have been counted

    def refuse(self, now: float, retry_after_s: float | None) -> None:
        """A reply was 429: nothing begins before `Retry-After` is over; without one, after longer and longer waits."""
        self._strikes += 1
        if retry_after_s is None:
            retry_after_s = min(2.0 ** (self._strikes - 1), _LONGEST_BACKOFF_S)
        self._blocked_until = max(self._blocked_until, now + retry_after_s)

    def accept(self) -> None:
        """A reply was none of the limit's."""
        self._strikes = 0

    def _note(self, begun: float, now: float, allowance: Allowance) -> None:
        """Take in what a reply says; one that belongs to a window gone by is left out."""
        end = now + allowance.resets_s
        if self._window_end is None or self._lowest is None:
            self._lowest, self._window_end = allowance.remaining, end
        elif begun >= self._window_end or begun + allowance.resets_s > self._window_end + _ROUNDING_S:
            # A new window. If it has nothing left, it may be the old one, which ends within the rounding.
            spent = allowance.remaining <= self._reserve(self._quota)
            self._lowest = allowance.remaining
            self._window_end = max(end, now + _ROUNDING_S) if spent else end
        elif now < self._window_end:
            self._lowest = min(self._lowest, allowance.remaining)
            self._window_end = min(self._window_end, end)

    def _reserve(self, quota: int) -> int:
        """Calls left for dashboards and for asking: a fiftieth."""
        return max(quota // _RESERVE_SHARE, _LEAST_RESERVE)

    def _count_pause(self, now: float) -> float:
        recent = [begun for begun in self._begun if begun > now - WINDOW_S]
        allowed = QUOTA - self._reserve(QUOTA)
        return recent[-allowed] + WINDOW_S - now if len(recent) >= allowed else 0.0

    def _second_pause(self, now: float) -> float:
        if len(self._begun) < PER_SECOND:
            return 0.0
        return self._begun[-PER_SECOND] + 1.0 - now
