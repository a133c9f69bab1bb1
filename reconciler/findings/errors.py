"""The one error family.

Core and edges raise `ReconcilerError`s; only the CLI catches them. A finding that does not stop the run is a
`Diagnostic`. Neither may ever carry key material.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.differences import NONE, Differences
from reconciler.findings.exits import ExitCode


class ReconcilerError(Exception):
    """An error that a user can fix: `message` says what happened, `hint` what to do. `code` defaults to that of the
    class."""

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
        """The exit code of a process that this error stops."""
        return self.code.exit_code

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The error as findings; several if a file has several problems."""
        return (Diagnostic(Severity.ERROR, self.code, self.message, self.where, self.hint),)


class InputError(ReconcilerError):
    """A file has invalid content. It has every problem that was found, and the code of the first error."""

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
    """The approved plan does not match the plan found now. `differences`: what differs, if both are known."""

    code = Code.STALE_PLAN
    differences: Differences = NONE


class GuardError(ReconcilerError):
    """A guard rail blocks everything that was requested."""

    code = Code.BLOCKED


class DeclinedError(ReconcilerError):
    """A person answered no."""

    code = Code.DECLINED


class FileError(ReconcilerError):
    """A file could not be read or written, or is in a forbidden place."""

    code = Code.FILE


class FileChangedError(FileError):
    """A file was changed after the run had read it."""

    code = Code.FILE_CHANGED


class DeployError(ReconcilerError):
    """A Worker could not be deployed."""

    code = Code.DEPLOY


class AddressError(ReconcilerError):
    """A server on this machine can't listen on an address or port."""

    code = Code.ADDRESS


class LockedError(ReconcilerError):
    """Another run holds the lock of this checkout."""

    code = Code.LOCKED


class EditRefused(ReconcilerError):
    """A wrangler file can't be changed without touching lines that mtlsctl does not manage; the hint has the lines."""

    code = Code.EDIT_REFUSED


class KeySourceError(ReconcilerError):
    """A private key could not be read from its place in mtls.toml."""

    code = Code.KEY_UNAVAILABLE

    @property
    def is_absent(self) -> bool:
        """True if the key is only not here; false if what is here can't be a key on any machine."""
        return self.code is Code.KEY_UNAVAILABLE


class NotStartedError(KeySourceError):
    """A program could not be started, so it did nothing."""


class IssuerError(ReconcilerError):
    """An issuer gave no certificate. `is_open`: it is unknown whether it issued one. Contains no secret."""

    code = Code.ISSUER

    def __init__(
        self, message: str, *, hint: str | None = None, code: Code | None = None, is_open: bool = False
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.is_open = is_open


class CertificateError(InputError):
    """A certificate or key file can't be used; one diagnostic for each problem."""
