"""The one error family.

Core and edges raise `ReconcilerError`s; only the CLI catches them. A finding that does not stop the run is a
`Diagnostic`. Neither may ever carry key material.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.exits import ExitCode


class ReconcilerError(Exception):
    """Something a user can act on: `message` says what happened, `hint` what to do.

    `code` is that of the class where no finer one is given.
    """

    code: Code

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        where: Pointer | Place | None = None,
        code: Code | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where
        if code is not None:
            self.code = code

    @property
    def exit_code(self) -> ExitCode:
        """What the process ends with when this stops it."""
        return self.code.exit_code

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The same as findings; more than one where a file has several problems."""
        return (Diagnostic(Severity.ERROR, self.code, self.message, self.where, self.hint),)


class InputError(ReconcilerError):
    """A file says something that cannot be worked with; holds every problem found, and has the code of the first."""

    def __init__(self, problems: Iterable[Diagnostic]) -> None:
        self.problems = tuple(problems)
        errors = [problem for problem in self.problems if problem.severity is Severity.ERROR]
        first = (errors or list(self.problems))[0]
        super().__init__(first.message, hint=first.hint, where=first.where, code=first.code)

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        return self.problems


class UsageError(ReconcilerError):
    """The command line asks for something that does not exist or does not fit."""

    code = Code.USAGE


class StalePlanError(ReconcilerError):
    """What was approved is not what is found now."""

    code = Code.STALE_PLAN


class GuardError(ReconcilerError):
    """A guard rail stands in the way of everything that was asked for."""

    code = Code.BLOCKED


class DeclinedError(ReconcilerError):
    """A person answered no."""

    code = Code.DECLINED


class FileError(ReconcilerError):
    """A file could not be read or written, or lies where it must not."""

    code = Code.FILE


class FileChangedError(FileError):
    """A file is not what it was when the run looked at it."""

    code = Code.FILE_CHANGED


class DeployError(ReconcilerError):
    """A Worker could not be put into service."""

    code = Code.DEPLOY


class AddressError(ReconcilerError):
    """A server on this machine can't listen on an address or port."""

    code = Code.ADDRESS


class LockedError(ReconcilerError):
    """Another run holds the lock of this checkout."""

    code = Code.LOCKED


class EditRefused(ReconcilerError):
    """A wrangler file can't be changed without touching what is not ours; the hint has the lines to paste."""

    code = Code.EDIT_REFUSED


class KeySourceError(ReconcilerError):
    """A private key could not be had from where mtls.toml says it is."""

    code = Code.KEY_UNAVAILABLE

    @property
    def is_absent(self) -> bool:
        """True if the key is only not here; false if what is here can't be a key on any machine."""
        return self.code is Code.KEY_UNAVAILABLE


class CertificateError(InputError):
    """A certificate or key file can't be used; one diagnostic for each problem."""
