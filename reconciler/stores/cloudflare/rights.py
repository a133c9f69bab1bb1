"""The permissions of the token, as far as harmless reads can show them.

Listing a token's permissions needs a permission of its own, which the token of a pipeline does not have. So one read of
each kind is made. Write permission can't be checked without writing, so it is reported as unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.values import dataclass
from reconciler.model.errors import StoreError, StoreRefused
from reconciler.stores import Uses
from reconciler.stores.cloudflare.access import Access
from reconciler.stores.cloudflare.client import ApiCall, Client
from reconciler.stores.cloudflare.errors import Operation, PermissionLacking, WrongAccount, permission_of
from reconciler.stores.cloudflare.wire import NamedBody, TokenBody, parse

_OF_AN_ACCOUNT = "cfat_"  # Cloudflare's token formats of 2026
_OTHER_ACCOUNT = 9109
_FEW: Mapping[str, str | int] = {"page": 1, "per_page": 5}
_LIVE = "to read live Workers: `--live`, `--deploy`, and before a certificate is deleted"
_USERS = "for `--live`, and before a certificate is deleted"
_CA = "for `--live`, and before a CA is deleted"


@dataclass(frozen=True, slots=True)
class _Need:
    """The purpose of a permission. `path` is read to check it; without one it stays unknown, and `hint` says why."""

    operation: Operation
    purpose: str
    path: str = ""
    query: Mapping[str, str | int] = field(default_factory=dict)
    hint: str = ""


def examine(client: Client, access: Access, uses: Uses) -> Iterator[Diagnostic]:
    """Whether Cloudflare knows the token; then each permission, what needs it, and whether the token has it.

    Each call is made once. A failure is a finding, never an exception.
    """
    try:
        verified = _verify(client, access)
        yield verified
        if verified.severity is Severity.INFO:
            for need in _needs(client, access, uses):
                yield _ask(client, need)
    except StoreError as error:
        yield _warning(error.code, f"the account could not be checked: {error.message}", error.hint)


def _needs(client: Client, access: Access, uses: Uses) -> Iterator[_Need]:
    account = f"/accounts/{access.account_id}"
    write = "a check would have to write; the first upload of a run is made alone, and stops the run if it is refused"
    yield _Need(Operation.LIST, "for every command that calls Cloudflare", access.certificates_path, _FEW)
    yield _Need(Operation.UPLOAD, "for `apply` and `retire`", hint=write)
    yield _Need(Operation.WORKERS, _LIVE, f"{account}/workers/scripts")
    purpose = "for every plan, to read Hyperdrive configurations" if uses.updates else _USERS
    yield _Need(Operation.HYPERDRIVE, purpose, f"{account}/hyperdrive/configs")
    if uses.updates:
        yield _Need(Operation.UPDATE, "for `--deploy`, to update Hyperdrive", hint=write.partition(";")[0])
    if uses.probes:
        yield _Need(Operation.PROBE, "for `apply`, to prove certificates at the edge", hint=write.partition(";")[0])
    if uses.pages:
        yield _Need(Operation.PAGES, "to read what Pages projects use", f"{account}/pages/projects")
    if uses.cas:
        zones = {"account.id": access.account_id, **_FEW}
        purpose = "for every plan, to read hostnames" if uses.hostnames else _CA
        yield _Need(Operation.ZONES, purpose, "/zones", zones)
        zone = _some_zone(client, zones)
        path = f"/zones/{zone}/certificate_authorities/hostname_associations" if zone else ""
        yield _Need(Operation.HOSTNAMES, purpose, path, hint="not checked, because the token can see no zone")
    if uses.hostnames:
        yield _Need(Operation.TRUST, "for `--deploy`, to add hostnames to CAs", hint=write.partition(";")[0])


def _some_zone(client: Client, query: Mapping[str, str | int]) -> str | None:
    try:
        zones = parse(list[NamedBody], client.send(ApiCall(Operation.ZONES, "GET", "/zones", query)).result)
    except StoreRefused:
        return None
    return zones[0].id if zones and zones[0].id.isalnum() else None


def _verify(client: Client, access: Access) -> Diagnostic:
    """Whether the token is active. User tokens and account-owned tokens are verified at different paths, and older ones
    don't show which kind they are."""
    paths = ["/user/tokens/verify", f"/accounts/{access.account_id}/tokens/verify"]
    if access.token.startswith(_OF_AN_ACCOUNT):
        paths.reverse()
    refused: StoreRefused | None = None
    for path in paths:
        try:
            found = parse(TokenBody, client.send(ApiCall(Operation.VERIFY, "GET", path)).result)
        except StoreRefused as error:
            refused = refused or error
            continue
        status = found.status if found else "in an unknown state"
        until = f", until {found.expires_on:%Y-%m-%d}" if found and found.expires_on else ""
        if status != "active":
            hint = f"create a new token, and set {access.token_name}"
            return _warning(Code.TOKEN_INACTIVE, f"Cloudflare reports that the token is {status}{until}", hint)
        return _note(
            Code.ACCOUNT, f"{access.host} knows the token, and it is active{until}; account {access.account_id}"
        )
    return _warning(Code.TOKEN_UNKNOWN, refused.message if refused else "", refused.hint if refused else None)


def _ask(client: Client, need: _Need) -> Diagnostic:
    """One permission: granted, missing, or unknown. WrongAccount, and PermissionLacking for a token of another account,
    if every other call would fail in the same way."""
    permission = permission_of(need.operation)
    unknown = f"{permission}: unknown; needed {need.purpose}"
    if not need.path:
        return _note(Code.TOKEN_RIGHTS, unknown, need.hint)
    try:
        client.send(ApiCall(need.operation, "GET", need.path, need.query))
    except WrongAccount:
        raise
    except PermissionLacking as error:
        if error.number == _OTHER_ACCOUNT:
            raise
        severity = Severity.ERROR if need.operation is Operation.LIST else Severity.WARNING
        return Diagnostic(severity, Code.TOKEN_LACKS, f"{error.message}; needed {need.purpose}", None, error.hint)
    except StoreRefused as error:
        return _note(Code.TOKEN_RIGHTS, unknown, error.message)
    return _note(Code.TOKEN_RIGHTS, f"{permission}: granted; needed {need.purpose}")


def _note(code: Code, message: str, hint: str | None = None) -> Diagnostic:
    return Diagnostic(Severity.INFO, code, message, None, hint)


def _warning(code: Code, message: str, hint: str | None) -> Diagnostic:
    return Diagnostic(Severity.WARNING, code, message, None, hint)
