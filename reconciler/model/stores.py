"""The kinds of store, each with its traits. A new kind is a word and a row here, and its registration in stores/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

LOCAL_ID_PREFIX = "10ca1000-"
ACCOUNT_VARIABLE = "CLOUDFLARE_ACCOUNT_ID"
TOKEN_VARIABLE = "CLOUDFLARE_API_TOKEN"  # noqa: S105 - the name of the variable


class StoreKind(StrEnum):
    """Which certificate store a file talks to."""

    LOCAL = "local"
    CLOUDFLARE = "cloudflare"

    @property
    def traits(self) -> StoreTraits:
        """What sets this kind apart."""
        return TRAITS[self]


@dataclass(frozen=True, slots=True)
class StoreTraits:
    """What sets a kind of store apart, for everything outside of stores/.

    `title` names the store in a sentence; `about` explains it to a person who chooses one. `id_prefix` begins every id
    that the store gives out; None: its ids are those of a real account and begin with anything. `account_variable` and
    `token_variable` are the environment variables that the account and the token come from; None: it needs neither.
    `has_live_workers`: deployed Workers can use its certificates.
    """

    title: str
    about: str
    id_prefix: str | None = None
    account_variable: str | None = None
    token_variable: str | None = None
    has_live_workers: bool = False

    @property
    def has_accounts(self) -> bool:
        """Whether each of its certificates is in some account."""
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
