"""The current entry of one declared certificate, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.errors import InputError, UsageError
from reconciler.findings.suggest import suggest
from reconciler.model import CertificateName, Desired, Entry
from reconciler.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Current:
    """A declared certificate and the entry that holds it. `not_after` is the earliest end in its chain."""

    certificate: CertificateName
    entry: Entry
    fingerprint: str
    digest: str
    not_after: datetime


def find_current(name: str, plan: Plan) -> Current:
    """The current entry of a certificate. UsageError where none of this name is declared; InputError, with the errors
    that stand in the way, where it is not stored.
    """
    desired = plan.assessment.desired
    declared = desired.declaration.certificates
    if name not in declared:
        message = f"{name!r} is no certificate of {desired.declaration.path}"
        raise UsageError(message, hint=suggest(name, declared))
    certificate = CertificateName(name)
    bundle = desired.bundles.get(certificate)
    entry = next((item.entry for item in plan.adopted if item.certificate == name), None)
    if entry is None or bundle is None:
        raise InputError((_not_stored(certificate, plan, desired), *_errors_of(name, plan)))
    return Current(certificate, entry, bundle.fingerprint, bundle.digest, bundle.ends)


def _not_stored(name: CertificateName, plan: Plan, desired: Desired) -> Diagnostic:
    problem = Diagnostic(
        Severity.ERROR,
        Code.NOT_STORED,
        f"{name!r} is not in the store yet, so it has no id",
        Pointer(desired.declaration.path, ("certificates", name)),
        "run `mtlsctl apply`, which uploads it",
        name,
    )
    if any(_errors_of(name, plan)):
        hint = "what stands in its way is told beside this; mend it, then run `mtlsctl apply`"
        return replace(problem, message=f"{name!r} has no entry that can be told", hint=hint)
    return problem


def _errors_of(name: str, plan: Plan) -> tuple[Diagnostic, ...]:
    return tuple(problem for problem in plan.diagnostics if problem.certificate == name and problem.is_error)
