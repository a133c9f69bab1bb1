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
from reconciler.model.live import PAGES, hostnames_user, hyperdrive_users
from reconciler.stores.cloudflare.client import ApiCall, Client, send_patiently
from reconciler.stores.cloudflare.errors import Operation, UnusableReply, WorkerNotFound
from reconciler.stores.cloudflare.hostnames import LISTS, HostnameLists
from reconciler.stores.cloudflare.hyperdrive import LIST, HyperdriveConfigs
from reconciler.stores.cloudflare.listing import REPORT, demand, demand_whole
from reconciler.stores.cloudflare.wire import (
    AssociationBody,
    DeploymentBody,
    DeploymentsBody,
    Envelope,
    NamedBody,
    PagesBody,
    SettingsBody,
    VersionBody,
    certificates_in,
)

_SHOWN = 10
"""The number of deployments that Cloudflare lists at least; a shorter list is complete."""
_ROUNDING = 1.0
"""Percent."""

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


class CloudflareLive:
    """Reads live Workers and, before a retire, everything else that may use the entry."""

    def __init__(self, client: Client, account_id: str, random: Callable[[], float]) -> None:
        self._client = client
        # No bound method: a reference cycle would keep the connections open until the next garbage collection.
        self._send: Callable[[ApiCall], Envelope] = lambda call: send_patiently(client, call, random)
        self._account = f"/accounts/{account_id}"
        self._workers = LiveWorkers(self._send, self._account)
        self._hyperdrives = HyperdriveConfigs(client, self._account, random)
        self._lists = HostnameLists(client, account_id, random)
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
            found.extend(self._try(LISTS, lambda: self._hostnames(cas), unread))
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
        pairs = [(zone.id, ca) for zone in self._lists.zones() for ca in cas]
        lists = self._lists.lists(pairs)
        return [(listed.ca, user) for listed in lists if (user := hostnames_user(listed)) is not None]

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
    return any(entry.ca for entry in retiring) if what == LISTS else bool(retiring)


def _reason(error: ReconcilerError) -> str:
    return f"{error.message}{f' ({error.hint})' if error.hint else ''}"
