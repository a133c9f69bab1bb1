"""Reads the world once: mtls.toml and its certificates into `Desired`, the store into `Actual`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.errors import FileError, ReconcilerError
from reconciler.model import (
    Actual,
    ById,
    CertificateName,
    Declaration,
    Desired,
    EntryId,
    Listing,
    LiveQuestion,
    WorkerLabel,
    WranglerFile,
)
from reconciler.model.identifiers import is_askable
from reconciler.model.ports import FileReader, LiveReader, StoreReader
from reconciler.plan.assess import needs, see
from reconciler.plan.assessment import Assessment
from reconciler.plan.live import targets_of
from reconciler.x509.certificates import Bundle
from reconciler.x509.files import MAX_CHAIN_BYTES, parse_file


def load_certificates(declaration: Declaration, files: FileReader) -> tuple[Desired, tuple[Diagnostic, ...]]:
    """Every declared certificate file, each read once. A bad one blocks its certificate alone.

    What is wrong with a file is said in full of the first certificate that names it, of the others once.
    """
    bundles: dict[CertificateName, Bundle] = {}
    problems: list[Diagnostic] = []
    read: dict[str, Bundle | ReconcilerError] = {}
    first: dict[str, CertificateName] = {}
    for name, declared in declaration.certificates.items():
        if declared.path not in read:
            first[declared.path] = name
            read[declared.path] = _load_bundle(files, declared.path)
        found = read[declared.path]
        if isinstance(found, Bundle):
            bundles[name] = found
        else:
            said = found.diagnostics() if name == first[declared.path] else found.diagnostics()[:1]
            named = Pointer(declaration.path, ("certificates", name, "certificate"))
            for problem in said:
                # A file that is not there has no line; the line that names it has.
                where = named if isinstance(found, FileError) else problem.where
                problems.append(replace(problem, certificate=name, where=where))
    return Desired(declaration, bundles), tuple(problems)


def _load_bundle(files: FileReader, path: str) -> Bundle | ReconcilerError:
    try:
        return parse_file(files.read(path, limit=MAX_CHAIN_BYTES), path)
    except ReconcilerError as error:
        return error


def observe(
    desired: Desired,
    files: dict[WorkerLabel, WranglerFile],
    reader: StoreReader | None,
    listing: Listing | None = None,
) -> Actual:
    """What is there. `reader` None: offline. Ids that files name and the list lacks are asked for once (rule 6).

    `listing`: one that will do, so that the store is not listed anew.
    """
    if reader is None:
        return Actual(files=files, listing=None)
    listing = listing or reader.list_entries()
    known = {entry.id for entry in listing.entries}
    named = [EntryId(text) for text in _named_ids(desired, files) if text not in known]
    return Actual(files=files, listing=listing, asked=reader.get_all(dict.fromkeys(named)))


@dataclass(frozen=True, slots=True)
class FurtherLook:
    """How to look further: through the whole tree, and at what is live: of everything declared where `live` is asked
    for or something may be retired, and of what may have to be deployed."""

    files: FileReader
    reader: LiveReader | None
    live: bool = False


def look_further(assessment: Assessment, look: FurtherLook) -> Assessment:
    """The assessment with what costs more: the tree is searched only for entries that nothing else keeps, and live
    Workers are asked only for those that the tree does not keep either, or where somebody wants to know."""
    ids = needs(assessment).tree
    if ids:
        assessment = see(assessment, sweep=look.files.sweep(ids))
    if look.reader is None:
        return assessment
    retiring = needs(assessment).live
    desired, actual = assessment.desired, assessment.actual
    everything = bool(retiring) or look.live
    targets = targets_of(desired, actual.files) if everything else assessment.ask.deploy.targets(desired, actual)
    if not targets and not retiring:
        return assessment
    question = LiveQuestion(targets, retiring, desired.declaration.policy.rollback_versions)
    return see(assessment, live=look.reader.look(question))


def _named_ids(desired: Desired, files: dict[WorkerLabel, WranglerFile]) -> Iterator[str]:
    """Every id of this kind of store that the declared wrangler files or mtls.toml name."""
    kind = desired.declaration.store.kind

    for file in files.values():
        for environment in file.environments.values():
            yield from (
                found.certificate_id for found in environment.bindings if is_askable(found.certificate_id, kind)
            )
    for worker in desired.declaration.workers.values():
        for bindings in worker.environments.values():
            targets = (binding.target for binding in bindings)
            yield from (target.id for target in targets if isinstance(target, ById) and is_askable(target.id, kind))
