"""Findings and the places they point to; they never contain key material."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reconciler.findings.codes import Code, Severity
from reconciler.findings.values import dataclass


@dataclass(frozen=True, slots=True)
class Pointer:
    """A key or value in a file, by its path of keys and indexes; resolved to a `Place` only when it is reported.

    `path` is relative to the folder of mtls.toml, with `/`. `at_key`: the place of the last key instead of its value.
    If the last keys do not exist, it means the longest part that exists.
    """

    path: str
    keys: tuple[str | int, ...] = ()
    at_key: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file. Lines and columns start at 1; columns count characters."""

    path: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = (self.path, self.line, self.column)
        return ":".join(str(part) for part in parts if part is not None)


Resolve = Callable[[Pointer | Place | None], Place | None]
"""Resolves the place of a finding to file, line and column. The shell provides it, because it has the files."""


def known_place(where: Pointer | Place | None) -> Place | None:
    """As `Resolve`, where there are no files to look into."""
    return where if isinstance(where, Place) else None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: what is wrong, where, and what to do about it.

    `certificate`: the declared certificate that it is about, if it is about exactly one.
    """

    severity: Severity
    code: Code
    message: str
    where: Pointer | Place | None = None
    hint: str | None = None
    certificate: str | None = None

    @property
    def is_error(self) -> bool:
        """Whether it blocks what it is about."""
        return self.severity is Severity.ERROR


MAX_FINDINGS = 200
"""The most findings of one file that are shown. The others are counted: a file can have a hundred thousand."""


def shorten(found: Sequence[Diagnostic], where: Pointer | Place) -> tuple[Diagnostic, ...]:
    """The first `MAX_FINDINGS` findings, and one with the number of the others; an error if one of them is an error."""
    rest = found[MAX_FINDINGS:]
    if not rest:
        return tuple(found)
    severity = Severity.ERROR if any(one.severity is Severity.ERROR for one in rest) else Severity.WARNING
    message, hint = f"{len(rest):,} more findings are not shown", "fix these first, then run again"
    return (*found[:MAX_FINDINGS], Diagnostic(severity, Code.TOO_MANY_FINDINGS, message, where, hint))
