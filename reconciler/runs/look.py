"""Reads everything once: mtls.toml and the files that it names, then the store, then what costs more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.errors import FileError, InputError, ReconcilerError
from reconciler.findings.values import dataclass
from reconciler.model import (
    Actual,
    BrokenFile,
    ById,
    CertificateName,
    Declaration,
    Desired,
    Entry,
    EntryId,
    FoundZone,
    Hyperdrives,
    Listing,
    LiveQuestion,
    StoreKind,
    WorkerLabel,
    WranglerFile,
)
from reconciler.model.errors import StoreError
from reconciler.model.hostnames import is_zone_id
from reconciler.model.identifiers import is_askable
from reconciler.model.ownership import CUSTOM
from reconciler.model.ports import FileReader, LiveReader, StoreReader
from reconciler.model.progress import Done
from reconciler.plan.assess import needs, see
from reconciler.plan.assessment import Assessment
from reconciler.plan.live import targets_of
from reconciler.plan.renewals import to_renew
from reconciler.plan.users import entries_of
from reconciler.runs.configs import load_configs
from reconciler.runs.project import Project
from reconciler.x509.certificates import Bundle, key_digest, quiet, remember
from reconciler.x509.files import MAX_CHAIN_BYTES, parse_file


@dataclass(frozen=True, slots=True)
class Checkout:
    """The files of a project. `configs`: the declared wrangler files that can be used; `broken`: the others.

    The findings: `warnings` about mtls.toml, `blocked` about certificate files (each blocks only its certificate), and
    `noticed` about wrangler files.
    """

    desired: Desired
    configs: Mapping[WorkerLabel, WranglerFile]
    broken: Mapping[WorkerLabel, BrokenFile]
    warnings: tuple[Diagnostic, ...]
    blocked: tuple[Diagnostic, ...]
    noticed: tuple[Diagnostic, ...]

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        """Every finding, in the order in which the files were read."""
        return (*self.warnings, *self.blocked, *self.noticed)

    def demand_configs(self) -> None:
        """Raise InputError, with all findings, if a declared wrangler file can't be used."""
        if self.broken:
            raise InputError(self.findings)


def look(project: Project, narrow: Callable[[Declaration], Declaration] = lambda whole: whole) -> Checkout:
    """The files of a project, each read once; InputError if mtls.toml itself can't be used.

    `narrow`: reduces the declaration to what a run needs, so that other files are not read.
    """
    declaration, warnings = project.declaration()
    declaration = narrow(declaration)
    with project.progress.counting("Reading certificates", len(declaration.certificates)) as done:
        desired, blocked = _load_certificates(declaration, project.files, done)
    with project.progress.counting("Reading wrangler files", len(declaration.workers)) as done:
        configs = load_configs(declaration, project.files, project.sources, done)
    return Checkout(desired, configs.files, configs.broken, warnings, blocked, configs.findings)


def _load_certificates(
    declaration: Declaration, files: FileReader, done: Done
) -> tuple[Desired, tuple[Diagnostic, ...]]:
    """Every declared certificate file, each read once. One that can't be used blocks only its certificate.

    What is wrong with a file is said in full of the first certificate that names it, of the others once.
    """
    bundles: dict[CertificateName, Bundle] = {}
    problems: list[Diagnostic] = []
    read: dict[str, Bundle | ReconcilerError] = {}
    first: dict[str, CertificateName] = {}
    with quiet():
        for name, declared in declaration.certificates.items():
            if declared.path not in read:
                first[declared.path] = name
                read[declared.path] = _load_bundle(files, declared.path)
            done()
    for name, declared in declaration.certificates.items():
        found = read[declared.path]
        if isinstance(found, Bundle):
            bundles[name] = found
        else:
            said = found.diagnostics() if name == first[declared.path] else found.diagnostics()[:1]
            named = Pointer(declaration.path, ("certificates", name, "certificate"))
            if declared.renew is not None and isinstance(found, FileError) and found.code is Code.FILE_MISSING:
                said = tuple(replace(one, hint=f"{to_renew(declared)}, and run `mtlsctl apply`") for one in said)
            for problem in said:
                # A missing file has no line, so the finding points to mtls.toml.
                where = named if isinstance(found, FileError) else problem.where
                problems.append(replace(problem, certificate=name, where=where))
    return Desired(_with_slots(declaration, bundles), bundles), tuple(problems)


def _with_slots(declaration: Declaration, bundles: Mapping[CertificateName, Bundle]) -> Declaration:
    """The same, where the key of a certificate that renews itself is the one that belongs to its file."""
    chosen = dict(declaration.certificates)
    for name, bundle in bundles.items():
        declared = chosen[name]
        if declared.key is not None and declared.key.slots is not None:
            slots = replace(declared.key.slots, key=key_digest(bundle.leaf))
            chosen[name] = replace(declared, key=replace(declared.key, slots=slots))
    return replace(declaration, certificates=chosen)


def _load_bundle(files: FileReader, path: str) -> Bundle | ReconcilerError:
    try:
        data = files.read(path, limit=MAX_CHAIN_BYTES)
        bundle = parse_file(data, path)
    except ReconcilerError as error:
        return error
    remember(bundle, data)
    return bundle


def observe(checkout: Checkout, reader: StoreReader | None, listing: Listing | None = None) -> Actual:
    """What exists. `reader` None: offline. `listing`: a recent list, so that the store is not listed again."""
    if reader is None:
        return Actual(checkout.configs, None, broken=checkout.broken)
    listing = listing or reader.list_entries()
    ids = _declared_ids(checkout.desired.declaration, checkout.configs)
    asked, unasked = ask_for_missing(reader, listing, ids, checkout.desired.declaration.store.kind)
    return Actual(
        checkout.configs,
        listing,
        asked,
        unasked=unasked,
        broken=checkout.broken,
        hyperdrives=_hyperdrives(checkout.desired.declaration, reader),
        zones=_zones(checkout.desired.declaration, listing, reader),
    )


def _hyperdrives(declaration: Declaration, reader: StoreReader) -> Hyperdrives | None:
    """The Hyperdrive configurations, if one is declared. That they can't be read holds only their own changes."""
    if not declaration.hyperdrives:
        return None
    try:
        return Hyperdrives(reader.hyperdrives(one.config for one in declaration.hyperdrives))
    except StoreError as error:
        return Hyperdrives(unread=(error.message, error.hint))


def _zones(declaration: Declaration, listing: Listing, reader: StoreReader) -> tuple[FoundZone, ...] | None:
    """What is found for each declared zone, if one is declared, with the lists of all CAs of the account."""
    if not declaration.zones:
        return None
    cas = tuple(entry.id for entry in listing.entries if entry.ca and entry.type == CUSTOM)
    return tuple(_zone(one.zone, cas, reader) for one in declaration.zones)


def _zone(zone: str, cas: Iterable[EntryId], reader: StoreReader) -> FoundZone:
    """That a zone can't be read holds only its own changes."""
    try:
        ids = (zone,) if is_zone_id(zone) else tuple(one.id for one in reader.zones(zone))
        return FoundZone(zone, ids, reader.ca_lists(ids[0], cas) if len(ids) == 1 else ())
    except StoreError as error:
        return FoundZone(zone, unread=(error.message, error.hint))


MOST_ASKED = 20
"""The most IDs that a plan requests one by one. Each is a call of the user's rate limit, and a pull request can write
thousands into a file; a list lacks more than a few only if they are wrong."""


def ask_for_missing(
    reader: StoreReader, listing: Listing, ids: Iterable[str], store: StoreKind
) -> tuple[Mapping[EntryId, Entry | None], frozenset[EntryId]]:
    """The entries with IDs that the list lacks, each requested once (rule 6), and the IDs that were too many.

    Placeholders are not requested.
    """
    known = {entry.id for entry in listing.entries}
    missing = [*dict.fromkeys(EntryId(text) for text in ids if text not in known and is_askable(text, store))]
    return reader.get_all(missing[:MOST_ASKED]), frozenset(missing[MOST_ASKED:])


@dataclass(frozen=True, slots=True)
class FurtherLook:
    """The ports for what costs more: a search of the whole tree, and live Workers.

    All declared Workers are read with `live`, or if something may be retired; else only those that may need a deploy.
    With `live`, other users of certificates are read, too. `known`: what this run read of a Worker need not be read
    again.
    """

    files: FileReader
    reader: LiveReader | None
    live: bool = False
    known: bool = False


def look_further(assessment: Assessment, look: FurtherLook) -> Assessment:
    """The assessment after what costs more: the tree is searched only for entries that nothing else keeps, and live
    Workers are read only for entries that the tree does not keep either, or if that was requested."""
    ids = needs(assessment).tree
    if ids:
        assessment = see(assessment, sweep=look.files.sweep(ids))
    if look.reader is None:
        return assessment
    retiring = needs(assessment).live
    desired, actual = assessment.desired, assessment.actual
    everything = bool(retiring) or look.live
    targets = targets_of(desired, actual.files) if everything else assessment.ask.deploy.targets(desired, actual)
    using = entries_of(assessment) if look.live else ()
    if not targets and not retiring and not using:
        return assessment
    rollback_versions = desired.declaration.policy.rollback_versions
    question = LiveQuestion(targets, retiring, rollback_versions, using, known=look.known)
    return see(assessment, live=look.reader.look(question))


def _declared_ids(declaration: Declaration, configs: Mapping[WorkerLabel, WranglerFile]) -> Iterator[str]:
    """Yield every ID in mtls.toml, then those that declared bindings have in the wrangler files."""
    declared = [
        (label, environment, binding)
        for label, worker in declaration.workers.items()
        for environment, bindings in worker.environments.items()
        for binding in bindings
    ]
    yield from (binding.target.id for _, _, binding in declared if isinstance(binding.target, ById))
    for label, environment, binding in declared:
        there = configs[label].environments.get(environment) if label in configs else None
        found = there.find(binding.binding) if there is not None else None
        if found is not None:
            yield found.certificate_id


def ids_in(file: WranglerFile) -> Iterator[str]:
    """Yield every certificate ID in a wrangler file."""
    for environment in file.environments.values():
        yield from (found.certificate_id for found in environment.bindings)
