"""When a certificate is due, and how long a superseded entry stays. Handed the time, never asks for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from reconciler.model import CertificateName, Declaration, Policy, RenewBefore
from reconciler.x509.certificates import Bundle

PATIENCE = timedelta(minutes=5)
"""`apply` waits this long for a certificate to begin (rule 10)."""

DEFAULT_RENEW_BEFORE = timedelta(days=30)

_BEGIN_OF_TIME = datetime.min.replace(tzinfo=UTC)
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


def lifetime_of(bundle: Bundle) -> timedelta:
    """How long the leaf is valid; 0 for one that ends before it begins."""
    return max(bundle.not_after - bundle.not_before, timedelta(0))


def renewal_lead(bundle: Bundle, renew_before: RenewBefore | None) -> timedelta:
    """How long before its end a certificate is to be renewed; never negative.

    Without `renew_before` the smaller of 30 days and a third of the lifetime, so that a certificate of a day works too.
    """
    lifetime = lifetime_of(bundle)
    if renew_before is None:
        return min(DEFAULT_RENEW_BEFORE, lifetime / 3)
    if renew_before.duration is not None:
        return renew_before.duration
    return lifetime * (renew_before.share or 0.0)


def renewal_start(bundle: Bundle, ends: datetime, renew_before: RenewBefore | None) -> datetime:
    """When renewal falls due: counted back from the end of the chain, by the leaf's lifetime.

    There is no time before the year 1, whatever somebody put into a certificate.
    """
    return count_back(ends, renewal_lead(bundle, renew_before))


def count_back(end: datetime, lead: timedelta) -> datetime:
    """So long before an end, and never before the year 1."""
    return end - min(lead, end - _BEGIN_OF_TIME)


def renew_before_of(declaration: Declaration, name: CertificateName) -> RenewBefore | None:
    """The certificate's own setting, else the policy's."""
    certificate = declaration.certificates.get(name)
    own = certificate.renew_before if certificate else None
    return own if own is not None else declaration.policy.renew_before


def grace_of(policy: Policy, declared_grace: timedelta | None) -> timedelta:
    """The certificate's own grace, else the policy's."""
    return policy.grace if declared_grace is None else declared_grace


def grace_end(times: tuple[datetime, ...], grace: timedelta) -> datetime:
    """Until when an entry stays: counted from the latest of its own upload, its successor's, and its successor's
    begin (rule 11)."""
    latest = max(times)
    return latest + min(grace, _END_OF_TIME - latest)


def duration_text(time: timedelta) -> str:
    """A duration as it is written in mtls.toml: `7d`, `1h30m`, `0s`."""
    seconds = int(time.total_seconds())
    parts = ((seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
