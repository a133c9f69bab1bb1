"""Which declared certificates must be renewed, and the findings about that. The dates come from `policy`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import CertificateName, DeclaredCertificate, Desired, Entry
from reconciler.plan.policy import duration_text, is_too_long, lifetime_of, renew_before_of, renewal_lead, renewal_start
from reconciler.x509.certificates import Bundle
from reconciler.x509.chains import window_of


@dataclass(frozen=True, slots=True)
class Due:
    """When a declared certificate is due, and when its chain expires (with its first element).

    The dates of the certificate that its bindings use, if they use one. `renewed`: a later one is declared.
    """

    certificate: CertificateName
    not_after: datetime
    renew_from: datetime
    renewed: bool = False

    def is_due(self, now: datetime) -> bool:
        """Whether the renewal must begin; also True if it has expired, because no renewal begins after the end."""
        return self.renew_from <= now

    def has_expired(self, now: datetime) -> bool:
        """Whether it has expired; it is still valid in its last second."""
        return self.not_after < now


def due_of(desired: Desired, name: CertificateName, used: Bundle, ends: datetime) -> Due:
    """The due date of a certificate if `used` is in use; `ends`: the end of its best path."""
    renew_from = renewal_start(used, ends, renew_before_of(desired.declaration, name))
    declared = desired.bundles[name]
    is_renewed = used.digest != declared.digest and declared.not_after > used.not_after
    return Due(name, ends, renew_from, renewed=is_renewed)


def file_due(desired: Desired, name: CertificateName, now: datetime) -> Due | None:
    """When the certificate of the declared file is due, even if another one is in use; None if it can't be read."""
    bundle = desired.bundles.get(name)
    if bundle is None:
        return None
    ends = window_of(bundle, now=now, ca=desired.declaration.certificates[name].ca).ends
    return None if ends is None else due_of(desired, name, bundle, ends)


def count_renewals(desired: Desired, due: Iterable[Due], now: datetime) -> Mapping[bool, int]:
    """The number of entries that due renewals need in addition to the old ones: of CAs (True) and leaves (False).

    One for each content, because certificates that share one are renewed together; none if it is renewed already.
    """
    contents = {
        (desired.declaration.certificates[item.certificate].ca, desired.bundles[item.certificate].digest)
        for item in due
        if item.is_due(now) and not item.renewed
    }
    return {kind: sum(ca is kind for ca, _ in contents) for kind in (True, False)}


def find_due(desired: Desired, due: Due, now: datetime) -> Diagnostic | None:
    """A warning if a certificate must be renewed now."""
    name = due.certificate
    if not due.is_due(now):
        return None
    declared = desired.declaration.certificates[name]
    message = (
        f"{name!r} has been due for renewal since {due.renew_from:%Y-%m-%d} and expires on"
        f" {due.not_after:%Y-%m-%d %H:%M} UTC"
    )
    pointer = Pointer(desired.declaration.path, ("certificates", name, "certificate"))
    hint = f"{to_renew(declared)}, and run `mtlsctl apply`"
    return Diagnostic(Severity.WARNING, Code.RENEWAL_DUE, message, pointer, hint, name)


def to_renew(declared: DeclaredCertificate) -> str:
    """How to get a new certificate, for a hint."""
    if declared.renew is not None:
        return f"run `mtlsctl renew {declared.name}`, commit its file"
    return f"get a new certificate, replace {declared.path}"


_EXPIRED = frozenset({Code.CERTIFICATE_EXPIRED, Code.INTERMEDIATE_EXPIRED})


def with_renewal(found: Diagnostic, declared: DeclaredCertificate) -> Diagnostic:
    """The same finding; if `mtlsctl renew` fixes it, its hint says so."""
    if declared.renew is None or found.code not in _EXPIRED:
        return found
    return replace(found, hint=f"origins refuse it; {to_renew(declared)}, and run `mtlsctl apply`")


def find_always_due(desired: Desired, name: CertificateName) -> Diagnostic | None:
    """A warning if a certificate would be due as soon as it is issued, so that the default is used instead."""
    bundle, declaration = desired.bundles[name], desired.declaration
    wanted = renew_before_of(declaration, name)
    lifetime = lifetime_of(bundle)
    if wanted is None or wanted.duration is None or not lifetime or not is_too_long(wanted, bundle):
        return None
    own = declaration.certificates[name].renew_before is not None
    lead, valid, used = map(duration_text, (wanted.duration, lifetime, renewal_lead(bundle, wanted)))
    message = f"`renew_before` of {name!r} is {lead}, but it is valid for {valid} only, so the default, {used}, is used"
    pointer = Pointer(declaration.path, ("certificates", name, "renew_before") if own else ("policy", "renew_before"))
    hint = 'shorten it, or write a share of the lifetime, such as `renew_before = "33%"`'
    return Diagnostic(Severity.WARNING, Code.RENEW_BEFORE_TOO_LONG, message, pointer, hint, name)


def find_earlier_end(
    desired: Desired, names: Sequence[CertificateName], previous: Entry | None, now: datetime
) -> Diagnostic | None:
    """A warning if the upload expires before the entry that it replaces, as if the wrong file was renewed."""
    old, bundle = previous.bundle if previous is not None else None, desired.bundles[names[0]]
    if previous is None or old is None or not now <= bundle.not_after < old.not_after:
        return None  # one that has expired is an error of its own
    message = (
        f"{names[0]!r} expires on {bundle.not_after:%Y-%m-%d %H:%M} UTC, earlier than the certificate that it replaces:"
        f" {previous.id} is valid until {old.not_after:%Y-%m-%d %H:%M} UTC"
    )
    hint = "check that the file is the certificate that you meant"
    pointer = Pointer(desired.declaration.path, ("certificates", names[0], "certificate"))
    return Diagnostic(Severity.WARNING, Code.RENEWAL_ENDS_EARLIER, message, pointer, hint, names[0])


def find_going_back(
    desired: Desired, names: Sequence[CertificateName], previous: Entry | None, now: datetime
) -> Diagnostic | None:
    """A warning if the upload is older than the entry that it replaces, as after a revert or on an old branch.

    Usually a revert needs no upload; the warning comes before someone looks for the old key in an emergency.
    """
    old = previous.bundle if previous is not None else None
    bundle, declared = desired.bundles[names[0]], desired.declaration.certificates[names[0]]
    if previous is None or old is None or bundle.not_before >= old.not_before or now < old.not_before:
        return None  # a certificate that is not valid yet was never in use
    needs = "" if declared.ca else " with its own private key"
    message = (
        f"{names[0]!r} goes back to an older certificate, valid from {bundle.not_before:%Y-%m-%d %H:%M} UTC, which must"
        f" be uploaded{needs}; {previous.id}, valid from {old.not_before:%Y-%m-%d %H:%M} UTC, is uploaded"
    )
    hint = (
        "if it was deleted because its key leaked, do not upload it again; after any other revert, make the old key"
        " available for one run, or roll forward: revert the revert, or get a new certificate; until then the bindings"
        " do not change"
    )
    pointer = Pointer(desired.declaration.path, ("certificates", names[0], "certificate"))
    return Diagnostic(Severity.WARNING, Code.PREVIOUS_ENTRY_GONE, message, pointer, hint, names[0])
