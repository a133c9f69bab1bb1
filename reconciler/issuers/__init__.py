"""The issuers that sign certificate requests. A new one is one file here, and a row in `open_issuer`."""

from __future__ import annotations

from typing import assert_never

from reconciler.findings.errors import IssuerError
from reconciler.issuers.command import ProgramIssuer
from reconciler.issuers.context import IssuerContext
from reconciler.issuers.step import StepCa
from reconciler.issuers.vault_pki import VaultPki
from reconciler.model.renewal import (
    CloudflareIssuer,
    CommandIssuer,
    DeclaredIssuer,
    Issuer,
    SearchableIssuer,
    StepIssuer,
    VaultIssuer,
)


def open_issuer(declared: DeclaredIssuer, context: IssuerContext) -> Issuer:
    """The issuer, ready to be asked; nothing is asked yet."""
    match declared.options:
        case CommandIssuer() as options:
            return ProgramIssuer(options, context)
        case StepIssuer() as options:
            return StepCa(declared.name, options, context)
        case VaultIssuer() as options:
            found: SearchableIssuer = VaultPki(options, context.vault, context.tell)
            return found
        case CloudflareIssuer(zone):
            if context.managed_ca is None:
                raise IssuerError(f"the issuer {declared.name!r} can't be used here")
            return context.managed_ca(zone)
        case _:
            assert_never(declared.options)
