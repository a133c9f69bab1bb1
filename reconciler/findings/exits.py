"""The exit codes, and which one is used if several apply."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of the process. They never change, because pipelines depend on them."""

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
    """The most important of several codes; OK if there is none."""
    held = set(codes)
    return next((code for code in _PRECEDENCE if code in held), ExitCode.OK)
