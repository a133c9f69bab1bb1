"""Cloudflare's refusals in words: what happened, its code and text unchanged, and what to do about it.

Matched by code first, then by the text, then by the status (the codes are few of those that exist; where none is
known, the text is all there is). What none of these knows is `UnknownStoreError`, which stops the changes of a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from reconciler.findings.codes import Code
from reconciler.findings.secrets import Secrets
from reconciler.model import CA_LIMIT
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
    """What was asked for."""

    VERIFY = "be verified"
    LIST = "list the certificates"
    GET = "read a certificate"
    WORKERS = "read what Workers present"
    PAGES = "read what Pages projects present"
    HYPERDRIVE = "read the Hyperdrive configurations"
    ZONES = "list the zones"
    HOSTNAMES = "read the hostnames of a CA"
    UPLOAD = "upload a certificate"
    DELETE = "delete a certificate"

    @property
    def is_change(self) -> bool:
        """Whether the store is another one afterwards."""
        return self in {Operation.UPLOAD, Operation.DELETE}


class WorkerNotFound(StoreRefused):
    """The account has no such Worker, version or Pages project."""

    code = Code.WORKER_NOT_FOUND


class PermissionLacking(StoreRefused):
    """The token may not do this, or is none: whatever is tried next would be refused as well."""

    code = Code.STORE_PERMISSION


class WrongAccount(StoreRefused):
    """There is no such account for this token."""

    code = Code.STORE_ACCOUNT


class NoAnswer(StoreError):
    """No usable answer: the connection failed, the server did, or its reply was torn.

    `sent` is false where the call certainly did not reach the server, so that it can be made again without a look.
    """

    code = Code.STORE_UNREACHABLE

    def __init__(self, message: str, *, hint: str | None = None, sent: bool = True, lasting: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.sent = sent
        self.lasting = lasting


class Exhausted(StoreError):
    """The run may wait, or take, no longer: no call that has to wait can be made any more."""


class UnusableReply(NoAnswer):
    """The server answered something that is not the API's JSON."""

    code = Code.STORE_REPLY


READ_PERMISSION = "Account: SSL and Certificates Read"
WRITE_PERMISSION = "Account: SSL and Certificates Write"
_PERMISSIONS = {
    Operation.UPLOAD: WRITE_PERMISSION,
    Operation.DELETE: WRITE_PERMISSION,
    Operation.WORKERS: "Workers Scripts Read",
    Operation.PAGES: "Pages Read",
    Operation.HYPERDRIVE: "Hyperdrive Read",
    Operation.ZONES: "Zone Read",
    Operation.HOSTNAMES: "SSL and Certificates Read",
}
_DASHBOARD = {
    READ_PERMISSION: "Account > Account: SSL and Certificates > Read",
    WRITE_PERMISSION: "Account > Account: SSL and Certificates > Edit",
    "Workers Scripts Read": "Account > Workers Scripts > Read",
    "Pages Read": "Account > Cloudflare Pages > Read",
    "Hyperdrive Read": "Account > Hyperdrive > Read",
    "Zone Read": "Zone > Zone > Read",
    "SSL and Certificates Read": "Zone > SSL and Certificates > Read",
}
"""Where a permission is found in the dashboard, by its name in the API."""

_Kind = type[StoreRefused]
_ANY = frozenset(Operation)
_BY_ID = frozenset({Operation.GET, Operation.DELETE})
_UPLOAD = frozenset({Operation.UPLOAD})
_DELETE = frozenset({Operation.DELETE})
_LIVE = frozenset({Operation.WORKERS, Operation.PAGES})


@dataclass(frozen=True, slots=True)
class _Rule:
    """One refusal. Where both `numbers` and `fragments` are given, both must fit; fragments are in lower case."""

    kind: _Kind
    message: str
    hint: str
    numbers: frozenset[int] = frozenset()
    fragments: tuple[str, ...] = ()
    statuses: frozenset[int] = frozenset()
    operations: frozenset[Operation] = field(default=_ANY)

    def fits_text(self, text: str) -> bool:
        """Whether the text has one of the fragments."""
        return any(fragment in text.lower() for fragment in self.fragments)


def _numbers(*numbers: int) -> frozenset[int]:
    return frozenset(numbers)


_PERMISSION_HINT = (
    "give the token the permission `{permission}` (in the dashboard: {dashboard}) for this account; where it has that, "
    "the role of the user who owns it lacks the right"
)
_TOKEN_HINT = f"is the token in {TOKEN} complete, active and not expired? It needs `{{permission}}` for this account"
_ACCOUNT_HINT = f"is `account_id` in `[store]` (or {ACCOUNT}) right, and the token scoped to it with `{{permission}}`?"
_CONTENT_HINT = (
    "run `mtlsctl validate`, which looks into the files; certificates in PEM, the key apart and not encrypted"
)
_MANAGED_HINT = "the entry is Gateway's or Access's own; only that service can delete it"

_RULES = (
    _Rule(
        AlreadyStored,
        "the account holds this certificate already",
        "the store takes the same certificates once, under whatever name; plan again to adopt that entry",
        numbers=_numbers(1471),
        operations=_UPLOAD,
    ),
    _Rule(
        AlreadyStored,
        "the account holds this certificate already",
        "the store takes the same certificates once, under whatever name; plan again to adopt that entry",
        fragments=("already exists",),
        operations=_UPLOAD,
    ),
    _Rule(
        EntryNotFound,
        "the account has no such certificate",
        "it was deleted already, or never was in this account",
        numbers=_numbers(1472),
    ),
    _Rule(
        EntryNotFound,
        "the account has no such certificate",
        "it was deleted already, or never was in this account",
        fragments=("certificate not found", "already deleted"),
        statuses=_numbers(404),
        operations=_BY_ID,
    ),
    _Rule(
        WorkerNotFound,
        "the account has no such Worker",
        "is its name in the wrangler file the one that it was deployed under, and this its account?",
        numbers=_numbers(10007, 10090, 10092, 8000007),
        operations=_LIVE,
    ),
    _Rule(
        EntryInUse,
        "something still presents this certificate",
        "deploy every Worker that names it with its new id; hostnames and Hyperdrive may use it too",
        fragments=("in use",),
        operations=_DELETE,
    ),
    _Rule(
        QuotaReached,
        f"the account holds as many CA certificates as it may, {CA_LIMIT} as a rule",
        "delete a CA that nothing uses; API Shield, Gateway and Workers share them",
        numbers=_numbers(1489),
    ),
    _Rule(
        QuotaReached,
        "the account holds as many certificates as it may",
        "retire entries that nothing uses, or ask Cloudflare for more and raise `limit` in `[store]`",
        fragments=("hit maximum", "quota", "allocation"),
        operations=_UPLOAD,
    ),
    # The number is that of the sister API for origin pulls, which has the same text.
    _Rule(
        StoreRefused,
        "Cloudflare can't read what was uploaded",
        _CONTENT_HINT,
        numbers=_numbers(1408),
        operations=_UPLOAD,
    ),
    _Rule(
        StoreRefused,
        "Cloudflare can't read what was uploaded",
        _CONTENT_HINT,
        fragments=("unable to parse certificate", "private key", "private_key"),
        operations=_UPLOAD,
    ),
    _Rule(
        StoreRefused,
        "the entry can't be deleted by us",
        _MANAGED_HINT,
        numbers=_numbers(10000),
        fragments=("unauthorized",),
        operations=_DELETE,
    ),
    _Rule(PermissionLacking, "the token may not {operation}", _PERMISSION_HINT, numbers=_numbers(10000)),
    _Rule(PermissionLacking, "Cloudflare does not know the token", _TOKEN_HINT, numbers=_numbers(9106)),
    _Rule(
        PermissionLacking,
        "Cloudflare does not know the token",
        _TOKEN_HINT,
        numbers=_numbers(1000),
        fragments=("invalid api token",),
    ),
    _Rule(
        PermissionLacking,
        "the token is not valid",
        _TOKEN_HINT,
        numbers=_numbers(9109),
        fragments=("invalid access token",),
    ),
    _Rule(PermissionLacking, "the token is not for this account", _ACCOUNT_HINT, numbers=_numbers(9109)),
    _Rule(
        PermissionLacking,
        "Cloudflare can't read the token",
        f"set {TOKEN} again: its form is not that of a token",
        numbers=_numbers(6111, 6003),
    ),
    _Rule(
        PermissionLacking,
        "the call does not take a token that an account owns",
        f"use a user's token with `{{permission}}`, and name the account by `account_id` or {ACCOUNT}",
        numbers=_numbers(1001),
        fragments=("account owned tokens",),
    ),
    _Rule(WrongAccount, "Cloudflare knows no such account or path", _ACCOUNT_HINT, numbers=_numbers(7003, 7000)),
    _Rule(
        StoreRefused, "the entry can't be deleted by us", _MANAGED_HINT, fragments=("unauthorized",), operations=_DELETE
    ),
    _Rule(PermissionLacking, "the token may not {operation}", _PERMISSION_HINT, statuses=_numbers(401, 403)),
)


def permission_of(operation: Operation) -> str:
    """The permission that a call needs, by its name in Cloudflare's API."""
    return _PERMISSIONS.get(operation, READ_PERMISSION)


def refusal(
    operation: Operation, status: int, troubles: Iterable[Trouble], secrets: Secrets, *, has_global_key: bool = False
) -> StoreRefused:
    """The error for an answer that says no. Of several errors the first that a rule knows counts, else the first."""
    found = tuple(_flat(troubles)) or (Trouble(),)
    match = _match(operation, status, found)
    rule, trouble = match or (None, found[0])
    number = trouble.code or 0
    said = _quote(status, trouble, secrets)
    if rule is None:
        hint = "nothing more was changed in this run; look the code up at developers.cloudflare.com, then run again"
        return UnknownStoreError(f"Cloudflare refuses to {operation.value}: {said}", number=number, hint=hint)
    permission = permission_of(operation)
    hint = rule.hint.format(permission=permission, dashboard=_DASHBOARD[permission])
    if has_global_key and rule.kind is PermissionLacking:
        hint += f" ({GLOBAL_KEY} is set too; mtlsctl uses the token alone)"
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
    """Each error and what is below it in its chain, which stands for the same answer."""
    for trouble in troubles:
        yield trouble
        if depth:
            yield from _flat(trouble.error_chain, depth - 1)
