"""The clock of the machine, which the shell passes to code that needs the time; nothing else reads a clock."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """The port `Clock` over the time of this machine."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        return datetime.now(UTC)
