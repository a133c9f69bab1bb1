"""What the versions of Workers, and Pages projects, present. One or two calls for each: its deployments, and each
version that serves; a version never changes, so it is read once in a run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import quote

from reconciler.model import EntryId, LiveVersion, LiveWorker
from reconciler.model.live import PAGES
from reconciler.stores.cloudflare.client import Call
from reconciler.stores.cloudflare.errors import Operation, UnusableReply, WorkerNotFound
from reconciler.stores.cloudflare.live_wire import (
    DeploymentBody,
    DeploymentsBody,
    NamedBody,
    PagesBody,
    SettingsBody,
    VersionBody,
    certificates_in,
    parse,
)
from reconciler.stores.cloudflare.wire import Envelope

_SHOWN = 10
"""Deployments that Cloudflare certainly lists; of fewer there are no more."""
_ROUNDING = 1.0
"""Percent."""
_T = TypeVar("_T")


class LiveWorkers:
    """Reads Workers; may be used by several threads."""

    def __init__(self, send: Callable[[Call], Envelope], account_path: str) -> None:
        self._send = send
        self._account = account_path
        self._lock = threading.Lock()
        self._versions: dict[tuple[str, str], LiveVersion] = {}

    def names(self) -> tuple[str, ...]:
        """The name of every Worker of the account. StoreError where the list is short of what it counts."""
        envelope = self._send(Call(Operation.WORKERS, "GET", f"{self._account}/workers/scripts"))
        found = demand(list[NamedBody], envelope, "the list of Workers")
        demand_whole(envelope, len(found), "Workers")
        return tuple(one.id for one in found)

    def read(self, target: str, *, earlier: int) -> LiveWorker | None:
        """A Worker or one side of a Pages project; None where there is none. `earlier`: so many deployments back."""
        try:
            return self._pages(target) if target.startswith(PAGES) else self._worker(target, earlier)
        except WorkerNotFound:
            return None

    def _worker(self, script: str, earlier: int) -> LiveWorker:
        deployments = self._deployments(script)
        if not deployments:
            return LiveWorker(script, (self._latest(script),))
        shares = {share.version_id: share.percentage for share in deployments[0].versions}
        versions = [self._serving(script, version, share) for version, share in shares.items()]
        before = [share.version_id for one in deployments[1 : 1 + earlier] for share in one.versions]
        for version in dict.fromkeys(before):
            if version not in shares:
                versions.extend(self._earlier(script, version))
        if earlier >= len(deployments) >= _SHOWN:
            raise UnusableReply(
                f"only the newest {len(deployments)} deployments of {script} are listed",
                hint="lower `rollback_versions` in `[policy]`",
            )
        return LiveWorker(script, tuple(versions))

    def _deployments(self, script: str) -> list[DeploymentBody]:
        envelope = self._send(Call(Operation.WORKERS, "GET", f"{self._script(script)}/deployments"))
        body = demand(DeploymentsBody, envelope, f"the list of deployments of {script}")
        deployments = _newest_first(body.deployments)
        if deployments and abs(sum(share.percentage for share in deployments[0].versions) - 100) > _ROUNDING:
            what = f"the shares of the newest deployment of {script} are not all of its traffic"
            raise UnusableReply(what, hint=REPORT)
        return deployments

    def _serving(self, script: str, version: str, share: float) -> LiveVersion:
        """A version that is known to serve: where it can't be found there is a doubt, and no Worker less."""
        try:
            return self._version(script, version, share)
        except WorkerNotFound as error:
            what = f"version {version} of {script} serves, but is not found: {error.message}"
            raise UnusableReply(
                what, hint="run again: the Worker may have been deployed or deleted meanwhile"
            ) from error

    def _version(self, script: str, version: str, share: float | None) -> LiveVersion:
        with self._lock:
            known = self._versions.get((script, version))
        if known is None:
            path = f"{self._script(script)}/versions/{quote(version, safe='')}"
            envelope = self._send(Call(Operation.WORKERS, "GET", path))
            body = demand(VersionBody, envelope, f"version {version} of {script}")
            known = LiveVersion(version, certificates_in(body.resources.bindings))
            with self._lock:
                self._versions[script, version] = known
        return LiveVersion(version, known.bindings, share)

    def _earlier(self, script: str, version: str) -> Sequence[LiveVersion]:
        """A version that one may go back to; nothing where it is not kept any more."""
        try:
            return (self._version(script, version, None),)
        except WorkerNotFound:
            return ()

    def _latest(self, script: str) -> LiveVersion:
        """Where nothing was ever deployed, the latest upload is all there is to present."""
        envelope = self._send(Call(Operation.WORKERS, "GET", f"{self._script(script)}/settings"))
        body = demand(SettingsBody, envelope, f"the settings of {script}")
        return LiveVersion("latest", certificates_in(body.bindings))

    def _script(self, script: str) -> str:
        return f"{self._account}/workers/scripts/{quote(script, safe='')}"

    def _pages(self, target: str) -> LiveWorker:
        project, _, side = target.removeprefix(PAGES).rpartition("/")
        path = f"{self._account}/pages/projects/{quote(project, safe='')}"
        body = demand(PagesBody, self._send(Call(Operation.PAGES, "GET", path)), f"the Pages project {project}")
        there = body.deployment_configs.get(side)
        found = there.mtls_certificates if there and there.mtls_certificates else {}
        bindings = {name: EntryId(one.certificate_id) for name, one in found.items()}
        return LiveWorker(target, (LiveVersion(side, bindings, 100.0),))


def _newest_first(found: Sequence[DeploymentBody]) -> list[DeploymentBody]:
    """Deployments by their times, each once. Where one has no time, as they are listed: the newest is said to be
    first, which equal times keep too."""
    known = {one.id or str(place): one for place, one in reversed(list(enumerate(found)))}
    distinct = list(reversed(known.values()))
    times = [one.created_on for one in distinct if one.created_on is not None]
    if len(times) < len(distinct):
        return distinct
    order = sorted(range(len(distinct)), key=lambda place: times[place], reverse=True)
    return [distinct[place] for place in order]


REPORT = "run again; if it stays so, the API has changed, and mtlsctl must learn it"


def demand(kind: type[_T], envelope: Envelope, what: str) -> _T:
    """The result as what it should be; UnusableReply where it is something else."""
    found = parse(kind, envelope.result)
    if found is None:
        raise UnusableReply(f"{what} is not what Cloudflare documents", hint=REPORT)
    return found


def demand_whole(envelope: Envelope, count: int, what: str) -> None:
    """UnusableReply where a list has fewer than the server counts."""
    total = envelope.result_info.total_count if envelope.result_info else None
    if total is not None and count < total:
        raise UnusableReply(f"Cloudflare counts {total} {what}, but lists {count}", hint=REPORT)
