"""The one error family, and what a finding looks like.

Core and edges raise `ReconcilerError`s; only the CLI catches them. A finding that does not stop the run is a
`Diagnostic`. Neither may ever carry key material.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.core.model import Entry


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


class Severity(StrEnum):
    """How much a finding matters: only errors change the exit code."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


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


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: what is wrong, where, and what to do about it. `code` is stable.

    `certificate` names the declared certificate that it is about, where it is about one alone.
    """

    severity: Severity
    code: str
    message: str
    where: Pointer | Place | None = None
    hint: str | None = None
    certificate: str | None = None


MAX_FINDINGS = 200
"""Of one file more are only counted: nobody reads them, and a file can be made to have a hundred thousand."""


def shorten(found: Sequence[Diagnostic], where: Pointer | Place) -> tuple[Diagnostic, ...]:
    """The first of many findings, and one that says how many more there are; an error where an error is among them."""
    rest = found[MAX_FINDINGS:]
    if not rest:
        return tuple(found)
    severity = Severity.ERROR if any(one.severity is Severity.ERROR for one in rest) else Severity.WARNING
    message, hint = f"{len(rest):,} more findings are not shown", "correct these first, then run again"
    return (*found[:MAX_FINDINGS], Diagnostic(severity, "too-many-findings", message, where, hint))


class ReconcilerError(Exception):
    """Something a user can act on: `message` says what happened, `hint` what to do.

    `code` is a stable word for JSON; `exit_code` is what the process ends with when this stops it.
    """

    code = "error"
    exit_code = ExitCode.FAILED

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        where: Pointer | Place | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where
        if code is not None:
            self.code = code

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The same as findings; more than one where a file has several problems."""
        return (Diagnostic(Severity.ERROR, self.code, self.message, self.where, self.hint),)


class InputError(ReconcilerError):
    """A file says something that cannot be worked with; holds every problem found, not only the first."""

    code = "invalid-input"

    def __init__(self, problems: Iterable[Diagnostic]) -> None:
        self.problems = tuple(problems)
        errors = [problem for problem in self.problems if problem.severity is Severity.ERROR]
        first = (errors or list(self.problems))[0]
        super().__init__(first.message, hint=first.hint, where=first.where, code=first.code)

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        return self.problems


class UsageError(ReconcilerError):
    """The command line asks for something that does not exist or does not fit."""

    code = "usage"
    exit_code = ExitCode.USAGE


class StalePlanError(ReconcilerError):
    """What was approved is not what is found now."""

    code = "stale-plan"
    exit_code = ExitCode.STALE_PLAN


class GuardError(ReconcilerError):
    """A guard rail stands in the way of everything that was asked for."""

    code = "blocked"
    exit_code = ExitCode.BLOCKED


class DeclinedError(ReconcilerError):
    """A person answered no."""

    code = "declined"


class FileError(ReconcilerError):
    """A file could not be read or written, or lies where it must not."""

    code = "file"


class FileChangedError(FileError):
    """A file is not what it was when the run looked at it."""

    code = "file-changed"


class DeployError(ReconcilerError):
    """A Worker could not be put into service."""

    code = "deploy"


class LockedError(ReconcilerError):
    """Another run holds the lock of this checkout."""

    code = "locked"
    exit_code = ExitCode.LOCKED


class EditRefused(ReconcilerError):
    """A wrangler file can't be changed without touching what is not ours; the hint has the lines to paste."""

    code = "edit-refused"


class KeySourceError(ReconcilerError):
    """A private key could not be had from where mtls.toml says it is."""

    code = "key-unavailable"


class CertificateError(InputError):
    """A certificate or key file can't be used; one diagnostic for each problem."""

    code = "bad-certificate"


class StoreError(ReconcilerError):
    """The certificate store could not be read or written."""

    code = "store"


class StoreRefused(StoreError):
    """The store answered no. `number` is its own error code, as Cloudflare numbers them, 0 where it has none."""

    code = "store-refused"

    def __init__(self, message: str, *, number: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.number = number


class AlreadyStored(StoreRefused):
    """1471: the store holds this content, under whatever name. `entry`: the one that has it, where it is found."""

    code = "already-stored"

    def __init__(self, message: str, *, number: int, hint: str | None = None, entry: Entry | None = None) -> None:
        super().__init__(message, number=number, hint=hint)
        self.entry = entry


class EntryNotFound(StoreRefused):
    """1472: no such entry, or it was deleted already."""

    code = "entry-not-found"


class EntryInUse(StoreRefused):
    """The entry can't be deleted while something presents it."""

    code = "entry-in-use"


class UseUnknown(StoreError):
    """Whether something presents an entry can't be told, so it is kept."""

    code = "use-unknown"


class StoreStopped(StoreError):
    """Not tried: an earlier answer of the store stopped every change of this run."""

    code = "store-stopped"


class StoreClosed(StoreError):
    """The run was interrupted before this call began, or while it waited."""

    code = "store-closed"


class QuotaReached(StoreRefused):
    """The account holds as many entries of this sort as it may (1489 for CAs)."""

    code = "quota-reached"


class UnknownStoreError(StoreRefused):
    """The store answered with an error that nobody here knows: nothing more may be changed in this run."""

    code = "store-unknown-error"
