"""Whether a freeze holds, and until when. Pure: of the rules and a time. Every doubt about a clock makes it longer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import MAXYEAR, UTC, datetime, time, timedelta, tzinfo

from reconciler.findings.values import dataclass
from reconciler.model.freezes import Freeze, Once

_WEEK = timedelta(days=7)
_MOST_STEPS = 200
"""How many freezes in a row are followed: of a weekly one, nearly four years."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A freeze that holds. `index`: of its rule in mtls.toml. `until`: when the last of those ends that follow each
    other without a gap, aware UTC; None if no end was found, or one in the year 9999."""

    freeze: Freeze
    index: int
    until: datetime | None


def frozen(rules: Sequence[Freeze], now: datetime) -> Frozen | None:
    """The freeze that holds at a time, the one that ends last; None if none does."""
    holding = [(end, index) for index, rule in enumerate(rules) if (end := _end(rule, now)) is not None]
    if not holding:
        return None
    end, index = max(holding, key=lambda one: (one[0], -one[1]))
    for _ in range(_MOST_STEPS):
        later = [after for rule in rules if (after := _end(rule, end)) is not None]
        if not later:
            return Frozen(rules[index], index, None if end.year == MAXYEAR else end)
        end = max(later)
    return Frozen(rules[index], index, None)


def _end(rule: Freeze, now: datetime) -> datetime | None:
    """When a rule that holds ends, aware UTC; None if it does not hold."""
    return max((end for begin, end in _times(rule, now) if begin <= now < end), default=None)


def _times(rule: Freeze, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The times of a rule around a time, aware UTC."""
    if isinstance(rule.when, Once):
        yield _first(rule.when.begins, rule.zone), _last(rule.when.ends, rule.zone)
        return
    for weeks in (-1, 0, 1):
        try:
            day = now.astimezone(rule.zone).date()
            monday = datetime.combine(day, time()) - timedelta(days=day.weekday()) + weeks * _WEEK
            yield _first(monday + rule.when.begins, rule.zone), _last(monday + rule.when.ends, rule.zone)
        except OverflowError:
            continue  # before the year 1 or after the year 9999


def _first(local: datetime, zone: tzinfo) -> datetime:
    """The first moment at which clocks show a time; where they are put forward over it, before that."""
    return min(_both(local, zone))


def _last(local: datetime, zone: tzinfo) -> datetime:
    """The last moment at which clocks show a time; where they are put forward over it, after that."""
    return max(_both(local, zone))


def _both(local: datetime, zone: tzinfo) -> Iterator[datetime]:
    for fold in (0, 1):
        try:
            yield local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        except OverflowError:
            yield local.replace(tzinfo=UTC)  # within hours of the year 1 or 9999
