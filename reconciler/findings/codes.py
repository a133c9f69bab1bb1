"""What a finding is called and how much it matters. Only words; what raises them is elsewhere."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters: only errors change the exit code."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
