"""What of the store and of the wrangler files does not belong together: entries without a use, ids without an entry,
uses of what is not ours, keys that several certificates share, and what has expired and is still presented.

Looks at a plan and what it was made from; decides nothing. Each finding has what mends it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import Actual, CertificateName, Desired, Entry, EntryId, Reason, StoreSettings, Sweep
from reconciler.model.identifiers import is_askable, is_of_other_store, is_placeholder
from reconciler.model.ownership import CUSTOM, is_other_stacks, is_ours, read_mark
from reconciler.plan.diff import take_stock
from reconciler.plan.inventory import Inventory
from reconciler.plan.plan import Plan
from reconciler.plan.uses import Use, find_uses, ids_by_id
from reconciler.reports import orphan_findings as say
from reconciler.reports.orphan_findings import Orphan
from reconciler.x509.certificates import key_digest

ORDER = (
    "entry-missing",
    "id-of-other-store",
    "placeholder-left",
    "entry-is-ca",
    "entry-expired",
    "key-shared",
    "undeclared-binding",
    "newer-entry",
    "entry-foreign",
    "entry-unreferenced",
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


def unreferenced(desired: Desired, actual: Actual) -> tuple[EntryId, ...]:
    """The ids for which the tree is to be looked through before `find_orphans`: nothing declared names them."""
    stock = take_stock(desired, actual)
    return () if stock is None else tuple(entry.id for entry in _without_use(desired, actual, stock))


def find_orphans(plan: Plan, desired: Desired, actual: Actual, sweep: Sweep) -> Orphans:
    """The findings of a plan that asked the store; ValueError for an offline one.

    `sweep`: which files of the tree name the ids of `unreferenced`.
    """
    stock = take_stock(desired, actual)
    if stock is None:
        raise ValueError("an offline plan does not know what the store has")
    found = _Look(plan, desired, actual, stock, sweep).run()
    ranked = sorted(found, key=lambda orphan: ORDER.index(orphan.finding.code))
    codes = {orphan.finding.code for orphan in ranked}
    rest = tuple(problem for problem in plan.diagnostics if problem.code not in codes & {"newer-entry"})
    return Orphans(plan.stack, plan.store, plan.made, tuple(ranked), rest)


def _without_use(desired: Desired, actual: Actual, stock: Inventory) -> Iterator[Entry]:
    """Leaf entries that no declared file names and mtls.toml neither, but for those that wait to be retired.

    Who uses a CA, and what other stacks use, does not stand in the files of this one.
    """
    used = {use.found.certificate_id for use in find_uses(desired, actual)} | ids_by_id(desired)
    waiting = {one.entry.id for one in stock.leaving if one.reason is Reason.SUPERSEDED}
    for entry in stock.entries.values():
        if entry.type != CUSTOM or entry.ca or entry.id in used or entry.id in waiting:
            continue
        if not is_other_stacks(read_mark(entry), desired.declaration):
            yield entry


@dataclass
class _Look:
    """Walks everything once; one instance per look."""

    plan: Plan
    desired: Desired
    actual: Actual
    stock: Inventory
    sweep: Sweep
    by_entry: dict[EntryId, list[Use]] = field(default_factory=lambda: defaultdict(list))

    def run(self) -> list[Orphan]:
        found = [orphan for use in find_uses(self.desired, self.actual) for orphan in self._use(use)]
        found += self._used_entries()
        found += self._shared_keys()
        found += [say.newer(one) for one in self.plan.diagnostics if one.code == "newer-entry"]
        found += (
            say.unreferenced(self.desired, entry, self.names.get(entry.id), self.stock, self.sweep)
            for entry in _without_use(self.desired, self.actual, self.stock)
        )
        return found

    @cached_property
    def names(self) -> dict[EntryId, CertificateName]:
        """The declared certificate of each entry that is current or ours."""
        current = {entry.id: name for name, entry in sorted(self.stock.current.items(), reverse=True)}
        return {**self.stock.owned, **current}

    def _entry(self, text: str) -> Entry | None:
        return self.stock.entries.get(EntryId(text)) or self.actual.asked.get(EntryId(text))

    # --- from the files to the store ----------------------------------------------------------------------------

    def _use(self, use: Use) -> Iterator[Orphan]:
        text, kind = use.found.certificate_id, self.plan.store.kind
        entry = self._entry(text)
        if entry is not None and entry.ca:
            yield say.is_ca(use, entry)
        elif entry is not None:
            self.by_entry[entry.id].append(use)
            if use.declared is None and entry.id in self.names:
                yield say.undeclared(use, self.names[entry.id])
        elif is_placeholder(text, kind):
            yield say.placeholder(use, self.desired.declaration.certificates)
        elif is_of_other_store(text, kind):
            yield say.of_other_store(use, self.plan.store)
        else:
            asked = is_askable(text, kind)
            yield say.missing(use, asked=asked, entries=tuple(self.stock.entries.values()), names=self.names)

    # --- entries that are used ----------------------------------------------------------------------------------

    def _used_entries(self) -> Iterator[Orphan]:
        for entry_id, uses in self.by_entry.items():
            entry, name = self._entry(entry_id), self.names.get(entry_id)
            if entry is None:
                continue
            if entry.bundle is not None and entry.bundle.ends < self.plan.made:
                yield say.expired(self.desired, entry, entry.bundle.ends, name, uses)
            mark = read_mark(entry)  # one that the list lacks is owned by its mark alone
            if entry_id not in self.stock.owned and not is_ours(mark, self.desired.declaration):
                stack = mark.stack if mark and is_other_stacks(mark, self.desired.declaration) else None
                yield say.foreign(self.desired, entry, name, uses, stack)

    def _shared_keys(self) -> Iterator[Orphan]:
        """Leaf entries by their public key. Renewals of one certificate under one name are one certificate."""
        by_key: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
        for entry in self.stock.entries.values():
            digest = key_digest(entry.bundle.leaf) if entry.bundle and entry.type == CUSTOM and not entry.ca else None
            if digest is not None:
                by_key[digest][self.names.get(entry.id) or entry.name or entry.id].append(entry)
        for holders in by_key.values():
            if len(holders) > 1:
                entries = [entry for held in holders.values() for entry in held]
                yield say.shared_key(entries, [use for entry in entries for use in self.by_entry.get(entry.id, ())])
