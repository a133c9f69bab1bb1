"""The proposal of what to declare, from what was found: the matched certificates, and a table for each Worker.

What can't be declared becomes a comment with its reason.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from reconciler.desired.rules import (
    accepts,
    check_binding_name,
    check_config_path,
    check_hostname,
    check_hyperdrive,
    check_zone,
)
from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import (
    BindingName,
    ByCertificate,
    ById,
    CertificateName,
    DeclaredHyperdrive,
    DeclaredZone,
    EntryId,
    EnvironmentName,
    HyperdriveField,
    WorkerLabel,
    WranglerFile,
)
from reconciler.model.hostnames import is_in_zone
from reconciler.model.identifiers import is_of_other_store, is_placeholder
from reconciler.plan.binding_findings import ids_not_asked
from reconciler.takeover import findings as say
from reconciler.takeover.matching import Matched, match
from reconciler.takeover.names import Names, fit_name
from reconciler.takeover.proposed import Proposal, ProposedBinding, ProposedEnvironment, ProposedWorker
from reconciler.takeover.scene import Scene, UndeclaredBinding


def propose(scene: Scene) -> tuple[Proposal, tuple[Diagnostic, ...]]:
    """The proposal and its findings; the plan of the result has all others."""
    matched = match(scene)
    workers, about_workers = propose_workers(scene, matched)
    declaration = scene.desired.declaration
    proposal = Proposal(
        declaration.stack,
        declaration.store,
        matched.certificates,
        workers,
        matched.suggestions,
        savable=matched.savable,
        hyperdrives=tuple(_hyperdrives(scene, matched)),
        zones=tuple(_zones(scene, matched)),
    )
    unasked = (ids_not_asked(None, len(scene.asked), len(scene.unasked)),) if scene.unasked else ()
    findings = (
        *scene.left_out(),
        *unasked,
        *matched.findings,
        *about_workers,
        *_left_of_hyperdrives(scene, matched),
        *say.name_twice(scene, {one.entry.id: one.name for one in matched.certificates}),
    )
    return proposal, findings


def _hyperdrives(scene: Scene, matched: Matched) -> Iterator[DeclaredHyperdrive]:
    """Yield each configuration that uses a certificate which is declared now, with those alone: the rest stays as it
    is. Of a configuration that is declared, what its table lacks."""
    names = _names(scene, matched)
    times = Counter(one.name for one in scene.hyperdrives)
    labels = Names(one.label for one in scene.desired.declaration.hyperdrives)
    for config, entries in scene.new_in_hyperdrive:
        used = {field: names.get(entry.id) for field, entry in entries.items()}
        certificate, ca = used.get(HyperdriveField.CERTIFICATE), used.get(HyperdriveField.CA)
        if certificate is None and ca is None:
            continue
        declared = scene.declared_hyperdrive(config)
        if declared is not None:
            yield DeclaredHyperdrive(declared.label, declared.config, certificate, ca)
            continue
        is_named = times[config.name] == 1 and accepts(check_hyperdrive, config.name)
        label = labels.give(config.name, fallback="hyperdrive")
        yield DeclaredHyperdrive(label, config.name if is_named else config.id, certificate, ca)


def _left_of_hyperdrives(scene: Scene, matched: Matched) -> Iterator[Diagnostic]:
    """Yield a warning for each certificate of a configuration that is not declared."""
    names = _names(scene, matched)
    for config, entries in scene.new_in_hyperdrive:
        yield from (
            say.left_of_hyperdrive(scene, config, field, entry)
            for field, entry in entries.items()
            if entry.id not in names
        )


def _zones(scene: Scene, matched: Matched) -> Iterator[DeclaredZone]:
    """Yield each zone with the hostnames of each CA that is declared now, if it has none for that CA yet."""
    names, declared = _names(scene, matched), {one.zone: one.cas for one in scene.desired.declaration.zones}
    found: dict[str, dict[CertificateName, tuple[str, ...]]] = defaultdict(dict)
    for zone, listed in scene.lists:
        named = zone.name if accepts(check_zone, zone.name) else zone.id
        key = next((one for one in (zone.id, zone.name) if one in declared), named)
        hosts = tuple(one for one in listed.names if accepts(check_hostname, one) and is_in_zone(one, key))
        ca = names.get(listed.ca)
        if ca is not None and hosts and ca not in declared.get(key, ()):
            found[key][ca] = hosts
    yield from (DeclaredZone(zone, cas) for zone, cas in sorted(found.items()))


def _names(scene: Scene, matched: Matched) -> Mapping[EntryId, CertificateName]:
    """The certificate of each entry that is current, for what is declared already or now."""
    names = {entry.id: name for name, entry in sorted(scene.stock.current.items(), reverse=True)}
    return names | {one.entry.id: one.name for one in matched.certificates}


# --- the tables of Workers ------------------------------------------------------------------------------------------

_FALLBACK = "worker"
_ALIKE = 0.85
_LONGEST_SHOWN = 60


def propose_workers(scene: Scene, matched: Matched) -> tuple[tuple[ProposedWorker, ...], tuple[Diagnostic, ...]]:
    """A table for each file with something to declare, and the findings."""
    proposer = _Proposer(scene, matched)
    return tuple(proposer.workers()), tuple(proposer.findings)


class _Proposer:
    """Goes through the files once; one instance per proposal."""

    def __init__(self, scene: Scene, matched: Matched) -> None:
        self.scene, self.matched = scene, matched
        self.store = scene.desired.declaration.store
        self.labels = Names(scene.desired.declaration.workers)
        self.findings: list[Diagnostic] = []
        self.by_name = self._names()
        self.ids = {str(entry.id): entry.id for entry in scene.entries.values() if not entry.ca}

    def _names(self) -> dict[str, ByCertificate | ById]:
        """The probable target of a binding by its name: a certificate, or an entry that is bound by its ID."""
        by_id = {fit_name(self.scene.entries[one].name): found.to for one, found in self.matched.targets.items()}
        declared = (*self.scene.desired.declaration.certificates, *(one.name for one in self.matched.certificates))
        names = (*(one.name for one in self.matched.suggestions), *declared)
        return {**by_id, **{name: ByCertificate(name) for name in names}}

    def workers(self) -> Iterator[ProposedWorker]:
        sites: dict[str, list[UndeclaredBinding]] = {}
        for site in self.scene.sites:
            sites.setdefault(site.file.path, []).append(site)
        for file in sorted(self.scene.configs, key=lambda file: file.path):
            known = self.scene.workers_of(file)
            if file.path not in sites:
                continue
            if not known and not accepts(check_config_path, file.path):
                self.findings.append(say.unusable_path(file.path))
                continue
            odd = [site for site in sites[file.path] if not accepts(check_binding_name, site.found.binding)]
            self.findings.extend(map(say.undeclarable, odd))
            good = [site for site in sites[file.path] if site not in odd]
            environments = tuple(self._environments(file, good))
            # A binding of an entry that may be ours, and that can't be declared, would be unbound as one that is gone.
            left = [site for site in sites[file.path] if site.entry is not None and (site in odd or site.entry.ca)]
            if environments or not known:
                yield self._worker(file, environments, exclusive=not left)

    def _worker(
        self, file: WranglerFile, environments: tuple[ProposedEnvironment, ...], *, exclusive: bool
    ) -> ProposedWorker:
        known = self.scene.workers_of(file)
        if known:
            return ProposedWorker(known[0].label, file.path, environments, known=True)
        folder = file.path.rpartition("/")[0].rpartition("/")[2]
        label = WorkerLabel(self.labels.give(file.worker_name or "", folder, fallback=_FALLBACK))
        return ProposedWorker(label, file.path, environments, exclusive)

    # --- environments -------------------------------------------------------------------------------------------

    def _environments(self, file: WranglerFile, sites: Sequence[UndeclaredBinding]) -> Iterator[ProposedEnvironment]:
        top = file.environments[None].bindings if None in file.environments else ()
        names = [found.binding for found in top if accepts(check_binding_name, found.binding)]
        new = not self.scene.workers_of(file)
        at_top: dict[str, ProposedBinding] = {}
        for environment in file.environments.values():
            mine = [site for site in sites if site.environment == environment.name]
            bindings = tuple(self._binding(site) for site in mine)
            if environment.name is None:
                at_top = {binding.binding: binding for binding in bindings}
            if bindings:
                yield ProposedEnvironment(environment.name, bindings)
            if environment.name is None or not names or self.scene.why_not(file, environment) is not None or not new:
                continue
            if not environment.bindings:
                known = (at_top[name] for name in names if name in at_top)
                yield self._forgotten(environment.name, [one for one in known if one.target or one.guess])
            missing = [name for name in names if environment.find(name) is None]
            if environment.bindings and missing:
                self.findings.append(say.lacks(file, environment.name, missing))

    def _forgotten(self, environment: EnvironmentName, top: Sequence[ProposedBinding]) -> ProposedEnvironment:
        """An environment without bindings below a top level with some; the plan warns about it until it is declared."""
        lines = tuple(ProposedBinding(one.binding, None, guess=one.target or one.guess) for one in top)
        remark = f"wrangler does not inherit bindings. Declare those that {environment} needs, or the empty table."
        return ProposedEnvironment(environment, lines, remark)

    # --- bindings -----------------------------------------------------------------------------------------------

    def _binding(self, site: UndeclaredBinding) -> ProposedBinding:
        name = BindingName(site.found.binding)
        target = self.matched.targets.get(site.entry.id) if site.entry is not None else None
        if target is not None:
            return ProposedBinding(name, target.to, target.remark)
        remark, guess = self._doubt(site)
        return ProposedBinding(name, None, remark, guess)

    def _doubt(self, site: UndeclaredBinding) -> tuple[str, ByCertificate | ById | None]:
        """Why a binding could not be declared when it was found, and what it probably means."""
        text = site.found.certificate_id
        shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
        if site.entry is not None:
            return f"was {shown}, a CA, which a Worker can't use", None
        if is_placeholder(text, self.store.kind):
            return f"was the placeholder {shown!r}", self.by_name.get(fit_name(site.found.binding))
        if is_of_other_store(text, self.store.kind):
            return f"was {shown}, an ID from a Cloudflare account, but this project uses {self.store.title}", None
        return f"was {shown}, which {self.store.title} did not have", self._alike(text)

    def _alike(self, text: str) -> ByCertificate | ById | None:
        """The target for the entry whose ID is most similar to this one."""
        near = get_close_matches(text.strip().lower(), self.ids, n=1, cutoff=_ALIKE)
        if not near:
            return None
        target = self.matched.targets.get(self.ids[near[0]])
        return target.to if target is not None else ById(self.ids[near[0]])
