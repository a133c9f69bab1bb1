"""The port `LiveReader` over the API: what Workers and Pages projects use, and what else may use an entry.

A call that fails becomes an item of `Live.unread`. Each Worker costs one or two calls: its deployments, and each live
version. A version never changes, so it is read once per run.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote

from reconciler.findings.errors import ReconcilerError
from reconciler.model import Entry, EntryId, Live, LiveQuestion, LiveVersion, LiveWorker, User, UserKind
from reconciler.model.live import PAGES, hyperdrive_users
from reconciler.stores.cloudflare.client import ApiCall, Client, send_patiently
from reconciler.stores.cloudflare.errors import Operation, UnusableReply, WorkerNotFound
from reconciler.stores.cloudflare.hyperdrive import LIST, HyperdriveConfigs
from reconciler.stores.cloudflare.listing import REPORT
from reconciler.stores.cloudflare.wire import (
    AssociationBody,
    DeploymentBody,
    DeploymentsBody,
    Envelope,
    HostnamesBody,
    NamedBody,
    PagesBody,
    SettingsBody,
    VersionBody,
    certificates_in,
    parse,
)

_SHOWN = 10
"""The number of deployments that Cloudflare lists at least; a shorter list is complete."""
_ROUNDING = 1.0
"""Percent."""
_ZONES_PER_PAGE = 50
_MOST_ZONE_PAGES = 200
_NAMED = 3
_HOSTNAMES = "the hostname associations"

Users = list[tuple[EntryId, User]]
_T = TypeVar("_T")


class LiveWorkers:
    """Reads Workers; thread-safe."""

    def __init__(self, send: Callable[[ApiCall], Envelope], account_path: str) -> None:
        self._send = send
        self._account = account_path
        self._lock = threading.Lock()
        self._versions: dict[tuple[str, str], LiveVersion] = {}

    def names(self) -> tuple[str, ...]:
        """The name of every Worker of the account. StoreError if the list has fewer than the server counts."""
        envelope = self._send(ApiCall(Operation.WORKERS, "GET", f"{self._account}/workers/scripts"))
        found = demand(list[NamedBody], envelope, "the list of Workers")
        demand_whole(envelope, len(found), "Workers")
        return tuple(one.id for one in found)

    def read(self, target: str, *, earlier: int) -> LiveWorker | None:
        """A Worker or one side of a Pages project, None if it does not exist; with `earlier` previous deployments."""
        try:
            return self._pages(target) if target.startswith(PAGES) else self._worker(target, earlier)
        except WorkerNotFound:
            return None

    def _worker(self, script: str, earlier: int) -> LiveWorker:
        deployments = self._deployments(script)
        if not deployments:
            return LiveWorker(script, (self._latest(script),))
        newest = deployments[0]
        shares = {share.version_id: share.percentage for share in newest.versions}
        versions = [
            replace(self._serving(script, version), share=share, deployments_ago=0, deployed_on=newest.created_on)
            for version, share in shares.items()
        ]
        before: dict[str, tuple[int, datetime | None]] = {}
        for ago, one in enumerate(deployments[1 : 1 + earlier], start=1):
            for share in one.versions:
                before.setdefault(share.version_id, (ago, one.created_on))
        for version, (ago, made) in before.items():
            found = self._earlier(script, version) if version not in shares else None
            if found is not None:
                versions.append(replace(found, deployments_ago=ago, deployed_on=made))
        if earlier >= len(deployments) >= _SHOWN:
            raise UnusableReply(
                f"Cloudflare lists only the newest {len(deployments)} deployments of {script}, fewer than needed",
                hint="lower `rollback_versions` in `[policy]`",
            )
        return LiveWorker(script, tuple(versions))

    def _deployments(self, script: str) -> list[DeploymentBody]:
        envelope = self._send(ApiCall(Operation.WORKERS, "GET", f"{self._script(script)}/deployments"))
        body = demand(DeploymentsBody, envelope, f"the list of deployments of {script}")
        deployments = _newest_first(body.deployments)
        if deployments and abs(sum(share.percentage for share in deployments[0].versions) - 100) > _ROUNDING:
            what = f"the traffic shares of the newest deployment of {script} don't add up to 100 percent"
            raise UnusableReply(what, hint=REPORT)
        return deployments

    def _serving(self, script: str, version: str) -> LiveVersion:
        """A live version. UnusableReply if it is not found, because its Worker exists and may use anything."""
        try:
            return self._version(script, version)
        except WorkerNotFound as error:
            what = f"version {version} of {script} is live, but was not found: {error.message}"
            raise UnusableReply(
                what, hint="run again: the Worker may have been deployed or deleted meanwhile"
            ) from error

    def _version(self, script: str, version: str) -> LiveVersion:
        """What a version uses; of its deployments it says nothing."""
        with self._lock:
            known = self._versions.get((script, version))
        if known is None:
            path = f"{self._script(script)}/versions/{quote(version, safe='')}"
            envelope = self._send(ApiCall(Operation.WORKERS, "GET", path))
            body = demand(VersionBody, envelope, f"version {version} of {script}")
            known = LiveVersion(version, certificates_in(body.resources.bindings))
            with self._lock:
                self._versions[script, version] = known
        return known

    def _earlier(self, script: str, version: str) -> LiveVersion | None:
        """A version that a rollback could use; None if Cloudflare no longer keeps it."""
        try:
            return self._version(script, version)
        except WorkerNotFound:
            return None

    def _latest(self, script: str) -> LiveVersion:
        """The latest upload, which counts for a Worker that was never deployed."""
        envelope = self._send(ApiCall(Operation.WORKERS, "GET", f"{self._script(script)}/settings"))
        body = demand(SettingsBody, envelope, f"the settings of {script}")
        return LiveVersion("latest", certificates_in(body.bindings))

    def _script(self, script: str) -> str:
        return f"{self._account}/workers/scripts/{quote(script, safe='')}"

    def _pages(self, target: str) -> LiveWorker:
        project, _, side = target.removeprefix(PAGES).rpartition("/")
        path = f"{self._account}/pages/projects/{quote(project, safe='')}"
        body = demand(PagesBody, self._send(ApiCall(Operation.PAGES, "GET", path)), f"the Pages project {project}")
        there = body.deployment_configs.get(side)
        found = there.mtls_certificates if there and there.mtls_certificates else {}
        bindings = {name: EntryId(one.certificate_id) for name, one in found.items()}
        return LiveWorker(target, (LiveVersion(side, bindings, 100.0),))


def _newest_first(found: Sequence[DeploymentBody]) -> list[DeploymentBody]:
    """Deployments sorted by time, each once. In the order of the list if one has no time, and for equal times: by
    Cloudflare's documentation the newest comes first."""
    known = {one.id or str(place): one for place, one in reversed(list(enumerate(found)))}
    distinct = list(reversed(known.values()))
    times = [one.created_on for one in distinct if one.created_on is not None]
    if len(times) < len(distinct):
        return distinct
    order = sorted(range(len(distinct)), key=lambda place: times[place], reverse=True)
    return [distinct[place] for place in order]


def demand(kind: type[_T], envelope: Envelope, what: str) -> _T:
    """The result, parsed as `kind`; UnusableReply if it is something else."""
    found = parse(kind, envelope.result)
    if found is None:
        raise UnusableReply(f"{what} does not have the format that Cloudflare documents", hint=REPORT)
    return found


def demand_whole(envelope: Envelope, count: int, what: str) -> None:
    """UnusableReply if a list has fewer items than the server counts."""
    total = envelope.result_info.total_count if envelope.result_info else None
    if total is not None and count < total:
        raise UnusableReply(f"Cloudflare counts {total} {what}, but lists {count}", hint=REPORT)


class CloudflareLive:
    """Reads live Workers and, before a retire, everything else that may use the entry."""

    def __init__(self, client: Client, account_id: str, random: Callable[[], float]) -> None:
        self._client = client
        # No bound method: a reference cycle would keep the connections open until the next garbage collection.
        self._send: Callable[[ApiCall], Envelope] = lambda call: send_patiently(client, call, random)
        self._account_id = account_id
        self._account = f"/accounts/{account_id}"
        self._workers = LiveWorkers(self._send, self._account)
        self._hyperdrives = HyperdriveConfigs(client, self._account, random)
        self._names: tuple[str, ...] | None = None
        self._read: dict[tuple[str, int], LiveWorker | None] = {}

    def look(self, question: LiveQuestion) -> Live:
        """The answer to the question. A call that fails is listed in `unread`; all others are still made."""
        if not question.known:
            self._names = None
            self._read.clear()
        unread: dict[str, str] = {}
        targets = question.targets
        if question.retiring:
            others = self._try("the list of Workers", self._known_names, unread)
            targets = tuple(dict.fromkeys((*targets, *others)))
        earlier = question.rollback_versions if question.retiring else 0
        workers = self._read_workers(targets, earlier, unread)
        users_unread: dict[str, str] = {}
        users = self._find_users(question, users_unread)
        unread |= {what: why for what, why in users_unread.items() if _keeps(what, question.retiring)}
        return Live(
            workers=workers,
            users=users,
            unread=unread,
            whole=bool(question.retiring),
            users_of=frozenset(entry.id for entry in (*question.retiring, *question.using)),
            users_unread=users_unread,
        )

    def _read_workers(
        self, targets: Sequence[str], earlier: int, unread: dict[str, str]
    ) -> dict[str, LiveWorker | None]:
        def read(target: str) -> LiveWorker | ReconcilerError | None:
            try:
                return self._workers.read(target, earlier=earlier)
            except ReconcilerError as error:
                return error

        workers: dict[str, LiveWorker | None] = {}
        missing = [target for target in targets if (target, earlier) not in self._read]
        answers = self._client.side_by_side("Reading live Workers", read, missing)
        failed: dict[str, ReconcilerError] = {}
        for target, found in zip(missing, answers, strict=True):
            if isinstance(found, ReconcilerError):
                failed[target] = found
            else:
                self._read[target, earlier] = found
        for target in targets:
            if target in failed:
                unread[target] = _reason(failed[target])
            else:
                workers[target] = self._read[target, earlier]
        return workers

    def _known_names(self) -> tuple[str, ...]:
        if self._names is None:
            self._names = self._workers.names()
        return self._names

    # --- everything else ----------------------------------------------------------------------------------------------

    def _find_users(self, question: LiveQuestion, unread: dict[str, str]) -> dict[EntryId, tuple[User, ...]]:
        entries = {entry.id: entry for entry in (*question.retiring, *question.using)}
        if not entries:
            return {}
        found: Users = []
        found.extend(self._try(LIST, self._hyperdrive, unread))
        cas = [entry.id for entry in entries.values() if entry.ca]
        if cas:
            found.extend(self._try(_HOSTNAMES, lambda: self._hostnames(cas), unread))
        named = {entry_id for entry_id, _ in found}
        asked = [entry.id for entry in question.retiring if entry.id not in named]
        found.extend(self._try("the associations", lambda: self._associations(asked), unread))
        users: dict[EntryId, list[User]] = defaultdict(list)
        for entry_id, user in found:
            users[entry_id].append(user)
        return {entry_id: tuple(of_entry) for entry_id, of_entry in users.items()}

    def _hyperdrive(self) -> Users:
        return [use for config in self._hyperdrives.all() for use in hyperdrive_users(config)]

    def _hostnames(self, cas: Sequence[EntryId]) -> Users:
        pairs = [(zone, ca) for zone in self._zones() for ca in cas]
        found = self._client.side_by_side("Reading hostnames", self._hostnames_of, pairs)
        return [one for users in found for one in users]

    def _hostnames_of(self, pair: tuple[NamedBody, EntryId]) -> Users:
        zone, ca = pair
        path = f"/zones/{quote(zone.id, safe='')}/certificate_authorities/hostname_associations"
        envelope = self._send(ApiCall(Operation.HOSTNAMES, "GET", path, {"mtls_certificate_id": ca}))
        names = demand(HostnamesBody, envelope, f"the hostname associations of {zone.name or zone.id}").hostnames
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        named = ", ".join(names[:_NAMED]) + more
        return [(ca, User(UserKind.HOSTNAMES, named, zone.id))] if names else []

    def _zones(self) -> list[NamedBody]:
        """The zones of the account that the token can see, page by page. UnusableReply if some may be missing."""
        found: dict[str, NamedBody] = {}
        for page in range(1, _MOST_ZONE_PAGES + 1):
            query: dict[str, str | int] = {"account.id": self._account_id, "page": page, "per_page": _ZONES_PER_PAGE}
            envelope = self._send(ApiCall(Operation.ZONES, "GET", "/zones", query))
            zones = demand(list[NamedBody], envelope, "the list of zones")
            fresh = {zone.id: zone for zone in zones if zone.id not in found}
            found |= fresh
            last = envelope.result_info.total_pages if envelope.result_info else None
            if not zones or (page >= last if last is not None else len(zones) < _ZONES_PER_PAGE):
                demand_whole(envelope, len(found), "zones")
                return list(found.values())
            if not fresh:
                raise UnusableReply("the list of zones is incomplete: a page has no new zones", hint=REPORT)
        raise UnusableReply(f"the account has more than {len(found)} zones", hint="delete its unused CAs by hand")

    def _associations(self, entries: Sequence[EntryId]) -> Users:
        found = self._client.side_by_side("Reading associations", self._associations_of, entries)
        return [one for users in found for one in users]

    def _associations_of(self, entry_id: EntryId) -> Users:
        return [(entry_id, service) for service in self.services_of(entry_id)]

    def services_of(self, entry_id: EntryId) -> tuple[User, ...]:
        """The services that use an entry; the API does not say which part of a service uses it. StoreError if they
        can't be read, EntryNotFound if there is no such entry."""
        path = f"{self._account}/mtls_certificates/{quote(entry_id, safe='')}/associations"
        envelope = self._send(ApiCall(Operation.GET, "GET", path))
        found = demand(list[AssociationBody], envelope, f"the list of what uses {entry_id}")
        return tuple(
            User(UserKind.SERVICE, one.service or "without a name", detail=one.status or "active") for one in found
        )

    @staticmethod
    def _try(what: str, ask: Callable[[], Sequence[_T]], unread: dict[str, str]) -> Sequence[_T]:
        """The answer; if the call fails, nothing, and its error in `unread`."""
        try:
            return ask()
        except ReconcilerError as error:
            unread[what] = _reason(error)
            return ()


def _keeps(what: str, retiring: Sequence[Entry]) -> bool:
    """Whether something that is to be deleted could be in a list of users that was not read."""
    return any(entry.ca for entry in retiring) if what == _HOSTNAMES else bool(retiring)


def _reason(error: ReconcilerError) -> str:
    return f"{error.message}{f' ({error.hint})' if error.hint else ''}"
