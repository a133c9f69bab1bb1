"""What of the store and of the wrangler files does not belong together: entries without a use, ids without an entry,
uses of what is not ours, keys that several certificates share, and what has expired and is still presented.

Looks at a plan and what it was made from; decides nothing. Each finding has what mends it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import ById, Entry, EntryId, StoreSettings, Sweep
from reconciler.model.identifiers import is_askable, is_of_other_store, is_placeholder
from reconciler.model.ownership import CUSTOM, is_other_stacks, is_ours, read_mark
from reconciler.plan.assessment import Assessment, BindingRow, EntryRow, place_of
from reconciler.plan.inventory import Role
from reconciler.plan.plan import Plan
from reconciler.reports import orphan_findings as say
from reconciler.reports.orphan_findings import Orphan
from reconciler.x509.certificates import key_digest

ORDER = (
    Code.ENTRY_MISSING,
    Code.ID_OF_OTHER_STORE,
    Code.PLACEHOLDER_LEFT,
    Code.ENTRY_IS_CA,
    Code.ENTRY_EXPIRED,
    Code.KEY_SHARED,
    Code.UNDECLARED_BINDING,
    Code.NEWER_ENTRY,
    Code.ENTRY_FOREIGN,
    Code.ENTRY_UNREFERENCED,
)
"""The codes, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Orphans:
    """One look. `diagnostics`: what the plan says beside."""

    stack: str
    store: StoreSettings
    made: datetime
    findings: tuple[Orphan, ...]
    diagnostics: tuple[Diagnostic, ...]


def unreferenced(plan: Plan) -> tuple[EntryId, ...]:
    """The ids for which the tree is to be looked through before `find_orphans`: nothing declared names them."""
    return tuple(row.entry.id for row in _without_use(plan.assessment))


def find_orphans(plan: Plan, sweep: Sweep) -> Orphans:
    """The findings of a plan that asked the store; ValueError for an offline one.

    `sweep`: which files of the tree name the ids of `unreferenced`.
    """
    if plan.offline:
        raise ValueError("an offline plan does not know what the store has")
    found = _OrphanLook(plan.assessment, sweep).run()
    ranked = sorted(found, key=lambda orphan: ORDER.index(orphan.finding.code))
    codes = {orphan.finding.code for orphan in ranked}
    told = codes & {Code.NEWER_ENTRY}
    if Code.ENTRY_EXPIRED in codes:
        told.add(Code.BOUND_EXPIRED)  # which says the same of what is in use
    rest = tuple(problem for problem in plan.diagnostics if problem.code not in told)
    return Orphans(plan.stack, plan.store, plan.made, tuple(ranked), rest)


def _without_use(assessment: Assessment) -> Iterator[EntryRow]:
    """Leaf entries that no declared file names and mtls.toml neither, but for those that wait to be retired.

    Who uses a CA, and what other stacks use, is not in the files of this one.
    """
    by_id = {row.target.id for row in assessment.bindings if isinstance(row.target, ById)}
    for row in assessment.entries:
        entry = row.entry
        if entry.type != CUSTOM or entry.ca or entry.id in assessment.uses or entry.id in by_id:
            continue
        if row.role is not Role.SUPERSEDED and not is_other_stacks(read_mark(entry), assessment.desired.declaration):
            yield row


@dataclass
class _OrphanLook:
    """Reads every row once; one instance per report."""

    assessment: Assessment
    sweep: Sweep
    by_entry: dict[EntryId, list[BindingRow]] = field(default_factory=lambda: defaultdict(list))

    def run(self) -> list[Orphan]:
        a = self.assessment
        rows = sorted((row for rows in a.uses.values() for row in rows), key=place_of)
        found = [orphan for row in rows for orphan in self._use(row)]
        found += self._used_entries()
        found += self._shared_keys()
        found += [say.newer(one) for one in a.findings if one.code == Code.NEWER_ENTRY]
        found += (
            say.unreferenced(a.desired, row.entry, a.names.get(row.entry.id), a.certificates, self.sweep)
            for row in _without_use(a)
        )
        return found

    # --- from the files to the store ----------------------------------------------------------------------------

    def _use(self, row: BindingRow) -> Iterator[Orphan]:
        a = self.assessment
        text, kind, entry = row.found_id or "", a.desired.declaration.store.kind, row.entry
        if entry is not None and entry.ca:
            yield say.is_ca(row, entry)
        elif entry is not None:
            self.by_entry[entry.id].append(row)
            if row.declared is None and entry.id in a.names:
                yield say.undeclared(row, a.names[entry.id])
        elif is_placeholder(text, kind):
            yield say.placeholder(row, a.by_name)
        elif is_of_other_store(text, kind):
            yield say.of_other_store(row, a.desired.declaration.store)
        else:
            entries = [one.entry for one in a.entries]
            yield say.missing(row, asked=is_askable(text, kind), entries=entries, names=a.names)

    # --- entries that are used ----------------------------------------------------------------------------------

    def _used_entries(self) -> Iterator[Orphan]:
        declaration = self.assessment.desired.declaration
        for entry_id, rows in self.by_entry.items():
            entry, name = self.assessment.entry(entry_id), self.assessment.names.get(entry_id)
            if entry is None:
                continue
            window = entry.window(self.assessment.now)
            if window.ends is not None and window.has_ended(self.assessment.now):
                yield say.expired(self.assessment.desired, entry, window.ends, name, rows)
            mark = read_mark(entry)  # one that the list lacks is owned by its mark alone
            owned = self.assessment.inventory.owned if self.assessment.inventory is not None else {}
            if entry_id not in owned and not is_ours(mark, declaration):
                stack = mark.stack if mark and is_other_stacks(mark, declaration) else None
                yield say.foreign(self.assessment.desired, entry, name, rows, stack)

    def _shared_keys(self) -> Iterator[Orphan]:
        """Leaf entries by their public key. Renewals of one certificate under one name are one certificate."""
        by_key: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
        for row in self.assessment.entries:
            entry = row.entry
            digest = key_digest(entry.bundle.leaf) if entry.bundle and entry.type == CUSTOM and not entry.ca else None
            if digest is not None:
                by_key[digest][self.assessment.names.get(entry.id) or entry.name or entry.id].append(entry)
        for holders in by_key.values():
            if len(holders) > 1:
                entries = [entry for held in holders.values() for entry in held]
                yield say.shared_key(entries, [row for entry in entries for row in self.by_entry.get(entry.id, ())])
