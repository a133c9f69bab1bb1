"""The port `LiveReader` over the API: Workers, and everything else that may use an entry. Errors become doubts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import quote

from reconciler.findings.errors import ReconcilerError
from reconciler.model import Entry, EntryId, Live, LiveQuestion, LiveWorker
from reconciler.stores.cloudflare.client import Call, Client
from reconciler.stores.cloudflare.errors import Operation, UnusableReply
from reconciler.stores.cloudflare.live_wire import AssociationBody, HostnamesBody, HyperdriveBody, NamedBody
from reconciler.stores.cloudflare.live_workers import REPORT, LiveWorkers, demand, demand_whole
from reconciler.stores.cloudflare.retries import send_patiently
from reconciler.stores.cloudflare.together import side_by_side
from reconciler.stores.cloudflare.wire import Envelope

_ZONES_PER_PAGE = 50
_MOST_ZONE_PAGES = 200
_NAMED = 3

Users = list[tuple[EntryId, str]]
_T = TypeVar("_T")


class CloudflareLive:
    """Looks at live Workers, and where entries may be retired at everything that may use them."""

    def __init__(self, client: Client, account_id: str, random: Callable[[], float]) -> None:
        self._client = client
        # No bound method: a circle would keep the connections open until somebody looks for circles.
        self._send: Callable[[Call], Envelope] = lambda call: send_patiently(client, call, random)
        self._account_id = account_id
        self._account = f"/accounts/{account_id}"
        self._workers = LiveWorkers(self._send, self._account)

    def look(self, question: LiveQuestion) -> Live:
        """What was asked about; a call that fails is a doubt of its own, and all others are still made."""
        unread: dict[str, str] = {}
        targets = question.targets
        if question.retiring:
            others = self._try("the list of Workers", self._workers.names, unread)
            targets = tuple(dict.fromkeys((*targets, *others)))
        earlier = question.rollback_versions if question.retiring else 0
        workers = self._read_workers(targets, earlier, unread)
        users = self._find_users(question.retiring, unread)
        return Live(workers=workers, users=users, unread=unread, whole=bool(question.retiring))

    def _read_workers(
        self, targets: Sequence[str], earlier: int, unread: dict[str, str]
    ) -> dict[str, LiveWorker | None]:
        def read(target: str) -> LiveWorker | ReconcilerError | None:
            try:
                return self._workers.read(target, earlier=earlier)
            except ReconcilerError as error:
                return error

        workers: dict[str, LiveWorker | None] = {}
        for target, found in zip(targets, side_by_side(self._client, read, targets), strict=True):
            if isinstance(found, ReconcilerError):
                unread[target] = _reason(found)
            else:
                workers[target] = found
        return workers

    # --- everything else ----------------------------------------------------------------------------------------------

    def _find_users(self, retiring: Sequence[Entry], unread: dict[str, str]) -> dict[EntryId, tuple[str, ...]]:
        if not retiring:
            return {}
        found: Users = []
        found.extend(self._try("the list of Hyperdrive configurations", self._hyperdrive, unread))
        cas = [entry.id for entry in retiring if entry.ca]
        if cas:
            found.extend(self._try("the hostname associations", lambda: self._hostnames(cas), unread))
        named = {entry_id for entry_id, _ in found}
        asked = [entry.id for entry in retiring if entry.id not in named]
        found.extend(self._try("the associations", lambda: self._associations(asked), unread))
        users: dict[EntryId, list[str]] = defaultdict(list)
        for entry_id, text in found:
            users[entry_id].append(text)
        return {entry_id: tuple(texts) for entry_id, texts in users.items()}

    def _hyperdrive(self) -> Users:
        envelope = self._send(Call(Operation.HYPERDRIVE, "GET", f"{self._account}/hyperdrive/configs"))
        configs = demand(list[HyperdriveBody], envelope, "the list of Hyperdrive configurations")
        demand_whole(envelope, len(configs), "Hyperdrive configurations")
        return [
            (EntryId(used), f"the Hyperdrive configuration {config.name or config.id}")
            for config in configs
            if config.mtls is not None
            for used in (config.mtls.mtls_certificate_id, config.mtls.ca_certificate_id)
            if used
        ]

    def _hostnames(self, cas: Sequence[EntryId]) -> Users:
        pairs = [(zone, ca) for zone in self._zones() for ca in cas]
        found = side_by_side(self._client, self._hostnames_of, pairs)
        return [one for users in found for one in users]

    def _hostnames_of(self, pair: tuple[NamedBody, EntryId]) -> Users:
        zone, ca = pair
        path = f"/zones/{quote(zone.id, safe='')}/certificate_authorities/hostname_associations"
        envelope = self._send(Call(Operation.HOSTNAMES, "GET", path, {"mtls_certificate_id": ca}))
        names = demand(HostnamesBody, envelope, f"the hostname associations of {zone.name or zone.id}").hostnames
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return [(ca, f"the hostnames {', '.join(names[:_NAMED])}{more}")] if names else []

    def _zones(self) -> list[NamedBody]:
        """The zones of the account that the token sees, page by page. UnusableReply where some may be missing."""
        found: dict[str, NamedBody] = {}
        for page in range(1, _MOST_ZONE_PAGES + 1):
            query: dict[str, str | int] = {"account.id": self._account_id, "page": page, "per_page": _ZONES_PER_PAGE}
            envelope = self._send(Call(Operation.ZONES, "GET", "/zones", query))
            zones = demand(list[NamedBody], envelope, "the list of zones")
            fresh = {zone.id: zone for zone in zones if zone.id not in found}
            found |= fresh
            last = envelope.result_info.total_pages if envelope.result_info else None
            if not zones or (page >= last if last is not None else len(zones) < _ZONES_PER_PAGE):
                demand_whole(envelope, len(found), "zones")
                return list(found.values())
            if not fresh:
                raise UnusableReply("the list of zones does not go on after its first page", hint=REPORT)
        raise UnusableReply(f"the account has more than {len(found)} zones", hint="its CAs are retired by hand")

    def _associations(self, entries: Sequence[EntryId]) -> Users:
        found = side_by_side(self._client, self._associations_of, entries)
        return [one for users in found for one in users]

    def _associations_of(self, entry_id: EntryId) -> Users:
        return [(entry_id, service) for service in self.services_of(entry_id)]

    def services_of(self, entry_id: EntryId) -> tuple[str, ...]:
        """The services that use an entry, in words; nothing says which part of a service does. StoreError where that
        can't be told, EntryNotFound where there is no such entry."""
        path = f"{self._account}/mtls_certificates/{quote(entry_id, safe='')}/associations"
        envelope = self._send(Call(Operation.GET, "GET", path))
        found = demand(list[AssociationBody], envelope, f"the list of what uses {entry_id}")
        return tuple(f"the service {one.service or 'without a name'} ({one.status or 'active'})" for one in found)

    @staticmethod
    def _try(what: str, ask: Callable[[], Sequence[_T]], unread: dict[str, str]) -> Sequence[_T]:
        """The answer; nothing, and a doubt, where it can't be had."""
        try:
            return ask()
        except ReconcilerError as error:
            unread[what] = _reason(error)
            return ()


def _reason(error: ReconcilerError) -> str:
    return f"{error.message}{f' ({error.hint})' if error.hint else ''}"
