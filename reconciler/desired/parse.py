"""Parses the bytes of mtls.toml to a declaration, or to every problem of the file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from reconciler.desired.certificate_policy import build_certificate_policy
from reconciler.desired.durations import parse_duration, parse_renew_before
from reconciler.desired.findings import Findings, Raw
from reconciler.desired.freezes import parse_freeze
from reconciler.desired.misfits import add_misfits
from reconciler.desired.relations import add_relations
from reconciler.desired.rules import ENTRY_ID_PATTERN, VERSION, accepts, check_required_version, is_satisfied
from reconciler.desired.shapes import CertificateTable, Document, HyperdriveTable, PolicyTable, StoreTable, WorkerTable
from reconciler.desired.unions import BoundTo
from reconciler.desired.wording import quoted_value
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import InputError
from reconciler.model import (
    Act,
    BindingName,
    CertificateName,
    Declaration,
    DeclaredBinding,
    DeclaredCertificate,
    DeclaredHyperdrive,
    DeclaredWorker,
    DeclaredZone,
    Deployer,
    EnvironmentName,
    Policy,
    RenewBefore,
    StoreKind,
    StoreSettings,
    WorkerLabel,
)
from reconciler.model.key_places import RENEWED, KeyReference, KeySlots, sink_text
from reconciler.model.keys import KeySourceKind
from reconciler.model.renewal import DeclaredIssuer
from reconciler.syntax.reading import ReadFault, UnreadableError
from reconciler.syntax.toml_read import load
from reconciler.version import __version__

MAX_BYTES = 1_000_000

_CODES = {
    ReadFault.TOO_LARGE: Code.TOO_LARGE,
    ReadFault.NOT_UTF8: Code.NOT_UTF8,
    ReadFault.TOO_DEEP: Code.TOO_DEEP,
    ReadFault.SYNTAX: Code.TOML_SYNTAX,
}


def read_document(data: bytes, path: str) -> Raw:
    """The tables of the file. InputError with the first problem that prevents reading it."""
    try:
        return load(path, data, max_bytes=MAX_BYTES)
    except UnreadableError as error:
        raise error.as_error(_CODES[error.fault]) from error


def parse_declaration(
    data: bytes, path: str, kinds: Sequence[KeySourceKind]
) -> tuple[Declaration, tuple[Diagnostic, ...]]:
    """The declaration and its warnings. InputError with every problem and warning, in file order.

    `path` is the file's name in diagnostics, `kinds` the key sources that `private_key` can use. Opens no file.
    """
    raw = read_document(data, path)
    _refuse_other_mtlsctl(raw, path)
    refuse_newer(raw, path)
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


def _refuse_other_mtlsctl(raw: Raw, path: str) -> None:
    """The file may rely on what this version does not know or does differently, so nothing more is said about it."""
    required = raw.get("required_version")
    if isinstance(required, str) and accepts(check_required_version, required):
        if is_satisfied(required, __version__):
            return
        findings = Findings(path)
        findings.add(
            Code.REQUIRED_VERSION,
            ("required_version",),
            f"this project requires mtlsctl {quoted_value(required)}, but this is mtlsctl {__version__}",
            hint="install a version that matches: `pipx install --force PATH`, where PATH is its checkout or its wheel",
        )
        raise InputError(findings.in_order(raw))


def refuse_newer(raw: Raw, path: str) -> None:
    """InputError for a newer version. The other keys may differ in that format, so nothing else is reported."""
    version = raw.get("version")
    if type(version) is int and version > VERSION:
        findings = Findings(path)
        findings.add(
            Code.UNSUPPORTED_VERSION,
            ("version",),
            f"the file needs a newer mtlsctl: this one supports version {VERSION}",
            hint="update mtlsctl",
        )
        raise InputError(findings.in_order(raw))


# --- from the checked shapes to the values of the model -------------------------------------------------------------


def build_declaration(document: Document, path: str) -> Declaration:
    """The declaration of a valid document; never fails."""
    stacks, store = (document.stack, *document.former_stacks), _store(document.store)
    return Declaration(
        path=path,
        stack=document.stack,
        former_stacks=tuple(document.former_stacks),
        store=store,
        policy=_policy(document.policy),
        certificates={
            CertificateName(name): _certificate(CertificateName(name), table, stacks, store.account)
            for name, table in document.certificates.items()
        },
        issuers={name: DeclaredIssuer(name, options) for name, options in document.issuers.items()},
        workers={WorkerLabel(label): _worker(WorkerLabel(label), table) for label, table in document.workers.items()},
        hyperdrives=tuple(_hyperdrive(label, table) for label, table in document.hyperdrive.items()),
        zones=tuple(
            DeclaredZone(zone, {CertificateName(name): tuple(names) for name, names in cas.items()})
            for zone, cas in document.hostnames.items()
        ),
        fleet_act=Act(document.fleet.act),
    )


def _store(table: StoreTable) -> StoreSettings:
    return StoreSettings(kind=StoreKind(table.kind), account_id=table.account_id, limit=table.limit)


def _policy(table: PolicyTable) -> Policy:
    return Policy(
        renew_before=_renew_before(table.renew_before),
        grace=parse_duration(table.grace),
        prune=table.prune,
        max_deletes=table.max_deletes.count,
        max_deletes_share=table.max_deletes.share,
        max_unbinds=table.max_unbinds,
        rollback_versions=table.rollback_versions,
        verify_before=table.verify_before or frozenset(),
        check_live=table.check_live,
        certificates=build_certificate_policy(table.certificates),
        protect=tuple(table.protect),
        freezes=tuple(parse_freeze(one.start, one.end, one.zone, one.why) for one in table.freeze),
    )


def _renew_before(text: str | None) -> RenewBefore | None:
    return None if text is None else parse_renew_before(text)


def _certificate(
    name: CertificateName, table: CertificateTable, stacks: tuple[str, ...], account: str | None
) -> DeclaredCertificate:
    return DeclaredCertificate(
        name=name,
        path=table.certificate,
        key=_key(name, table, stacks, account),
        ca=table.ca,
        verify=table.verify,
        verify_before=table.verify_before,
        supersedes=tuple(text.lower() if re.fullmatch(ENTRY_ID_PATTERN, text) else text for text in table.supersedes),
        renew_before=_renew_before(table.renew_before),
        grace=None if table.grace is None else parse_duration(table.grace),
        owner=table.owner,
        renew=None if table.renew is None else table.renew.build(),
    )


def _key(
    name: CertificateName, table: CertificateTable, stacks: tuple[str, ...], account: str | None
) -> KeyReference | None:
    """Where its private key is: in a slot of its sink, if it renews itself."""
    if table.renew is None:
        return table.private_key
    slots = KeySlots(name, table.renew.sink, otherwise=table.private_key, stacks=stacks, account=account)
    return KeyReference(RENEWED, {RENEWED: sink_text(table.renew.sink)}, slots=slots)


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


def _hyperdrive(label: str, table: HyperdriveTable) -> DeclaredHyperdrive:
    return DeclaredHyperdrive(
        label=label,
        config=table.config,
        certificate=None if table.certificate is None else CertificateName(table.certificate),
        ca=None if table.ca is None else CertificateName(table.ca),
        sslmode=table.sslmode,
    )


def _bindings(table: Mapping[str, BoundTo]) -> tuple[DeclaredBinding, ...]:
    return tuple(DeclaredBinding(BindingName(name), bound.target, bound.remote) for name, bound in table.items())
