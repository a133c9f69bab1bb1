"""The exit codes, and which one is used if several apply."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """The exit codes of the process. They never change, because pipelines depend on them. `meaning` is for the docs."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    # fmt: off

    OK = (0, "Done, or nothing to do. Warnings, and changes that wait, are no failure.")
    FAILED = (1,
        "An error: invalid input, or something could not be read or written; you answered no; `verify`: refuted.")
    CHANGES = (2,
        "Something is pending or differs: `plan --detailed-exitcode`, `drift`, `status --fail-on`, and `fleet`.")
    BLOCKED = (3,
        "Blocked by a guard rail or a policy; what was not blocked is done. `verify`: neither proved nor refuted.")
    STALE_PLAN = (4,
        "The saved plan, or the digest, is not of what would be done now. Of its stack nothing was changed.")
    PARTIAL = (5,
        "Something was done and something failed; the outcome lists both. `plan`: errors hold some changes, not all.")
    LOCKED = (6, "Another run holds the lock of this checkout, or its file was deleted during this run.")
    USAGE = (64, "Wrong use of the command line, no mtls.toml, or no terminal to ask at.")
    INTERRUPTED = (130, "Interrupted by Ctrl-C or SIGTERM. It is safe to run again.")

    # fmt: on


PRECEDENCE = (
    ExitCode.INTERRUPTED,
    ExitCode.LOCKED,
    ExitCode.STALE_PLAN,
    ExitCode.PARTIAL,
    ExitCode.FAILED,
    ExitCode.BLOCKED,
    ExitCode.CHANGES,
)
"""The code that wins comes first. Wrong use of the command line is found before anything else."""


def strongest(codes: Iterable[ExitCode]) -> ExitCode:
    """The most important of several codes; OK if there is none."""
    held = set(codes)
    return next((code for code in PRECEDENCE if code in held), ExitCode.OK)
