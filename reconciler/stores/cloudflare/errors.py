"""Errors for Cloudflare's refusals: what happened, Cloudflare's code and text unchanged, and what to do about it.

Refusals are matched by code, then by text, then by status: Cloudflare publishes only some of its codes, so some are
known by their text alone. A refusal that no rule matches is `UnknownStoreError`, which stops the changes of a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from enum import Enum

from reconciler.findings.codes import Code
from reconciler.findings.secrets import Secrets
from reconciler.findings.values import dataclass
from reconciler.model import CA_LIMIT
from reconciler.model.edge import EntryUnseen
from reconciler.model.errors import (
    AlreadyStored,
    EntryInUse,
    EntryNotFound,
    QuotaReached,
    StoreError,
    StoreRefused,
    UnknownStoreError,
)
from reconciler.stores.cloudflare.access import ACCOUNT, GLOBAL_KEY, TOKEN
from reconciler.stores.cloudflare.wire import Trouble


class Operation(Enum):
    """What a call does, as a phrase for messages."""

    VERIFY = "verify the token"
    LIST = "list the certificates"
    GET = "read a certificate"
    WORKERS = "read the certificates that Workers use"
    PAGES = "read the certificates that Pages projects use"
    HYPERDRIVE = "read the Hyperdrive configurations"
    ZONES = "list the zones"
    HOSTNAMES = "read the hostnames of a CA"
    TRUST = "add hostnames to a CA"
    UPLOAD = "upload a certificate"
    DELETE = "delete a certificate"
    UPDATE = "update a Hyperdrive configuration"
    PROBE = "deploy a throw-away Worker"
    SIGN = "sign a certificate request"
    SIGNED = "list the client certificates of the zone"

    @property
    def is_once(self) -> bool:
        """True if a call whose answer was lost must not be repeated: it would create a second one."""
        return self in {Operation.UPLOAD, Operation.SIGN}


class WorkerNotFound(StoreRefused):
    """The account has no such Worker, version or Pages project."""

    code = Code.WORKER_NOT_FOUND


class HyperdriveNotFound(StoreRefused):
    """The account has no such Hyperdrive configuration."""

    code = Code.HYPERDRIVE_NOT_FOUND


class PermissionLacking(StoreRefused):
    """The token lacks a permission or is not valid, so further calls would be refused, too."""

    code = Code.STORE_PERMISSION


class TokenUnknown(PermissionLacking):
    """Cloudflare does not know the token."""

    code = Code.TOKEN_UNKNOWN


class OtherAccount(PermissionLacking):
    """The token is valid, and not for this account."""

    code = Code.STORE_ACCOUNT


class WrongAccount(StoreRefused):
    """The token has no access to such an account."""

    code = Code.STORE_ACCOUNT


class NoAnswer(StoreError):
    """No usable answer: the connection or the server failed, or the reply was incomplete.

    `sent` is false if the call certainly did not reach the server, so that it can be repeated without a check.
    `lasting` is true if a retry would fail in the same way.
    """

    code = Code.STORE_UNREACHABLE

    def __init__(self, message: str, *, hint: str | None = None, sent: bool = True, lasting: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.sent = sent
        self.lasting = lasting


class Exhausted(StoreError):
    """The run reached its time limit or its limit for waiting, so no call that has to wait can be made."""


class UnusableReply(NoAnswer):
    """The server answered with something other than the API's JSON."""

    code = Code.STORE_REPLY


READ_PERMISSION = "Account: SSL and Certificates Read"
WRITE_PERMISSION = "Account: SSL and Certificates Write"
_PERMISSIONS = {
    Operation.UPLOAD: WRITE_PERMISSION,
    Operation.DELETE: WRITE_PERMISSION,
    Operation.WORKERS: "Workers Scripts Read",
    Operation.PROBE: "Workers Scripts Write",
    Operation.PAGES: "Pages Read",
    Operation.HYPERDRIVE: "Hyperdrive Read",
    Operation.UPDATE: "Hyperdrive Write",
    Operation.ZONES: "Zone Read",
    Operation.HOSTNAMES: "SSL and Certificates Read",
    Operation.TRUST: "SSL and Certificates Write",
    Operation.SIGN: "SSL and Certificates Write",
    Operation.SIGNED: "SSL and Certificates Read",
}
_DASHBOARD = {
    READ_PERMISSION: "Account > Account: SSL and Certificates > Read",
    WRITE_PERMISSION: "Account > Account: SSL and Certificates > Edit",
    "Workers Scripts Read": "Account > Workers Scripts > Read",
    "Workers Scripts Write": "Account > Workers Scripts > Edit",
    "Pages Read": "Account > Cloudflare Pages > Read",
    "Hyperdrive Read": "Account > Hyperdrive > Read",
    "Hyperdrive Write": "Account > Hyperdrive > Edit",
    "Zone Read": "Zone > Zone > Read",
    "SSL and Certificates Read": "Zone > SSL and Certificates > Read",
    "SSL and Certificates Write": "Zone > SSL and Certificates > Edit",
}
"""The path to a permission in the dashboard, by its name in the API."""

_BY_ID = frozenset({Operation.GET, Operation.DELETE})
_UPLOAD = frozenset({Operation.UPLOAD})
_DELETE = frozenset({Operation.DELETE})
_LIVE = frozenset({Operation.WORKERS, Operation.PAGES, Operation.PROBE})
_ZONE = frozenset({Operation.SIGN, Operation.SIGNED, Operation.HOSTNAMES, Operation.TRUST})


@dataclass(frozen=True, slots=True)
class _Rule:
    """One refusal. If both `numbers` and `fragments` are given, both must match; fragments are in lower case."""

    kind: type[StoreRefused]
    message: str
    hint: str
    numbers: Set[int] = frozenset()
    fragments: tuple[str, ...] = ()
    statuses: Set[int] = frozenset()
    operations: Set[Operation] = frozenset(Operation)

    def fits_text(self, text: str) -> bool:
        """True if the text contains one of the fragments."""
        return any(fragment in text.lower() for fragment in self.fragments)


_PERMISSION_HINT = (
    "grant the token{of} the permission `{permission}` (in the dashboard: {dashboard}) for this account; if it has "
    "that, check the role of the user who owns the token"
)
_UNKNOWN_HINT = (
    "check that the token in {token} is complete, active and not expired; it needs `{permission}` for this account"
)
_ACCOUNT_HINT = "check the account ID ({account}), and that the token{of} has `{permission}` for it"
_ZONE_HINT = "check the zone in mtls.toml, and that the token{of} has `{permission}` for it"
_ZONE_PERMISSION_HINT = (
    "grant the token{of} the permission `{permission}` (in the dashboard: {dashboard}) for this zone"
)

_STORED = (
    AlreadyStored,
    "the account already has this certificate",
    "plan again to use the uploaded one; an account can have the same certificate only once, under any name",
)
_NOT_FOUND = (
    EntryNotFound,
    "the account has no such certificate",
    "plan again: it was already deleted, or was never in this account",
)
_UNREADABLE = (
    StoreRefused,
    "Cloudflare can't read the uploaded certificate or key",
    "run `mtlsctl validate` to check the files: the certificates must be PEM, and the key separate and not encrypted",
)
_MANAGED = (
    StoreRefused,
    "mtlsctl can't delete this certificate",
    "delete it in Cloudflare Gateway or Access, which manages it; no other service can",
)
_NOT_ALLOWED = (PermissionLacking, "the token has no permission to {operation}")
_TOKEN_UNKNOWN = (TokenUnknown, "Cloudflare does not know the token", _UNKNOWN_HINT)

_RULES = (
    _Rule(*_STORED, numbers={1471}, operations=_UPLOAD),
    _Rule(*_STORED, fragments=("already exists",), operations=_UPLOAD),
    _Rule(*_NOT_FOUND, numbers={1472}),
    _Rule(*_NOT_FOUND, fragments=("certificate not found", "already deleted"), statuses={404}, operations=_BY_ID),
    _Rule(
        WorkerNotFound,
        "the account has no such Worker",
        "check that it was deployed under the name in the wrangler file, and to this account",
        numbers={10007, 10090, 10092, 8000007},
        operations=_LIVE,
    ),
    _Rule(
        EntryUnseen,
        "Workers don't know this certificate yet",
        "run again in a minute; if it persists, check that the certificate was not deleted",
        numbers={100143},
        operations={Operation.PROBE},
    ),
    _Rule(
        HyperdriveNotFound,
        "the account has no such Hyperdrive configuration",
        "run `wrangler hyperdrive list` to see the IDs and names of the account",
        statuses={404},
        operations={Operation.HYPERDRIVE, Operation.UPDATE},
    ),
    _Rule(
        EntryInUse,
        "something still uses this certificate",
        "deploy every Worker that uses it with its new ID; hostnames and Hyperdrive may use it, too",
        fragments=("in use",),
        operations=_DELETE,
    ),
    _Rule(
        QuotaReached,
        f"the account reached its limit of CA certificates, usually {CA_LIMIT}",
        "delete a CA that nothing uses; API Shield, Gateway and Workers share the limit",
        numbers={1489},
    ),
    _Rule(
        QuotaReached,
        "the account reached its limit of certificates",
        "delete certificates that nothing uses, or ask Cloudflare for a higher limit and raise `limit` in `[store]`",
        fragments=("hit maximum", "quota", "allocation"),
        operations=_UPLOAD,
    ),
    # The number is from the similar API for origin pulls, which has the same text.
    _Rule(*_UNREADABLE, numbers={1408}, operations=_UPLOAD),
    _Rule(*_UNREADABLE, fragments=("unable to parse certificate", "private key", "private_key"), operations=_UPLOAD),
    _Rule(*_MANAGED, numbers={10000}, fragments=("unauthorized",), operations=_DELETE),
    _Rule(*_NOT_ALLOWED, _ZONE_PERMISSION_HINT, numbers={10000}, operations=_ZONE),
    _Rule(*_NOT_ALLOWED, _PERMISSION_HINT, numbers={10000}),
    _Rule(*_TOKEN_UNKNOWN, numbers={9106}),
    _Rule(*_TOKEN_UNKNOWN, numbers={1000}, fragments=("invalid api token",)),
    _Rule(TokenUnknown, "the token is not valid", _UNKNOWN_HINT, numbers={9109}, fragments=("invalid access token",)),
    _Rule(OtherAccount, "the token is not for this zone", _ZONE_HINT, numbers={9109}, operations=_ZONE),
    _Rule(OtherAccount, "the token is not for this account", _ACCOUNT_HINT, numbers={9109}),
    _Rule(
        TokenUnknown,
        "Cloudflare can't read the token",
        "set {token} again; its value does not have the format of a token",
        numbers={6111, 6003},
    ),
    _Rule(
        PermissionLacking,
        "this call does not accept a token that an account owns",
        f"use a user token with `{{permission}}`{{of}}, and set the account with `account_id` or {ACCOUNT}",
        numbers={1001},
        fragments=("account owned tokens",),
    ),
    _Rule(WrongAccount, "Cloudflare has no such zone", _ZONE_HINT, numbers={7003, 7000}, operations=_ZONE),
    _Rule(WrongAccount, "Cloudflare has no such account or path", _ACCOUNT_HINT, numbers={7003, 7000}),
    _Rule(*_MANAGED, fragments=("unauthorized",), operations=_DELETE),
    _Rule(*_NOT_ALLOWED, _PERMISSION_HINT, statuses={401, 403}),
)


def permission_of(operation: Operation) -> str:
    """The permission that a call needs, under its name in Cloudflare's API."""
    return _PERMISSIONS.get(operation, READ_PERMISSION)


def refusal(
    operation: Operation,
    status: int,
    troubles: Iterable[Trouble],
    secrets: Secrets,
    *,
    has_global_key: bool = False,
    account: str = "",
    token: str = TOKEN,
) -> StoreRefused:
    """The error for a refusal. Of several errors in it, the first that a rule matches counts, else the first.

    `account`: the account ID and where it was set. `token`: where the token is.
    """
    found = tuple(_flat(troubles)) or (Trouble(),)
    match = _match(operation, status, found)
    rule, trouble = match or (None, found[0])
    number = trouble.code or 0
    said = _quote(status, trouble, secrets)
    if rule is None:
        hint = "look up the code at developers.cloudflare.com, then run again; nothing more was changed in this run"
        return UnknownStoreError(f"Cloudflare refused to {operation.value}: {said}", number=number, hint=hint)
    permission = permission_of(operation)
    of = "" if token == TOKEN else f" in {token}"
    hint = rule.hint.format(
        permission=permission, dashboard=_DASHBOARD[permission], account=account, token=token, of=of
    )
    if has_global_key and issubclass(rule.kind, PermissionLacking):
        hint += f" ({GLOBAL_KEY} is set, too; mtlsctl uses only the token)"
    return rule.kind(f"{rule.message.format(operation=operation.value)}: {said}", number=number, hint=hint)


def _quote(status: int, trouble: Trouble, secrets: Secrets) -> str:
    text = secrets.show(trouble.message)
    head = f"Cloudflare {trouble.code}" if trouble.code is not None else f"Cloudflare, HTTP {status}"
    return f"{head} {text}".strip()


def _match(operation: Operation, status: int, troubles: tuple[Trouble, ...]) -> tuple[_Rule, Trouble] | None:
    rules = [rule for rule in _RULES if operation in rule.operations]
    for trouble in troubles:
        for rule in rules:
            if trouble.code in rule.numbers and (not rule.fragments or rule.fits_text(trouble.message)):
                return rule, trouble
    for trouble in troubles:
        for rule in rules:
            if not rule.numbers and rule.fits_text(trouble.message):
                return rule, trouble
    return next(((rule, troubles[0]) for rule in rules if status in rule.statuses), None)


def _flat(troubles: Iterable[Trouble], depth: int = 4) -> Iterator[Trouble]:
    """Each error, followed by those of its chain, which describe the same refusal."""
    for trouble in troubles:
        yield trouble
        if depth:
            yield from _flat(trouble.error_chain, depth - 1)
