"""Which Workers have to be deployed: those whose serving versions present other ids than their wrangler file names.

Decided by what is live, never by what a run wrote, so that the next run finishes what a killed one left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.model import (
    Action,
    Actual,
    BindingChange,
    Built,
    ByCertificate,
    DeclaredWorker,
    Deploy,
    Desired,
    EntryId,
    EnvironmentName,
    LiveVersion,
    Reason,
    ToPresent,
    WorkerLabel,
    WranglerFile,
)
from reconciler.model.identifiers import is_placeholder
from reconciler.model.words import environment_text
from reconciler.plan.inventory import Inventory
from reconciler.plan.live import declared_environments, is_elsewhere, target_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who is deployed: everybody (`--deploy`), or the Workers that declare it. `over_split`: also over a gradual
    deployment that is under way. `nobody`: deploys are not what this run is about. `workers`: these as well, and those
    of `split` (real names) over a gradual deployment, for that was approved."""

    everybody: bool = False
    over_split: bool = False
    nobody: bool = False
    workers: frozenset[WorkerLabel] = frozenset()
    split: frozenset[str] = frozenset()

    def includes(self, worker: DeclaredWorker) -> bool:
        """Whether this Worker is ours to deploy."""
        return not self.nobody and (self.everybody or worker.deploy is not None or worker.label in self.workers)

    def targets(self, desired: Desired, actual: Actual) -> tuple[str, ...]:
        """What has to be looked at to decide."""
        found = (
            target_of(file, environment)
            for worker, environment, file in declared_environments(desired, actual.files)
            if self.includes(worker) and not file.pages
        )
        return tuple(dict.fromkeys(target for target in found if target is not None))


NOBODY = Wanted(nobody=True)


@dataclass(slots=True)
class DeployDiff:
    """What `diff_deploys` found."""

    changes: list[Deploy] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def diff_deploys(
    desired: Desired,
    actual: Actual,
    inventory: Inventory | None,
    bindings: Sequence[BindingChange],
    wanted: Wanted,
) -> DeployDiff:
    """Every deploy that is due once `bindings` are made. Nothing where what is live was not looked at."""
    out = DeployDiff()
    if actual.live is None or inventory is None:
        return out
    names = _places_by_name(desired, actual)
    for worker, environment, file in declared_environments(desired, actual.files):
        if wanted.includes(worker) and not is_elsewhere(desired.declaration.store, file.environments[environment]):
            mine = [one for one in bindings if (one.config, one.environment) == (file.path, environment)]
            _Place(desired, actual, inventory, worker, environment, file, mine, names).diff(out, wanted)
    return out


def _places_by_name(desired: Desired, actual: Actual) -> Mapping[str, Sequence[str]]:
    """Which environments of which files are a Worker, by its real name; each wants to be all of it."""
    names: dict[str, list[str]] = defaultdict(list)
    for _, environment, file in declared_environments(desired, actual.files):
        target = target_of(file, environment)
        if target is not None and not is_elsewhere(desired.declaration.store, file.environments[environment]):
            names[target].append(f"{file.path} ({environment_text(environment)})")
    return names


@dataclass(frozen=True, slots=True)
class _Place:
    """One environment of one Worker."""

    desired: Desired
    actual: Actual
    inventory: Inventory
    worker: DeclaredWorker
    environment: EnvironmentName
    file: WranglerFile
    changes: Sequence[BindingChange]
    names: Mapping[str, Sequence[str]]

    def diff(self, out: DeployDiff, wanted: Wanted) -> None:
        target = target_of(self.file, self.environment)
        live = self.actual.live
        if live is None or self.environment in self.worker.undeployed:
            return
        if self.file.pages or target is None:
            why = "a Pages project is not deployed by `wrangler deploy`" if self.file.pages else "it has no name there"
            out.diagnostics.append(self._say(Code.DEPLOY_UNSUPPORTED, Severity.ERROR, why, "deploy it by hand"))
        elif target in live.unread:
            out.diagnostics.append(
                self._say(Code.LIVE_UNREAD, Severity.ERROR, f"what serves is not known: {live.unread[target]}", None)
            )
        elif live.workers.get(target) is None or not self._serving(target):
            hint = "deploy it once by hand; from then on it is found, or say `deployed = false`"
            out.diagnostics.append(self._say(Code.NOT_LIVE, Severity.WARNING, "nothing of it serves yet", hint))
        else:
            self._decide(target, out, wanted)

    def _decide(self, target: str, out: DeployDiff, wanted: Wanted) -> None:
        serving = self._serving(target)
        bindings = tuple(self._to_present(serving))
        if not any(one.differs for one in bindings):
            return
        problem = self._in_the_way(target, bindings, serving, wanted)
        if problem is not None:
            out.diagnostics.append(problem)
            return
        out.changes.append(
            Deploy(
                worker=self.worker.label,
                config=self.file.path,
                environment=self.environment,
                script=target,
                reasons=(Reason.LIVE_DIFFERS,),
                bindings=bindings,
                serving=tuple(version.id for version in serving),
                built=self.file.built.path if self.file.built else None,
            )
        )

    def _in_the_way(
        self, target: str, bindings: Sequence[ToPresent], serving: Sequence[LiveVersion], wanted: Wanted
    ) -> Diagnostic | None:
        store = self.desired.declaration.store.kind
        free = next((one.binding for one in bindings if one.id is not None and is_placeholder(one.id, store)), None)
        if free is not None:
            why = f"{free} still has a placeholder for an id"
            return self._say(Code.DEPLOY_BLOCKED, Severity.ERROR, why, "see what stands in the way of that binding")
        if len(self.names[target]) > 1:
            why = f"{' and '.join(self.names[target])} are one Worker, {target}; each deploy would undo the other's"
            hint = "give each a name of its own, or declare the one that is to serve"
            return self._say(Code.DEPLOY_AMBIGUOUS, Severity.ERROR, why, hint)
        if len(serving) > 1 and not wanted.over_split and target not in wanted.split:
            why = "a gradual deployment is under way, which a deploy would end"
            hint = "finish it with `wrangler versions deploy`, or deploy over it with `--over-split`"
            return self._say(Code.GRADUAL_DEPLOYMENT, Severity.ERROR, why, hint)
        return self._build_needed(target, bindings)

    def _build_needed(self, target: str, bindings: Sequence[ToPresent]) -> Diagnostic | None:
        built = self.file.built
        if built is None:
            return None
        if built.script != target:
            why = f"wrangler deploys {built.path}, which a build made for {built.script or 'a Worker without a name'}"
            return self._say(Code.BUILD_NEEDED, Severity.ERROR, why, f"build it for {target}, then apply again")
        if not all(_has(built, one) for one in bindings):
            why = f"wrangler deploys {built.path}, which a build made and which names other ids"
            return self._say(Code.BUILD_NEEDED, Severity.ERROR, why, "build again, then apply again")
        return None

    def _serving(self, target: str) -> tuple[LiveVersion, ...]:
        found = self.actual.live.workers.get(target) if self.actual.live else None
        return found.serving if found else ()

    # --- what it will present -----------------------------------------------------------------------------------------

    def _to_present(self, serving: Sequence[LiveVersion]) -> Iterator[ToPresent]:
        """Bindings that are ours: every declared one, and those that present an entry of ours and shall not."""
        file = self._after()

        def live(name: str) -> tuple[EntryId | None, ...]:
            return tuple(version.bindings.get(name) for version in serving)

        declared = self.worker.environments[self.environment]
        for one in declared:
            if one.binding in file:  # else something stands in its way, which is said elsewhere
                certificate = one.target.certificate if isinstance(one.target, ByCertificate) else None
                bundle = self.desired.bundles.get(certificate) if certificate else None
                digest = bundle.digest if bundle else None
                yield ToPresent(one.binding, file[one.binding], digest, certificate, live(one.binding))
        ours = {*self.inventory.owned, *(entry.id for entry in self.inventory.current.values())}
        stray = [name for version in serving for name, entry_id in version.bindings.items() if entry_id in ours]
        for name in dict.fromkeys(stray):
            if name not in file and all(one.binding != name for one in declared):
                yield ToPresent(name, None, live=live(name))

    def _after(self) -> dict[str, EntryId | None]:
        """The ids that the file names once the changes of this plan are made; None: not known before the upload."""
        there = self.file.environments[self.environment].bindings
        after: dict[str, EntryId | None] = {found.binding: EntryId(found.certificate_id) for found in there}
        for change in self.changes:
            if change.action is Action.UNBIND:
                after.pop(change.binding, None)
            else:
                after[change.binding] = change.after
        return after

    def _say(self, code: Code, severity: Severity, why: str, hint: str | None) -> Diagnostic:
        where = Pointer(self.file.path, () if self.environment is None else ("env", self.environment))
        message = f"{self.file.path} ({environment_text(self.environment)}) can't be deployed: {why}"
        return Diagnostic(severity, code, message, where, hint)


def _has(built: Built, one: ToPresent) -> bool:
    """Whether a built file says of a binding what is to be presented."""
    if one.id is None and one.digest is None:
        return all(binding != one.binding for binding, _ in built.bindings)
    return (one.binding, one.id) in built.bindings
