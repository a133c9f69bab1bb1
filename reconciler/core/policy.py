"""When a certificate is due, and how long a superseded entry stays. Handed the time, never asks for it."""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciler.core.certificates import Bundle
from reconciler.core.model import CertificateName, Declaration, Policy, RenewBefore

DEFAULT_RENEW_BEFORE = timedelta(days=30)


def renewal_start(bundle: Bundle, renew_before: RenewBefore | None) -> datetime:
    """When renewal falls due: counted back from the earliest end in the chain, by the leaf's lifetime.

    Without `renew_before` the smaller of 30 days and a third of the lifetime, so that a certificate of a day works too.
    """
    lifetime = bundle.not_after - bundle.not_before
    if renew_before is None:
        lead = min(DEFAULT_RENEW_BEFORE, lifetime / 3)
    elif renew_before.duration is not None:
        lead = renew_before.duration
    else:
        lead = lifetime * (renew_before.share or 0.0)
    return bundle.ends - lead


def renew_before_of(declaration: Declaration, name: CertificateName) -> RenewBefore | None:
    """The certificate's own setting, else the policy's."""
    certificate = declaration.certificates.get(name)
    own = certificate.renew_before if certificate else None
    return own if own is not None else declaration.policy.renew_before


def grace_of(policy: Policy, declared_grace: timedelta | None) -> timedelta:
    """The certificate's own grace, else the policy's."""
    return policy.grace if declared_grace is None else declared_grace


def grace_end(uploads: tuple[datetime, ...], grace: timedelta) -> datetime:
    """Until when an entry stays: counted from the later of its own upload and its successor's."""
    return max(uploads) + grace
