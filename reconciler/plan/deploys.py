"""Which Workers must be deployed: those whose live versions use other IDs than their wrangler file.

This is decided by what is live, never by what a run wrote, so the next run finishes the work of a killed one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import (
    Action,
    Actual,
    BindingAddress,
    BindingChange,
    BindingName,
    Built,
    ByCertificate,
    CertificateName,
    Condition,
    DeclaredWorker,
    Deploy,
    Desired,
    Entry,
    EntryId,
    EnvironmentName,
    LiveVersion,
    Reason,
    SiteAddress,
    ToPresent,
    WranglerFile,
)
from reconciler.model.identifiers import is_placeholder
from reconciler.model.words import environment_path, environment_text
from reconciler.plan.assessment import BindingRow, Held, Need, Pending, SiteRow, Unseen, UpToDate, Verdict, Waits
from reconciler.plan.inventory import Inventory, is_older
from reconciler.plan.live import UNREAD_HINT, DeployChoice, compare_live, declared_environments, is_elsewhere, target_of
from reconciler.plan.retire_live import can_be_live
from reconciler.x509.certificates import rfc3339
from reconciler.x509.chains import Window, window_of


def judge_sites(
    desired: Desired,
    actual: Actual,
    inventory: Inventory | None,
    bindings: Iterable[BindingRow],
    held: Mapping[SiteAddress, Held],
    choice: DeployChoice,
    now: datetime,
) -> tuple[tuple[SiteRow, ...], tuple[Diagnostic, ...]]:
    """A row for each declared environment, and the findings.

    A deploy is planned if it is needed once the pending bindings are written, and only if live Workers were read.
    `held`: environments in which nothing can be bound.
    """
    rows: list[SiteRow] = []
    found: list[Diagnostic] = []
    names = _places_by_name(desired, actual)
    bindings = tuple(bindings)
    live = compare_live(desired, actual, inventory, dict(_next_ids(bindings)))
    pending, later = _pending_by_site(bindings), _later_by_site(bindings)
    for label, worker in sorted(desired.declaration.workers.items()):
        file = actual.files.get(label)
        for environment in worker.environments:
            at = SiteAddress(label, file.path if file else worker.config, environment)
            there = file.environments.get(environment) if file else None
            verdict: Verdict = UpToDate()
            if at in held:
                verdict = held[at]
            elif label in actual.broken:
                verdict = Held(actual.broken[label].problems)
            elif file is None or there is None:
                verdict = Unseen(Need.FILE)
            elif inventory is None:
                verdict = Unseen(Need.STORE)
            else:
                changes = pending.get(at, ())
                site = _Site(
                    desired, actual, inventory, worker, environment, file, changes, later.get(at, {}), names, now
                )
                said: list[Diagnostic] = []
                verdict = site.judge(choice, said) if choice.includes(worker) else site.judge_left()
                if choice.refuses(worker) and isinstance(verdict, Waits):
                    said.append(site.not_allowed())
                found.extend(said)
            rows.append(SiteRow(at, worker, file if there else None, live.get(at, ()), verdict))
    return tuple(rows), tuple(found)


def _pending_by_site(rows: Iterable[BindingRow]) -> Mapping[SiteAddress, Sequence[BindingChange]]:
    changes: dict[SiteAddress, list[BindingChange]] = defaultdict(list)
    for row in rows:
        if isinstance(row.verdict, Pending) and isinstance(row.verdict.change, BindingChange):
            changes[row.at.site].append(row.verdict.change)
    return changes


def _next_ids(rows: Iterable[BindingRow]) -> Iterator[tuple[BindingAddress, EntryId | None]]:
    """Yield the ID that a binding with a wrong file should have, also if an error keeps it from being written.

    Not of one that must wait until its certificate is valid, nor of one whose certificate is not uploaded yet.
    """
    for row in rows:
        change = row.verdict.change if isinstance(row.verdict, Pending | Held) else None
        if isinstance(change, BindingChange) and change.action is Action.UNBIND:
            yield row.at, None
        elif isinstance(row.verdict, Pending | Held) and row.wanted is not None and row.wanted != row.found_id:
            yield row.at, row.wanted


def _later_by_site(rows: Iterable[BindingRow]) -> Mapping[SiteAddress, Mapping[str, Waits]]:
    """The bindings that wait until their certificate is valid."""
    found: dict[SiteAddress, dict[str, Waits]] = defaultdict(dict)
    for row in rows:
        if isinstance(row.verdict, Waits) and isinstance(row.verdict.change, BindingChange):
            found[row.at.site][row.at.binding] = row.verdict
    return found


def _places_by_name(desired: Desired, actual: Actual) -> Mapping[str, Sequence[str]]:
    """The declared environments of each Worker, by its real name. Two of the same Worker overwrite each other."""
    names: dict[str, list[str]] = defaultdict(list)
    for _, environment, file in declared_environments(desired, actual.files):
        target = target_of(file, environment)
        if target is not None and not is_elsewhere(desired.declaration.store, file.environments[environment]):
            names[target].append(f"{file.path} ({environment_text(environment)})")
    return names


@dataclass(frozen=True, slots=True)
class _Site:
    """One environment of one Worker."""

    desired: Desired
    actual: Actual
    inventory: Inventory
    worker: DeclaredWorker
    environment: EnvironmentName
    file: WranglerFile
    changes: Sequence[BindingChange]
    later: Mapping[str, Waits]
    names: Mapping[str, Sequence[str]]
    now: datetime

    def judge_left(self) -> Verdict:
        """The verdict of a Worker that mtlsctl does not deploy: up to date, or waiting for a deploy."""
        target, live = target_of(self.file, self.environment), self.actual.live
        if self._is_never_live:
            return UpToDate()
        if live is None or target is None or target in live.unread:
            return Unseen(Need.LIVE)
        change = self._change(target)
        return UpToDate() if change is None else Waits(change, Condition.NOT_DEPLOYED)

    def not_allowed(self) -> Diagnostic:
        """What is said of a Worker that declares to be deployed."""
        why = 'mtls.toml says `deploy = "wrangler"`, and this run was not allowed to deploy'
        hint = "run with `--deploy`, or set MTLSCTL_DEPLOY=1 where you trust what the build of this repository does"
        return self._say(Code.DEPLOY_NOT_ALLOWED, Severity.WARNING, why, hint)

    def judge(self, choice: DeployChoice, said: list[Diagnostic]) -> Verdict:
        """The verdict of a Worker that mtlsctl deploys; findings are added to `said`."""
        target, live = target_of(self.file, self.environment), self.actual.live
        if self._is_never_live:
            return UpToDate()
        if live is None:
            return Unseen(Need.LIVE)
        if self.file.pages or target is None:
            why = "`wrangler deploy` does not deploy Pages projects" if self.file.pages else "it has no `name`"
            said.append(self._say(Code.DEPLOY_UNSUPPORTED, Severity.ERROR, why, "deploy it by hand"))
            return Held(tuple(said))
        if target in live.unread:
            why = f"its live version is unknown: {live.unread[target]}"
            said.append(self._say(Code.LIVE_UNREAD, Severity.ERROR, why, UNREAD_HINT))
            return Held(tuple(said))
        if live.workers.get(target) is None or not self._serving(target):
            hint = "deploy it once by hand, or set `deployed = false`"
            said.append(self._say(Code.NOT_LIVE, Severity.WARNING, "it has no live version yet", hint))
            return UpToDate()
        change = self._change(target)
        if change is None:
            return self._judge_later(target)
        problem = self._in_the_way(target, change.bindings, self._serving(target), choice)
        if problem is None:
            return self._judge_dates(change, said)
        said.append(problem)
        return Held((problem,), change)

    def _judge_later(self, target: str) -> Verdict:
        """The deploy that a Worker needs once a certificate is valid, though it needs none now."""
        serving = self._serving(target)

        def will_differ(name: str, wait: Waits) -> bool:
            after = wait.change.after if isinstance(wait.change, BindingChange) else None
            return after is None or any(version.bindings.get(name) != after for version in serving)

        times = [wait.until for name, wait in self.later.items() if wait.until and will_differ(name, wait)]
        if not times:
            return UpToDate()
        change = self._deploy(target, serving, tuple(self._to_present(serving)))
        return Waits(change, Condition.NOT_VALID_YET, min(times))

    def _judge_dates(self, change: Deploy, said: list[Diagnostic]) -> Verdict:
        """Rule 10 for live Workers: no deploy replaces a valid certificate with an expired or not yet valid one."""
        begins: list[datetime] = []
        ends: list[datetime] = []
        for one in change.bindings:
            window = self._window(one)
            if not one.differs or window is None or not self._is_live_valid(one):
                continue
            if window.ends is not None and window.has_ended(self.now):
                why = f"{one.binding} would use a certificate that expired on {rfc3339(window.ends)}"
                hint = "bind a valid certificate first; the live version still uses one"
                problem = replace(
                    self._say(Code.DEPLOY_BLOCKED, Severity.ERROR, why, hint), certificate=one.certificate
                )
                said.append(problem)
                return Held((problem,), change)
            if window.begins is not None and self.now < window.begins:
                begins.append(window.begins)
            if window.ends is not None:
                ends.append(window.ends)
        change = replace(change, not_after=min(ends, default=None))
        return Waits(change, Condition.NOT_VALID_YET, max(begins), {"case": "live"}) if begins else Pending(change)

    def _window(self, one: ToPresent) -> Window | None:
        """When the certificate that a binding uses after the deploy is valid; None if unknown."""
        entry = self._entry(one.id)
        if entry is not None:
            return entry.window(self.now)
        bundle = self.desired.bundles.get(one.certificate) if one.certificate is not None else None
        return window_of(bundle, now=self.now) if bundle is not None and one.digest == bundle.digest else None

    def _entry(self, entry_id: EntryId | None) -> Entry | None:
        if entry_id is None:
            return None
        return self.inventory.entries.get(entry_id) or self.actual.asked.get(entry_id)

    def _is_live_valid(self, one: ToPresent) -> bool:
        """Whether some live version uses a certificate for this binding that is known to be valid now."""
        entries = (self._entry(live) for live in one.live)
        return any(entry is not None and entry.window(self.now).contains(self.now) for entry in entries)

    @property
    def _is_never_live(self) -> bool:
        """Whether nothing of it can be live in this account."""
        store = self.desired.declaration.store
        if not can_be_live(self.desired) or self.environment in self.worker.undeployed:
            return True
        return is_elsewhere(store, self.file.environments[self.environment])

    def _change(self, target: str) -> Deploy | None:
        """The deploy of the IDs in the file after this plan; None if they are live, or the Worker is not deployed."""
        serving = self._serving(target)
        bindings = tuple(self._to_present(serving))
        if not serving or not any(one.differs for one in bindings):
            return None
        return self._deploy(target, serving, bindings)

    def _deploy(self, target: str, serving: Sequence[LiveVersion], bindings: tuple[ToPresent, ...]) -> Deploy:
        return Deploy(
            at=SiteAddress(self.worker.label, self.file.path, self.environment),
            script=target,
            reasons=(Reason.LIVE_DIFFERS,),
            bindings=bindings,
            serving=tuple(version.id for version in serving),
            built=self.file.built.path if self.file.built else None,
        )

    def _in_the_way(
        self, target: str, bindings: Sequence[ToPresent], serving: Sequence[LiveVersion], choice: DeployChoice
    ) -> Diagnostic | None:
        store = self.desired.declaration.store.kind
        free = next((one.binding for one in bindings if one.id is not None and is_placeholder(one.id, store)), None)
        if free is not None:
            why = f"{free} still has a placeholder instead of an ID"
            return self._say(Code.DEPLOY_BLOCKED, Severity.ERROR, why, "fix the error about that binding first")
        lost = self._lost(serving)
        if lost is not None:
            why = f"its wrangler file does not have {lost}, which its live version uses"
            return self._say(Code.DEPLOY_BLOCKED, Severity.ERROR, why, "fix the error about that binding first")
        if len(self.names[target]) > 1:
            places = " and ".join(self.names[target])
            why = f"{places} are the same Worker, {target}, so each deploy would undo the other"
            hint = "give each a `name` of its own, or declare only one of them"
            return self._say(Code.DEPLOY_AMBIGUOUS, Severity.ERROR, why, hint)
        if len(serving) > 1 and not choice.over_split and target not in choice.split:
            why = "a gradual deployment is in progress, and a deploy would end it"
            hint = "finish it with `wrangler versions deploy`, or deploy anyway with `--over-split`"
            return self._say(Code.GRADUAL_DEPLOYMENT, Severity.ERROR, why, hint)
        return self._build_needed(target, bindings)

    def _lost(self, serving: Sequence[LiveVersion]) -> BindingName | None:
        """A declared binding that is live, under this name or the one before it was renamed, and not in the file."""
        file, live = self._after(), {name for version in serving for name in version.bindings}
        missing = [one for one in self.worker.environments[self.environment] if one.binding not in file]
        removed = {change.certificate for change in self.changes if change.action is Action.UNBIND}
        return next(
            (
                one.binding
                for one in missing
                if one.binding in live or (isinstance(one.target, ByCertificate) and one.target.certificate in removed)
            ),
            None,
        )

    def _build_needed(self, target: str, bindings: Sequence[ToPresent]) -> Diagnostic | None:
        built = self.file.built
        if built is None:
            return None
        if built.script != target:
            script = built.script or "a Worker without a name"
            why = f"wrangler deploys the generated file {built.path}, which is for {script}"
            hint = f"build it for {target}, then run `mtlsctl apply` again"
            return self._say(Code.BUILD_NEEDED, Severity.ERROR, why, hint)
        if not all(_has(built, one) for one in bindings):
            why = f"wrangler deploys the generated file {built.path}, which has other IDs"
            hint = "build again, then run `mtlsctl apply` again"
            return self._say(Code.BUILD_NEEDED, Severity.ERROR, why, hint)
        return None

    def _serving(self, target: str) -> tuple[LiveVersion, ...]:
        found = self.actual.live.workers.get(target) if self.actual.live else None
        return found.serving if found else ()

    # --- what it will use ---------------------------------------------------------------------------------------------

    def _to_present(self, serving: Sequence[LiveVersion]) -> Iterator[ToPresent]:
        """Yield every declared binding, and each undeclared live one that uses a certificate of this stack."""
        file = self._after()

        def live(name: str) -> tuple[EntryId | None, ...]:
            return tuple(version.bindings.get(name) for version in serving)

        declared = self.worker.environments[self.environment]
        for one in declared:
            if one.binding in file:  # else an error keeps it from being written, which is reported elsewhere
                certificate = one.target.certificate if isinstance(one.target, ByCertificate) else None
                yield ToPresent(
                    binding=one.binding,
                    id=file[one.binding],
                    digest=self._digest(certificate, file[one.binding]),
                    certificate=certificate,
                    live=live(one.binding),
                    later=self._later_digest(one.binding),
                    older=self._is_older(certificate, file[one.binding], live(one.binding)),
                )
        ours = {*self.inventory.owned, *(entry.id for entry in self.inventory.current.values())}
        stray = [name for version in serving for name, entry_id in version.bindings.items() if entry_id in ours]
        for name in dict.fromkeys(stray):
            if name not in file and all(one.binding != name for one in declared):
                yield ToPresent(name, None, live=live(name))

    def _is_older(
        self, certificate: CertificateName | None, after: EntryId | None, live: Iterable[EntryId | None]
    ) -> bool:
        """Whether a binding goes back to an upload of the same certificate from before the one that is live now."""
        entry = self._entry(after)
        if entry is None or certificate is None:
            return False
        used = [self._entry(one) for one in live if one and self.inventory.owned.get(one) == certificate]
        return any(one is not None and is_older(entry, one) for one in used)

    def _digest(self, certificate: CertificateName | None, used: EntryId | None) -> str | None:
        """The content of the declared certificate if the binding uses it after the deploy, else None."""
        bundle = self.desired.bundles.get(certificate) if certificate is not None else None
        if bundle is None or certificate is None:
            return None
        current = self.inventory.current.get(certificate)
        return bundle.digest if used is None or (current is not None and used == current.id) else None

    def _later_digest(self, binding: str) -> str | None:
        """The content that a binding uses once its certificate is valid."""
        wait = self.later.get(binding)
        return wait.change.digest if wait is not None and isinstance(wait.change, BindingChange) else None

    def _after(self) -> dict[str, EntryId | None]:
        """The IDs in the file after the changes of this plan; None: not known before the upload."""
        there = self.file.environments[self.environment].bindings
        after: dict[str, EntryId | None] = {found.binding: EntryId(found.certificate_id) for found in there}
        for change in self.changes:
            if change.action is Action.UNBIND:
                after.pop(change.at.binding, None)
            else:
                after[change.at.binding] = change.after
        return after

    def _say(self, code: Code, severity: Severity, why: str, hint: str | None) -> Diagnostic:
        where = Pointer(self.file.path, environment_path(self.environment))
        message = f"{self.file.path} ({environment_text(self.environment)}) can't be deployed: {why}"
        return Diagnostic(severity, code, message, where, hint)


def _has(built: Built, one: ToPresent) -> bool:
    """Whether a generated file has the right ID for a binding."""
    if one.id is None and one.digest is None:
        return all(binding != one.binding for binding, _ in built.bindings)
    return (one.binding, one.id) in built.bindings
