"""The five endpoints of `/accounts/{account}/mtls_certificates`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from reconciler.emulator.faults import FaultKind
from reconciler.emulator.state import Ask
from reconciler.emulator.wire import (
    Json,
    Reply,
    certificate_deleted,
    certificate_in_use,
    certificate_not_found,
    from_store,
    invalid,
    managed_certificate,
    success,
)
from reconciler.model import Entry
from reconciler.model.errors import StoreRefused
from reconciler.model.ownership import CUSTOM
from reconciler.model.ports import NewEntry, PrivateKey
from reconciler.stores.local import parse_upload
from reconciler.x509.certificates import rfc3339

_T = TypeVar("_T")


def list_certificates(ask: Ask) -> Reply:
    """One page of the entries that match the filters, with the counts of all matches."""
    account = ask.account
    entries = [entry for entry in account.entries() if not account.is_recent(entry.id, ask.state.settings.list_lag_s)]
    return page_of(ask, entries, lambda entry: _passes(entry, ask), certificate_object)


def page_of(ask: Ask, items: Sequence[_T], passes: Callable[[_T], bool], show: Callable[[_T], Json]) -> Reply:
    """One page of a list, with the counts of all that passes the filters; or with the fault that was asked for."""
    settings, fault = ask.state.settings, ask.fault
    kind = fault.kind if fault else None
    if fault is not None and kind is FaultKind.LIST_LAG:
        items = items[: -fault.count]
    items = [item for item in items if passes(item)]
    total = len(items)
    page = 1 if kind is FaultKind.IGNORED_PAGE else ask.number("page", 1)
    per_page = min(ask.number("per_page", settings.per_page), settings.most_per_page)
    begin = (page - 1) * per_page
    if kind is FaultKind.SHIFTED_PAGES and page > 1:
        begin += 1  # as if an entry of an earlier page was deleted after that page was read
    shown = items[begin : begin + per_page]
    if kind is FaultKind.WRONG_TOTAL:
        total += 1
    info: Json = {
        "page": page,
        "per_page": per_page,
        "count": len(shown),
        "total_count": total,
        "total_pages": -(-total // per_page),
    }
    return success([show(item) for item in shown], result_info=info)


def upload_certificate(ask: Ask) -> Reply:
    """Store certificates; the key is checked and not kept."""
    body = ask.body()
    try:
        entry = ask.account.store.upload(_new_entry(body))
    except StoreRefused as error:
        raise from_store(error) from error
    ask.account.added(entry)
    shown = certificate_object(entry)
    return success({**shown, "updated_at": shown["uploaded_on"]})


def get_certificate(ask: Ask) -> Reply:
    """One entry; there is no lag for a read by id."""
    return success(certificate_object(_entry(ask)))


def delete_certificate(ask: Ask) -> Reply:
    """Delete an entry that is neither managed nor in use; the reply is the deleted entry."""
    account, settings = ask.account, ask.state.settings
    if settings.already_deleted and ask.names["id"] in account.deleted:
        raise certificate_deleted()
    entry = _entry(ask)
    if entry.type != CUSTOM:
        raise managed_certificate()
    if account.is_held(entry.id) or (ask.fault is not None and ask.fault.kind is FaultKind.IN_USE):
        raise certificate_in_use()
    account.delete(entry.id)
    return success(certificate_object(entry))


def list_associations(ask: Ask) -> Reply:
    """The services that use an entry, without the parts of them that do. The names of services are a guess."""
    entry = _entry(ask)
    services = sorted({service for used, service, _ in ask.account.uses() if used == entry.id})
    return success([{"service": service, "status": "active"} for service in services])


def certificate_object(entry: Entry) -> Json:
    """An entry as in the API, which never shows a key."""
    return {
        "id": entry.id,
        "name": entry.name,
        "ca": entry.ca,
        "certificates": entry.certificates,
        "issuer": entry.issuer,
        "serial_number": entry.serial_number,
        "signature": entry.signature,
        "expires_on": rfc3339(entry.expires_on) if entry.expires_on else None,
        "uploaded_on": _with_microseconds(entry.uploaded_on) if entry.uploaded_on else None,
        "type": entry.type,
    }


def _entry(ask: Ask) -> Entry:
    entry = ask.account.get(ask.names["id"])
    if entry is None:
        raise certificate_not_found()
    return entry


def _new_entry(body: Json) -> NewEntry:
    ca, certificates = body.get("ca"), body.get("certificates")
    name, key = body.get("name") or "", body.get("private_key") or None
    if not isinstance(ca, bool):
        raise invalid("ca must be true or false")
    if not isinstance(certificates, str) or not isinstance(name, str) or not isinstance(key, str | None):
        raise invalid("certificates, name and private_key must be strings")
    pem = None if key is None else PrivateKey(key.encode(errors="replace"))
    return NewEntry(name=name, ca=ca, bundle=parse_upload(certificates), key=pem)


def _passes(entry: Entry, ask: Ask) -> bool:
    """True if an entry matches `type`, `ca` and `name`; an absent or empty filter matches everything."""
    request, settings = ask.request, ask.state.settings
    types, ca, name = request.first("type"), request.first("ca"), request.first("name")
    if types and entry.type not in types.split(","):
        return False
    if ca in ("true", "false") and entry.ca != (ca == "true"):
        return False
    if not name:
        return True
    return name in entry.name if settings.name_filter == "substring" else name == entry.name


def _with_microseconds(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
