"""The request limits: so many in a window, and past them everything is refused for a while."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

Told = Literal["honest", "absent", "generous"]
"""What the headers say: the truth, nothing, or ten times what is left."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`quota` requests in each window; one more and all are refused for `block_s` seconds.

    Cloudflare's is 1,200 in five minutes with a block of five minutes.
    """

    quota: int = 1200
    window_s: float = 300.0
    block_s: float = 300.0


@dataclass(slots=True)
class _Window:
    begins: datetime
    used: int = 0
    blocked_until: datetime | None = None


@dataclass(slots=True)
class Limiter:
    """Counts by caller. `limit` None: no limit, and headers that say so much is left."""

    limit: RateLimit | None = field(default_factory=RateLimit)
    told: Told = "honest"
    _windows: dict[str, _Window] = field(default_factory=dict)

    def count(self, caller: str, now: datetime) -> float | None:
        """Count one request; None where it may pass, else the seconds until the next one may."""
        if self.limit is None:
            return None
        window = self._window(caller, now)
        if window.blocked_until is not None:
            return (window.blocked_until - now).total_seconds()
        window.used += 1
        if window.used <= self.limit.quota:
            return None
        window.blocked_until = now + timedelta(seconds=self.limit.block_s)
        return self.limit.block_s

    def headers(self, caller: str, now: datetime) -> dict[str, str]:
        """`Ratelimit` and `Ratelimit-Policy` for a reply to this caller."""
        if self.limit is None or self.told == "absent":
            return {}
        window = self._window(caller, now)
        left = max(0, self.limit.quota - window.used) * (10 if self.told == "generous" else 1)
        end = window.blocked_until or window.begins + timedelta(seconds=self.limit.window_s)
        seconds = math.ceil((end - now).total_seconds())
        policy = f'"default";q={self.limit.quota};w={math.ceil(self.limit.window_s)}'
        return {"Ratelimit": f'"default";r={left};t={seconds}', "Ratelimit-Policy": policy}

    def forget(self) -> None:
        """Begin new windows for everybody."""
        self._windows.clear()

    def _window(self, caller: str, now: datetime) -> _Window:
        window = self._windows.get(caller)
        if window is None or self._is_over(window, now):
            window = self._windows[caller] = _Window(begins=now)
        return window

    def _is_over(self, window: _Window, now: datetime) -> bool:
        if window.blocked_until is not None:
            return now >= window.blocked_until
        return self.limit is not None and now >= window.begins + timedelta(seconds=self.limit.window_s)


def retry_after(seconds: float) -> dict[str, str]:
    """The header of a 429: whole seconds, rounded up."""
    return {"Retry-After": str(max(0, math.ceil(seconds)))}
