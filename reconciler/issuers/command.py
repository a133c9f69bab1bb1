"""Certificates that a program signs: it reads the request from its standard input, and prints the certificate.

Only where the run was told that it may: a command of mtls.toml comes from whoever can change that file.
"""

from __future__ import annotations

from reconciler.findings.errors import IssuerError, KeySourceError, NotStartedError
from reconciler.findings.values import dataclass
from reconciler.issuers.context import IssuerContext
from reconciler.model.renewal import CommandIssuer, SigningRequest


@dataclass(frozen=True, slots=True)
class ProgramIssuer:
    """Runs the program of `[issuers.NAME]`."""

    options: CommandIssuer
    context: IssuerContext

    def demand(self) -> None:
        """IssuerError if this run may not start commands."""
        if self.context.output is None:
            raise IssuerError(
                f"the command {self.options.command[0]!r} of mtls.toml may not be run here",
                hint="add `--allow-commands`, if you trust every command in mtls.toml",
            )

    def issue(self, request: SigningRequest) -> bytes:
        """What the program prints. IssuerError if it may not be run, fails, or prints nothing."""
        self.demand()
        assert self.context.output is not None  # noqa: S101 - for the type checker
        try:
            answer = self.context.output(self.options.command, request.csr)
        except KeySourceError as error:
            started = not isinstance(error, NotStartedError)
            raise IssuerError(error.message, hint=error.hint, is_open=started) from error
        if not answer.strip():
            raise IssuerError(
                f"the command {self.options.command[0]!r} printed nothing",
                hint="it must print the certificate (PEM), leaf first, then its chain",
                is_open=True,
            )
        return answer
