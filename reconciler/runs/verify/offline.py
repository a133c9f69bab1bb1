"""The first two levels of `verify`: the files, and what wrangler would deploy. Nothing is sent over the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from reconciler.findings.codes import Severity
from reconciler.findings.errors import ReconcilerError
from reconciler.model import (
    ByCertificate,
    CertificateName,
    Declaration,
    DeclaredCertificate,
    EntryId,
    EnvironmentName,
    StoreKind,
    WorkerLabel,
    WranglerFile,
)
from reconciler.model.identifiers import is_placeholder
from reconciler.model.ports import FileReader
from reconciler.model.words import environment_text
from reconciler.proof.levels import DryRun, Level, LevelResult, Skip, not_allowed, skip
from reconciler.proof.verdicts import ProofStatus
from reconciler.runs.configs import deployed_path
from reconciler.runs.handshake import OpenedKey, check_cas
from reconciler.x509.certificates import Bundle
from reconciler.x509.preflight import check_for_upload


def check_files(
    declared: DeclaredCertificate, bundle: Bundle, opened: OpenedKey, files: FileReader, now: datetime
) -> LevelResult:
    """Whether the files are a valid client identity, and lead to the CA that the origin is declared to trust."""
    found = [*check_for_upload(bundle, ca=False, path=declared.path, now=now), *opened.findings, *opened.wrong]
    if declared.verify is not None:
        found += check_cas(declared.path, declared.verify, bundle, files, now)
    findings = tuple(replace(problem, certificate=declared.name) for problem in found)
    errors = [problem for problem in findings if problem.severity is Severity.ERROR]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        return LevelResult(Level.FILES, ProofStatus.REFUTED, "faulty", errors[0].message + more, findings=findings)
    why = "the certificate and key are a valid client identity"
    if opened.key is None:
        why = f"the certificate is valid; its key was not checked: {opened.missing}"
    elif declared.verify is not None and declared.verify.client_ca is not None:
        why += f", and the chain leads to a CA of {declared.verify.client_ca}"
    return LevelResult(Level.FILES, ProofStatus.PROVED, "in-order", why, findings=findings)


# --- what wrangler would deploy -------------------------------------------------------------------------------------

Build = Mapping[tuple[str, EnvironmentName], dict[str, str] | ReconcilerError | None]
"""The ids by binding that wrangler would deploy; an error if the dry run failed, None if wrangler was not found. Empty
if wrangler must not be run."""


def places_of(
    name: CertificateName, declaration: Declaration, files: Mapping[WorkerLabel, WranglerFile]
) -> Iterator[tuple[WorkerLabel, WranglerFile, EnvironmentName, str]]:
    """Every declared binding of a certificate that a dry run of wrangler can show."""
    for label, worker in declaration.workers.items():
        file = files.get(label)
        for environment, bindings in worker.environments.items() if file is not None and not file.pages else ():
            for binding in bindings:
                if binding.target == ByCertificate(name) and file is not None and environment in file.environments:
                    yield label, file, environment, binding.binding


def check_wrangler(
    name: CertificateName,
    declaration: Declaration,
    files: Mapping[WorkerLabel, WranglerFile],
    built: Build,
    entries: Mapping[CertificateName, EntryId] | None,
) -> LevelResult:
    """Whether wrangler would deploy the right ids. `entries` are the current ids by certificate; None if the store was
    not read, then the ids in the wrangler files count as right."""
    entry = entries.get(name) if entries is not None else None
    if entries is not None and entry is None:
        return skip(Level.WRANGLER, Skip.NOT_STORED, "it is not uploaded yet, so it has no ID")
    runs: list[DryRun] = []
    for label, file, environment, binding in places_of(name, declaration, files):
        path = deployed_path(file, environment)
        if (path, environment) not in built:
            return not_allowed(Level.WRANGLER)
        ids = built[path, environment]
        if ids is None:
            bring = "run `npm install wrangler` next to the Worker, or set MTLSCTL_WRANGLER"
            return skip(Level.WRANGLER, Skip.NO_PROGRAM, f"wrangler was not found for {path}", bring)
        if isinstance(ids, ReconcilerError):
            return LevelResult(Level.WRANGLER, ProofStatus.INCONCLUSIVE, "inconclusive", ids.message, ids.hint)
        there = file.environments[environment].find(binding)
        wanted = entry or (there.certificate_id if there else None)
        runs.append(DryRun(label, path, environment, binding, ids.get(binding), wanted))
    if not runs:
        return skip(Level.WRANGLER, Skip.NOT_DECLARED, "no declared Worker uses it")
    problems = [problem for run in runs if (problem := _problem_of(run, declaration.store.kind)) is not None]
    if problems:
        verdict, why, cure = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return LevelResult(Level.WRANGLER, ProofStatus.REFUTED, verdict, why + more, cure, dry_runs=tuple(runs))
    asked = "its current ID" if entry else "the ID in the wrangler file"
    why = f"wrangler would deploy {asked}, in {len(runs)} binding{'s' if len(runs) > 1 else ''}"
    return LevelResult(Level.WRANGLER, ProofStatus.PROVED, "same-ids", why, dry_runs=tuple(runs))


def _problem_of(run: DryRun, store: StoreKind) -> tuple[str, str, str | None] | None:
    where = f"{run.binding} in {run.config} ({environment_text(run.environment)})"
    if run.found is None:
        return "absent", f"wrangler would deploy without {where}", "run `mtlsctl apply` to bind it"
    if is_placeholder(run.found, store):
        return "not-bound", f"wrangler would deploy a placeholder as {where}: {run.found!r}", "run `mtlsctl apply`"
    if run.found != run.wanted:
        why = f"wrangler would deploy {run.found} as {where}, not {run.wanted}"
        return "other-ids", why, "run `mtlsctl plan` to see what differs"
    return None
