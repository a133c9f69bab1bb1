"""Whether a freeze holds, and until when: by clocks that are put forward and back, too."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.desired.freezes import parse_freeze
from reconciler.desired.rules import Refused
from reconciler.findings.codes import Code
from reconciler.model.freezes import Freeze
from reconciler.plan.freeze import frozen

BERLIN = "Europe/Berlin"


def rule(start: str, end: str, zone: str = "UTC", why: str | None = None) -> Freeze:
    return parse_freeze(start, end, zone, why)


def at(text: str) -> datetime:
    """A time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def until(rules: list[Freeze], now: str) -> str | None:
    """Until when a freeze holds, in UTC."""
    found = frozen(rules, at(now))
    return None if found is None else "no end" if found.until is None else f"{found.until:%Y-%m-%d %H:%M}"


YEAR_END = [rule("2026-12-20", "2027-01-03")]
WEEKEND = [rule("sat", "sun")]
FROM_FRIDAY = [rule("fri 16:00", "mon 08:00", BERLIN)]
TO_HALF_PAST_TWO = [rule("sat", "sun 02:30", BERLIN)]
FROM_HALF_PAST_TWO = [rule("sun 02:30", "sun 04:00", BERLIN)]

# 2026-11-27 is a Friday.
ROWS = {
    "before its first day": (YEAR_END, "2026-12-19 23:59", None),
    "from its first minute": (YEAR_END, "2026-12-20 00:00", "2027-01-04 00:00"),
    "all of its last day": (YEAR_END, "2027-01-03 23:59", "2027-01-04 00:00"),
    "not after its last day": (YEAR_END, "2027-01-04 00:00", None),
    "one day": ([rule("2026-12-24", "2026-12-24")], "2026-12-24 12:00", "2026-12-25 00:00"),
    "with times": ([rule("2026-12-24 12:00", "2026-12-24 24:00")], "2026-12-24 11:59", None),
    "in a zone": ([rule("2026-12-24", "2026-12-24", BERLIN)], "2026-12-23 23:00", "2026-12-24 23:00"),
    "a weekend": (WEEKEND, "2026-11-28 00:00", "2026-11-30 00:00"),
    "not on a Friday": (WEEKEND, "2026-11-27 23:59", None),
    "not on a Monday": (WEEKEND, "2026-11-30 00:00", None),
    "from Friday by the clocks of a zone": (FROM_FRIDAY, "2026-11-27 15:00", "2026-11-30 07:00"),
    "not before that": (FROM_FRIDAY, "2026-11-27 14:59", None),
    "over the end of a week, on its first day": (FROM_FRIDAY, "2026-11-30 06:59", "2026-11-30 07:00"),
    "over the end of a year": ([rule("thu", "fri")], "2026-12-31 23:59", "2027-01-02 00:00"),
    "a night": ([rule("mon 22:00", "tue 06:00")], "2026-12-01 05:00", "2026-12-01 06:00"),
    "most of a week": ([rule("tue 08:00", "mon 08:00")], "2026-11-30 07:59", "2026-11-30 08:00"),
    # Clocks go forward on 2027-03-28 from 02:00 to 03:00, and back on 2026-10-25 from 03:00 to 02:00.
    "ends in the hour that clocks skip: after it": (TO_HALF_PAST_TWO, "2027-03-28 01:15", "2027-03-28 01:30"),
    "begins in the hour that clocks skip: before it": (FROM_HALF_PAST_TWO, "2027-03-28 00:30", "2027-03-28 02:00"),
    "a day of 23 hours": ([rule("sun", "sun", BERLIN)], "2027-03-28 21:59", "2027-03-28 22:00"),
    "ends in the hour that comes twice: in the second": (TO_HALF_PAST_TWO, "2026-10-25 01:29", "2026-10-25 01:30"),
    "begins in the hour that comes twice: in the first": (FROM_HALF_PAST_TWO, "2026-10-25 00:30", "2026-10-25 03:00"),
    "a day of 25 hours": ([rule("sun", "sun", BERLIN)], "2026-10-25 22:59", "2026-10-25 23:00"),
    "an offset of half an hour": ([rule("sun", "sun", "Australia/Lord_Howe")], "2026-04-05 13:29", "2026-04-05 13:30"),
    "the last of two": ([rule("fri", "fri"), *WEEKEND], "2026-11-27 12:00", "2026-11-30 00:00"),
    "one inside of another": ([*YEAR_END, rule("2026-12-22", "2026-12-23")], "2026-12-22 12:00", "2027-01-04 00:00"),
    "one that begins before another ends": ([*YEAR_END, rule("mon", "tue")], "2027-01-03 12:00", "2027-01-06 00:00"),
    "two that take the whole week": ([rule("mon", "thu"), rule("fri", "sun")], "2026-11-27 12:00", "no end"),
    "for ever": ([rule("2026-01-01", "9999-12-31", BERLIN)], "2026-11-27 12:00", "no end"),
    "always has been": ([rule("0001-01-01", "2030-01-01", BERLIN)], "0001-01-01 00:00", "2030-01-01 23:00"),
    "a week that ends after the year 9999": (WEEKEND, "9999-12-31 12:00", None),
    "a week that begins before the year 1": (FROM_FRIDAY, "0001-01-01 12:00", None),
    "none": ([], "2026-11-27 12:00", None),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_freeze_holds_until_its_end(name: str) -> None:
    """The start is part of it, the end is not; where a local time is no single moment, the freeze is longer."""
    rules, now, end = ROWS[name]
    assert until(rules, now) == end


def test_of_several_the_one_that_ends_last_is_named() -> None:
    """Its reason is what people have to wait for."""
    found = frozen([rule("sat", "sun", why="weekend"), rule("2026-11-28", "2026-12-05", why="audit")], at("2026-11-28"))
    assert found is not None
    assert (found.freeze.why, found.index) == ("audit", 1)


@given(
    st.integers(0, 8 * 366 * 24 * 60).map(lambda minutes: at("2024-01-01") + timedelta(minutes=minutes)),
    st.sampled_from(["UTC", BERLIN, "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Gaza"]),
    st.integers(0, 6),
    st.integers(1, 6),
)
def test_a_freeze_has_an_end_after_which_it_does_not_hold(now: datetime, zone: str, day: int, days: int) -> None:
    """By any clock, all through until then."""
    names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    rules = [rule(f"{names[day]} 02:30", f"{names[(day + days) % 7]} 02:15", zone)]
    found = frozen(rules, now)
    if found is not None:
        assert found.until is not None
        assert now < found.until <= now + timedelta(days=7)
        assert frozen(rules, found.until) is None
        almost = frozen(rules, found.until - timedelta(seconds=1))
        assert almost is not None
        assert almost.until == found.until


# --- time zones that are not there ----------------------------------------------------------------------------------


def without_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has neither the system's rules of time zones nor the package `tzdata`."""

    def missing(key: str) -> zoneinfo.ZoneInfo:
        raise zoneinfo.ZoneInfoNotFoundError(f"No time zone found with key {key}")

    class NoZones:
        no_cache: Callable[[str], zoneinfo.ZoneInfo] = staticmethod(missing)

        def __new__(cls, key: str) -> zoneinfo.ZoneInfo:  # type: ignore[misc]
            return missing(key)

    monkeypatch.setattr(zoneinfo, "ZoneInfo", NoZones)


def test_a_machine_without_rules_of_time_zones_never_takes_that_for_no_freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install; UTC needs no rules."""
    without_zones(monkeypatch)
    with pytest.raises(Refused) as caught:
        rule("sat", "sun", BERLIN)
    assert caught.value.code is Code.UNKNOWN_ZONE
    assert caught.value.message == "needs the rules of time zones, which this machine does not have"
    assert "`tzdata`" in (caught.value.hint or "")
    assert frozen([rule("sat", "sun", "UTC")], at("2026-11-28")) is not None


@pytest.mark.parametrize(
    "name", ["", "Europe", "Europe/", "/etc/passwd", "..", "Europe/../Europe/Berlin", "a" * 300, "zone.tab", "Eur\0pe"]
)
def test_a_zone_is_no_path(name: str) -> None:
    """Names of the database only, and no file of it that is none."""
    with pytest.raises(Refused) as caught:
        rule("sat", "sun", name)
    assert caught.value.code is Code.UNKNOWN_ZONE
