"""What issuers are opened with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reconciler.findings.values import dataclass
from reconciler.model.key_places import KeyReference
from reconciler.model.renewal import SearchableIssuer
from reconciler.web.vault import Vault


@dataclass(frozen=True, slots=True)
class IssuerContext:
    """The inputs of issuers. `read`: a file of the tree, such as the root of a CA. `secret`: opens a declared secret,
    such as a password. `vault`: the Vault of this run, which logs in once. `output`: what a program prints that is
    given `stdin`; None: no command of mtls.toml may be started in this run. `tell`: shows what is waited for.
    `managed_ca`: the CA that Cloudflare manages for the zone with this ID; None where Cloudflare can't be called."""

    read: Callable[[str], bytes]
    secret: Callable[[KeyReference], bytes]
    vault: Vault
    output: Callable[[Sequence[str], bytes], bytes] | None
    tell: Callable[[str], None]
    managed_ca: Callable[[str], SearchableIssuer] | None = None
