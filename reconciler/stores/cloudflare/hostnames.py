"""Hostname associations over the API: which hostnames of a zone trust which CA for client certificates.

A PUT replaces the whole list of one CA, and nothing in it can be compared. So a list is only made longer here, by what
was read just before; and every call names a CA, because without one it is about the CA that Cloudflare manages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import quote

from reconciler.model import CaList, EntryId, Zone
from reconciler.model.errors import EntryNotFound
from reconciler.model.hostnames import can_be_listed
from reconciler.stores.cloudflare.client import ApiCall, Client, backoff_s, send_patiently
from reconciler.stores.cloudflare.errors import NoAnswer, Operation, UnusableReply
from reconciler.stores.cloudflare.listing import REPORT, demand, demand_whole
from reconciler.stores.cloudflare.wire import HostnamesBody, NamedBody

LISTS = "the hostname associations"
_ZONES_PER_PAGE = 50
_MOST_ZONE_PAGES = 200


class HostnameLists:
    """Those of the zones of one account; thread-safe."""

    def __init__(self, client: Client, account_id: str, random: Callable[[], float]) -> None:
        self._client = client
        self._account_id = account_id
        self._random = random

    def zones(self, name: str | None = None) -> tuple[Zone, ...]:
        """The zones of the account that the token can see, page by page; only those with a name, if one is given.

        UnusableReply if some may be missing.
        """
        found: dict[str, Zone] = {}
        only = {} if name is None else {"name": name}
        for page in range(1, _MOST_ZONE_PAGES + 1):
            query: dict[str, str | int] = {"account.id": self._account_id, "page": page, "per_page": _ZONES_PER_PAGE}
            call = ApiCall(Operation.ZONES, "GET", "/zones", query | only)
            envelope = send_patiently(self._client, call, self._random)
            zones = demand(list[NamedBody], envelope, "the list of zones")
            fresh = {zone.id: Zone(zone.id, zone.name) for zone in zones if zone.id not in found}
            found |= fresh
            last = envelope.result_info.total_pages if envelope.result_info else None
            if not zones or (page >= last if last is not None else len(zones) < _ZONES_PER_PAGE):
                demand_whole(envelope, len(found), "zones")
                return tuple(found.values())
            if not fresh:
                raise UnusableReply("the list of zones is incomplete: a page has no new zones", hint=REPORT)
        raise UnusableReply(f"the account has more than {len(found)} zones", hint="delete its unused CAs by hand")

    def lists(self, pairs: Iterable[tuple[str, EntryId]]) -> tuple[CaList, ...]:
        """The list of each zone and CA, side by side; empty for a CA that the account does not have any more."""
        return tuple(self._client.side_by_side("Reading hostnames", self._list, list(pairs)))

    def _list(self, pair: tuple[str, EntryId]) -> CaList:
        zone, ca = pair
        if not can_be_listed(ca):
            raise UnusableReply(f"the ID of the CA {ca!r} is not a UUID, so its hostnames were not read", hint=REPORT)
        wanted = CaList(zone, ca)
        call = ApiCall(Operation.HOSTNAMES, "GET", _path(zone), {"mtls_certificate_id": wanted.ca})
        try:
            envelope = send_patiently(self._client, call, self._random)
        except EntryNotFound:
            return wanted
        names = demand(HostnamesBody, envelope, f"the hostname associations of the zone {zone}").hostnames
        return CaList(zone, ca, tuple(names))

    def add(self, before: CaList, names: Sequence[str]) -> None:
        """Replace a list by itself with these names.

        After a lost answer the call is repeated only if the list is still as `before`.
        """
        body = json.dumps({"hostnames": [*before.names, *names], "mtls_certificate_id": before.ca}).encode()
        call = ApiCall(Operation.TRUST, "PUT", _path(before.zone), body=body)
        try:
            self._client.send(call)
        except NoAnswer as error:
            if error.lasting:
                raise
            self._client.sleep(backoff_s(1, self._random()))
            if not self._list((before.zone, before.ca)).is_same(before.names):
                raise
            self._client.send(call)


def _path(zone: str) -> str:
    return f"/zones/{quote(zone, safe='')}/certificate_authorities/hostname_associations"
