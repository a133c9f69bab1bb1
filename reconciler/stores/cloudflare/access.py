"""Where the API is and who asks: the environment's variables, checked before the first call.

It must never show the token: neither an error nor a `repr` has any part of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from reconciler.findings.codes import Code
from reconciler.model import StoreSettings
from reconciler.model.errors import StoreError

BASE_URL = "CLOUDFLARE_API_BASE_URL"
REGION = "CLOUDFLARE_COMPLIANCE_REGION"
TOKEN = "CLOUDFLARE_API_TOKEN"  # noqa: S105 - the name of the variable
GLOBAL_KEY = "CLOUDFLARE_API_KEY"
ACCOUNT = "CLOUDFLARE_ACCOUNT_ID"

_HOSTS = {
    "public": "https://api.cloudflare.com/client/v4",
    "fedramp_high": "https://api.fed.cloudflare.com/client/v4",
}
"""By compliance region, as wrangler 4.164.0 makes them."""

_TOKEN_FORM = re.compile(r"[A-Za-z0-9_-]+")
_ACCOUNT_FORM = re.compile(r"[0-9A-Za-z]{1,32}")
_GLOBAL_KEY_PREFIX = "cfk_"  # Cloudflare's token formats of 2026
_OFFLINE = "`mtlsctl validate` and `mtlsctl plan --offline` work without an account"


@dataclass(frozen=True, slots=True)
class Access:
    """A checked way to one account's certificates. `base_url` has no slash at its end."""

    base_url: str
    account_id: str
    token: str = field(repr=False)
    is_loopback: bool = False
    has_global_key: bool = False

    @property
    def host(self) -> str:
        """Where the API is, for a person."""
        return urlsplit(self.base_url).netloc

    @property
    def certificates_path(self) -> str:
        """The list's path below `base_url`; an entry's is this, a slash and its id."""
        return f"/accounts/{self.account_id}/mtls_certificates"


def find_access(settings: StoreSettings, environ: Mapping[str, str]) -> Access:
    """Who asks, and where; StoreError for a variable that is missing or can't be what it should be."""
    base_url = environ.get(BASE_URL) or _default_url(environ)
    return Access(
        base_url=base_url.rstrip("/"),
        account_id=_account(settings),
        token=_token(environ),
        is_loopback=_demand_safe(base_url),
        has_global_key=GLOBAL_KEY in environ,
    )


def _default_url(environ: Mapping[str, str]) -> str:
    region = environ.get(REGION) or "public"
    if region not in _HOSTS:
        raise StoreError(
            f"{REGION} is neither {' nor '.join(_HOSTS)}",
            hint=f"unset it, or set it to {' or '.join(_HOSTS)}",
            code=Code.COMPLIANCE_REGION,
        )
    return _HOSTS[region]


def _demand_safe(base_url: str) -> bool:
    """Whether the URL is a loopback one; StoreError where a token must not be sent there."""
    parts, host = _split(base_url)
    if parts is None or not host or parts.scheme not in {"http", "https"}:
        raise _bad_url("is no http or https URL", f"write it as {_HOSTS['public']}, or unset it")
    if parts.username is not None or parts.query or parts.fragment:
        raise _bad_url("has a user name, a query or a fragment", "leave only scheme, host, port and path")
    loopback = _is_loopback(host)
    if parts.scheme == "http" and not loopback:
        raise _bad_url("would send the token in clear", "write https; plain http is for 127.0.0.1 and localhost only")
    return loopback


def _split(url: str) -> tuple[SplitResult | None, str]:
    """The URL's parts and its host; None where it has a part that none can have."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        return (None if re.search(r"[\s\\]", url) else parts), parts.hostname or ""
    except ValueError:
        return None, ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _account(settings: StoreSettings) -> str:
    if not settings.account_id:
        raise StoreError(
            "the Cloudflare store needs to know which account it is in",
            hint=f"set `account_id` in `[store]`, or {ACCOUNT}; {_OFFLINE}",
            code=Code.ACCOUNT_MISSING,
        )
    if not _ACCOUNT_FORM.fullmatch(settings.account_id):
        hint = "it is the 32 hexadecimal digits of the account, as in the address of its dashboard"
        raise StoreError("the account's id is none", hint=hint, code=Code.ACCOUNT_MALFORMED)
    return settings.account_id


def _token(environ: Mapping[str, str]) -> str:
    token = environ.get(TOKEN, "")
    problem = _token_problem(token)
    if problem is not None:
        code, message, hint = problem
        if GLOBAL_KEY in environ:
            message += f"; {GLOBAL_KEY} is set, which mtlsctl does not use"
        raise StoreError(message, hint=hint, code=code)
    return token


def _token_problem(token: str) -> tuple[Code, str, str] | None:
    """Code, message and hint of what is wrong with a token. It is not repaired: other tools would read it as it is."""
    if not token.strip():
        hint = f"create a token with `Account: SSL and Certificates Read` (Write to apply) and set {TOKEN}; {_OFFLINE}"
        return Code.TOKEN_MISSING, f"{TOKEN} is not set, so the Cloudflare store can't be asked", hint
    if any(character.isspace() for character in token):
        hint = "set it again without spaces and line ends; they often come from a file or from copying"
        return Code.TOKEN_WHITE_SPACE, f"{TOKEN} has white space in it", hint
    if not _TOKEN_FORM.fullmatch(token):
        hint = "set it again, without quotes; a token has letters, digits, - and _ only"
        return Code.TOKEN_MALFORMED, f"{TOKEN} has characters that no token has", hint
    if token.startswith(_GLOBAL_KEY_PREFIX):
        hint = "create a token with `Account: SSL and Certificates`; a global key may do everything"
        return Code.TOKEN_IS_KEY, f"{TOKEN} has a global API key, not a token", hint
    return None


def _bad_url(what: str, hint: str) -> StoreError:
    # The URL is not shown: it may have a password.
    return StoreError(f"{BASE_URL} {what}", hint=hint, code=Code.BASE_URL)
