"""The kinds of store and their traits. A new kind needs a member and a row here, and a registration in stores/."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from reconciler.findings.values import dataclass

LOCAL_ID_PREFIX = "10ca1000-"
ACCOUNT_VARIABLE = "CLOUDFLARE_ACCOUNT_ID"
TOKEN_VARIABLE = "CLOUDFLARE_API_TOKEN"  # noqa: S105 - the name of the variable


class StoreKind(StrEnum):
    """The kind of the certificate store."""

    LOCAL = "local"
    CLOUDFLARE = "cloudflare"

    @property
    def traits(self) -> StoreTraits:
        """The traits of this kind."""
        return TRAITS[self]


@dataclass(frozen=True, slots=True)
class StoreTraits:
    """The traits of a kind of store, for all code outside stores/.

    `title` is its name in a sentence, `about` explains it in the schema. `id_prefix` is the prefix of every ID of the
    store; None: its IDs are those of a Cloudflare account, with any prefix. `account_variable` and `token_variable` are
    the environment variables for the account and the token; None: it needs neither. `has_live_workers`: deployed
    Workers can use its certificates.
    """

    title: str
    about: str
    id_prefix: str | None = None
    account_variable: str | None = None
    token_variable: str | None = None
    has_live_workers: bool = False

    @property
    def has_accounts(self) -> bool:
        """Whether its certificates belong to accounts."""
        return self.account_variable is not None


TRAITS: Mapping[StoreKind, StoreTraits] = {
    StoreKind.LOCAL: StoreTraits(
        title="the local store",
        about="the file .mtlsctl/store.db next to mtls.toml, without any account",
        id_prefix=LOCAL_ID_PREFIX,
    ),
    StoreKind.CLOUDFLARE: StoreTraits(
        title="Cloudflare",
        about="a Cloudflare account",
        account_variable=ACCOUNT_VARIABLE,
        token_variable=TOKEN_VARIABLE,
        has_live_workers=True,
    ),
}
