"""The clock of the machine, which the shell passes to code that needs the time; nothing else reads a clock."""

from __future__ import annotations

from datetime import UTC, datetime
from time import sleep

_LONGEST_SLEEP_S = 1.0
"""The clock may be set while somebody sleeps, and a laptop's sleep does not count."""


class SystemClock:
    """The port `Clock` over the time of this machine."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        return datetime.now(UTC)

    def wait_until(self, time: datetime) -> None:
        """Return once this time has come by the machine's clock."""
        while (left := (time - self.now()).total_seconds()) > 0:
            sleep(min(left, _LONGEST_SLEEP_S))
