"""What is said of drift: each finding with its key, its place, and the command or the line that mends it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.model import (
    BindingName,
    ByCertificate,
    CertificateName,
    Declaration,
    DeclaredBinding,
    DeclaredWorker,
    Desired,
    Entry,
    EntryId,
    EnvironmentName,
    FoundBinding,
    Reason,
    Retire,
    WranglerFile,
)
from reconciler.model.words import environment_text
from reconciler.plan.binding_findings import Site
from reconciler.reports.drift import DriftFinding, State, Subject, environment_part, key_of

_APPLY = "`mtlsctl apply` mends it"


def certificate_of(declared: DeclaredBinding) -> CertificateName:
    """The certificate that a binding presents; none for one by id."""
    target = declared.target
    return target.certificate if isinstance(target, ByCertificate) else CertificateName("")


def binding_key(site: Site, binding: str) -> str:
    """The key of a binding."""
    return _binding_key(site.file, site.environment, binding)


# --- certificates ---------------------------------------------------------------------------------------------------


def content_changed(desired: Desired, name: CertificateName, stored: Entry) -> DriftFinding:
    """The file holds another certificate than the store."""
    path = desired.declaration.certificates[name].path
    return DriftFinding(
        state=State.CHANGED,
        subject=Subject.CERTIFICATE,
        key=_certificate_key(name),
        message=f"{path} is not the certificate that is stored for {name!r} ({stored.id})",
        hint=f"renewed: `mtlsctl apply` uploads it; changed by mistake: git checkout -- {shlex.quote(path)}",
        where=_certificate_pointer(desired.declaration, name),
        certificate=name,
        expected=desired.bundles[name].digest,
        found=stored.bundle.digest if stored.bundle else None,
    )


def content_missing(desired: Desired, name: CertificateName) -> DriftFinding:
    """The store has no entry with the content of the file."""
    return DriftFinding(
        state=State.MISSING,
        subject=Subject.CERTIFICATE,
        key=_certificate_key(name),
        message=f"the store has no entry with the content of {name!r}",
        hint="`mtlsctl apply` uploads it, for which it needs the private key",
        where=_certificate_pointer(desired.declaration, name),
        certificate=name,
        expected=desired.bundles[name].digest,
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


def entry_unusable(desired: Desired, name: CertificateName, problem: Diagnostic) -> DriftFinding:
    """The store has the content, in an entry that can't serve."""
    return DriftFinding(
        state=State.CHANGED,
        subject=Subject.CERTIFICATE,
        key=_certificate_key(name),
        message=problem.message,
        hint=problem.hint or _APPLY,
        where=_certificate_pointer(desired.declaration, name),
        certificate=name,
        expected=desired.bundles[name].digest,
    )


# --- entries --------------------------------------------------------------------------------------------------------


def entry_missing(entry_id: EntryId, sites: Sequence[tuple[Site, BindingName]]) -> DriftFinding:
    """Bindings by `{ id = ... }` name an entry that is managed elsewhere, and is gone."""
    site, binding = sites[0]
    return DriftFinding(
        state=State.MISSING,
        subject=Subject.ENTRY,
        key=key_of(Subject.ENTRY, entry_id),
        message=f"the store does not have {entry_id}, which mtls.toml binds by its id",
        hint="it was rotated or deleted where it is managed: put its successor's id into mtls.toml",
        where=site.declared_at(binding),
        expected=entry_id,
        follows=tuple(sorted(binding_key(at, name) for at, name in sites)),
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


def environment_missing(
    declaration: Declaration, worker: DeclaredWorker, file: WranglerFile, environment: EnvironmentName
) -> DriftFinding:
    """A declared environment left the wrangler file, with all of its bindings."""
    bindings = worker.environments[environment]
    return DriftFinding(
        state=State.MISSING,
        subject=Subject.ENVIRONMENT,
        key=key_of(Subject.ENVIRONMENT, file.path, environment_part(environment)),
        message=f"{file.path} does not have the environment {environment!r}",
        hint=f"put it back into {file.path}, or take it out of mtls.toml",
        where=Pointer(declaration.path, ("workers", worker.label, "env", environment or ""), at_key=True),
        worker=worker.label,
        config=file.path,
        environment=environment,
        follows=tuple(sorted(_binding_key(file, environment, declared.binding) for declared in bindings)),
    )


def binding_missing(site: Site, declared: DeclaredBinding, expected: EntryId | None) -> DriftFinding:
    """A declared binding is not in the wrangler file."""
    taken = site.found.taken.get(declared.binding)
    why = f": there it is {taken}" if taken else ""
    return DriftFinding(
        state=State.MISSING,
        subject=Subject.BINDING,
        key=binding_key(site, declared.binding),
        message=f"{site.text} does not have the binding {declared.binding}{why}",
        hint=f"give one of the two another name, in mtls.toml or in {site.file.path}" if taken else _APPLY,
        where=site.declared_at(declared.binding),
        certificate=certificate_of(declared) or None,
        worker=site.worker.label,
        config=site.file.path,
        environment=site.environment,
        binding=declared.binding,
        expected=expected,
        reasons=(Reason.MISSING,),
    )


def binding_changed(
    site: Site, declared: DeclaredBinding, found: FoundBinding, expected: EntryId | None, reasons: tuple[Reason, ...]
) -> DriftFinding:
    """A declared binding has another id, or another `remote`, than it shall have."""
    name = certificate_of(declared)
    has = repr(found.certificate_id) if found.certificate_id != expected else f"remote = {str(found.remote).lower()}"
    wanted = f"the entry of {name!r}" + (f", {expected}" if expected else "") if name else str(expected)
    if found.certificate_id == expected:
        wanted = f"remote = {str(declared.remote).lower()}"
    return DriftFinding(
        state=State.CHANGED,
        subject=Subject.BINDING,
        key=binding_key(site, declared.binding),
        message=f"{declared.binding} in {site.text} has {has}; declared is {wanted}",
        hint=_APPLY,
        where=site.declared_at(declared.binding),
        certificate=name or None,
        worker=site.worker.label,
        config=site.file.path,
        environment=site.environment,
        binding=declared.binding,
        expected=expected,
        found=found.certificate_id,
        reasons=reasons,
    )


def binding_undeclared(
    worker: DeclaredWorker,
    file: WranglerFile,
    environment: EnvironmentName,
    found: FoundBinding,
    owner: CertificateName,
    reasons: tuple[Reason, ...],
) -> DriftFinding:
    """A binding presents an entry of ours, and nothing declares it."""
    table: tuple[str | int, ...] = () if environment is None else ("env", environment)
    undo = f"or remove it from {file.path}" + (": `mtlsctl apply` does" if reasons else "")
    return DriftFinding(
        state=State.UNEXPECTED,
        subject=Subject.BINDING,
        key=_binding_key(file, environment, found.binding),
        message=(
            f"{found.binding} in {file.path} ({environment_text(environment)}) presents {owner!r},"
            " and mtls.toml does not declare it"
        ),
        hint=f'declare it for {worker.label}: {found.binding} = "{owner}"; {undo}',
        where=Pointer(file.path, (*table, "mtls_certificates", found.index)),
        certificate=owner,
        worker=worker.label,
        config=file.path,
        environment=environment,
        binding=BindingName(found.binding),
        found=found.certificate_id,
        reasons=reasons,
    )


def _certificate_key(name: CertificateName) -> str:
    return key_of(Subject.CERTIFICATE, name)


def _binding_key(file: WranglerFile, environment: EnvironmentName, binding: str) -> str:
    return key_of(Subject.BINDING, file.path, environment_part(environment), binding)


def _certificate_pointer(declaration: Declaration, name: CertificateName) -> Pointer:
    return Pointer(declaration.path, ("certificates", name, "certificate"))
