"""The current entry of one declared certificate, or why there is none."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.errors import InputError, UsageError
from reconciler.findings.suggest import suggest
from reconciler.findings.values import dataclass
from reconciler.model import CertificateName, Desired, Entry
from reconciler.plan.assessment import Assessment
from reconciler.plan.inventory import Role
from reconciler.plan.plan import Plan
from reconciler.plan.renewals import to_renew


@dataclass(frozen=True, slots=True)
class Current:
    """A declared certificate and the entry that a binding of it would get now.

    `not_after`: when the chain of that entry expires.
    """

    certificate: CertificateName
    entry: Entry
    fingerprint: str
    digest: str
    not_after: datetime


def find_current(name: str, plan: Plan) -> Current:
    """The entry that a binding of this certificate would get now: the older one if the declared one is not valid yet.

    UsageError if no certificate of this name is declared; InputError if it is not uploaded or has expired, with all
    its errors.
    """
    desired = plan.assessment.desired
    declared = desired.declaration.certificates
    if name not in declared:
        message = f"{name!r} is not a certificate in {desired.declaration.path}"
        raise UsageError(message, hint=suggest(name, declared))
    certificate = CertificateName(name)
    bundle = desired.bundles.get(certificate)
    entry = next((item.entry for item in plan.adopted if item.certificate == name), None)
    if entry is None or bundle is None:
        raise InputError((_not_stored(certificate, plan, desired), *_errors_of(name, plan)))
    now = plan.assessment.now
    window = entry.window(now)
    if window.has_ended(now):
        raise InputError((_expired(certificate, entry, desired), *_errors_of(name, plan)))
    before = _valid_before(certificate, plan.assessment) if window.begins and now < window.begins else None
    if before is not None and before.bundle is not None:
        used = before.bundle
        end = before.window(now).ends or used.not_after
        return Current(certificate, before, used.fingerprint, used.digest, end)
    return Current(certificate, entry, bundle.fingerprint, bundle.digest, window.ends or bundle.not_after)


def _valid_before(name: CertificateName, assessment: Assessment) -> Entry | None:
    """The latest older entry of a certificate that is valid now."""
    rows = (row for row in assessment.entries if row.role is Role.SUPERSEDED and row.owner == name)
    valid = [row.entry for row in rows if row.entry.window(assessment.now).contains(assessment.now)]
    return max(valid, key=lambda entry: (str(entry.uploaded_on or ""), entry.id), default=None)


def _expired(name: CertificateName, entry: Entry, desired: Desired) -> Diagnostic:
    message = f"{name!r} has expired, so no binding would get its ID, {entry.id}"
    where = Pointer(desired.declaration.path, ("certificates", name, "certificate"))
    hint = f"{to_renew(desired.declaration.certificates[name])}, and run `mtlsctl apply`"
    return Diagnostic(Severity.ERROR, Code.CERTIFICATE_EXPIRED, message, where, hint, name)


def _not_stored(name: CertificateName, plan: Plan, desired: Desired) -> Diagnostic:
    problem = Diagnostic(
        Severity.ERROR,
        Code.NOT_STORED,
        f"{name!r} is not uploaded yet, so it has no ID",
        Pointer(desired.declaration.path, ("certificates", name)),
        "run `mtlsctl apply` to upload it",
        name,
    )
    if any(_errors_of(name, plan)):
        hint = "fix the other errors, then run `mtlsctl apply`"
        return replace(problem, message=f"the ID of {name!r} is unknown, because it has errors", hint=hint)
    return problem


def _errors_of(name: str, plan: Plan) -> tuple[Diagnostic, ...]:
    return tuple(problem for problem in plan.diagnostics if problem.certificate == name and problem.is_error)
