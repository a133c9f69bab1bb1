"""Times in which nothing is changed, as `[[policy.freeze]]` declares them. Whether one holds is judged in `plan`."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from reconciler.findings.values import dataclass


@dataclass(frozen=True, slots=True)
class Once:
    """A time by the calendar. `begins`, `ends`: local, without a zone; the end is no longer part of it."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Weekly:
    """A time of every week. `begins`, `ends`: since Monday 00:00 local; an end after Sunday is in the next week."""

    begins: timedelta
    ends: timedelta


@dataclass(frozen=True, slots=True)
class Freeze:
    """A time in which nothing is uploaded, bound, deployed or deleted. `why`: for those who wait.

    `zone`: the text of it is its name.
    """

    when: Once | Weekly
    zone: tzinfo
    why: str | None = None
