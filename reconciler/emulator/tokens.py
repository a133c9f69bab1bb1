"""Tokens and their permissions, under the names in Cloudflare's API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import StrEnum

from reconciler.emulator.wire import Request, inactive_token, not_permitted, other_account, unknown_credentials
from reconciler.findings.values import dataclass

_BEARER = re.compile(r"Bearer [A-Za-z0-9._~+/=-]+")


class Permission(StrEnum):
    """Permissions of a token; write includes read."""

    CERTIFICATES_READ = "Account: SSL and Certificates Read"
    CERTIFICATES_WRITE = "Account: SSL and Certificates Write"
    ZONE_CERTIFICATES_READ = "SSL and Certificates Read"
    ZONE_CERTIFICATES_WRITE = "SSL and Certificates Write"
    WORKERS_READ = "Workers Scripts Read"
    WORKERS_WRITE = "Workers Scripts Write"
    HYPERDRIVE_READ = "Hyperdrive Read"
    HYPERDRIVE_WRITE = "Hyperdrive Write"
    ZONE_READ = "Zone Read"
    ZONE_WRITE = "Zone Write"
    PAGES_READ = "Pages Read"
    PAGES_WRITE = "Pages Write"


ALL = frozenset(Permission)

UPLOAD_TOKEN = "e30.eyJleHAiOjQxMDI0NDQ4MDB9.emulator"  # noqa: S105 - opens nothing
"""The token of Pages for uploading assets, a JWT by its form, as wrangler expects; it has no permissions."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token may do; without `accounts`, in every account. An account-owned one can't read user data."""

    permissions: frozenset[Permission] = ALL
    accounts: frozenset[str] | None = None
    active: bool = True
    account_owned: bool = False


@dataclass(slots=True)
class KnownTokens:
    """The known tokens and global keys by their text. If none is known, every well-formed token may do everything.

    `given` are those that it began with; `tokens` were added since, and can be forgotten.
    """

    tokens: dict[str, Token] = field(default_factory=dict, repr=False)
    given: dict[str, Token] = field(default_factory=dict, repr=False)

    @property
    def known(self) -> Mapping[str, Token]:
        """All of them."""
        return {**self.given, **self.tokens}

    def identify(self, request: Request) -> Token:
        """The token of a request. ApiError if it has none, or one that is unknown or inactive."""
        text = credential(request)
        if text == UPLOAD_TOKEN:
            return Token(frozenset())
        known = self.known
        token = known.get(text) if known else Token() if text else None
        if token is None:
            raise unknown_credentials()
        if not token.active:
            raise inactive_token()
        return token


def demand(token: Token, *, account: str | None, needed: Permission | None) -> None:
    """ApiError if the token is not for this account, or lacks the permission."""
    if account is not None and token.accounts is not None and account not in token.accounts:
        raise other_account()
    if needed is not None and not {needed, Permission(needed.replace(" Read", " Write"))} & token.permissions:
        raise not_permitted()


def is_malformed(request: Request) -> bool:
    """True if there is an Authorization header that is not a bearer token."""
    header = request.headers.get("authorization")
    return header is not None and not _BEARER.fullmatch(header) and "x-auth-key" not in request.headers


def credential(request: Request) -> str:
    """The text that identifies the caller, "" if none; a global key with its e-mail precedes a token, as in
    wrangler."""
    headers: Mapping[str, str] = request.headers
    if headers.get("x-auth-key") and headers.get("x-auth-email"):
        return headers["x-auth-key"]
    return headers.get("authorization", "").removeprefix("Bearer ")


def permissions_named(names: Iterable[object]) -> frozenset[Permission]:
    """Permissions by their names in Cloudflare's API; ValueError names an unknown one."""
    return frozenset(Permission(str(name)) for name in names)
