"""A rate budget in PostgreSQL: a log of the moments of calls, of which no window has more than the limit allows.

Who takes a moment gets the next one that is free, first come, first served, and waits for it. Only the database's clock
counts. What other programs use of the same limit is noticed by what the server counts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

from reconciler.findings.errors import ReconcilerError
from reconciler.model.budget import CallMoment
from reconciler.model.errors import BudgetUnavailable
from reconciler.postgres.connection import Connection, SharedConnection
from reconciler.postgres.schema import has_budgets, upgrade

QUOTA, WINDOW_S = 1200, 300.0
"""Cloudflare's: calls in five minutes, for a user or an account-owned token."""

_SHARE = 95
"""Percent of the quota that is handed out. The rest is for calls that begin late, and for dashboards."""
HANDED_OUT = QUOTA * _SHARE // 100
"""Calls of Cloudflare's quota that a budget hands out."""
_FRESH_S = 2.0
"""For so long what a server counted is compared with the log."""

_SLACK_S = 2.0
"""A call is counted by the server that much later than its moment, at most."""

_T = TypeVar("_T")
_LOCK = "SELECT FROM budget WHERE name = %s FOR UPDATE"
_FORGET = "DELETE FROM call WHERE budget = %s AND at <= clock_timestamp() - make_interval(secs => %s)"
_OTHERS = """
INSERT INTO call (budget, at, is_other)
SELECT %(name)s, clock_timestamp(), true FROM generate_series(1, %(used)s - (
  SELECT count(*) FROM call WHERE budget = %(name)s
  AND at <= clock_timestamp() AND at > clock_timestamp() - make_interval(secs => %(since)s)
))"""
_TAKE = """
INSERT INTO call (budget, at)
SELECT %(name)s, greatest(clock_timestamp(), blocked_until, (
  SELECT at + make_interval(secs => %(window)s) FROM call
  WHERE budget = %(name)s ORDER BY at DESC OFFSET %(last)s LIMIT 1
)) FROM budget WHERE name = %(name)s
RETURNING number, extract(epoch FROM at - clock_timestamp())::float8"""


class PostgresBudget:
    """`RateBudget`. Of `quota` calls in `window_s` seconds 95 % are handed out."""

    def __init__(self, url: str, name: str, *, quota: int = QUOTA, window_s: float = WINDOW_S) -> None:
        """The budget with this name; it and the tables are made if they do not exist. Connects to nothing yet."""
        self._name = name
        self._limit = max(quota * _SHARE // 100, 1)
        self._window_s = window_s
        self._seen = (-math.inf, 0)
        self._database = SharedConnection(url, self._make)

    def take(self) -> CallMoment:
        """As in `RateBudget`."""
        return self._run(self._take)

    def holds(self, moment: CallMoment) -> bool:
        """As in `RateBudget`."""
        question = """
            SELECT EXISTS (SELECT FROM call WHERE number = %s) AND coalesce(blocked_until <= clock_timestamp(), true)
            FROM budget WHERE name = %s"""
        row = self._run(lambda connection: connection.execute(question, (moment.number, self._name)).fetchone())
        return row is not None and bool(row[0])

    def give_back(self, moment: CallMoment) -> None:
        """As in `RateBudget`."""
        self._run(lambda connection: connection.execute("DELETE FROM call WHERE number = %s", (moment.number,)))

    def refused(self, for_s: float) -> None:
        """As in `RateBudget`."""
        command = """
            UPDATE budget
            SET blocked_until = greatest(blocked_until, clock_timestamp() + make_interval(secs => %s))
            WHERE name = %s"""
        self._run(lambda connection: connection.execute(command, (for_s, self._name)))

    def seen(self, used: int) -> None:
        """As in `RateBudget`. The database learns it with the next moment that is taken, at no further call."""
        self._seen = (time.monotonic(), used)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def _take(self, connection: Connection) -> CallMoment:
        values = {"name": self._name, "window": self._window_s, "last": self._limit - 1}
        counted = self._fresh()
        # All statements are sent at once, so that a process that is stopped in between holds no lock.
        with connection.pipeline(), connection.transaction():
            connection.execute(_LOCK, (self._name,))
            connection.execute(_FORGET, (self._name, self._window_s + _FRESH_S + _SLACK_S))
            if counted is not None:
                age_s, used = counted
                since_s = self._window_s + age_s + _SLACK_S
                connection.execute(_OTHERS, {"name": self._name, "used": used, "since": since_s})
            taken = connection.execute(_TAKE, values)
        number, wait_s = taken.fetchone() or (0, 0.0)
        return CallMoment(number, max(wait_s, 0.0))

    def _fresh(self) -> tuple[float, int] | None:
        """How long ago the server told how many calls it had counted; None if that is too old."""
        at, used = self._seen
        age_s = time.monotonic() - at
        return (age_s, used) if age_s <= _FRESH_S else None

    def _make(self, connection: Connection) -> None:
        if not has_budgets(connection):
            upgrade(connection)
        connection.execute("INSERT INTO budget (name) VALUES (%s) ON CONFLICT DO NOTHING", (self._name,))

    def _run(self, work: Callable[[Connection], _T]) -> _T:
        try:
            return self._database.run(work)
        except ReconcilerError as error:
            message = f"no request is sent without the rate budget {self._name!r}: {error.message}"
            raise BudgetUnavailable(message, hint=error.hint, code=error.code) from error
