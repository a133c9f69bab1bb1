"""Each binding in mtls.toml, in the wrangler file and live: which certificate it uses, and what needs a deploy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import (
    Actual,
    BindingAddress,
    BindingName,
    ByCertificate,
    ById,
    CertificateName,
    DeclaredWorker,
    Desired,
    EntryId,
    EnvironmentName,
    HyperdriveAddress,
    Live,
    LiveVersion,
    SiteAddress,
    StoreSettings,
    UpdateAddress,
    WorkerLabel,
    WranglerEnvironment,
    WranglerFile,
)
from reconciler.model.live import PAGES
from reconciler.model.words import environment_path, environment_text
from reconciler.plan.inventory import Inventory


class LiveState(StrEnum):
    """Whether the live versions use the ID in the wrangler file.

    `file-behind`: they use the right ID, and the file does not have it yet; a deploy of that file would roll back.
    """

    IN_SYNC = "in-sync"
    FILE_BEHIND = "file-behind"
    NEEDS_DEPLOY = "needs-deploy"
    SPLIT = "split"
    NOT_DEPLOYED = "not-deployed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Presented:
    """The ID that one live version uses for a binding; None: it has no such binding. `share` in percent."""

    version: str
    share: float
    id: EntryId | None = None


@dataclass(frozen=True, slots=True)
class LiveBinding:
    """One binding of one Worker and environment. `desired` None: not declared, or not uploaded yet.

    `file` None: the file has no such binding. `detail`: why the state is unknown.
    """

    at: BindingAddress
    script: str | None
    state: LiveState
    certificate: CertificateName | None = None
    desired: EntryId | None = None
    file: str | None = None
    live: tuple[Presented, ...] = ()
    detail: str | None = None


def target_of(file: WranglerFile, environment: EnvironmentName) -> str | None:
    """The key of an environment's Worker in `Live.workers`; None if the file has no name for it.

    A Pages project has two: preview, and production, which is also that of the top level.
    """
    there = file.environments.get(environment)
    script = there.script if there else None
    if script is None or not file.pages:
        return script
    return f"{PAGES}{script}/{'preview' if environment == 'preview' else 'production'}"


def target_text(target: str) -> str:
    """The name of a Worker or Pages project in a sentence, from its key in `Live.workers`."""
    if not target.startswith(PAGES):
        return target
    project, _, side = target.removeprefix(PAGES).rpartition("/")
    return f"the Pages project {project} ({side})"


def is_elsewhere(store: StoreSettings, found: WranglerEnvironment) -> bool:
    """Whether an environment belongs to another account, so that its IDs and its Worker's name mean nothing here."""
    return store.account is not None and found.account_id not in (None, store.account)


def count_versions(live: Live) -> int:
    """The number of versions that were read. They never change, so the same run does not read them again."""
    workers = (worker for target, worker in live.workers.items() if not target.startswith(PAGES))
    return sum(len(worker.versions) for worker in workers if worker is not None)


def targets_of(desired: Desired, files: Mapping[WorkerLabel, WranglerFile]) -> tuple[str, ...]:
    """The keys in `Live.workers` of everything that is declared, each once."""
    found = (target_of(file, environment) for _, environment, file in declared_environments(desired, files))
    return tuple(dict.fromkeys(target for target in found if target is not None))


def declared_environments(
    desired: Desired, files: Mapping[WorkerLabel, WranglerFile]
) -> Iterator[tuple[DeclaredWorker, EnvironmentName, WranglerFile]]:
    """Yield every declared environment that its wrangler file has, if that was read."""
    for label, worker in sorted(desired.declaration.workers.items()):
        file = files.get(label)
        for environment in worker.environments:
            if file is not None and environment in file.environments:
                yield worker, environment, file


UNREAD_HINT = "run `mtlsctl doctor` to check the token and the connection, then run this again"
"""What to do where a live version could not be read."""


def unread_findings(rows: Iterable[LiveBinding]) -> Iterator[Diagnostic]:
    """Yield an error for each reason why live versions are unknown: at the first environment, with the number of the
    others."""
    reasons: dict[str | None, dict[SiteAddress, None]] = {}
    for row in rows:
        reasons.setdefault(row.detail, {}).setdefault(row.at.site)
    for reason, (first, *others) in reasons.items():
        more = f" and of {len(others)} more environment{'' if len(others) == 1 else 's'}" if others else ""
        message = (
            f"the live version of {first.config} ({environment_text(first.environment)}){more} is unknown: {reason}"
        )
        where = Pointer(first.config, environment_path(first.environment))
        yield Diagnostic(Severity.ERROR, Code.LIVE_UNREAD, message, where, UNREAD_HINT)


@dataclass(frozen=True, slots=True)
class DeployChoice:
    """Which Workers are deployed: every one (`--deploy`), or those that declare it, if the operator has `allowed` it.

    A deploy runs the build of the repository with a token, so mtls.toml alone can't order it. `over_split`: also over a
    gradual deployment in progress. `nobody`: the run is not about deploys. `workers`: these as well, and those of
    `split` (real names) over a gradual deployment, because that was approved; so are the IDs in `hyperdrives`,
    and the zones whose IDs are in `zones`.
    """

    everybody: bool = False
    allowed: bool = False
    over_split: bool = False
    nobody: bool = False
    workers: frozenset[WorkerLabel] = frozenset()
    split: frozenset[str] = frozenset()
    hyperdrives: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()

    def updates(self, at: UpdateAddress) -> bool:
        """Whether this run makes an update of this; for that, no build runs."""
        approved = at.config in self.hyperdrives if isinstance(at, HyperdriveAddress) else at.zone_id in self.zones
        return not self.nobody and (self.everybody or self.allowed or approved)

    def includes(self, worker: DeclaredWorker) -> bool:
        """Whether this run deploys this Worker."""
        if self.nobody:
            return False
        return self.everybody or worker.label in self.workers or (self.allowed and worker.deploy is not None)

    def refuses(self, worker: DeclaredWorker) -> bool:
        """Whether the Worker declares that it is to be deployed, and no one has allowed it."""
        return not self.nobody and worker.deploy is not None and not self.includes(worker)

    def targets(self, desired: Desired, actual: Actual) -> tuple[str, ...]:
        """The keys in `Live.workers` that must be read to decide."""
        found = (
            target_of(file, environment)
            for worker, environment, file in declared_environments(desired, actual.files)
            if (self.includes(worker) or self.refuses(worker)) and not file.pages
        )
        return tuple(dict.fromkeys(target for target in found if target is not None))


NOBODY = DeployChoice(nobody=True)


def compare_live(
    desired: Desired, actual: Actual, inventory: Inventory | None, next_ids: Mapping[BindingAddress, EntryId | None]
) -> Mapping[SiteAddress, tuple[LiveBinding, ...]]:
    """For each declared environment a row for each binding that it declares, has in its file, or uses live.

    `next_ids`: what the bindings whose file is wrong should have; None: nothing. Empty if live Workers were not read.
    """
    if actual.live is None:
        return {}
    found: dict[SiteAddress, tuple[LiveBinding, ...]] = {}
    for worker, environment, file in declared_environments(desired, actual.files):
        seen = _Seen(worker, environment, file, actual.live, inventory, desired.declaration.store, next_ids)
        found[SiteAddress(worker.label, file.path, environment)] = tuple(seen.row(name) for name in seen.names())
    return found


@dataclass(frozen=True, slots=True)
class _Seen:
    """One environment in mtls.toml, in its file and live."""

    worker: DeclaredWorker
    environment: EnvironmentName
    file: WranglerFile
    live: Live
    inventory: Inventory | None
    store: StoreSettings
    next_ids: Mapping[BindingAddress, EntryId | None]

    def names(self) -> tuple[str, ...]:
        """Declared ones first, then the file's, then those that are only live."""
        declared = [str(binding.binding) for binding in self.worker.environments[self.environment]]
        there = [found.binding for found in self.file.environments[self.environment].bindings]
        live = [name for version in self._serving() for name in sorted(version.bindings)]
        return tuple(dict.fromkeys((*declared, *there, *live)))

    def row(self, name: str) -> LiveBinding:
        declared = next((one for one in self.worker.environments[self.environment] if one.binding == name), None)
        there = self.file.environments[self.environment]
        found = there.find(name)
        live = tuple(Presented(one.id, one.share or 0.0, one.bindings.get(name)) for one in self._serving())
        at = BindingAddress(self.worker.label, self.file.path, self.environment, BindingName(name))
        state, detail = self._state(at, found.certificate_id if found else None, live)
        certificate, wanted = self._wanted(declared.target if declared else None)
        return LiveBinding(
            at=at,
            script=there.script,
            state=state,
            certificate=certificate,
            desired=wanted,
            file=found.certificate_id if found else None,
            live=live,
            detail=detail,
        )

    def _serving(self) -> tuple[LiveVersion, ...]:
        target = target_of(self.file, self.environment)
        if is_elsewhere(self.store, self.file.environments[self.environment]):
            return ()
        found = self.live.workers.get(target) if target is not None else None
        return found.serving if found else ()

    def _state(
        self, at: BindingAddress, file_id: str | None, live: tuple[Presented, ...]
    ) -> tuple[LiveState, str | None]:
        target = target_of(self.file, self.environment)
        if is_elsewhere(self.store, self.file.environments[self.environment]):
            return LiveState.UNKNOWN, "it belongs to another account"
        if target is None:
            return LiveState.UNKNOWN, "the wrangler file has no `name` for it"
        if target in self.live.unread:
            return LiveState.UNKNOWN, self.live.unread[target]
        if not live:
            found = self.live.workers.get(target)
            return LiveState.NOT_DEPLOYED, "it has no live version" if found else "the account has no such Worker"
        same = [one.id == file_id for one in live]
        if all(same):
            return LiveState.IN_SYNC, None
        if at in self.next_ids and all(one.id == self.next_ids[at] for one in live):
            return LiveState.FILE_BEHIND, None
        return LiveState.SPLIT if any(same) else LiveState.NEEDS_DEPLOY, None

    def _wanted(self, target: ByCertificate | ById | None) -> tuple[CertificateName | None, EntryId | None]:
        """The certificate and the ID that a binding is declared to use."""
        if not isinstance(target, ByCertificate):
            return None, target.id if target else None
        entry = self.inventory.current.get(target.certificate) if self.inventory else None
        return target.certificate, entry.id if entry else None
