"""Wires `init` and `export`: read, propose, write; then make the plan of the new file, and report what it shows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from itertools import count
from pathlib import Path

from reconciler import keys
from reconciler.desired.parse import parse_declaration
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import FileError
from reconciler.findings.values import dataclass
from reconciler.model import (
    CaList,
    Declaration,
    Desired,
    Entry,
    EntryId,
    HyperdriveConfig,
    Hyperdrives,
    Listing,
    StoreSettings,
    WorkerLabel,
    WranglerFile,
    Zone,
)
from reconciler.model.errors import StoreError
from reconciler.model.ownership import CUSTOM
from reconciler.model.ports import LiveReader, Store, StoreReader
from reconciler.plan.plan import Plan
from reconciler.private.folder import FOLDER, make_folder
from reconciler.reports.drift import DriftFinding
from reconciler.reports.drift_look import make_drift
from reconciler.reports.drift_unused import find_unused, join_unused
from reconciler.runs.init.settings import InitRequest, choose_stack, choose_store, demand_new, open_reader, writable
from reconciler.runs.init.survey import Survey, survey
from reconciler.runs.look import ask_for_missing, ids_in, look
from reconciler.runs.plan import PlanRequest, plan
from reconciler.runs.project import Project
from reconciler.runs.validate import tracked_keys
from reconciler.system.discover import find_file
from reconciler.system.files import ProjectFiles
from reconciler.system.git import ask_ignored, ask_tracked
from reconciler.takeover.adoption import Adoption
from reconciler.takeover.everything import certificate_files, propose_everything
from reconciler.takeover.names import Names, common_name
from reconciler.takeover.propose import propose
from reconciler.takeover.proposed import FoundCertificate, Proposal, ProposedCertificate
from reconciler.takeover.scene import Scene
from reconciler.takeover.update import only_new, update_declaration
from reconciler.takeover.write import write_declaration
from reconciler.views.json.schemas import DECLARATION_SCHEMA, schema_text
from reconciler.x509.certificates import parse_stored

SCHEMA = "schemas/mtls.schema.json"
"""Next to mtls.toml, which names it in its first line."""


def demand_free(project: Project) -> None:
    """Raise FileError if an mtls.toml exists already."""
    path = project.folder / project.name
    if path.is_symlink() or path.exists():
        raise FileError(
            f"{project.name} exists already, and is never overwritten",
            hint="run `mtlsctl init --update` to add what is new; it keeps every line",
            where=Place(project.name),
            code=Code.FILE_EXISTS,
        )


def init(project: Project, request: InitRequest) -> Adoption:
    """Write a new mtls.toml. FileError if there is one; GuardError if its stack name has uploads already."""
    demand_free(project)
    found = survey(project, request.below, {}, {}) if request.below is not None else Survey((), (), ())
    stack, store = choose_stack(project, request), choose_store(project, request, found.configs)
    reader = _Remembered(open_reader(project, request, store))
    listing = reader.list_entries()
    if not request.same_stack:
        demand_new(stack, listing)
    bare = Desired(Declaration(project.name, stack, store=store), {})
    scene, unread = _with_users(_scene(project, bare, found, reader, {}), reader, searched=request.below is not None)
    scene = replace(scene, certificates=(*scene.certificates, *_to_save(scene, request.save)))
    proposal, about = propose(scene)
    proposal = _named_alike(scene, proposal)
    text = write_declaration(replace(proposal, store=writable(store)))
    parse_declaration(text.encode(), project.name, keys.KINDS)  # what it would refuse is not written
    written = [*_save(project, scene, proposal), *_write_around(project)]
    project.files.create(project.name, text.encode())
    written.insert(0, project.name)
    findings = (*_above(project), *found.findings, *about, *unread)
    return _adoption(project, reader, proposal, findings, written, searched=request.below is not None)


def _above(project: Project) -> Iterator[Diagnostic]:
    """A warning about another mtls.toml in a parent folder, which commands in this folder used until now."""
    above = find_file(project.folder.parent) if project.folder != project.files.root else None
    if above is not None:
        name = os.path.relpath(above, project.folder)
        message = f"{name} also exists; commands in this folder use the new mtls.toml from now on"
        hint = (
            f"to use one file, delete this mtls.toml and run `mtlsctl --file {name} init --update`; to keep both, make"
            " sure that they do not declare the same environment"
        )
        yield Diagnostic(Severity.WARNING, Code.FILE_ABOVE, message, Place(name), hint)


def update(project: Project, request: InitRequest) -> Adoption:
    """Add what is new in the tree and among the uploads to the existing mtls.toml.

    Of a declared wrangler file that can't be used nothing is added; the findings report it (rule 8).
    """
    checkout = look(project)
    declaration, data = checkout.desired.declaration, project.sources[project.name]
    found = survey(project, request.below or project.folder, checkout.configs, checkout.broken)
    reader = _Remembered(project.stores.open_reader(declaration.store))
    scene = _scene(project, checkout.desired, found, reader, checkout.configs)
    scene, unread = _with_users(scene, reader, searched=True)
    scene = replace(scene, certificates=(*scene.certificates, *_to_save(scene, request.save)))
    proposal, about = propose(scene)
    proposal = only_new(_named_alike(scene, proposal))
    text, by_hand = update_declaration(data.decode(), declaration, proposal)
    written: list[str] = []
    if text.encode() != data:
        parse_declaration(text.encode(), project.name, keys.KINDS)
        written = _save(project, scene, proposal)
        project.files.replace(project.name, old=data, new=text.encode())
        written.insert(0, project.name)
    findings = (*found.findings, *about, *unread, *by_hand)
    return _adoption(project, reader, proposal, findings, written, searched=True, updated=True)


def export(project: Project, request: InitRequest, folder: str) -> Proposal:
    """Every uploaded certificate, as a proposal whose certificate files are in `folder`.

    Stack and store are those of mtls.toml, where there is one and the request does not say otherwise.
    """
    stack, store = choose_stack(project, request), choose_store(project, request, ())
    if (project.folder / project.name).is_file():
        declaration, _ = project.declaration()
        stack = request.stack or declaration.stack
        store = declaration.store if request.kind is None and request.account is None else store
    listing = project.stores.open_reader(store).list_entries()
    return propose_everything(listing, stack, writable(store), folder)


def save_all(proposal: Proposal, folder: Path) -> Iterator[str]:
    """Write the certificates of a proposal into a folder. An existing file with the same content is kept; FileError for
    a place outside the tree."""
    files = ProjectFiles(folder)
    for path, pem in certificate_files(proposal.certificates):
        target = folder / path
        if not target.is_file() or parse_stored(target.read_text(errors="replace")) != parse_stored(pem):
            files.create(path, pem.encode())
            yield path


# --- looking --------------------------------------------------------------------------------------------------------


def _scene(
    project: Project,
    desired: Desired,
    found: Survey,
    reader: StoreReader,
    declared: Mapping[WorkerLabel, WranglerFile],
) -> Scene:
    listing = reader.list_entries()
    ids = (one for file in found.configs for one in ids_in(file))
    asked, unasked = ask_for_missing(reader, listing, ids, desired.declaration.store.kind)
    now = project.clock.now()
    return Scene(desired, listing, asked, found.configs, found.certificates, now, declared, unasked)


def _with_users(scene: Scene, reader: StoreReader, *, searched: bool) -> tuple[Scene, tuple[Diagnostic, ...]]:
    """The scene with the Hyperdrive configurations and hostnames of the account; a warning for what can't be read."""
    unread: list[Diagnostic] = []

    def warn(code: Code, what: str, error: StoreError) -> None:
        message = f"no {what} is declared, because they could not be read: {error.message}"
        unread.append(Diagnostic(Severity.WARNING, code, message, None, error.hint))

    if searched:
        try:
            scene = replace(scene, hyperdrives=reader.hyperdrives(()))
        except StoreError as error:
            warn(Code.HYPERDRIVE_UNREAD, "Hyperdrive configuration", error)
        cas = [entry.id for entry in scene.listing.entries if entry.ca and entry.type == CUSTOM]
        try:
            zones = reader.zones() if cas else ()
            lists = tuple((zone, one) for zone in zones for one in reader.ca_lists(zone.id, cas))
            scene = replace(scene, lists=lists)
        except StoreError as error:
            warn(Code.HOSTNAMES_UNREAD, "hostname", error)
    return scene, tuple(unread)


@dataclass
class _Remembered:
    """The reading half of a store, which keeps its answers, so that proposal and plan see the same state."""

    inner: StoreReader
    listing: Listing | None = None
    configs: tuple[HyperdriveConfig, ...] | None = None
    answers: dict[EntryId, Entry | None] = field(default_factory=dict)

    def open_reader(self, _: StoreSettings) -> StoreReader:
        return self

    def open_store(self, _: StoreSettings) -> Store:
        raise AssertionError("unreachable: init and export change nothing in a store")

    @property
    def calls(self) -> int | None:
        return self.inner.calls

    @property
    def lag_s(self) -> float:
        return self.inner.lag_s

    def live(self) -> LiveReader | None:
        return self.inner.live()

    def hyperdrives(self, wanted: Iterable[str]) -> tuple[HyperdriveConfig, ...]:
        if self.configs is None:
            self.configs = self.inner.hyperdrives(wanted)
        return self.configs

    def hyperdrive(self, config: str) -> HyperdriveConfig | None:
        return self.inner.hyperdrive(config)

    def zones(self, name: str | None = None) -> tuple[Zone, ...]:
        return self.inner.zones(name)

    def ca_lists(self, zone: str, cas: Iterable[EntryId]) -> tuple[CaList, ...]:
        return self.inner.ca_lists(zone, cas)

    def list_entries(self) -> Listing:
        if self.listing is None:
            self.listing = self.inner.list_entries()
        return self.listing

    def get(self, entry_id: EntryId) -> Entry | None:
        return self.get_all((entry_id,))[entry_id]

    def get_all(self, ids: Iterable[EntryId]) -> dict[EntryId, Entry | None]:
        wanted = tuple(ids)
        self.answers |= self.inner.get_all(entry_id for entry_id in wanted if entry_id not in self.answers)
        return {entry_id: self.answers[entry_id] for entry_id in wanted}


# --- writing --------------------------------------------------------------------------------------------------------


def _to_save(scene: Scene, folder: str | None) -> Iterator[FoundCertificate]:
    """The files to write for entries in use that no file of the tree has."""
    if folder is None:
        return
    there = {file.bundle.digest for file in scene.certificates if not file.ignored}
    names = Names(path.rpartition("/")[2].removesuffix(".pem") for path in (file.path for file in scene.certificates))
    for _, entry in sorted(scene.in_use.items()):
        if entry.bundle is not None and entry.bundle.digest not in there and scene.can_be_ours(entry):
            there.add(entry.bundle.digest)
            name = names.give(entry.name, common_name(entry.bundle), fallback="certificate")
            yield FoundCertificate(f"{folder}/{name}.pem", entry.bundle, new=True)


def _named_alike(scene: Scene, proposal: Proposal) -> Proposal:
    """The proposal, with each new file named like the table that declares it; with a number if that name is taken."""
    new = {file.path for file in scene.certificates if file.new}
    there = {file.path for file in scene.certificates if not file.new}
    stems = {one.name: f"{one.path.rpartition('/')[0]}/{one.name}" for one in proposal.certificates if one.path in new}
    taken = there | {f"{stem}.pem" for stem in stems.values()}  # so that no file gets the name of another table

    def path_of(one: ProposedCertificate) -> str:
        stem = stems.get(one.name)
        if stem is None or f"{stem}.pem" not in there:
            return one.path if stem is None else f"{stem}.pem"
        return next(path for number in count(2) if (path := f"{stem}-{number}.pem") not in taken)

    return replace(proposal, certificates=tuple(replace(one, path=path_of(one)) for one in proposal.certificates))


def _save(project: Project, scene: Scene, proposal: Proposal) -> list[str]:
    """Write the certificates that the proposal refers to and the tree lacks."""
    there = {file.path for file in scene.certificates if not file.new}
    new = [certificate for certificate in proposal.certificates if certificate.path not in there]
    for path, pem in certificate_files(new):
        project.files.create(path, pem.encode())
    return [certificate.path for certificate in new]


def _write_around(project: Project) -> Iterator[str]:
    """Write the schema next to the file, for editors, and `.mtlsctl/`, which ignores itself in git."""
    text = schema_text(DECLARATION_SCHEMA, keys.KINDS).encode()
    project.files.identity(SCHEMA)  # an error if a link leads out of this tree
    path = project.folder / SCHEMA
    if not path.is_symlink() and not path.exists():
        project.files.create(SCHEMA, text)
        yield SCHEMA
    make_folder(project.folder)
    yield f"{FOLDER}/"


# --- what the plan of it shows --------------------------------------------------------------------------------------


def _adoption(
    project: Project,
    reader: _Remembered,
    proposal: Proposal,
    findings: tuple[Diagnostic, ...],
    written: list[str],
    *,
    searched: bool,
    updated: bool = False,
) -> Adoption:
    """The result, with the plan of the new file, so that its first plan is no surprise."""
    planned = plan(replace(project, stores=reader), PlanRequest(live=False))
    declaration = planned.plan.assessment.desired.declaration
    drift = make_drift(planned.plan)
    seen = planned.plan if reader.configs is None else _with_configs(planned.plan, reader.configs)
    whole = join_unused(drift, seen, project.files.sweep(find_unused(seen)))
    unused = [one for finding in whole.findings if finding not in drift.findings for one in _diagnostics(finding)]
    again = {(one.code, one.where) for one in unused}
    of_plan = (one for one in planned.plan.diagnostics if (one.code, one.where) not in again)
    told = (*findings, *of_plan, *whole.diagnostics, *unused, *tracked_keys(project, declaration, Severity.WARNING))
    return Adoption(
        file=project.name,
        updated=updated,
        searched=searched,
        stack=planned.plan.stack,
        store=planned.plan.store,
        written=tuple(written),
        to_commit=tuple(_to_commit(project, declaration, written)),
        proposal=proposal,
        findings=tuple(dict.fromkeys(told)),
        plan=planned.plan,
    )


def _with_configs(plan: Plan, configs: tuple[HyperdriveConfig, ...]) -> Plan:
    """The plan with all Hyperdrive configurations, so that nothing that one uses is called unused."""
    actual = replace(plan.assessment.actual, hyperdrives=Hyperdrives(configs))
    return replace(plan, assessment=replace(plan.assessment, actual=actual))


def _to_commit(project: Project, declaration: Declaration, written: Iterable[str]) -> Iterator[str]:
    """What a clone needs: new and changed files, and files that mtls.toml names and git does not track. No keys.

    Certificates one by one, because keys may be next to them.
    """
    yield project.name
    named = [SCHEMA, *(one.path for one in declaration.certificates.values())]
    named += (worker.config for worker in declaration.workers.values())
    there = {path: project.folder / path for path in named if (project.folder / path).is_file()}
    tracked, ignored = ask_tracked(there.values()), ask_ignored(there.values())
    if tracked.problem is None and ignored.problem is None:
        known = tracked.yes | tracked.outside | ignored.yes
        found = [path for path, place in there.items() if place not in known]
    else:
        found = []
    new = [path for path in written if not path.startswith(f"{FOLDER}/")]
    yield from (path for path in dict.fromkeys((*new, *found)) if path != project.name)


def _diagnostics(finding: DriftFinding) -> Iterator[Diagnostic]:
    """A finding of drift as one of the report."""
    if finding.code is not None:
        severity = finding.code.severities[0]
        yield Diagnostic(severity, finding.code, finding.message, finding.where, finding.hint, finding.certificate)
