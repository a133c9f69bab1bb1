"""The address of the API, the account and the token: read from the environment, checked before the first call.

It must never show the token: no error and no `repr` contains any part of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.values import dataclass
from reconciler.model import StoreSettings
from reconciler.model.accounts import account_problem
from reconciler.model.errors import StoreError
from reconciler.web.network import DIRECT, Network, find_network, is_loopback

BASE_URL = "CLOUDFLARE_API_BASE_URL"
REGION = "CLOUDFLARE_COMPLIANCE_REGION"
TOKEN = "CLOUDFLARE_API_TOKEN"  # noqa: S105 - the name of the variable
GLOBAL_KEY = "CLOUDFLARE_API_KEY"
ACCOUNT = "CLOUDFLARE_ACCOUNT_ID"

_HOSTS = {
    "public": "https://api.cloudflare.com/client/v4",
    "fedramp_high": "https://api.fed.cloudflare.com/client/v4",
}
"""Base URLs by compliance region, as in wrangler 4.164.0."""

_API_HOSTS = frozenset(urlsplit(url).hostname for url in _HOSTS.values())

_TOKEN_FORM = re.compile(r"[A-Za-z0-9_-]+")
_OLD_NAMES = {TOKEN: "CF_API_TOKEN", ACCOUNT: "CF_ACCOUNT_ID"}
"""Read by older versions of wrangler, and not here."""
_DOTENV = ".env"
_PATH = "/client/v4"
_GLOBAL_KEY_PREFIX = "cfk_"  # Cloudflare's token formats of 2026
_OFFLINE = "`mtlsctl validate`, `plan --offline` and `forecast --offline` work without an account"


@dataclass(frozen=True, slots=True)
class Access:
    """Checked access to the certificates of one account. `base_url` has no trailing slash. `token_name`: the place of
    the token, for messages."""

    base_url: str
    account_id: str
    token: str = field(repr=False)
    is_loopback: bool = False
    has_global_key: bool = False
    is_account_of_variable: bool = False
    network: Network = DIRECT
    token_name: str = TOKEN

    @property
    def odd_path(self) -> bool:
        """True if the path of the address does not end like that of Cloudflare's API."""
        return not self.base_url.endswith(_PATH)

    @property
    def host(self) -> str:
        """The host of the API, for messages."""
        return urlsplit(self.base_url).netloc

    @property
    def account_text(self) -> str:
        """The account ID and where it was set, for messages."""
        source = ACCOUNT if self.is_account_of_variable else "`account_id` in `[store]` or `--account`"
        return f"{self.account_id}, from {source}"

    @property
    def certificates_path(self) -> str:
        """The path of the list, relative to `base_url`. The path of one entry is this path, a slash and its id."""
        return f"/accounts/{self.account_id}/mtls_certificates"


def find_access(
    settings: StoreSettings, environ: Mapping[str, str], root: Path | None = None, token_name: str | None = None
) -> Access:
    """The access that the environment describes; StoreError for a variable that is missing or not valid.

    `root` is the folder of mtls.toml: a `.env` there, which wrangler reads and mtlsctl does not, is mentioned.
    `token_name`: where the token comes from; None: its variable.
    """
    base_url = base_url_of(environ)
    is_loopback = _demand_safe(base_url)
    elsewhere, token_name = _Elsewhere(environ, root), token_name or TOKEN
    return Access(
        base_url=base_url.rstrip("/"),
        account_id=_account(settings, elsewhere),
        token=_token(elsewhere, token_name),
        is_loopback=is_loopback,
        has_global_key=GLOBAL_KEY in environ,
        is_account_of_variable=environ.get(ACCOUNT) == settings.account_id,
        network=_network(base_url, environ),
        token_name=token_name,
    )


def _network(base_url: str, environ: Mapping[str, str]) -> Network:
    try:
        return find_network(base_url, environ)
    except ReconcilerError as error:
        raise StoreError(error.message, hint=error.hint, code=Code.STORE_CONNECTION) from None


def base_url_of(environ: Mapping[str, str]) -> str:
    """The address of the API, as the environment says; StoreError for an unknown region."""
    return environ.get(BASE_URL) or _default_url(environ)


def find_zone_access(environ: Mapping[str, str], root: Path | None = None, token_name: str | None = None) -> Access:
    """The same for calls about zones, which name no account."""
    base_url = base_url_of(environ)
    return Access(
        base_url=base_url.rstrip("/"),
        account_id="",
        is_loopback=_demand_safe(base_url),
        token=_token(_Elsewhere(environ, root), token_name or TOKEN),
        has_global_key=GLOBAL_KEY in environ,
        network=find_network(base_url, environ),
        token_name=token_name or TOKEN,
    )


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """The environment, and the places in which a missing variable may have been set instead."""

    environ: Mapping[str, str] = field(repr=False)
    root: Path | None

    def mention(self, variable: str, hint: str) -> tuple[str, str]:
        """What to add to the message about a variable that is not set, often nothing; and the hint, after what is
        likelier."""
        old = _OLD_NAMES[variable]
        if self.environ.get(old):
            return f"; {old} is set, but that old name is not read", f"set {variable} instead of {old}"
        if self.root is not None and (self.root / _DOTENV).is_file():
            load = f"if it is in {_DOTENV}, run `set -a; . ./{_DOTENV}; set +a` first"
            return f"; mtlsctl does not read {_DOTENV}", f"{load}; else {hint}"
        return "", hint


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
    """True for a loopback URL; StoreError if the token must not be sent to this URL."""
    parts, host = _split(base_url)
    if parts is None or not host or parts.scheme not in {"http", "https"}:
        raise _bad_url("is not an http or https URL", f"write it like {_HOSTS['public']}, or unset it")
    if parts.username is not None or parts.query or parts.fragment:
        raise _bad_url("has a user name, a query or a fragment", "keep only scheme, host, port and path")
    loopback = is_loopback(host)
    if parts.scheme == "http" and not loopback:
        raise _bad_url("would send the token unencrypted", "use https; plain http is only for 127.0.0.1 and localhost")
    if host in _API_HOSTS and parts.path.rstrip("/") != _PATH:
        raise _bad_url(f"does not end with {_PATH}", f"set it to https://{host}{_PATH}, or unset it")
    return loopback


def _split(url: str) -> tuple[SplitResult | None, str]:
    """The parts of the URL and its host; None instead of the parts if the URL is malformed."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        return (None if re.search(r"[\s\\]", url) else parts), parts.hostname or ""
    except ValueError:
        return None, ""


def _account(settings: StoreSettings, elsewhere: _Elsewhere) -> str:
    if not settings.account_id:
        also, hint = elsewhere.mention(ACCOUNT, f"set `account_id` in `[store]`, or {ACCOUNT}; {_OFFLINE}")
        raise StoreError(f"the Cloudflare account is not set{also}", hint=hint, code=Code.ACCOUNT_MISSING)
    problem = account_problem(settings.account_id)
    if problem is not None:
        named = ACCOUNT if elsewhere.environ.get(ACCOUNT) == settings.account_id else "the account ID"
        raise StoreError(f"{named} {problem.cause}", hint=problem.hint, code=Code.ACCOUNT_MALFORMED)
    return settings.account_id


def _token(elsewhere: _Elsewhere, name: str) -> str:
    environ = elsewhere.environ
    token = environ.get(TOKEN, "")
    problem = _token_problem(token, name)
    if problem is not None:
        code, message, hint = problem
        if code is Code.TOKEN_MISSING:
            also, hint = elsewhere.mention(TOKEN, hint)
            message += also
        if GLOBAL_KEY in environ:
            message += f"; {GLOBAL_KEY} is set, which mtlsctl does not use"
        raise StoreError(message, hint=hint, code=code)
    return token


def _token_problem(token: str, name: str) -> tuple[Code, str, str] | None:
    """Code, message and hint for an invalid token, else None. It is not repaired: other tools read it as it is."""
    if not token.strip():
        hint = f"create a token with `Account: SSL and Certificates Read` (Write to apply) and set {TOKEN}; {_OFFLINE}"
        return Code.TOKEN_MISSING, f"{name} is not set, so mtlsctl can't call Cloudflare's API", hint
    if any(character.isspace() for character in token):
        hint = "set it again without spaces and line breaks; they often come from a file or from copying"
        return Code.TOKEN_WHITE_SPACE, f"{name} contains white space", hint
    if not _TOKEN_FORM.fullmatch(token):
        hint = "set it again without quotes; a token has only letters, digits, - and _"
        return Code.TOKEN_MALFORMED, f"{name} contains characters that no token has", hint
    if token.startswith(_GLOBAL_KEY_PREFIX):
        hint = "create a token with `Account: SSL and Certificates`; a global key has every permission"
        return Code.TOKEN_IS_KEY, f"{name} contains a global API key instead of a token", hint
    return None


def _bad_url(what: str, hint: str) -> StoreError:
    # The URL is not shown: it may contain a password.
    return StoreError(f"{BASE_URL} {what}", hint=hint, code=Code.BASE_URL)
