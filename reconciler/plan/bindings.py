"""What differs between the declared bindings and the wrangler files (rules 3, 6 and 7 of the reconciler)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import (
    Action,
    Actual,
    BindingChange,
    BindingName,
    ByCertificate,
    ById,
    CertificateName,
    DeclaredBinding,
    DeclaredWorker,
    Desired,
    Difference,
    Entry,
    EntryId,
    EnvironmentName,
    FoundBinding,
    Reason,
    Unknown,
    WranglerFile,
)
from reconciler.model.identifiers import is_of_other_store, is_placeholder
from reconciler.plan import binding_findings as findings
from reconciler.plan.binding_findings import Site
from reconciler.plan.differences import certificate_differences
from reconciler.plan.inventory import Inventory
from reconciler.plan.live import is_elsewhere
from reconciler.plan.rebind import Pair, is_remote_as_wanted, rebind_reasons
from reconciler.x509.chains import Window, window_of


@dataclass(slots=True)
class BindingDiff:
    """What `diff_bindings` found; filled while it walks, read afterwards."""

    changes: list[BindingChange] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Target:
    """What a binding shall present. `id` None: known once `digest` is uploaded."""

    id: EntryId | None
    certificate: CertificateName | None = None
    digest: str | None = None


class _BindingDiffer:
    """Walks every declared Worker once; one instance per diff."""

    def __init__(
        self,
        desired: Desired,
        actual: Actual,
        inventory: Inventory | None,
        blocked: frozenset[str],
        now: datetime,
    ) -> None:
        self.desired, self.actual, self.inventory, self.blocked = desired, actual, inventory, blocked
        self.now = now
        self.store = desired.declaration.store.kind
        self.out = BindingDiff()
        current = self.inventory.current if self.inventory else {}
        self.adopted: dict[str, CertificateName] = {entry.id: name for name, entry in current.items()}
        self.declared: dict[str, set[EnvironmentName]] = defaultdict(set)
        for worker, file in self._workers():
            self.declared[file.path].update(worker.environments)

    def _workers(self) -> Iterator[tuple[DeclaredWorker, WranglerFile]]:
        for label, worker in sorted(self.desired.declaration.workers.items()):
            if label in self.actual.files:
                yield worker, self.actual.files[label]

    def run(self) -> BindingDiff:
        seen: set[str] = set()
        for worker, file in self._workers():
            planned = len(self.out.changes)
            for environment, bindings in worker.environments.items():
                self._diff_environment(worker, file, environment, bindings)
            self._guard_other_store(file, planned)
            if file.path not in seen:
                seen.add(file.path)
                self._look_at_undeclared(worker, file)
                self._look_around(file, planned)
        return self.out

    # --- declared -----------------------------------------------------------------------------------------------

    def _diff_environment(
        self,
        worker: DeclaredWorker,
        file: WranglerFile,
        environment: EnvironmentName,
        bindings: tuple[DeclaredBinding, ...],
    ) -> None:
        found = file.environments.get(environment)
        if found is None:
            missing = findings.unknown_environment(self.desired.declaration, worker, file, environment)
            self.out.diagnostics.append(missing)
            return
        site = Site(self.desired.declaration, worker, file, environment, found)
        in_the_way = self._misplaced(site)
        if in_the_way is not None:
            self.out.diagnostics.append(in_the_way)
            return
        for declared in bindings:
            self._diff_binding(site, declared)
        names = {declared.binding for declared in bindings}
        for there in found.bindings:
            if BindingName(there.binding) not in names:
                self._unbind(site, there)

    def _misplaced(self, site: Site) -> Diagnostic | None:
        """Why nothing can be bound in an environment that is there."""
        store = self.desired.declaration.store
        if is_elsewhere(store, site.found):
            return findings.account_differs(site, str(store.account_id))
        if site.file.pages and site.environment not in (None, *findings.PAGES_ENVIRONMENTS):
            return findings.pages_environment(site)
        return None

    def _diff_binding(self, site: Site, declared: DeclaredBinding) -> None:
        found = site.found.find(declared.binding)
        if found is None and declared.binding in site.found.taken:
            self.out.diagnostics.append(findings.binding_name_taken(site, declared.binding))
            return
        target = self._target(site, declared)
        if target is None or (
            found is not None and found.certificate_id == target.id and is_remote_as_wanted(found, declared)
        ):
            return
        unsure = self.inventory is None and target.id is None
        if unsure and found is not None and not is_placeholder(found.certificate_id, self.store):
            self._say_unknown(site, declared, target)
            return
        if found is None or found.certificate_id != target.id:
            expired = self._expired(site, declared, target)
            if expired is not None:
                self.out.diagnostics.append(expired)
                return
        reasons, differences = self._reasons(found, target)
        if found is not None and not is_remote_as_wanted(found, declared):
            reasons = (*reasons, Reason.REMOTE_DIFFERS)
        self.out.changes.append(
            BindingChange(
                action=Action.BIND if found is None else Action.REBIND,
                worker=site.worker.label,
                config=site.file.path,
                environment=site.environment,
                binding=declared.binding,
                reasons=reasons,
                certificate=target.certificate,
                digest=target.digest,
                before=None if found is None else found.certificate_id,
                after=target.id,
                remote=declared.remote,
                differences=differences,
            )
        )

    def _expired(self, site: Site, declared: DeclaredBinding, target: _Target) -> Diagnostic | None:
        """Rule 10: an id never moves to a certificate that has ended, whatever is bound now."""
        name = target.certificate
        if name is not None:
            window = window_of(self.desired.bundles[name])
        else:
            entry = self._entry(target.id) if target.id else None
            window = entry.window if entry else Window(None, None)
        if window.ends is None or not window.has_ended(self.now):
            return None
        text = f"the certificate {name!r}" if name is not None else str(target.id)
        return findings.target_expired(site, declared.binding, text, window.ends, name)

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
            owner=self.inventory.owned.get(entry.id) if self.inventory and entry else None,
            certificate=target.certificate,
            placeholder=is_placeholder(found.certificate_id, self.store),
            asked=self.inventory is not None,
        )
        old = entry.bundle if entry else None
        new = self.desired.bundles.get(target.certificate) if target.certificate else None
        return rebind_reasons(pair), certificate_differences(old, new) if old and new and old != new else ()

    def _entry(self, text: str) -> Entry | None:
        """The entry of an id: from the list, or from the one question that was asked for it (rule 6)."""
        listed = self.inventory.entries.get(EntryId(text)) if self.inventory else None
        return listed or self.actual.asked.get(EntryId(text))

    def _target(self, site: Site, declared: DeclaredBinding) -> _Target | None:
        """What the binding shall present; None where an error stands in the way."""
        if isinstance(declared.target, ByCertificate):
            name = declared.target.certificate
            if name in self.blocked or name not in self.desired.bundles:
                return None
            current = self.inventory.current.get(name) if self.inventory else None
            return _Target(current.id if current else None, name, self.desired.bundles[name].digest)
        return self._target_by_id(site, declared.binding, declared.target)

    def _target_by_id(self, site: Site, binding: BindingName, target: ById) -> _Target | None:
        found = site.found.find(binding)
        if self.inventory is None or (found and found.certificate_id == target.id and self._foreign(target.id)):
            return _Target(target.id)
        entry = self._entry(target.id)
        if self._foreign(target.id):
            self.out.diagnostics.append(findings.account_id_declared(site, binding, target.id))
        elif entry is None:
            self.out.diagnostics.append(findings.unknown_entry(site, binding, target.id))
        elif entry.ca:
            self.out.diagnostics.append(findings.binding_to_ca(site, binding, target.id))
        else:
            return _Target(target.id)
        return None

    def _foreign(self, text: str) -> bool:
        return is_of_other_store(text, self.store)

    # --- undeclared ---------------------------------------------------------------------------------------------

    def _unbind(self, site: Site, there: FoundBinding) -> None:
        """An undeclared binding of ours in a declared environment goes, unless another stack binds here too.

        One of an adopted entry is not ours by its mark: it stays, and is said.
        """
        owner = self._owner(there)
        if owner is None:
            adopted = self.adopted.get(there.certificate_id)
            if adopted is not None:
                self._say_undeclared(site.file, there, site.environment, adopted)
            return
        if not site.worker.exclusive:
            self._say_undeclared(site.file, there, site.environment, owner)
            return
        self.out.changes.append(
            BindingChange(
                action=Action.UNBIND,
                worker=site.worker.label,
                config=site.file.path,
                environment=site.environment,
                binding=BindingName(there.binding),
                reasons=(Reason.REMOVED,),
                certificate=owner,
                before=there.certificate_id,
            )
        )

    def _say_undeclared(
        self, file: WranglerFile, there: FoundBinding, environment: EnvironmentName, owner: CertificateName
    ) -> None:
        declared = self.desired.declaration.certificates.get(owner)
        is_ca = declared is not None and declared.ca
        found = findings.undeclared_binding(file, there, environment, owner, ca=is_ca)
        self.out.diagnostics.append(found)

    def _owner(self, there: FoundBinding) -> CertificateName | None:
        return self.inventory.owned.get(EntryId(there.certificate_id)) if self.inventory else None

    def _look_at_undeclared(self, worker: DeclaredWorker, file: WranglerFile) -> None:
        """Environments that the file has and no Worker with this file declares."""
        declared = self.declared[file.path]
        top = file.environments.get(None)
        at_top = bool(top and top.bindings) or self._declares_top_level(file)
        for environment, there in file.environments.items():
            if environment in declared:
                continue
            for found in there.bindings:
                owner = self._owner(found)
                if owner is not None:
                    self._say_undeclared(file, found, environment, owner)
            if environment is not None and at_top:
                declaration = self.desired.declaration
                self.out.diagnostics.append(findings.undeclared_environment(declaration, worker, file, environment))

    def _declares_top_level(self, file: WranglerFile) -> bool:
        """Whether some Worker with this file declares a binding at its top level."""
        return any(other.environments.get(None) for other, its in self._workers() if its.path == file.path)

    def _guard_other_store(self, file: WranglerFile, planned: int) -> None:
        """Rule 7: a store that marks its ids changes nothing in a file that has a real account's id."""
        if len(self.out.changes) == planned:
            return
        for keys, bindings in _binding_tables(file):
            for found in bindings:
                if self._foreign(found.certificate_id):
                    del self.out.changes[planned:]
                    store = self.desired.declaration.store
                    self.out.diagnostics.append(findings.account_id_in_file(store, file, keys, found))
                    return

    def _look_around(self, file: WranglerFile, planned: int) -> None:
        """What wrangler would deploy besides, or instead."""
        if file.previews is not None and (file.previews or self._declares_top_level(file)):
            self.out.diagnostics.append(findings.previews_unmanaged(file))
        if file.built is not None:
            states = (
                frozenset((found.binding, found.certificate_id) for found in environment.bindings)
                for environment in file.environments.values()
            )
            if len(self.out.changes) > planned or file.built.bindings not in states:
                self.out.diagnostics.append(findings.rebuild_needed(file, file.built.path))

    def _say_unknown(self, site: Site, declared: DeclaredBinding, target: _Target) -> None:
        message = "only the store knows whether this id is the current one"
        self.out.unknown.append(
            Unknown(target.certificate, site.worker.label, site.environment, declared.binding, message)
        )


def _binding_tables(file: WranglerFile) -> Iterator[tuple[tuple[str | int, ...], tuple[FoundBinding, ...]]]:
    """Every `mtls_certificates` of a file with the keys that lead to it; `previews` too, which is never written."""
    for environment, there in file.environments.items():
        yield (() if environment is None else ("env", environment)), there.bindings
    yield ("previews",), file.previews or ()


def diff_bindings(
    desired: Desired, actual: Actual, inventory: Inventory | None, blocked: frozenset[str], now: datetime
) -> BindingDiff:
    """The binding changes, in no order yet. `inventory` None: offline. `blocked`: certificates that can't be bound."""
    return _BindingDiffer(desired, actual, inventory, blocked, now).run()


def pending_certificates(desired: Desired, actual: Actual, current: Mapping[CertificateName, Entry]) -> set[str]:
    """Certificates of which some declared binding does not name the current entry, for whatever reason."""
    pending: set[str] = set()
    for worker in desired.declaration.workers.values():
        file = actual.files.get(worker.label)
        for environment, bindings in worker.environments.items():
            there = file.environments.get(environment) if file else None
            for binding in bindings:
                if not isinstance(binding.target, ByCertificate):
                    continue
                entry = current.get(binding.target.certificate)
                found = there.find(binding.binding) if there else None
                if entry is None or found is None or found.certificate_id != entry.id:
                    pending.add(binding.target.certificate)
    return pending
