"""The verdict of each binding, from one walk over mtls.toml and the wrangler files (rules 3, 6, 7 and 10)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.values import dataclass
from reconciler.model import (
    Action,
    Actual,
    BindingAddress,
    BindingChange,
    BindingName,
    ById,
    CertificateName,
    Condition,
    DeclaredBinding,
    DeclaredWorker,
    Desired,
    Difference,
    Entry,
    EntryId,
    EnvironmentName,
    FoundBinding,
    Reason,
    SiteAddress,
    WranglerEnvironment,
    WranglerFile,
)
from reconciler.model.identifiers import is_of_other_store, is_placeholder
from reconciler.model.ownership import identity_of, is_other_stacks, read_mark
from reconciler.model.words import environment_path
from reconciler.plan import binding_findings as findings
from reconciler.plan.assessment import (
    BindingRow,
    CertificateRow,
    Held,
    Kept,
    Need,
    Pending,
    Unseen,
    UpToDate,
    Verdict,
    Waits,
)
from reconciler.plan.binding_findings import Site
from reconciler.plan.differences import certificate_differences
from reconciler.plan.inventory import Inventory, Role, Roles
from reconciler.plan.live import is_elsewhere
from reconciler.plan.policy import PATIENCE
from reconciler.plan.rebind import Pair, is_remote_as_wanted, rebind_reasons
from reconciler.x509.chains import Window, window_of


@dataclass(frozen=True, slots=True)
class JudgedBindings:
    """Every binding, the previews, and the findings. `sites`: the error that holds a whole environment."""

    rows: tuple[BindingRow, ...]
    previews: tuple[BindingRow, ...]
    sites: Mapping[SiteAddress, Diagnostic]
    findings: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class _Target:
    """What a binding should use. `id` None: known once `digest` is uploaded."""

    id: EntryId | None
    certificate: CertificateName | None = None
    digest: str | None = None


@dataclass(eq=False)
class BindingJudge:
    """Walks every declared Worker once; one instance per assessment. `inventory` None: offline."""

    desired: Desired
    actual: Actual
    inventory: Inventory | None
    roles: Roles
    certificates: Mapping[CertificateName, CertificateRow]
    now: datetime
    patience: timedelta

    def __post_init__(self) -> None:
        store, inventory = self.desired.declaration.store, self.inventory
        self.store, self.account = store.kind, store.account_id
        self.rows: list[BindingRow] = []
        self.previews: list[BindingRow] = []
        self.sites: dict[SiteAddress, Diagnostic] = {}
        self.findings: list[Diagnostic] = []
        current = inventory.current if inventory else {}
        self.adopted: dict[str, CertificateName] = {entry.id: name for name, entry in current.items()}
        self.declared: dict[str, set[EnvironmentName]] = defaultdict(set)
        self.bound_at_top: set[str] = set()  # the files for which some Worker declares a binding at the top level
        for worker, file in self._workers():
            if file is not None:
                self.declared[file.path].update(worker.environments)
                if worker.environments.get(None):
                    self.bound_at_top.add(file.path)

    def _workers(self) -> Iterator[tuple[DeclaredWorker, WranglerFile | None]]:
        for label, worker in sorted(self.desired.declaration.workers.items()):
            yield worker, self.actual.files.get(label)

    def run(self) -> JudgedBindings:
        """A row for each declared binding, and for every other one in a declared wrangler file.

        In the order of labels, then of mtls.toml, then of the file.
        """
        seen: set[str] = set()
        for worker, file in self._workers():
            if file is None:
                self.rows.extend(self._unread(worker))
                continue
            begin = len(self.rows)
            for environment, bindings in worker.environments.items():
                self._judge_environment(worker, file, environment, bindings)
            self._guard_other_store(file, begin)
            if file.path not in seen:
                seen.add(file.path)
                planned = any(isinstance(row.verdict, Pending) for row in self.rows[begin:])
                self._judge_undeclared(worker, file)
                self._look_around(file, planned=planned)
        return JudgedBindings(tuple(self.rows), tuple(self.previews), self.sites, tuple(self.findings))

    # --- declared -----------------------------------------------------------------------------------------------

    def _unread(self, worker: DeclaredWorker) -> Iterator[BindingRow]:
        """Bindings of a Worker whose wrangler file can't be used."""
        broken = self.actual.broken.get(worker.label)
        verdict = Held(broken.problems) if broken is not None else Unseen(Need.FILE)
        for environment, bindings in worker.environments.items():
            for declared in bindings:
                at = BindingAddress(worker.label, worker.config, environment, declared.binding)
                yield BindingRow(at, environment_path(environment), declared, None, None, None, None, verdict)

    def _judge_environment(
        self,
        worker: DeclaredWorker,
        file: WranglerFile,
        environment: EnvironmentName,
        bindings: tuple[DeclaredBinding, ...],
    ) -> None:
        there = file.environments.get(environment)
        site = Site(self.desired.declaration, worker, file, environment, there or WranglerEnvironment(environment))
        problem = self._in_the_way(site) if there is not None else findings.unknown_environment(site)
        if problem is not None:
            self.sites[SiteAddress(worker.label, file.path, environment)] = problem
            self.findings.append(problem)
        for declared in bindings:
            verdict, wanted = self._judge_binding(site, declared, problem)
            self.rows.append(self._row(site, declared.binding, declared, wanted, verdict))
        names = {declared.binding for declared in bindings}
        for found in site.found.bindings:
            if BindingName(found.binding) not in names:
                self.rows.append(self._unbind(site, found, problem))

    def _in_the_way(self, site: Site) -> Diagnostic | None:
        """The error that keeps all bindings of an existing environment from being written, or None."""
        store = self.desired.declaration.store
        if is_elsewhere(store, site.found):
            return findings.account_differs(site, str(store.account_id))
        if site.file.pages and site.environment not in (None, *findings.PAGES_ENVIRONMENTS):
            return findings.pages_environment(site)
        return None

    def _row(
        self,
        site: Site,
        binding: str,
        declared: DeclaredBinding | None,
        wanted: EntryId | None,
        verdict: Verdict,
        found: tuple[Diagnostic, ...] = (),
    ) -> BindingRow:
        at, there = site.address(binding), site.found.find(binding)
        return BindingRow(
            at=at,
            table=environment_path(site.environment),
            declared=declared,
            found=there,
            entry=self._entry(there.certificate_id) if there else None,
            owner=self._owner(there, site.environment, site.file) if there else None,
            wanted=wanted,
            verdict=verdict,
            elsewhere=self.account is not None and site.found.account_id not in (None, self.account),
            findings=found,
        )

    def _judge_binding(
        self, site: Site, declared: DeclaredBinding, problem: Diagnostic | None
    ) -> tuple[Verdict, EntryId | None]:
        """The verdict of a declared binding, and the ID that it should have."""
        found, target = site.found.find(declared.binding), self._target(site, declared)
        wanted = target.id if isinstance(target, _Target) else self._declared_id(declared)
        if found is None and declared.binding in site.found.taken and problem is None:
            return self._hold(findings.binding_name_taken(site, declared.binding)), wanted
        is_in_place = found is not None and found.certificate_id == wanted and is_remote_as_wanted(found, declared)
        if is_in_place:  # nothing to change here, even if something else is wrong
            if problem is None and isinstance(target, Diagnostic):
                self.findings.append(target)
            return UpToDate(), wanted
        if problem is not None:
            return Held((problem,)), wanted
        if not isinstance(target, _Target):
            return (self._hold(target) if isinstance(target, Diagnostic) else target), wanted
        return self._compare(site, declared, target), wanted

    def _compare(self, site: Site, declared: DeclaredBinding, target: _Target) -> Verdict:
        """The verdict of a declared binding that differs from what was found."""
        found = site.found.find(declared.binding)
        change = self._change(site, declared, found, target)
        unsure = self.inventory is None and target.id is None
        if unsure and found is not None and not is_placeholder(found.certificate_id, self.store):
            return Unseen(Need.STORE, change)
        is_new_id = found is None or found.certificate_id != target.id
        self._warn_of_other_stack(site, change, is_new_id=is_new_id)
        return self._judge_dates(site, declared, target, change) if is_new_id else Pending(change)

    def _warn_of_other_stack(self, site: Site, change: BindingChange, *, is_new_id: bool) -> None:
        """Warn of an ID of another stack before the Worker gets it; once it has it, the change was approved."""
        entry = self._entry(change.after) if is_new_id and change.after is not None else None
        if change.identity is None or entry is None:
            return
        if is_other_stacks(read_mark(entry), self.desired.declaration):
            self.findings.append(findings.id_of_other_stack(site, change.at.binding, entry.id, change.identity))

    def _hold(self, problem: Diagnostic, change: BindingChange | None = None) -> Held:
        self.findings.append(problem)
        return Held((problem,), change)

    def _change(
        self, site: Site, declared: DeclaredBinding, found: FoundBinding | None, target: _Target
    ) -> BindingChange:
        reasons, differences = self._reasons(found, target)
        if found is not None and not is_remote_as_wanted(found, declared):
            reasons = (*reasons, Reason.REMOTE_DIFFERS)
        entry = self._entry(target.id) if target.certificate is None and target.id is not None else None
        return BindingChange(
            action=Action.BIND if found is None else Action.REBIND,
            at=site.address(declared.binding),
            reasons=reasons,
            certificate=target.certificate,
            digest=target.digest,
            before=None if found is None else found.certificate_id,
            after=target.id,
            remote=declared.remote,
            differences=differences,
            identity=identity_of(entry) if entry is not None else None,
        )

    def _judge_dates(self, site: Site, declared: DeclaredBinding, target: _Target, change: BindingChange) -> Verdict:
        """Rule 10 for a binding that gets another ID: by the dates of the new certificate and of the one in use."""
        name, now, binding = target.certificate, self.now, declared.binding
        window = self._window(target)
        text = f"the certificate {name!r}" if name is not None else str(target.id)
        if window.ends is not None and window.has_ended(now):
            return self._hold(findings.target_expired(site, binding, text, window.ends, name), change)
        change = replace(change, not_after=window.ends)
        upload = self.certificates[name].verdict if name is not None else None
        if isinstance(upload, Waits):
            return Waits(change, upload.condition, upload.until)
        is_bound_valid = self._is_bound_valid(site, binding)
        if window.begins is not None and now < window.begins:
            if not is_bound_valid:
                self.findings.append(findings.bound_before_valid(site, binding, text, window.begins, name))
                return Pending(change)
            if window.begins - now <= self.patience:
                return Pending(replace(change, not_before=window.begins))
            is_soon = window.begins - now <= PATIENCE
            return Waits(change, Condition.NOT_VALID_YET, window.begins, {"case": "soon"} if is_soon else {})
        if window.contains(now) or self.inventory is None:
            return Pending(change)
        if is_bound_valid:
            return Waits(change, Condition.VALIDITY_UNKNOWN)
        self.findings.append(findings.validity_unknown(site, binding, text, name))
        return Pending(change)

    def _window(self, target: _Target) -> Window:
        """When the certificate that a binding should use is valid."""
        if target.certificate is not None:
            return window_of(self.desired.bundles[target.certificate], now=self.now)
        entry = self._entry(target.id) if target.id else None
        return entry.window(self.now) if entry else Window(None, None)

    def _is_bound_valid(self, site: Site, binding: BindingName) -> bool:
        """Whether a binding has an ID whose certificate is known to be valid now."""
        found = site.found.find(binding)
        entry = self._entry(found.certificate_id) if found is not None else None
        return entry is not None and entry.window(self.now).contains(self.now)

    def _reasons(
        self, found: FoundBinding | None, target: _Target
    ) -> tuple[tuple[Reason, ...], tuple[Difference, ...]]:
        if found is None:
            return (Reason.MISSING,), ()
        if found.certificate_id == target.id:
            return (), ()
        entry = self._entry(found.certificate_id)
        pair = Pair(
            entry=entry,
            owner=self._owned(entry.id) if entry else None,
            certificate=target.certificate,
            placeholder=is_placeholder(found.certificate_id, self.store),
            asked=self.inventory is not None,
        )
        old = entry.bundle if entry else None
        new = self.desired.bundles.get(target.certificate) if target.certificate else None
        return rebind_reasons(pair), certificate_differences(old, new) if old and new and old != new else ()

    def _entry(self, text: str) -> Entry | None:
        """The entry with an ID, from the list or from the request for that ID alone (rule 6); None if unknown."""
        listed = self.inventory.entries.get(EntryId(text)) if self.inventory else None
        return listed or self.actual.asked.get(EntryId(text))

    def _owned(self, text: str) -> CertificateName | None:
        """The certificate that an ID is of, by its mark or because it was handed over; None if not of this stack."""
        return self.inventory.owned.get(EntryId(text)) if self.inventory else None

    def _declared_id(self, declared: DeclaredBinding) -> EntryId | None:
        """The ID that a binding should have, even if an error prevents it; None if it is not known."""
        if isinstance(declared.target, ById):
            return declared.target.id
        row = self.certificates.get(declared.target.certificate)
        return row.entry.id if row is not None and row.entry is not None else None

    def _target(self, site: Site, declared: DeclaredBinding) -> _Target | Held | Unseen | Diagnostic:
        """The ID or content that the binding should use; else what holds its certificate, or the error of its ID."""
        if isinstance(declared.target, ById):
            return self._target_by_id(site, declared.binding, declared.target)
        row = self.certificates.get(declared.target.certificate)
        if row is None:
            return Unseen(Need.FILE)
        if isinstance(row.verdict, Held):
            return Held(row.verdict.by)
        if row.bundle is None:
            return Unseen(Need.FILE)
        return _Target(row.entry.id if row.entry else None, row.name, row.bundle.digest)

    def _target_by_id(self, site: Site, binding: BindingName, target: ById) -> _Target | Diagnostic:
        found = site.found.find(binding)
        if self.inventory is None or (found and found.certificate_id == target.id and self._foreign(target.id)):
            return _Target(target.id)
        entry = self._entry(target.id)
        if self._foreign(target.id):
            return findings.account_id_declared(site, binding, target.id)
        if entry is None:
            return findings.unknown_entry(site, binding, target.id, asked=target.id not in self.actual.unasked)
        return findings.binding_to_ca(site, binding, target.id) if entry.ca else _Target(target.id)

    def _foreign(self, text: str) -> bool:
        return is_of_other_store(text, self.store)

    # --- undeclared ---------------------------------------------------------------------------------------------

    def _unbind(self, site: Site, found: FoundBinding, problem: Diagnostic | None) -> BindingRow:
        """The row of an undeclared binding in a declared environment.

        It is removed if it has an entry of this stack, unless another stack binds here too. One with an adopted entry
        is only reported, because that entry has no mark of this stack.
        """
        owner = self._owned(found.certificate_id)
        adopted = self.adopted.get(found.certificate_id)
        if problem is not None or (owner is None and adopted is None):
            row = self._row(site, found.binding, None, None, self._kept(found, owner))
            self._report_unusable(site, row)
            return row
        if owner is None or not site.worker.exclusive:
            said = self._undeclared(site, found, owner or adopted)
            return self._row(site, found.binding, None, None, self._kept(found, owner or adopted), said)
        change = BindingChange(
            action=Action.UNBIND,
            at=site.address(found.binding),
            reasons=(Reason.REMOVED,),
            certificate=owner,
            before=found.certificate_id,
        )
        return self._row(site, found.binding, None, None, Pending(change))

    def _report_unusable(self, site: Site, row: BindingRow) -> None:
        """Warn of an undeclared binding with a placeholder or an unknown ID, unless another stack may declare it."""
        text = row.found_id or ""
        if row.found is None or not site.worker.exclusive or row.elsewhere:
            return
        declaration = self.desired.declaration
        if is_placeholder(text, self.store):
            self.findings.append(findings.placeholder_left(declaration, row.at, row.text, text, row.pointer))
        elif row.entry is None and EntryId(text) in self.actual.asked:
            self.findings.append(findings.unknown_left(declaration, row.at, row.text, text, row.pointer))

    def _kept(self, found: FoundBinding, owner: CertificateName | None) -> Kept:
        """The verdict of an undeclared binding that is not changed."""
        role, of = self.roles.get(EntryId(found.certificate_id), (Role.UNKNOWN, None))
        return Kept(role, owner or of)

    def _undeclared(self, site: Site, found: FoundBinding, owner: CertificateName | None) -> tuple[Diagnostic, ...]:
        if owner is None:
            return ()
        declared = self.desired.declaration.certificates.get(owner)
        is_ca = declared is not None and declared.ca
        problem = findings.undeclared_binding(site.address(found.binding), found.index, owner, ca=is_ca)
        self.findings.append(problem)
        return (problem,)

    def _owner(self, found: FoundBinding, environment: EnvironmentName, file: WranglerFile) -> CertificateName | None:
        """The certificate that a binding uses: by mark or handed over; in a declared environment also by content."""
        is_declared = environment in self.declared[file.path]
        return self._owned(found.certificate_id) or (self.adopted.get(found.certificate_id) if is_declared else None)

    def _judge_undeclared(self, worker: DeclaredWorker, file: WranglerFile) -> None:
        """Judge the environments of a file that no Worker declares."""
        top = file.environments.get(None)
        at_top = bool(top and top.bindings) or file.path in self.bound_at_top
        for environment, there in file.environments.items():
            if environment in self.declared[file.path]:
                continue
            site = Site(self.desired.declaration, worker, file, environment, there)
            for found in there.bindings:
                owner = self._owned(found.certificate_id)
                said = self._undeclared(site, found, owner)
                row = self._row(site, found.binding, None, None, self._kept(found, owner), said)
                self.rows.append(row)
                self._report_unusable(site, row)
            if environment is not None and at_top:
                declaration = self.desired.declaration
                self.findings.append(findings.undeclared_environment(declaration, worker, file, environment))
        for found in file.previews or ():
            at = BindingAddress(worker.label, file.path, None, BindingName(found.binding))
            entry = self._entry(found.certificate_id)
            owner = self._owned(found.certificate_id)
            kept = self._kept(found, owner)
            self.previews.append(BindingRow(at, ("previews",), None, found, entry, owner, None, kept))

    def _guard_other_store(self, file: WranglerFile, begin: int) -> None:
        """Rule 7: with the local store, hold all changes to a file that has an ID from a Cloudflare account."""
        planned = [at for at in range(begin, len(self.rows)) if isinstance(self.rows[at].verdict, Pending | Waits)]
        if not planned:
            return
        for keys, found in _ids_of(file):
            if self._foreign(found.certificate_id):
                problem = findings.account_id_in_file(self.desired.declaration.store, file, keys, found)
                self.findings.append(problem)
                for at in planned:
                    row = self.rows[at]
                    self.rows[at] = replace(row, verdict=hold(row.verdict, problem))
                return

    def _look_around(self, file: WranglerFile, *, planned: bool) -> None:
        """Report what wrangler would deploy in addition to the file, or instead of it."""
        if file.previews is not None and (file.previews or file.path in self.bound_at_top):
            self.findings.append(findings.previews_unmanaged(file))
        if file.built is not None:
            states = (
                frozenset((found.binding, found.certificate_id) for found in environment.bindings)
                for environment in file.environments.values()
            )
            if planned or file.built.bindings not in states:
                self.findings.append(findings.rebuild_needed(file, file.built.path))


def hold(verdict: Verdict, *by: Diagnostic) -> Held:
    """The verdict of a change that these findings hold."""
    return Held(by, verdict.change if isinstance(verdict, Pending | Waits) else None)


def _ids_of(file: WranglerFile) -> Iterator[tuple[tuple[str | int, ...], FoundBinding]]:
    """Yield every binding of a file with the keys that lead to its list; also those of `previews`."""
    for environment, there in file.environments.items():
        yield from ((environment_path(environment), found) for found in there.bindings)
    yield from ((("previews",), found) for found in file.previews or ())
