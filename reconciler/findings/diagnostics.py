"""What a finding looks like, and where it points: facts for a person and for JSON, never key material."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reconciler.findings.codes import Code, Severity


@dataclass(frozen=True, slots=True)
class Pointer:
    """A key or value inside a file, by its path of keys and indexes; turned into a `Place` only when reported.

    `path` is relative to the folder of mtls.toml, with `/`. `at_key` asks for the place of the last key, not of its
    value. Where the last keys do not exist, the place of the longest existing part stands.
    """

    path: str
    keys: tuple[str | int, ...] = ()
    at_key: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is, for a person: line and column count from 1, columns in characters."""

    path: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = (self.path, self.line, self.column)
        return ":".join(str(part) for part in parts if part is not None)


Resolve = Callable[[Pointer | Place | None], Place | None]
"""Turns where a finding is into file, line and column; the shell has the files, this room does not."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: what is wrong, where, and what to do about it.

    `certificate` names the declared certificate that it is about, where it is about one alone.
    """

    severity: Severity
    code: Code
    message: str
    where: Pointer | Place | None = None
    hint: str | None = None
    certificate: str | None = None

    @property
    def is_error(self) -> bool:
        """Whether it stands in the way of what it is about."""
        return self.severity is Severity.ERROR


MAX_FINDINGS = 200
"""Of one file more are only counted: nobody reads them, and a file can be made to have a hundred thousand."""


def shorten(found: Sequence[Diagnostic], where: Pointer | Place) -> tuple[Diagnostic, ...]:
    """The first of many findings, and one that says how many more there are; an error where an error is among them."""
    rest = found[MAX_FINDINGS:]
    if not rest:
        return tuple(found)
    severity = Severity.ERROR if any(one.severity is Severity.ERROR for one in rest) else Severity.WARNING
    message, hint = f"{len(rest):,} more findings are not shown", "correct these first, then run again"
    return (*found[:MAX_FINDINGS], Diagnostic(severity, Code.TOO_MANY_FINDINGS, message, where, hint))
