"""What is said of drift: each finding with its key, its place, and the command or the line that fixes it.

A hint says that `mtlsctl apply` fixes something only where the plan has a change for it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.model import (
    BindingAddress,
    CertificateName,
    Declaration,
    DeclaredBinding,
    Entry,
    EntryId,
    Reason,
    Retire,
)
from reconciler.plan.assessment import (
    Assessment,
    BindingRow,
    CertificateRow,
    Held,
    Pending,
    SiteRow,
    Verdict,
    Waits,
)
from reconciler.plan.binding_findings import declared_at
from reconciler.plan.wording import wait_text
from reconciler.reports.drift import DriftFinding, State, Subject, environment_part, key_of

_APPLY = "`mtlsctl apply` fixes it"


def _way_out(verdict: Verdict, apply: str = _APPLY) -> str:
    """What fixes a row: the command where its change is planned, else what stands in the way of it."""
    match verdict:
        case Pending():
            return apply
        case Held(by):
            first = by[0]
            return f"`mtlsctl apply` can't fix it: {first.message}" + (f"; {first.hint}" if first.hint else "")
        case Waits(condition=condition, facts=facts):
            return f"it waits: {wait_text(condition, facts)}"
        case _:
            return "see `mtlsctl plan`"


def binding_key(at: BindingAddress) -> str:
    """The key of a binding."""
    return key_of(Subject.BINDING, at.config, environment_part(at.environment), at.binding)


# --- certificates ---------------------------------------------------------------------------------------------------


def content_changed(declaration: Declaration, row: CertificateRow, stored: Entry) -> DriftFinding:
    """The file holds another certificate than the store."""
    path = row.declared.path
    upload = f"renewed: {_way_out(row.verdict, '`mtlsctl apply` uploads it')}"
    return DriftFinding(
        state=State.CHANGED,
        subject=Subject.CERTIFICATE,
        key=_certificate_key(row.name),
        message=f"{path} is not the certificate that is stored for {row.name!r} ({stored.id})",
        hint=f"{upload}; changed by mistake: git checkout -- {shlex.quote(path)}",
        where=_certificate_pointer(declaration, row.name),
        certificate=row.name,
        expected=row.bundle.digest if row.bundle else None,
        found=stored.bundle.digest if stored.bundle else None,
    )


def content_missing(declaration: Declaration, row: CertificateRow) -> DriftFinding:
    """The store has no entry with the content of the file."""
    return DriftFinding(
        state=State.MISSING,
        subject=Subject.CERTIFICATE,
        key=_certificate_key(row.name),
        message=f"the store has no entry with the content of {row.name!r}",
        hint=_way_out(row.verdict, "`mtlsctl apply` uploads it, for which it needs the private key"),
        where=_certificate_pointer(declaration, row.name),
        certificate=row.name,
        expected=row.bundle.digest if row.bundle else None,
    )


def file_unusable(declaration: Declaration, name: CertificateName, problem: Diagnostic | None) -> DriftFinding:
    """The certificate's file is gone, or is none any more."""
    path = declaration.certificates[name].path
    gone = problem is not None and problem.code == Code.FILE_MISSING
    told = f": {problem.message}" if problem is not None and not gone else ""
    return DriftFinding(
        state=State.MISSING if gone else State.CHANGED,
        subject=Subject.CERTIFICATE,
        key=_certificate_key(name),
        message=f"{path}, the certificate of {name!r}, {'does not exist' if gone else f'can not be used{told}'}",
        hint=f"restore it: git checkout -- {shlex.quote(path)}",
        where=_certificate_pointer(declaration, name),
        certificate=name,
    )


def entry_unusable(declaration: Declaration, row: CertificateRow, problem: Diagnostic) -> DriftFinding:
    """The store has the content, in an entry that can't serve."""
    return DriftFinding(
        state=State.CHANGED,
        subject=Subject.CERTIFICATE,
        key=_certificate_key(row.name),
        message=problem.message,
        hint=problem.hint or _way_out(row.verdict),
        where=_certificate_pointer(declaration, row.name),
        certificate=row.name,
        expected=row.bundle.digest if row.bundle else None,
    )


# --- entries --------------------------------------------------------------------------------------------------------


def entry_missing(declaration: Declaration, entry_id: EntryId, rows: Sequence[BindingRow]) -> DriftFinding:
    """Bindings by `{ id = ... }` name an entry that is managed elsewhere, and was deleted."""
    return DriftFinding(
        state=State.MISSING,
        subject=Subject.ENTRY,
        key=key_of(Subject.ENTRY, entry_id),
        message=f"the store does not have {entry_id}, which mtls.toml binds by its id",
        hint="it was rotated or deleted where it is managed: put its successor's id into mtls.toml",
        where=declared_at(declaration, rows[0].at),
        expected=entry_id,
        follows=tuple(sorted(binding_key(row.at) for row in rows)),
    )


def entry_newer(declaration: Declaration, entry: Entry, name: CertificateName, current: Entry) -> DriftFinding:
    """Somebody uploaded a later entry of a certificate than this checkout declares."""
    return DriftFinding(
        state=State.UNEXPECTED,
        subject=Subject.ENTRY,
        key=key_of(Subject.ENTRY, entry.id),
        message=f"{entry.id} ({entry.name!r}) of {name!r} was uploaded after the declared entry, {current.id}",
        hint="a newer checkout may have uploaded it: update this one",
        where=_certificate_pointer(declaration, name),
        certificate=name,
        expected=current.id,
        found=entry.id,
    )


def entry_retirable(retire: Retire) -> DriftFinding:
    """Nothing needs an entry of ours any more, and it is still there."""
    return DriftFinding(
        state=State.UNEXPECTED,
        subject=Subject.ENTRY,
        key=key_of(Subject.ENTRY, retire.entry.id),
        message=f"{retire.entry.id} ({retire.entry.name!r}) of {retire.certificate!r} is still there; nothing needs it",
        hint="`mtlsctl apply` retires it",
        certificate=retire.certificate,
        found=retire.entry.id,
        reasons=retire.reasons,
    )


# --- environments and bindings --------------------------------------------------------------------------------------


def environment_missing(declaration: Declaration, row: SiteRow) -> DriftFinding:
    """A declared environment was removed from the wrangler file, with all of its bindings."""
    at = row.at
    bindings = (BindingAddress(at.worker, at.config, at.environment, one.binding) for one in _declared_in(row))
    return DriftFinding(
        state=State.MISSING,
        subject=Subject.ENVIRONMENT,
        key=key_of(Subject.ENVIRONMENT, at.config, environment_part(at.environment)),
        message=f"{at.config} does not have the environment {at.environment!r}",
        hint=f"put it back into {at.config}, or take it out of mtls.toml",
        where=Pointer(declaration.path, ("workers", at.worker, "env", at.environment or ""), at_key=True),
        at=at,
        follows=tuple(sorted(map(binding_key, bindings))),
    )


def _declared_in(row: SiteRow) -> tuple[DeclaredBinding, ...]:
    return row.worker.environments[row.at.environment]


def is_taken(row: BindingRow, assessment: Assessment) -> str | None:
    """The kind of the other binding that has its name, in the same environment."""
    file = assessment.actual.files.get(row.at.worker)
    there = file.environments.get(row.at.environment) if file else None
    return there.taken.get(row.at.binding) if there else None


def binding_missing(declaration: Declaration, row: BindingRow, assessment: Assessment) -> DriftFinding:
    """A declared binding is not in the wrangler file."""
    taken = is_taken(row, assessment)
    why = f": there it is {taken}" if taken else ""
    rename = f"give one of the two another name, in mtls.toml or in {row.at.config}"
    return DriftFinding(
        state=State.MISSING,
        subject=Subject.BINDING,
        key=binding_key(row.at),
        message=f"{row.at.site.text} does not have the binding {row.at.binding}{why}",
        hint=rename if taken else _way_out(row.verdict),
        where=declared_at(declaration, row.at),
        certificate=row.certificate,
        at=row.at,
        expected=row.wanted,
        reasons=(Reason.MISSING,),
    )


def binding_changed(declaration: Declaration, row: BindingRow) -> DriftFinding:
    """A declared binding has another id, or another `remote`, than it should have; or it is where it can't be."""
    name, found = row.certificate, row.found_id
    wanted = f"the entry of {name!r}" + (f", {row.wanted}" if row.wanted else "") if name else str(row.wanted)
    has = repr(found)
    declared = row.declared
    if found == row.wanted and row.found is not None and declared is not None and declared.remote is not None:
        has, wanted = f"remote = {str(row.found.remote).lower()}", f"remote = {str(declared.remote).lower()}"
    return DriftFinding(
        state=State.CHANGED,
        subject=Subject.BINDING,
        key=binding_key(row.at),
        message=f"{row.at.binding} in {row.at.site.text} has {has}; declared is {wanted}",
        hint=_way_out(row.verdict),
        where=declared_at(declaration, row.at),
        certificate=name,
        at=row.at,
        expected=row.wanted,
        found=found,
        reasons=row.verdict.change.reasons if isinstance(row.verdict, Pending) else (),
    )


def binding_undeclared(row: BindingRow, owner: CertificateName) -> DriftFinding:
    """A binding uses an entry of ours, and nothing declares it."""
    is_planned = isinstance(row.verdict, Pending)
    undo = f"or remove it from {row.at.config}" + (": `mtlsctl apply` does" if is_planned else "")
    return DriftFinding(
        state=State.UNEXPECTED,
        subject=Subject.BINDING,
        key=binding_key(row.at),
        message=f"{row.text} presents {owner!r}, and mtls.toml does not declare it",
        hint=f'declare it for {row.at.worker}: {row.at.binding} = "{owner}"; {undo}',
        where=Pointer(row.at.config, (*row.table, "mtls_certificates", row.index)),
        certificate=owner,
        at=row.at,
        found=row.found_id,
        reasons=row.verdict.change.reasons if isinstance(row.verdict, Pending) else (),
    )


def _certificate_key(name: CertificateName) -> str:
    return key_of(Subject.CERTIFICATE, name)


def _certificate_pointer(declaration: Declaration, name: CertificateName) -> Pointer:
    return Pointer(declaration.path, ("certificates", name, "certificate"))
