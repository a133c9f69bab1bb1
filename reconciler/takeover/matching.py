"""Which entries in use become certificates, each matched to a file by content, and which stay bound by ID."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property

from reconciler.desired.rules import accepts, check_certificate_path
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.values import dataclass
from reconciler.model import ByCertificate, ById, CertificateName, Entry, EntryId
from reconciler.model.ownership import is_other_stacks, is_ours, read_mark
from reconciler.takeover import findings as say
from reconciler.takeover.names import Names, common_name
from reconciler.takeover.proposed import FoundCertificate, ProposedCertificate, Suggestion
from reconciler.takeover.scene import Scene
from reconciler.x509.preflight import check_for_upload

_NEVER = datetime.max.replace(tzinfo=UTC)
_BY_DATE = frozenset({Code.CERTIFICATE_EXPIRED, Code.INTERMEDIATE_EXPIRED, Code.DATES_REVERSED})
_FALLBACK = "certificate"


@dataclass(frozen=True, slots=True)
class ProposedTarget:
    """What a binding to one entry declares. `remark`: a comment for people, which must stay true after rotations."""

    to: ByCertificate | ById
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Matched:
    """`targets`: for each entry in use that can be bound. `savable`: those without a file, which could get one."""

    targets: Mapping[EntryId, ProposedTarget]
    certificates: tuple[ProposedCertificate, ...]
    suggestions: tuple[Suggestion, ...]
    findings: tuple[Diagnostic, ...]
    savable: frozenset[EntryId] = frozenset()


def match(scene: Scene) -> Matched:
    """The certificates for every entry that a binding uses, and for every CA whose file is in the tree."""
    return _Matcher(scene).run()


class _Matcher:
    """Goes through the entries once; one instance per match."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.declaration = scene.desired.declaration
        self.names = Names(self.declaration.certificates)
        self.targets: dict[EntryId, ProposedTarget] = {}
        self.findings: list[Diagnostic] = []
        self.savable: set[EntryId] = set()
        self.uses = Counter(site.entry.id for site in scene.sites if site.entry is not None)

    def run(self) -> Matched:
        current = {entry.id: name for name, entry in sorted(self.scene.stock.current.items(), reverse=True)}
        chosen: dict[str, list[Entry]] = defaultdict(list)
        for entry_id in self.uses:
            entry = self.scene.entries[entry_id]
            if entry.ca:
                continue  # a Worker can't use it
            if entry_id in current:
                self.targets[entry_id] = ProposedTarget(ByCertificate(current[entry_id]))
            elif entry.bundle is None or self._file_of(entry) is None or not self.scene.can_be_ours(entry):
                self._by_id(entry)
            else:
                chosen[entry.bundle.digest].append(entry)
        for entry in self.scene.bound_by_id.values():
            if entry.id in current:
                self.targets[entry.id] = ProposedTarget(ByCertificate(current[entry.id]))
            elif entry.id not in self.uses and self._file_of(entry) is not None and self.scene.can_be_ours(entry):
                chosen[entry.bundle.digest if entry.bundle is not None else ""].append(entry)
        for entry in self.scene.used_by_hyperdrive.values():
            is_new = not entry.ca and entry.id not in current and entry.id not in self.uses
            if is_new and self._file_of(entry) is not None and self.scene.can_be_ours(entry):
                same = chosen[entry.bundle.digest if entry.bundle is not None else ""]
                same.extend(() if entry in same else (entry,))
        mains = [self._main(entries) for entries in chosen.values()]
        certificates = self._named((*mains, *self._authorities(current, set(chosen))))
        suggestions = tuple(self._suggest(certificates))
        return Matched(self.targets, certificates, suggestions, tuple(self.findings), frozenset(self.savable))

    # --- files --------------------------------------------------------------------------------------------------

    @cached_property
    def _files(self) -> Mapping[str, FoundCertificate]:
        """The file of each content; of several, the one with the shortest path, because others are probably copies."""
        found: dict[str, FoundCertificate] = {}
        for file in sorted(self.scene.certificates, key=lambda file: (len(file.path), file.path)):
            if not file.ignored and accepts(check_certificate_path, file.path):
                found.setdefault(file.bundle.digest, file)
        return found

    def _file_of(self, entry: Entry) -> FoundCertificate | None:
        file = self._files.get(entry.bundle.digest) if entry.bundle is not None else None
        return file if file is not None and (entry.ca or entry.has_leaf_of(file.bundle)) else None

    # --- entries ------------------------------------------------------------------------------------------------

    def _main(self, entries: list[Entry]) -> Entry:
        """The entry that a plan prefers among those with the same content; the others stay bound by ID."""
        main = min(entries, key=self._preference)
        for other in entries:
            if other is not main:
                self.targets[other.id] = ProposedTarget(ById(other.id), "uploaded twice; bind it by name to renew it")
        return main

    def _preference(self, entry: Entry) -> tuple[bool, datetime, str]:
        return not is_ours(read_mark(entry), self.declaration), entry.uploaded_on or _NEVER, entry.id

    def _by_id(self, entry: Entry) -> None:
        mark = read_mark(entry)
        if mark is not None and is_other_stacks(mark, self.declaration):
            remark = f"{mark.certificate}, managed by the stack {mark.stack!r}"
            self.targets[entry.id] = ProposedTarget(ById(entry.id), remark)
            return
        remark = "uploaded by this stack" if is_ours(mark, self.declaration) else "not managed here"
        self.targets[entry.id] = ProposedTarget(ById(entry.id), remark)
        if self.scene.can_be_ours(entry):
            self.savable.add(entry.id)
        self.findings.extend(say.by_id(entry, self.uses[entry.id], self._alike(entry)))

    def _alike(self, entry: Entry) -> list[FoundCertificate]:
        """The files with the leaf of an entry, even with another chain."""
        return self._by_leaf.get(entry.bundle.fingerprint, []) if entry.bundle is not None else []

    @cached_property
    def _by_leaf(self) -> Mapping[str, list[FoundCertificate]]:
        found: dict[str, list[FoundCertificate]] = defaultdict(list)
        for file in self.scene.certificates:
            found[file.bundle.fingerprint].append(file)
        return found

    def _authorities(self, current: Mapping[EntryId, CertificateName], seen: set[str]) -> Iterator[Entry]:
        """Yield every CA whose file is in the tree: CAs are not used by Workers, so all are assumed to be in use.

        `seen`: contents that are declared as leaves, because the same content can't be both.
        """
        for entry in sorted(self.scene.listing.entries, key=self._preference):
            if entry.ca and entry.id not in current and self._file_of(entry) and self.scene.can_be_ours(entry):
                digest = entry.bundle.digest if entry.bundle else ""
                if digest not in seen:
                    seen.add(digest)
                    yield entry

    # --- names --------------------------------------------------------------------------------------------------

    def _named(self, entries: Iterable[Entry]) -> tuple[ProposedCertificate, ...]:
        """The certificates, sorted by name. Of several entries with the same name, the latest keeps it unchanged."""
        proposed: list[ProposedCertificate] = []
        for entry in sorted(entries, key=lambda one: (str(one.uploaded_on), one.id), reverse=True):
            file = self._file_of(entry)
            if file is None:
                continue
            mark = read_mark(entry)
            ours = mark is not None and is_ours(mark, self.declaration)
            wished = mark.certificate if mark is not None and ours else entry.name
            name = CertificateName(self.names.give(wished, *_wishes(file), fallback=_FALLBACK))
            if not entry.ca:
                self.targets[entry.id] = ProposedTarget(ByCertificate(name))
            supersedes = () if ours else (entry.id,)
            proposed.append(ProposedCertificate(name, file.path, entry, entry.ca, supersedes, file.key))
        return tuple(sorted(proposed, key=lambda one: one.name))

    def _suggest(self, certificates: tuple[ProposedCertificate, ...]) -> Iterator[Suggestion]:
        """Yield the files of usable client certificates that are not declared: uploaded but unused, or not uploaded."""
        stored = {entry.bundle.digest: entry for entry in self.scene.listing.entries if entry.bundle is not None}
        leaves = {entry.bundle.fingerprint for entry in stored.values() if entry.bundle is not None}
        done = {one.entry.bundle.digest for one in certificates if one.entry.bundle is not None}
        done |= {bundle.digest for bundle in self.scene.desired.bundles.values()}
        for file in sorted(self._files.values(), key=lambda file: file.path):
            entry = stored.get(file.bundle.digest)
            if entry is None and file.bundle.fingerprint in leaves:
                continue  # the upload may be refused as a duplicate
            if file.bundle.digest in done or (entry is not None and (entry.id in self.uses or entry.ca)):
                continue
            if not file.outside and self._is_fit(file):
                name = CertificateName(self.names.give(entry.name if entry else "", *_wishes(file), fallback=_FALLBACK))
                yield Suggestion(name, file.path, file.key)

    def _is_fit(self, file: FoundCertificate) -> bool:
        """Whether it could be uploaded as a client certificate, apart from its dates."""
        found = check_for_upload(file.bundle, ca=False, path=file.path, now=self.scene.now)
        return not any(one.severity is Severity.ERROR and one.code not in _BY_DATE for one in found)


def _wishes(file: FoundCertificate) -> tuple[str, ...]:
    """Possible names of a certificate: from the name of its file, then from its common name."""
    stem = file.path.rsplit("/", 1)[-1].partition(".")[0]
    return stem, common_name(file.bundle)
