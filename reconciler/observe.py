"""Reads the world once: mtls.toml and its certificates into `Desired`, wrangler files and store into `Actual`."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import replace

from reconciler.core.certificate_files import MAX_CHAIN_BYTES, parse_file
from reconciler.core.certificates import Bundle
from reconciler.core.errors import Diagnostic, InputError, Pointer, ReconcilerError, Severity
from reconciler.core.identifiers import is_of_other_store, is_placeholder
from reconciler.core.key_shapes import KeySourceKind
from reconciler.core.model import (
    Actual,
    ById,
    CertificateName,
    Declaration,
    DeclaredWorker,
    Desired,
    Entry,
    EntryId,
    EnvironmentName,
    WorkerLabel,
    WranglerFile,
)
from reconciler.core.ports import FileReader, StoreReader
from reconciler.desired.parse import parse_declaration
from reconciler.desired.reading import MAX_BYTES as MAX_DECLARATION
from reconciler.wrangler.formats import MAX_BYTES as MAX_WRANGLER
from reconciler.wrangler.read import read_wrangler

Sources = MutableMapping[str, bytes]
"""Text files that were read, by path: places in them are looked up only for what is reported."""


def load_declaration(
    files: FileReader, name: str, kinds: Sequence[KeySourceKind], sources: Sources
) -> tuple[Declaration, tuple[Diagnostic, ...]]:
    """mtls.toml with its warnings; InputError with everything that is wrong in it."""
    data = sources[name] = files.read(name, limit=MAX_DECLARATION)
    return parse_declaration(data, name, kinds)


def load_certificates(declaration: Declaration, files: FileReader) -> tuple[Desired, tuple[Diagnostic, ...]]:
    """Every declared certificate file, each read once. A bad one blocks its certificate alone."""
    bundles: dict[CertificateName, Bundle] = {}
    problems: list[Diagnostic] = []
    read: dict[str, Bundle | ReconcilerError] = {}
    for name, declared in declaration.certificates.items():
        if declared.path not in read:
            read[declared.path] = _load_bundle(files, declared.path)
        found = read[declared.path]
        if isinstance(found, Bundle):
            bundles[name] = found
        else:
            problems.extend(replace(problem, certificate=name) for problem in found.diagnostics())
    return Desired(declaration, bundles), tuple(problems)


def _load_bundle(files: FileReader, path: str) -> Bundle | ReconcilerError:
    try:
        return parse_file(files.read(path, limit=MAX_CHAIN_BYTES), path)
    except ReconcilerError as error:
        return error


def load_wrangler(declaration: Declaration, files: FileReader, sources: Sources) -> dict[WorkerLabel, WranglerFile]:
    """Every declared wrangler file, each read once; InputError with what is wrong in all of them.

    Two labels that lead to one file, by whatever path or link, share one `WranglerFile`.
    """
    loaded: dict[WorkerLabel, WranglerFile] = {}
    by_identity: dict[str, WranglerFile | None] = {}
    problems: list[Diagnostic] = []
    for label, worker in sorted(declaration.workers.items()):
        try:
            identity = files.identity(worker.config)
            if identity not in by_identity:
                by_identity[identity] = None
                data = sources[worker.config] = files.read(worker.config, limit=MAX_WRANGLER)
                by_identity[identity] = read_wrangler(worker.config, data)
        except ReconcilerError as error:
            problems.extend(_at_declaration(declaration, label, found) for found in error.diagnostics())
        else:
            file = by_identity[identity]
            if file is not None:
                loaded[label] = file
    problems.extend(_declared_twice(declaration, loaded))
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise InputError(problems)
    return loaded


def _at_declaration(declaration: Declaration, label: WorkerLabel, problem: Diagnostic) -> Diagnostic:
    """A problem without a line, such as a missing file, is shown where mtls.toml names the file."""
    if not problem.code.startswith("file"):
        return problem
    return replace(problem, where=Pointer(declaration.path, ("workers", label, "config")))


def _declared_twice(declaration: Declaration, files: dict[WorkerLabel, WranglerFile]) -> Iterator[Diagnostic]:
    """The same file under two paths; the same path twice was found when mtls.toml was read."""
    first: dict[tuple[str, EnvironmentName], DeclaredWorker] = {}
    for label, file in files.items():
        worker = declaration.workers[label]
        for environment in worker.environments:
            other = first.setdefault((file.path, environment), worker)
            if other.label != label and other.config != worker.config:
                where = "its top level" if environment is None else f"its environment {environment!r}"
                yield Diagnostic(
                    Severity.ERROR,
                    "environment-declared-twice",
                    f"{worker.config} and {other.config} are one file, and both {label!r} and {other.label!r}"
                    f" declare {where}",
                    Pointer(declaration.path, ("workers", label, "config")),
                    "declare an environment of a file once",
                )


def observe(
    desired: Desired,
    files: dict[WorkerLabel, WranglerFile],
    reader: StoreReader | None,
) -> Actual:
    """What is there. `reader` None: offline. Ids that files name and the list lacks are asked for once (rule 6)."""
    if reader is None:
        return Actual(files=files, listing=None)
    listing = reader.list_entries()
    known = {entry.id for entry in listing.entries}
    named = [EntryId(text) for text in _named_ids(desired, files) if text not in known]
    asked: dict[EntryId, Entry | None] = {entry_id: reader.get(entry_id) for entry_id in dict.fromkeys(named)}
    return Actual(files=files, listing=listing, asked=asked)


def _named_ids(desired: Desired, files: dict[WorkerLabel, WranglerFile]) -> Iterator[str]:
    """Every id of this kind of store that the declared wrangler files or mtls.toml name."""
    kind = desired.declaration.store.kind

    def could_be_ours(text: str) -> bool:
        return not is_placeholder(text, kind) and not is_of_other_store(text, kind)

    for file in files.values():
        for environment in file.environments.values():
            yield from (found.certificate_id for found in environment.bindings if could_be_ours(found.certificate_id))
    for worker in desired.declaration.workers.values():
        for bindings in worker.environments.values():
            targets = (binding.target for binding in bindings)
            yield from (target.id for target in targets if isinstance(target, ById) and could_be_ours(target.id))
