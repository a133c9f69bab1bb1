"""The drift that a plan shows, from the verdicts of its rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import field, replace

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.values import dataclass
from reconciler.model import CertificateName, Condition, EntryId, Retire, SiteAddress, Waiting
from reconciler.model.identifiers import is_askable
from reconciler.plan.assessment import BindingRow, CertificateRow, Held, Pending, SiteRow, UpToDate, Waits
from reconciler.plan.binding_findings import declared_at
from reconciler.plan.coverage import Area, NotChecked, of_live
from reconciler.plan.inventory import Role
from reconciler.plan.plan import Plan
from reconciler.reports import drift_findings as say
from reconciler.reports.drift import Drift, DriftFinding, in_order


def make_drift(plan: Plan) -> Drift:
    """The drift that a plan shows; ValueError for an offline one."""
    if plan.offline:
        raise ValueError("an offline plan does not know which certificates are uploaded")
    return _DriftLook(plan).run()


def _is_reported(waiting: Waiting) -> bool:
    """Whether a waiting change is left out here: of an old certificate, or of drift that no run was to fix yet."""
    return isinstance(waiting.change, Retire) or waiting.condition in {
        Condition.FROZEN,
        Condition.UPDATE_NOT_REQUESTED,
    }


@dataclass
class _DriftLook:
    """Reads every row once; one instance per drift. `told`: findings of the plan that a finding of drift repeats."""

    plan: Plan
    in_sync: int = 0
    told: set[Diagnostic] = field(default_factory=set)
    follows: dict[CertificateName, list[str]] = field(default_factory=lambda: defaultdict(list))
    unknown: dict[EntryId, list[BindingRow]] = field(default_factory=lambda: defaultdict(list))
    gone: set[CertificateName] = field(default_factory=set)

    def run(self) -> Drift:
        self.assessment = self.plan.assessment
        self.declaration = self.assessment.desired.declaration
        found = [*self._sites(), *self._bindings(), *self._updates(), *self._entries()]
        found += self._certificates()
        return Drift(
            stack=self.plan.stack,
            store=self.plan.store,
            made=self.plan.made,
            in_sync=self.in_sync,
            findings=in_order(found),
            diagnostics=tuple(problem for problem in self.plan.diagnostics if not self._is_told(problem)),
            waiting=tuple(one for one in self.plan.waiting if not _is_reported(one)),
            not_checked=(*of_live(self.plan.not_checked), NotChecked(Area.UNUSED)),
        )

    def _is_told(self, problem: Diagnostic) -> bool:
        """Whether a finding of drift repeats it; an error only by a finding that is about nothing else."""
        if problem.is_error or problem.code in {Code.BOUND_EXPIRED, Code.VALIDITY_GAP}:
            return problem in self.told
        row = self.assessment.by_name.get(CertificateName(problem.certificate or ""))
        is_out_of_sync = row is not None and not isinstance(row.verdict, UpToDate)
        return problem in self.told or problem.code == Code.NEWER_ENTRY or is_out_of_sync

    # --- certificates -------------------------------------------------------------------------------------------

    def _certificates(self) -> Iterator[DriftFinding]:
        """Come last: by then it is known which bindings follow each."""
        for row in self.assessment.certificates:
            if isinstance(row.verdict, UpToDate):
                self.in_sync += 1
            elif not say.is_right_for_now(row):
                yield replace(self._certificate(row), follows=tuple(sorted(self.follows[row.name])))

    def _certificate(self, row: CertificateRow) -> DriftFinding:
        by = row.verdict.by if isinstance(row.verdict, Held) else ()
        if row.bundle is None:
            self.told.update(by)
            return say.file_unusable(self.declaration, row.name, by[0] if by else None)
        inventory = self.assessment.inventory
        if inventory is not None and row.name in inventory.refused:
            self.told.update(by)
            return say.entry_unusable(self.declaration, row, by[0])
        owned = inventory.owned if inventory is not None else {}
        older = [one.entry for one in self.assessment.entries if owned.get(one.entry.id) == row.name]
        if older and row.name not in self.gone:
            newest = max(older, key=lambda entry: (str(entry.uploaded_on), entry.id))
            return say.content_changed(self.declaration, row, newest)
        return say.content_missing(self.declaration, row)

    # --- environments and bindings ------------------------------------------------------------------------------

    def _sites(self) -> Iterator[DriftFinding]:
        for row in self.assessment.sites:
            if self._is_missing(row):
                self.told.update(row.verdict.by if isinstance(row.verdict, Held) else ())
                yield say.environment_missing(self.declaration, row)

    def _is_missing(self, row: SiteRow) -> bool:
        """Whether the wrangler file was read and lacks the environment."""
        is_broken = row.at.worker in self.assessment.actual.broken
        return row.file is None and isinstance(row.verdict, Held) and not is_broken

    def _bindings(self) -> Iterator[DriftFinding]:
        missing: set[SiteAddress] = {row.at for row in self.assessment.sites if row.file is None}
        for row in self.assessment.bindings:
            if row.declared is None:
                yield from self._undeclared(row)
            elif row.at.site not in missing:
                yield from self._declared(row)
        for entry_id, rows in self.unknown.items():
            entries = (one.entry for one in self.assessment.entries)
            yield say.entry_missing(self.declaration, entry_id, rows, entries)

    def _declared(self, row: BindingRow) -> Iterator[DriftFinding]:
        """What is wrong with one binding; nothing where it is in sync, or follows a certificate that is not."""
        self._note_unknown(row)
        if isinstance(row.verdict, UpToDate):
            self.in_sync += 1
        elif say.is_right_for_now(row):
            pass
        elif row.found is None:
            if say.is_taken(row, self.assessment):
                self.told.update(row.verdict.by if isinstance(row.verdict, Held) else ())
            yield say.binding_missing(self.declaration, row, self.assessment)
        elif row.wanted is None and row.certificate is not None and self._follows(row, row.certificate):
            self.follows[row.certificate].append(say.binding_key(row))
        else:
            yield say.binding_changed(self.declaration, row, self.assessment.actual.asked)

    def _note_unknown(self, row: BindingRow) -> None:
        """Note an ID that no uploaded certificate has: it gets one finding for all bindings that should have it."""
        if row.certificate is not None or row.wanted is None or self.assessment.entry(row.wanted) is not None:
            return
        if not is_askable(row.wanted, self.plan.store.kind):
            return
        self.unknown[row.wanted].append(row)
        where = declared_at(self.declaration, row.at)
        self.told.update(one for one in self.plan.diagnostics if one.where == where)

    def _follows(self, row: BindingRow, name: CertificateName) -> bool:
        """Whether a binding only waits for its certificate: it has an entry of it, or one that was deleted."""
        if self.assessment.by_name[name].bundle is None:
            return True  # what it should use is unknown
        if row.entry is not None:
            inventory = self.assessment.inventory
            return inventory is not None and inventory.owned.get(row.entry.id) == name
        if not is_askable(row.found_id or "", self.plan.store.kind):
            return False
        self.gone.add(name)
        return True

    def _undeclared(self, row: BindingRow) -> Iterator[DriftFinding]:
        """A binding of this stack that nothing declares; in a declared environment also one of an adopted entry."""
        if row.owner is None or not self.declaration.workers[row.at.worker].exclusive:
            return
        self.told.update(row.findings)
        yield say.binding_undeclared(self.declaration, row, row.owner, self.assessment.now)

    # --- Hyperdrive ---------------------------------------------------------------------------------------------

    def _updates(self) -> Iterator[DriftFinding]:
        """What is not used as declared. An error about one speaks for itself."""
        for row in self.assessment.updates:
            if isinstance(row.verdict, UpToDate):
                self.in_sync += 1
            elif isinstance(row.verdict, Pending | Waits) and not say.is_right_for_now(row):
                if row.wanted is None and row.certificate is not None:
                    self.follows[row.certificate].append(say.update_key(row))
                else:
                    yield say.update_differs(row)

    # --- entries ------------------------------------------------------------------------------------------------

    def _entries(self) -> Iterator[DriftFinding]:
        """Entries of this stack that another checkout uploaded later, and those that are safe to delete."""
        for row in self.assessment.entries:
            current = self.assessment.by_name.get(row.owner) if row.owner is not None else None
            if row.role is Role.NEWER and current is not None and current.entry is not None:
                yield say.entry_newer(self.declaration, row.entry, current.name, current.entry)
            elif isinstance(row.verdict, Pending) and isinstance(row.verdict.change, Retire):
                yield say.entry_retirable(row.verdict.change)
