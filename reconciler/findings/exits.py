"""What the process ends with, and which code wins where several hold."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process ends with; fixed, pipelines depend on it."""

    OK = 0
    FAILED = 1
    CHANGES = 2
    BLOCKED = 3
    STALE_PLAN = 4
    PARTIAL = 5
    LOCKED = 6
    USAGE = 64
    INTERRUPTED = 130


_PRECEDENCE = (
    ExitCode.INTERRUPTED,
    ExitCode.LOCKED,
    ExitCode.STALE_PLAN,
    ExitCode.PARTIAL,
    ExitCode.FAILED,
    ExitCode.BLOCKED,
    ExitCode.CHANGES,
)


def strongest(codes: Iterable[ExitCode]) -> ExitCode:
    """The code that wins where several hold; OK where none does."""
    held = set(codes)
    return next((code for code in _PRECEDENCE if code in held), ExitCode.OK)
