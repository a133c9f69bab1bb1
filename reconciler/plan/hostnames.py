"""The verdict of the hostnames that are to trust each declared CA in a zone.

A list is only made longer. So the hostnames of an old CA stay until a person removes them, and clients with
certificates of both are accepted until then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import (
    CertificateName,
    DeclaredZone,
    Entry,
    EntryId,
    FoundZone,
    HostnamesAddress,
    Reason,
    Update,
)
from reconciler.model.hostnames import lacking
from reconciler.model.words import names_text
from reconciler.plan.assessment import Held, Need, Unseen, UpdateRow, UpToDate, Verdict
from reconciler.plan.updates import UpdateScene


def judge_hostnames(scene: UpdateScene) -> Iterator[UpdateRow]:
    """A row for each CA of each declared zone, in the order of mtls.toml."""
    found = {one.declared: one for one in scene.actual.zones or ()}
    times = Counter(one.ids[0] for one in found.values() if len(one.ids) == 1)
    for declared in scene.desired.declaration.zones:
        zone = found.get(declared.zone)
        problem = None if zone is None else _problem(declared, zone, times, scene.desired.declaration.path)
        if problem is not None:
            scene.found.append(problem)
        yield from _HostnamesJudge(scene, declared, zone, problem).rows()


def _problem(declared: DeclaredZone, zone: FoundZone, times: Counter[str], path: str) -> Diagnostic | None:
    """What holds every hostname of a zone."""
    where, text = Pointer(path, ("hostnames", declared.zone), at_key=True), declared.zone
    if zone.unread is not None:
        message, hint = zone.unread
        told = f"the hostnames of the zone {text!r} are not updated, because they could not be read: {message}"
        return Diagnostic(Severity.ERROR, Code.HOSTNAMES_UNREAD, told, where, hint)
    if len(zone.ids) != 1:
        several = f": {', '.join(zone.ids)}" if zone.ids else ""
        message = (
            f"the account has {len(zone.ids) or 'no'} zone{'s' if zone.ids else ''} with the name {text!r}{several}"
        )
        hint = (
            "write the ID of the zone, from its overview in the dashboard; the token needs `Zone Read` to find a name"
        )
        return Diagnostic(Severity.ERROR, Code.ZONE_NOT_FOUND, message, where, hint)
    if times[zone.ids[0]] > 1:
        message = f"{text!r} is the zone {zone.ids[0]}, which another table declares, too"
        return Diagnostic(
            Severity.ERROR, Code.HOSTNAMES_DECLARED_TWICE, message, where, "move the keys of both into one table"
        )
    return None


@dataclass(frozen=True, slots=True)
class _HostnamesJudge:
    """One declared zone. `zone` None: not read. `problem`: the error that holds all of it."""

    scene: UpdateScene
    declared: DeclaredZone
    zone: FoundZone | None
    problem: Diagnostic | None

    def rows(self) -> Iterator[UpdateRow]:
        first: dict[str, CertificateName] = {}
        for name, names in self.declared.cas.items():
            bundle = self.scene.desired.bundles.get(name)
            other = first.setdefault(bundle.digest, name) if bundle is not None else name
            yield self._row(name, names, self._same_content(name, other) if other != name else None)

    def _same_content(self, name: CertificateName, other: CertificateName) -> Diagnostic:
        message = (
            f"{name!r} and {other!r} are the same CA, and the zone {self.declared.zone!r} lists hostnames for both"
        )
        hint = f"move the hostnames of {name!r} to {other!r}"
        problem = Diagnostic(Severity.ERROR, Code.HOSTNAMES_DECLARED_TWICE, message, self._pointer(name), hint, name)
        self.scene.found.append(problem)
        return problem

    def _row(self, name: CertificateName, names: tuple[str, ...], problem: Diagnostic | None) -> UpdateRow:
        wanted = self.scene.wanted(name)
        listed = self.zone.of(wanted) if self.zone is not None and wanted is not None else ()
        missing = lacking(listed, names)
        entry = self._used(name, names, wanted)
        self._tell_others(name, listed, names)
        return UpdateRow(
            at=self._at(name),
            certificate=name,
            found_id=entry.id if entry is not None else None,
            entry=entry,
            owner=self.scene.owner(entry, name),
            wanted=wanted,
            verdict=self._verdict(name, wanted, listed, missing, entry, problem or self.problem),
            pointer=self._pointer(name),
            names=names,
            lacking=missing,
        )

    def _used(self, name: CertificateName, names: tuple[str, ...], wanted: EntryId | None) -> Entry | None:
        """The CA of this name that the hostnames trust: the current one if all do, else the newest old one."""
        inventory, zone = self.scene.inventory, self.zone
        if inventory is None or zone is None:
            return None
        trusted = {one.ca for one in zone.lists if len(one.lacking(names)) < len(names)}
        if wanted in trusted and not lacking(zone.of(wanted), names):
            return self.scene.entry(wanted)
        old = [inventory.entries[one] for one, owner in inventory.owned.items() if owner == name and one != wanted]
        used = [one for one in old if one.id in trusted]
        newest = max(used, key=lambda one: (str(one.uploaded_on or ""), one.id), default=None)
        return newest or (self.scene.entry(wanted) if wanted in trusted else None)

    def _verdict(
        self,
        name: CertificateName,
        wanted: EntryId | None,
        listed: tuple[str, ...],
        missing: tuple[str, ...],
        entry: Entry | None,
        problem: Diagnostic | None,
    ) -> Verdict:
        """A list that has all of them is up to date, even if something else is wrong."""
        if wanted is not None and self.zone is not None and not missing:
            return UpToDate()
        if self.scene.inventory is None:
            return Unseen(Need.STORE)
        if problem is not None:
            return Held((problem,))
        if self.zone is None:
            return Unseen(Need.LIVE)
        before = entry.id if entry is not None else None
        reasons = (Reason.MISSING,) if before == wanted else self.scene.reasons(before, name)
        change = Update(self._at(name), reasons, name, before=before, after=wanted, names=missing, listed=listed)
        return self.scene.judge(change, name, entry, self._pointer(name))

    def _tell_others(self, name: CertificateName, listed: tuple[str, ...], names: tuple[str, ...]) -> None:
        """Report the hostnames that trust the CA and are not declared."""
        others = lacking(names, listed)
        if others:
            verb = "trusts" if len(others) == 1 else "trust"
            message = f"in the zone {self.declared.zone}, {names_text(others)} also {verb} {name!r}, not managed here"
            hint = f"they stay; to manage them here, add them to `{name}`"
            self.scene.found.append(
                Diagnostic(Severity.INFO, Code.HOSTNAMES_FOREIGN, message, self._pointer(name), hint, name)
            )

    def _at(self, name: CertificateName) -> HostnamesAddress:
        ids = self.zone.ids if self.zone is not None else ()
        return HostnamesAddress(self.declared.zone, ids[0] if len(ids) == 1 else self.declared.zone, name)

    def _pointer(self, name: CertificateName) -> Pointer:
        return Pointer(self.scene.desired.declaration.path, ("hostnames", self.declared.zone, name))
