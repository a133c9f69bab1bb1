"""From the bytes of mtls.toml to a declaration, or to everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from reconciler.desired.durations import parse_duration, parse_renew_before
from reconciler.desired.findings import Findings, Raw
from reconciler.desired.misfits import add_misfits
from reconciler.desired.relations import add_relations
from reconciler.desired.rules import ENTRY_ID_PATTERN, VERSION
from reconciler.desired.shapes import CertificateTable, Document, PolicyTable, StoreTable, WorkerTable
from reconciler.desired.unions import BoundTo
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import InputError
from reconciler.model import (
    BindingName,
    CertificateName,
    Declaration,
    DeclaredBinding,
    DeclaredCertificate,
    DeclaredWorker,
    Deployer,
    EnvironmentName,
    Policy,
    RenewBefore,
    StoreKind,
    StoreSettings,
    WorkerLabel,
)
from reconciler.model.keys import KeySourceKind
from reconciler.syntax.reading import ReadFault, UnreadableError
from reconciler.syntax.toml_read import load

MAX_BYTES = 1_000_000

_CODES = {
    ReadFault.TOO_LARGE: Code.TOO_LARGE,
    ReadFault.NOT_UTF8: Code.NOT_UTF8,
    ReadFault.TOO_DEEP: Code.TOO_DEEP,
    ReadFault.SYNTAX: Code.TOML_SYNTAX,
}


def read_document(data: bytes, path: str) -> Raw:
    """The tables of the file; InputError with the first thing that keeps it from being read."""
    try:
        return load(path, data, max_bytes=MAX_BYTES)
    except UnreadableError as error:
        raise error.as_error(_CODES[error.fault]) from error


def parse_declaration(
    data: bytes, path: str, kinds: Sequence[KeySourceKind]
) -> tuple[Declaration, tuple[Diagnostic, ...]]:
    """The declaration with its warnings; InputError with every problem and warning, in the order of the file.

    `path` is the file's name for diagnostics, `kinds` the key sources that `private_key` may name. Opens nothing.
    """
    raw = read_document(data, path)
    _refuse_newer(raw, path)
    findings = Findings(path)
    findings.add_leaks(raw)
    by_name = {kind.name: kind for kind in kinds}
    document: Document | None = None
    try:
        document = Document.model_validate(raw, context=by_name)
    except ValidationError as error:
        add_misfits(error, raw, by_name, findings)
    add_relations(raw, findings)
    found = findings.in_order(raw)
    if document is None or any(finding.severity is Severity.ERROR for finding in found):
        raise InputError(found)
    return build_declaration(document, path), found


def _refuse_newer(raw: Raw, path: str) -> None:
    """A newer format may mean anything by the other keys, so nothing more is said about them."""
    version = raw.get("version")
    if type(version) is int and version > VERSION:
        findings = Findings(path)
        findings.add(
            Code.UNSUPPORTED_VERSION,
            ("version",),
            f"the file is made for a newer mtlsctl: this one reads version {VERSION}",
            hint="update mtlsctl",
        )
        raise InputError(findings.in_order(raw))


# --- from the checked shapes to the values of the model -------------------------------------------------------------


def build_declaration(document: Document, path: str) -> Declaration:
    """The declaration; nothing can fail any more."""
    return Declaration(
        path=path,
        stack=document.stack,
        former_stacks=tuple(document.former_stacks),
        store=_store(document.store),
        policy=_policy(document.policy),
        certificates={
            CertificateName(name): _certificate(CertificateName(name), table)
            for name, table in document.certificates.items()
        },
        workers={WorkerLabel(label): _worker(WorkerLabel(label), table) for label, table in document.workers.items()},
    )


def _store(table: StoreTable) -> StoreSettings:
    return StoreSettings(kind=StoreKind(table.kind), account_id=table.account_id, limit=table.limit)


def _policy(table: PolicyTable) -> Policy:
    return Policy(
        renew_before=_renew_before(table.renew_before),
        grace=parse_duration(table.grace),
        prune=table.prune,
        max_deletes=table.max_deletes,
        rollback_versions=table.rollback_versions,
        verify_before=table.verify_before or frozenset(),
        check_live=table.check_live,
    )


def _renew_before(text: str | None) -> RenewBefore | None:
    return None if text is None else parse_renew_before(text)


def _certificate(name: CertificateName, table: CertificateTable) -> DeclaredCertificate:
    return DeclaredCertificate(
        name=name,
        path=table.certificate,
        key=table.private_key,
        ca=table.ca,
        verify=table.verify,
        verify_before=table.verify_before,
        supersedes=tuple(text.lower() if re.fullmatch(ENTRY_ID_PATTERN, text) else text for text in table.supersedes),
        renew_before=_renew_before(table.renew_before),
        grace=None if table.grace is None else parse_duration(table.grace),
        owner=table.owner,
    )


def _worker(label: WorkerLabel, table: WorkerTable) -> DeclaredWorker:
    environments: dict[EnvironmentName, tuple[DeclaredBinding, ...]] = {}
    if table.bindings is not None:
        environments[None] = _bindings(table.bindings)
    for name, environment in table.env.items():
        environments[name] = _bindings(environment.bindings)
    deployed = {None: table.deployed} | {
        name: table.deployed if one.deployed is None else one.deployed for name, one in table.env.items()
    }
    return DeclaredWorker(
        label=label,
        config=table.config,
        exclusive=table.exclusive,
        environments=environments,
        undeployed=frozenset(name for name, is_deployed in deployed.items() if not is_deployed),
        deploy=None if table.deploy is None else Deployer(table.deploy),
    )


def _bindings(table: Mapping[str, BoundTo]) -> tuple[DeclaredBinding, ...]:
    return tuple(DeclaredBinding(BindingName(name), bound.target, bound.remote) for name, bound in table.items())
