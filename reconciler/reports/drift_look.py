"""The one look that finds drift: through the certificates, the declared bindings, and what nothing declares."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.model import (
    Actual,
    BindingChange,
    BindingName,
    ById,
    CertificateName,
    DeclaredBinding,
    DeclaredWorker,
    Desired,
    Entry,
    EntryId,
    EnvironmentName,
    FoundBinding,
    Retire,
    WranglerFile,
)
from reconciler.model.identifiers import is_askable
from reconciler.plan.binding_findings import Site
from reconciler.plan.diff import is_error, take_stock
from reconciler.plan.inventory import Inventory
from reconciler.plan.plan import Plan
from reconciler.plan.rebind import is_remote_as_wanted
from reconciler.reports import drift_findings as say
from reconciler.reports.drift import Drift, DriftFinding, in_order


def make_drift(plan: Plan, desired: Desired, actual: Actual) -> Drift:
    """The drift that a plan shows. The plan asked the store and looked at everything; ValueError for an offline one."""
    stock = take_stock(desired, actual)
    if stock is None:
        raise ValueError("an offline plan does not know what the store has")
    return _Look(plan, desired, actual, stock).run()


@dataclass
class _Look:
    """Walks everything once; one instance per look."""

    plan: Plan
    desired: Desired
    actual: Actual
    stock: Inventory

    def run(self) -> Drift:
        self.in_sync = 0
        self.told: set[Pointer] = set()
        self.follows: dict[CertificateName, list[str]] = defaultdict(list)
        self.unknown: dict[EntryId, list[tuple[Site, BindingName]]] = defaultdict(list)
        self.gone: set[CertificateName] = set()
        self.out_of_sync = self.desired.declaration.certificates.keys() - self.stock.current.keys()
        found = [*self._bindings(), *self._undeclared(), *self._entries()]
        found += self._certificates()
        return Drift(
            stack=self.plan.stack,
            store=self.plan.store,
            made=self.plan.made,
            in_sync=self.in_sync,
            findings=in_order(found),
            diagnostics=tuple(problem for problem in self.plan.diagnostics if not self._is_told(problem)),
        )

    def _is_told(self, problem: Diagnostic) -> bool:
        """Whether a finding of drift tells the same, so that it needs not be said twice."""
        if problem.code == Code.NEWER_ENTRY:
            return True
        out_of_sync = problem.certificate is not None and CertificateName(problem.certificate) in self.out_of_sync
        return out_of_sync or problem.where in self.told

    @cached_property
    def changes(self) -> dict[tuple[str, EnvironmentName, str], BindingChange]:
        """What the plan would do to bindings, by their place."""
        changes = (change for change in self.plan.changes if isinstance(change, BindingChange))
        return {(change.config, change.environment, change.binding): change for change in changes}

    def _entry(self, text: str) -> Entry | None:
        return self.stock.entries.get(EntryId(text)) or self.actual.asked.get(EntryId(text))

    def _workers(self) -> Iterator[tuple[DeclaredWorker, WranglerFile]]:
        for label, worker in sorted(self.desired.declaration.workers.items()):
            if label in self.actual.files:
                yield worker, self.actual.files[label]

    # --- certificates -------------------------------------------------------------------------------------------

    def _certificates(self) -> Iterator[DriftFinding]:
        """Come last: by then it is known which bindings follow each."""
        for name in self.desired.declaration.certificates:
            if name in self.stock.current:
                self.in_sync += 1
                continue
            finding = self._certificate(name)
            yield replace(finding, follows=tuple(sorted(self.follows[name])))

    def _certificate(self, name: CertificateName) -> DriftFinding:
        problem = next((one for one in self.plan.diagnostics if one.certificate == name and is_error(one)), None)
        if name not in self.desired.bundles:
            return say.file_unusable(self.desired.declaration, name, problem)
        older = [self.stock.entries[entry] for entry, owner in self.stock.owned.items() if owner == name]
        if problem is not None and name in self.stock.refused:
            return say.entry_unusable(self.desired, name, problem)
        if older and name not in self.gone:
            return say.content_changed(self.desired, name, _newest(older))
        return say.content_missing(self.desired, name)

    # --- declared bindings --------------------------------------------------------------------------------------

    def _bindings(self) -> Iterator[DriftFinding]:
        for worker, file in self._workers():
            for environment, bindings in worker.environments.items():
                there = file.environments.get(environment)
                if there is None:
                    missing = say.environment_missing(self.desired.declaration, worker, file, environment)
                    yield self._noted(missing)
                    continue
                site = Site(self.desired.declaration, worker, file, environment, there)
                for declared in bindings:
                    finding = self._binding(site, declared)
                    if finding is not None:
                        yield finding
        for entry_id, sites in self.unknown.items():
            yield say.entry_missing(entry_id, sites)

    def _binding(self, site: Site, declared: DeclaredBinding) -> DriftFinding | None:
        """What is wrong with one binding; None where it is in sync, or follows a certificate that is not."""
        found = site.found.find(declared.binding)
        expected = self._expected(site, declared)
        if found is None:
            return self._noted(say.binding_missing(site, declared, expected))
        if expected is None and self._follows(found, declared):
            self.follows[say.certificate_of(declared)].append(say.binding_key(site, declared.binding))
            return None
        if found.certificate_id == expected and is_remote_as_wanted(found, declared):
            self.in_sync += 1
            return None
        change = self.changes.get((site.file.path, site.environment, declared.binding))
        reasons = change.reasons if change is not None else ()
        return self._noted(say.binding_changed(site, declared, found, expected, reasons))

    def _expected(self, site: Site, declared: DeclaredBinding) -> EntryId | None:
        """The id that a binding shall have; None where its certificate has no entry. Notes ids that nobody knows."""
        if not isinstance(declared.target, ById):
            entry = self.stock.current.get(declared.target.certificate)
            return entry.id if entry is not None else None
        wanted = declared.target.id
        if self._entry(wanted) is None and is_askable(wanted, self.plan.store.kind):
            self.unknown[wanted].append((site, declared.binding))
            self.told.add(site.declared_at(declared.binding))
        return wanted

    def _follows(self, found: FoundBinding, declared: DeclaredBinding) -> bool:
        """Whether a binding only waits for its certificate: it names an entry of it, or one that is gone.

        An entry that is gone, and that a binding of this certificate names, was deleted in the store.
        """
        name = say.certificate_of(declared)
        if name not in self.desired.bundles:
            return True  # what it shall present can't be told
        entry = self._entry(found.certificate_id)
        if entry is not None:
            return self.stock.owned.get(entry.id) == name
        if not is_askable(found.certificate_id, self.plan.store.kind):
            return False
        self.gone.add(name)
        return True

    def _noted(self, finding: DriftFinding) -> DriftFinding:
        """The finding; the error that the plan has for its place needs not be told again."""
        if finding.where is not None:
            self.told.add(finding.where)
        return finding

    # --- what nothing declares ----------------------------------------------------------------------------------

    def _undeclared(self) -> Iterator[DriftFinding]:
        """Bindings of ours: in a declared environment also those of adopted entries, as in a plan."""
        adopted = {entry.id: name for name, entry in self.stock.current.items()}
        declared = {
            (file.path, environment): (worker, bindings)
            for worker, file in self._workers()
            for environment, bindings in worker.environments.items()
        }
        for worker, file in self._each_file():
            for environment, there in file.environments.items():
                owner, bindings = declared.get((file.path, environment), (worker, None))
                names = {binding.binding for binding in bindings or ()}
                for found in there.bindings:
                    if found.binding in names or not owner.exclusive:
                        continue
                    entry_id = EntryId(found.certificate_id)
                    whose = self.stock.owned.get(entry_id) or (adopted.get(entry_id) if bindings is not None else None)
                    if whose is not None:
                        change = self.changes.get((file.path, environment, BindingName(found.binding)))
                        reasons = change.reasons if change is not None else ()
                        yield self._noted(say.binding_undeclared(owner, file, environment, found, whose, reasons))

    def _each_file(self) -> Iterator[tuple[DeclaredWorker, WranglerFile]]:
        """Every file under the first of its labels."""
        seen: set[str] = set()
        for worker, file in self._workers():
            if file.path not in seen:
                seen.add(file.path)
                yield worker, file

    def _entries(self) -> Iterator[DriftFinding]:
        """Entries of ours that somebody else uploaded later, and those that are safe to go and still there."""
        wanted = {bundle.digest for bundle in self.desired.bundles.values()}
        leaving = {one.entry.id for one in self.stock.leaving}
        for entry_id, name in self.stock.owned.items():
            entry = self.stock.entries[entry_id]
            current = self.stock.current.get(name)
            is_wanted = entry.bundle is not None and entry.bundle.digest in wanted
            if current is not None and not is_wanted and entry_id not in leaving and name in self.desired.bundles:
                yield say.entry_newer(self.desired.declaration, entry, name, current)
        for change in self.plan.changes:
            if isinstance(change, Retire):
                yield say.entry_retirable(change)


def _newest(entries: list[Entry]) -> Entry:
    return max(entries, key=lambda entry: (str(entry.uploaded_on), entry.id))
