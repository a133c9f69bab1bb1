"""The one error family.

Core and edges raise `ReconcilerError`s; only the CLI catches them. A finding that does not stop the run is a
`Diagnostic`. Neither may ever carry key material.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from reconciler.findings.diagnostics import Diagnostic, Place, Pointer, Severity


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


class AddressError(ReconcilerError):
    """A server on this machine can't listen on an address or port."""

    code = "address"


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
