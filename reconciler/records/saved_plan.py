"""Reads a saved plan. Its content is shown and compared, and nothing is executed because of it alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

from pydantic import ValidationError

from reconciler.findings.codes import Code, Severity, find_code
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import InputError, StalePlanError
from reconciler.model import (
    Action,
    Adopted,
    BindingAddress,
    BindingChange,
    BindingName,
    CertificateName,
    Change,
    Deploy,
    Entry,
    EntryId,
    Gate,
    HostnamesAddress,
    HyperdriveAddress,
    HyperdriveField,
    Identity,
    KeyReference,
    Retire,
    SiteAddress,
    StoreSettings,
    ToPresent,
    Unknown,
    Update,
    Upload,
    Verify,
    Waiting,
    WorkerLabel,
)
from reconciler.model.changes import GATE_REASONS
from reconciler.plan.coverage import KeyNeeded, NotChecked
from reconciler.plan.gates import gate_of
from reconciler.plan.live import LiveBinding
from reconciler.plan.plan import SavedPlan
from reconciler.plan.weakened import Weakened
from reconciler.records.base import DiagnosticPart, value_of
from reconciler.records.changes import ChangePart
from reconciler.records.plan import KeyNeededPart, LivePart, PlanDocument, WaitingPart, content_hash

MAX_BYTES = 10_000_000
"""The maximum size of a saved plan: a thousand certificates with all their bindings need a fifth of it."""

MAX_COMMAS = 250_000
"""The approximate maximum number of values: a plan of 2,000 certificates with their bindings has 90,000 commas. A plan
crafted with a million errors would need a gigabyte of memory to be refused."""

_LONGEST_SHOWN = 200
_FORMAT = get_args(PlanDocument.model_fields["format"].annotation)[0]


def read_plan(data: bytes, path: str) -> SavedPlan:
    """A saved plan. InputError if the file is not one; StalePlanError if it was changed after it was saved."""
    if data.count(b",") > MAX_COMMAS:
        raise _no_plan(path, "it has more values than a plan can have")
    try:
        document = PlanDocument.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:_LONGEST_SHOWN] or "the document"
        raise _no_plan(path, f"{where}: {first['msg']}") from None
    try:
        plan = _plan(document, path)
    except ValueError as error:
        raise _no_plan(path, str(error)) from None
    if plan.digest != document.digest or content_hash(document) != document.content_hash:
        which = "digest does not match its changes" if plan.digest != document.digest else "hash does not match it"
        raise StalePlanError(
            f"{path} was changed after it was saved: its {which}",
            hint="make a new plan and have it approved",
            where=Place(path),
        )
    return plan


def _no_plan(path: str, why: str) -> InputError:
    message = f"{path} is not a saved plan that this version can read: {why}"
    hint = f"use a file written by `mtlsctl plan --out FILE`, format {_FORMAT}"
    return InputError([Diagnostic(Severity.ERROR, Code.PLAN_FILE, message, Place(path), hint)])


def _plan(document: PlanDocument, path: str) -> SavedPlan:
    store = StoreSettings(document.store.kind, document.store.account_id)
    return value_of(
        SavedPlan,
        document,
        store=store,
        changes=tuple(_change(part) for part in document.changes),
        adopted=tuple(
            Adopted(CertificateName(part.certificate), Entry(EntryId(part.entry), part.name), part.ours)
            for part in document.adopted
        ),
        waiting=tuple(_waiting(part) for part in document.waiting),
        unknown=tuple(
            Unknown(
                CertificateName(part.certificate) if part.certificate else None,
                BindingAddress(WorkerLabel(part.worker or ""), "", part.environment, BindingName(part.binding))
                if part.binding
                else None,
                part.message,
            )
            for part in document.unknown or ()
        ),
        diagnostics=tuple(_finding(part) for part in document.diagnostics),
        quota=document.quota,
        live=None if document.live is None else tuple(_live(part) for part in document.live),
        weakened=(None if document.weakened is None else tuple(value_of(Weakened, one) for one in document.weakened)),
        owners={CertificateName(name): owner for name, owner in (document.owners or {}).items()},
        keys=tuple(_key(part) for part in document.keys),
        not_checked=tuple(NotChecked(part.area, part.reason) for part in document.not_checked),
        apply_with=(path,),
    )


def _key(part: KeyNeededPart) -> KeyNeeded:
    secret = None if part.passphrase is None else _reference(part.passphrase)
    reference = replace(_reference(part.source), passphrase=secret)
    return KeyNeeded(CertificateName(part.certificate), reference, part.actions)


def _reference(options: Mapping[str, str]) -> KeyReference:
    return KeyReference(next(iter(options), ""), options)


def _finding(part: DiagnosticPart) -> Diagnostic:
    """A finding as it was saved; the code of another version may be unknown here."""
    code = find_code(part.code)
    message = part.message if code is not None else f"{part.code}: {part.message}"
    where = Place(part.path, part.line, part.column) if part.path is not None else None
    return Diagnostic(part.severity, code or Code.UNKNOWN_FINDING, message, where, part.hint, part.certificate)


def _change(part: ChangePart) -> Change:
    certificate = CertificateName(part.certificate or "")
    if part.action is Action.UPLOAD:
        return value_of(Upload, part, certificate=certificate, digest=part.content_digest or "", name=part.name or "")
    if part.action is Action.DEPLOY:
        return _deploy(part)
    if part.action is Action.UPDATE:
        drive = HyperdriveAddress(
            part.hyperdrive or "", part.hyperdrive_id or "", part.field or HyperdriveField.CERTIFICATE
        )
        return value_of(
            Update,
            part,
            at=drive if part.zone is None else HostnamesAddress(part.zone, part.zone_id or "", certificate),
            certificate=certificate or None,
            digest=part.content_digest,
            names=part.hostnames or (),
        )
    if part.action is Action.VERIFY:
        gate = next((gate for gate, reason in GATE_REASONS.items() if part.reasons == (reason,)), Gate.RETIRE)
        return Verify(certificate, part.content_digest or "", part.origin or "", gate)
    if part.action is Action.RETIRE:
        entry = Entry(EntryId(part.before or ""), part.name or "", uploaded_on=part.uploaded_on)
        return Retire(entry, certificate, part.content_digest or "", part.reasons)
    return value_of(
        BindingChange,
        part,
        at=BindingAddress(
            WorkerLabel(part.worker or ""), part.config or "", part.environment, BindingName(part.binding or "")
        ),
        certificate=certificate or None,
        digest=part.content_digest,
        identity=Identity(**dict(part.identity)) if part.identity is not None else None,
    )


def _waiting(part: WaitingPart) -> Waiting:
    change = _change(part)
    if isinstance(change, Verify):
        raise ValueError("a proof does not wait")  # noqa: TRY004 - a value of the file, not a type of ours
    gate = gate_of(change) or Gate.RETIRE
    proofs = (
        Verify(CertificateName(one.certificate), one.content_digest, one.origin, gate) for one in part.verify or ()
    )
    return Waiting(
        change,
        part.condition,
        part.detail,
        part.until,
        tuple(proofs),
        not_before=part.deleted_not_before,
        once=part.deleted_once,
    )


def _deploy(part: ChangePart) -> Deploy:
    bindings = (value_of(ToPresent, one, id=one.id, digest=one.content_digest) for one in part.presents or ())
    return value_of(
        Deploy,
        part,
        at=SiteAddress(WorkerLabel(part.worker or ""), part.config or "", part.environment),
        script=part.script or "",
        bindings=tuple(bindings),
    )


def _live(part: LivePart) -> LiveBinding:
    at = BindingAddress(WorkerLabel(part.worker), part.config, part.environment, BindingName(part.binding))
    return value_of(LiveBinding, part, at=at, script=part.script)
