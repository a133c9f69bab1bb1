"""The machine's clock, for the shell to hand to whoever needs the time; nothing else reads one."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """The port `Clock` over the time of this machine."""

    def now(self) -> datetime:
        """Aware, UTC."""
        return datetime.now(UTC)
