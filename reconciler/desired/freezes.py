"""Parses `[[policy.freeze]]`: "2026-12-20", "2026-12-20 18:00", "fri" or "fri 16:00", in a time zone.

`zoneinfo` is imported only for files that name a zone. Its rules are data, from this machine or from the package
`tzdata`; without them nobody knows whether a freeze holds, so that is an error and never "no freeze".
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from reconciler.desired.rules import Refused
from reconciler.findings.codes import Code
from reconciler.model.freezes import Freeze, Once, Weekly

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
START_PATTERN = f"^(?:{_DATE}|{'|'.join(DAYS)})(?: {_TIME})?$"
END_PATTERN = f"^(?:{_DATE}|{'|'.join(DAYS)})(?: (?:{_TIME}|24:00))?$"
ZONE_PATTERN = r"^[A-Za-z0-9+_-]+(?:/[A-Za-z0-9+_-]+)*$"
UTC_NAME = "UTC"

_DAY = timedelta(days=1)
_WEEK = 7 * _DAY
_LAST = datetime.combine(date.max, time.max)
_LONGEST_ZONE = 100
_FORM = "a date or a weekday, with or without a time"
_HINT = 'write "2026-12-20", "2026-12-20 18:00", "fri" or "fri 16:00"'


def check_start(text: str, pattern: str = START_PATTERN) -> str:
    """When a freeze begins."""
    if re.fullmatch(pattern[1:-1], text):
        _moment(text)
        return text
    raise Refused(Code.BAD_FREEZE, f"must be {_FORM}", hint=_HINT)


def check_end(text: str) -> str:
    """When a freeze ends. A day without a time is part of it."""
    return check_start(text, END_PATTERN)


def check_zone(text: str) -> str:
    """The name of a time zone whose rules are available."""
    load_zone(text)
    return text


def load_zone(name: str) -> tzinfo:
    """A time zone. Refused if it is unknown, or if this machine has no rules of time zones at all, but for UTC."""
    if name == UTC_NAME:
        return UTC
    from zoneinfo import ZoneInfo

    try:
        if re.fullmatch(ZONE_PATTERN[1:-1], name) and len(name) <= _LONGEST_ZONE:
            return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        pass  # a folder of the rules, a file that is none, or no such zone
    if not _has_rules():
        message = "needs the rules of time zones, which this machine does not have"
        raise Refused(Code.UNKNOWN_ZONE, message, hint="install the Python package `tzdata`, or the system's tzdata")
    hint = 'write a name of the IANA database, such as "Europe/Berlin" or "UTC"'
    raise Refused(Code.UNKNOWN_ZONE, "is not a time zone that this machine knows", hint=hint)


def _has_rules() -> bool:
    """Whether any rules of time zones are available."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo.no_cache(UTC_NAME)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        return False
    return True


def parse_freeze(start: str, end: str, zone: str, why: str | None) -> Freeze:
    """A freeze, of texts that were checked. Refused if they don't belong together."""
    begins, ends = _moment(start), _moment(end, is_end=True)
    if isinstance(begins, datetime) and isinstance(ends, datetime):
        if ends <= begins:
            raise Refused(Code.BAD_FREEZE, f"ends before it starts: {start} to {end}", hint="exchange the two")
        return Freeze(Once(begins, ends), load_zone(zone), why)
    if isinstance(begins, timedelta) and isinstance(ends, timedelta):
        length = (ends - begins) % _WEEK
        if not length:
            raise Refused(
                Code.BAD_FREEZE,
                f"takes the whole week: {start} to {end}",
                hint="shorten it, or write dates; to stop this project, don't run `mtlsctl apply`",
            )
        return Freeze(Weekly(begins, begins + length), load_zone(zone), why)
    message = f"must start and end with a date, or with a weekday, not with one of each: {start} to {end}"
    raise Refused(Code.BAD_FREEZE, message, hint=_HINT)


def _moment(text: str, *, is_end: bool = False) -> datetime | timedelta:
    """The local date and time; of a weekday, the time since Monday 00:00. The end of a day that has no time."""
    day, _, clock = text.partition(" ")
    hours, minutes = map(int, clock.split(":")) if clock else (24 if is_end else 0, 0)
    since = timedelta(hours=hours, minutes=minutes)
    if day in DAYS:
        return DAYS.index(day) * _DAY + since
    try:
        midnight = datetime.combine(date.fromisoformat(day), time.min)
    except ValueError:
        raise Refused(Code.BAD_FREEZE, f"must be {_FORM}, but {day} is not in the calendar", hint=_HINT) from None
    return midnight + min(since, _LAST - midnight)
