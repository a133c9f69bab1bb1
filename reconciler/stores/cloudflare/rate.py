"""The rate limit, as pure logic: from the time and the headers of replies it computes when the next call may begin.

Cloudflare allows 1,200 calls in five minutes per user or account-owned token, dashboards included, and 200 a second per
IP address; beyond the first limit it refuses every call for the next five minutes
(developers.cloudflare.com/fundamentals/api/reference/limits). So the calls of a window are made as fast as allowed,
except for a reserve that is left to others, and then the next window is waited for. All times are seconds of one
monotonic clock.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from reconciler.findings.values import dataclass

QUOTA = 1200
WINDOW_S = 300.0
PER_SECOND = 200

_RESERVE_SHARE = 50
_LEAST_RESERVE = 2
_ROUNDING_S = 1.0
"""The headers have whole seconds; how they are rounded is not documented."""
_LONGEST_BACKOFF_S = 60.0
_ITEM = re.compile(r'"?([^";,]*)"?((?:\s*;\s*[a-z]+\s*=\s*\d+)+)', re.IGNORECASE)
_PARAMETER = re.compile(r"([a-z]+)\s*=\s*(\d{1,9})(?!\d)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Allowance:
    """The limit as a reply reports it: calls that remain, seconds to the end of the window, the quota if given."""

    remaining: int
    resets_s: float
    quota: int | None = None


def read_allowance(headers: Mapping[str, str]) -> Allowance | None:
    """The tightest of `Ratelimit: "default";r=50;t=30`, with `Ratelimit-Policy: "default";q=100;w=60`.

    None without such a header (Cloudflare's changelog of 2025-09-03; draft-ietf-httpapi-ratelimit-headers).
    """
    policies = {name: parameters.get("q") for name, parameters in _items(headers.get("ratelimit-policy", ""))}
    lone = next(iter(policies.values())) if len(policies) == 1 else None
    found = [
        Allowance(parameters["r"], float(parameters["t"]), policies.get(name, lone))
        for name, parameters in _items(headers.get("ratelimit", ""))
        if "r" in parameters and "t" in parameters
    ]
    return min(found, key=lambda allowance: allowance.remaining, default=None)


def read_date(headers: Mapping[str, str]) -> datetime | None:
    """The server's time when it answered, exact to the second; None if the header is missing or not valid."""
    try:
        time = parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def read_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that `Retry-After` asks for, as a number or a date; None if it has neither."""
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
    """How much of the limit is used. Not thread-safe: callers that share it hold a lock.

    With the header, the calls that certainly remain are the lowest number in a reply of this window, minus the calls in
    progress: every call that no reply has counted yet is one of these. Between two windows a single call is made first,
    to learn the new number. Without the header, the run's own calls of the last five minutes are counted.
    """

    _begun: deque[float] = field(default_factory=deque)
    _under_way: list[float] = field(default_factory=list)
    _lowest: int | None = None
    _window_end: float | None = None
    _quota: int = 0
    _blocked_until: float = 0.0
    _strikes: int = 0

    def delay(self, now: float) -> float | None:
        """Seconds until the next call may begin, 0 if now; None if it must wait for the end of a call in progress."""
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
        """Record that a call begins."""
        self._begun.append(now)
        self._under_way.append(now)
        while self._begun and self._begun[0] <= now - WINDOW_S:
            self._begun.popleft()

    def end(self, begun: float, now: float, allowance: Allowance | None = None) -> None:
        """Record that the call begun at `begun` has ended; `allowance` is from its reply, None if it had none."""
        self._under_way.remove(begun)
        if allowance is not None:
            self._quota = allowance.quota or max(self._quota, allowance.remaining)
            self._note(begun, now, allowance)
        elif self._window_end is not None and begun >= self._window_end:
            self._lowest = self._window_end = None  # no header in the reply: count until there is one again
        elif self._lowest is not None:
            self._lowest -= 1  # it may have been counted

    def refuse(self, now: float, retry_after_s: float | None) -> None:
        """Record a 429: no call begins before `Retry-After` is over. Without that header, each wait is longer."""
        self._strikes += 1
        if retry_after_s is None:
            retry_after_s = min(2.0 ** (self._strikes - 1), _LONGEST_BACKOFF_S)
        self._blocked_until = max(self._blocked_until, now + retry_after_s)

    def accept(self) -> None:
        """Record a reply that the rate limit did not refuse."""
        self._strikes = 0

    def _note(self, begun: float, now: float, allowance: Allowance) -> None:
        """Update the window from a reply; a reply of an earlier window is ignored."""
        end = now + allowance.resets_s
        if self._window_end is None or self._lowest is None:
            self._lowest, self._window_end = allowance.remaining, end
        elif begun >= self._window_end or begun + allowance.resets_s > self._window_end + _ROUNDING_S:
            # A new window. If it has no calls left, it may be the old one, which ends within the rounding.
            spent = allowance.remaining <= self._reserve(self._quota)
            self._lowest = allowance.remaining
            self._window_end = max(end, now + _ROUNDING_S) if spent else end
        elif now < self._window_end:
            self._lowest = min(self._lowest, allowance.remaining)
            self._window_end = min(self._window_end, end)

    def _reserve(self, quota: int) -> int:
        """Calls left for dashboards and for the first call of a window: a fiftieth."""
        return max(quota // _RESERVE_SHARE, _LEAST_RESERVE)

    def _count_pause(self, now: float) -> float:
        allowed = QUOTA - self._reserve(QUOTA)
        if len(self._begun) < allowed:
            return 0.0
        return max(self._begun[-allowed] + WINDOW_S - now, 0.0)

    def _second_pause(self, now: float) -> float:
        if len(self._begun) < PER_SECOND:
            return 0.0
        return self._begun[-PER_SECOND] + 1.0 - now
