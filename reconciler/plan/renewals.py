"""Which declared certificates are to be renewed, and what is said of them. `policy` knows when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.model import CertificateName, Desired, Entry
from reconciler.plan.policy import duration_text, lifetime_of, renew_before_of, renewal_lead, renewal_start
from reconciler.x509.certificates import Bundle


@dataclass(frozen=True, slots=True)
class Due:
    """When a declared certificate falls due, and when its chain ends: at the end of the first element to do so.

    That of the certificate that its bindings use, where they use one. `renewed`: a later one is declared.
    """

    certificate: CertificateName
    not_after: datetime
    renew_from: datetime
    renewed: bool = False

    def is_due(self, now: datetime) -> bool:
        """From the start of the renewal on; what has expired is due too, for no renewal begins after the end."""
        return self.renew_from <= now

    def has_expired(self, now: datetime) -> bool:
        """The last second is valid still."""
        return self.not_after < now


def due_of(desired: Desired, name: CertificateName, used: Bundle, ends: datetime) -> Due:
    """When a certificate falls due of which `used` is in use; `ends`: the end of its best path."""
    renew_from = renewal_start(used, ends, renew_before_of(desired.declaration, name))
    declared = desired.bundles[name]
    is_later = declared.not_after > used.not_after
    return Due(name, ends, renew_from, renewed=is_later and used.digest != declared.digest)


def count_renewals(desired: Desired, due: Iterable[Due], now: datetime) -> Mapping[bool, int]:
    """Entries that the renewals which are due need beside the old ones: of CAs (True) and of leaves (False).

    One for each content: certificates that share one are renewed together. What is renewed already needs none.
    """
    contents = {
        (desired.declaration.certificates[item.certificate].ca, desired.bundles[item.certificate].digest)
        for item in due
        if item.is_due(now) and not item.renewed
    }
    return {kind: sum(ca is kind for ca, _ in contents) for kind in (True, False)}


def find_due(desired: Desired, due: Due, now: datetime) -> Diagnostic | None:
    """That a certificate of which nothing worse is reported has to be renewed now."""
    name = due.certificate
    if not due.is_due(now) or find_always_due(desired, name) is not None:
        return None
    declared = desired.declaration.certificates[name]
    message = (
        f"{name!r} is due for renewal since {due.renew_from:%Y-%m-%d}: it ends on {due.not_after:%Y-%m-%d %H:%M} UTC"
    )
    pointer = Pointer(desired.declaration.path, ("certificates", name, "certificate"))
    hint = f"get a new certificate, replace {declared.path}, and run `mtlsctl apply`"
    return Diagnostic(Severity.WARNING, Code.RENEWAL_DUE, message, pointer, hint, name)


def find_always_due(desired: Desired, name: CertificateName) -> Diagnostic | None:
    """That a certificate is due as soon as it is issued, and so would its successor be: no date says anything then."""
    bundle, declaration = desired.bundles[name], desired.declaration
    wanted, lifetime = renew_before_of(declaration, name), lifetime_of(bundle)
    if wanted is None or not lifetime or renewal_lead(bundle, wanted) < lifetime:
        return None
    own = declaration.certificates[name].renew_before is not None
    lead, valid = duration_text(renewal_lead(bundle, wanted)), duration_text(lifetime)
    message = (
        f"{name!r} is due for renewal from its first day on: `renew_before` is {lead}, and it is valid for {valid}"
    )
    pointer = Pointer(declaration.path, ("certificates", name, "renew_before") if own else ("policy", "renew_before"))
    hint = 'give less, or a share of the lifetime, such as `renew_before = "33%"`'
    return Diagnostic(Severity.WARNING, Code.RENEW_BEFORE_TOO_LONG, message, pointer, hint, name)


def find_going_back(
    desired: Desired, names: Sequence[CertificateName], previous: Entry | None, now: datetime
) -> Diagnostic | None:
    """That what is to be uploaded is older than the stored entry it takes the place of: a revert, or an old branch.

    A revert is to need no upload, so this is said before somebody looks for a key in an emergency.
    """
    old = previous.bundle if previous is not None else None
    bundle, declared = desired.bundles[names[0]], desired.declaration.certificates[names[0]]
    if previous is None or old is None or bundle.not_before >= old.not_before or now < old.not_before:
        return None  # one that has not begun was never in use, so nothing goes back
    needs = "" if declared.ca else ", with its own private key"
    message = (
        f"{names[0]!r} goes back to a certificate of {bundle.not_before:%Y-%m-%d %H:%M} UTC that the store does not"
        f" hold (any more), from one of {old.not_before:%Y-%m-%d %H:%M} UTC, {previous.id}: it has to be"
        f" uploaded{needs}"
    )
    hint = (
        "after a revert: put the old key back for one run, or go forward, by reverting the revert or with a new"
        " certificate; what is bound stays bound until then"
    )
    pointer = Pointer(desired.declaration.path, ("certificates", names[0], "certificate"))
    return Diagnostic(Severity.WARNING, Code.PREVIOUS_ENTRY_GONE, message, pointer, hint, names[0])
