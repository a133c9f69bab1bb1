"""Who asks, and what they may: tokens with Cloudflare's permissions, by the names that its API gives them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.emulator.wire import Request, inactive_token, not_permitted, other_account, unknown_credentials

_BEARER = re.compile(r"Bearer [A-Za-z0-9._~+/=-]+")


class Permission(StrEnum):
    """What a token may be allowed; writing includes reading."""

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
"""What Pages gives out for uploading assets, a JWT in shape for wrangler to read; good for what takes no permission."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token may; `accounts` None: every account. An account-owned one can't ask about users."""

    permissions: frozenset[Permission] = ALL
    accounts: frozenset[str] | None = None
    active: bool = True
    account_owned: bool = False


@dataclass(slots=True)
class KnownTokens:
    """The known tokens and global keys, by their text. With none known, anything that looks like one may everything."""

    tokens: dict[str, Token] = field(default_factory=dict, repr=False)

    def identify(self, request: Request) -> Token:
        """The token of a request. ApiError where it has none, or one that is unknown or inactive."""
        text = credential(request)
        if text == UPLOAD_TOKEN:
            return Token(frozenset())
        token = self.tokens.get(text) if self.tokens else Token() if text else None
        if token is None:
            raise unknown_credentials()
        if not token.active:
            raise inactive_token()
        return token


def demand(token: Token, *, account: str | None, needed: Permission | None) -> None:
    """ApiError where the token is not for this account, or lacks the permission."""
    if account is not None and token.accounts is not None and account not in token.accounts:
        raise other_account()
    if needed is not None and not {needed, Permission(needed.replace(" Read", " Write"))} & token.permissions:
        raise not_permitted()


def is_malformed(request: Request) -> bool:
    """Whether the Authorization header is there and is no bearer token."""
    header = request.headers.get("authorization")
    return header is not None and not _BEARER.fullmatch(header) and "x-auth-key" not in request.headers


def credential(request: Request) -> str:
    """The text that names the caller; a global key with its e-mail wins over a token, as with wrangler. "" for none."""
    headers: Mapping[str, str] = request.headers
    if headers.get("x-auth-key") and headers.get("x-auth-email"):
        return headers["x-auth-key"]
    return headers.get("authorization", "").removeprefix("Bearer ")


def permissions_named(names: Iterable[object]) -> frozenset[Permission]:
    """Permissions by their names in Cloudflare's API; ValueError names the one that is unknown."""
    return frozenset(Permission(str(name)) for name in names)
