"""The issuers that sign certificate requests. A new one is one file here, and a row in `open_issuer`."""

from __future__ import annotations

from reconciler.findings.errors import IssuerError
from reconciler.issuers.command import ProgramIssuer
from reconciler.issuers.step import StepCa
from reconciler.issuers.vault_pki import VaultPki
from reconciler.model.renewal import CommandIssuer, DeclaredIssuer, Issuer, IssuerContext, StepIssuer, VaultIssuer


def open_issuer(declared: DeclaredIssuer, context: IssuerContext) -> Issuer:
    """The issuer, ready to be asked; nothing is asked yet."""
    match declared.options:
        case CommandIssuer() as options:
            return ProgramIssuer(options, context)
        case StepIssuer() as options:
            return StepCa(declared.name, options, context)
        case VaultIssuer() as options:
            return VaultPki(options, context)
        case _:
            raise IssuerError(f"the issuer {declared.name!r} can't be used by this mtlsctl")
