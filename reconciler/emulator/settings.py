"""The settings of the emulator that can change while it runs: lags, quotas, and request limits."""

from __future__ import annotations

import math
import re
from dataclasses import field, fields
from datetime import datetime, timedelta
from typing import Literal

from reconciler.emulator.wire import Json
from reconciler.findings.values import dataclass

Told = Literal["honest", "absent", "generous"]
"""The content of the rate limit headers: the real values, nothing, or ten times the remaining calls."""


@dataclass(slots=True)
class Settings:
    """Seconds of lag, quotas, and choices where Cloudflare's behaviour is unknown or varies.

    `latency_s` passes before each reply. `list_lag_s` is how long an upload is missing from the list, `binding_lag_s`
    how long no version may use it (100143), `in_use_lag_s` how long it can't be deleted after its last use. With
    `already_deleted`, a second delete is answered with that text instead of 1472. `most_per_page` limits what a client
    may request. `signed_limit` is how many client certificates the managed CA signs for a zone; Cloudflare's limit is
    not published. `held_by` says whether versions that are not deployed count as a use, too, which is not documented.
    `subdomain` is the account's on workers.dev, "" for none.
    """

    latency_s: float = 0.0
    list_lag_s: float = 0.0
    binding_lag_s: float = 0.0
    in_use_lag_s: float = 0.0
    already_deleted: bool = False
    leaf_limit: int = 1000
    signed_limit: int = 1000
    per_page: int = 50
    most_per_page: int = 1000
    name_filter: Literal["exact", "substring"] = "exact"
    held_by: Literal["deployed", "every-version"] = "deployed"
    subdomain: str = "emulator"

    def change(self, values: object) -> None:
        """Set fields by name, from JSON. ValueError if one is invalid; then nothing is set."""
        given: Json = {}
        problems: list[str | None] = ["settings must be a JSON object"]
        match values:
            case dict():
                given = values
                problems = [_problem(name, value) for name, value in given.items()]
        problem = next(filter(None, problems), None)
        if problem is not None:
            raise ValueError(problem)
        for name, value in given.items():
            setattr(self, name, value)


_WORDS = {"name_filter": ("exact", "substring"), "held_by": ("deployed", "every-version")}
_SECONDS = ("latency_s", "list_lag_s", "binding_lag_s", "in_use_lag_s")
_NAMES = tuple(field.name for field in fields(Settings))


def _problem(name: str, value: object) -> str | None:
    if name not in _NAMES:
        return f"unknown setting {name!r}; known settings are {', '.join(_NAMES)}"
    if name in _WORDS:
        return None if value in _WORDS[name] else f"{name} must be one of {', '.join(_WORDS[name])}"
    if name == "subdomain":
        fits = isinstance(value, str) and re.fullmatch("[a-z0-9-]*", value)
        return None if fits else f"{name} must have only a-z, 0-9 and -, or be empty for none"
    if name == "already_deleted":
        return None if isinstance(value, bool) else f"{name} must be true or false"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        return f"{name} must be a number of at least 0"
    return None if name in _SECONDS or isinstance(value, int) else f"{name} must be a whole number"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The limit of `quota` requests per window; after one more, all are refused for `block_s` seconds.

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
    """Counts requests by caller. Without `limit`, nothing is refused and no headers are sent."""

    limit: RateLimit | None = field(default_factory=RateLimit)
    told: Told = "honest"
    _windows: dict[str, _Window] = field(default_factory=dict)

    def count(self, caller: str, now: datetime) -> float | None:
        """Count one request; None if it is allowed, else the seconds until the next one is."""
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
        """Start new windows for all callers."""
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
