"""When a certificate is due, and how long a superseded entry is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from reconciler.model import CertificateName, Declaration, Entry, Policy, RenewBefore
from reconciler.model.ownership import read_mark
from reconciler.x509.certificates import Bundle

PATIENCE = timedelta(minutes=5)
"""The longest time that `apply` waits until a certificate is valid (rule 10)."""

MAX_SKEW = timedelta(minutes=5)
"""How far the clock of this machine may be from the store's before no retire is made."""

DEFAULT_RENEW_BEFORE = timedelta(days=30)

DEFAULT_MAX_UNBINDS = 10

_BEGIN_OF_TIME = datetime.min.replace(tzinfo=UTC)
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


def lifetime_of(bundle: Bundle) -> timedelta:
    """How long the leaf is valid; 0 if it ends before it begins."""
    return max(bundle.not_after - bundle.not_before, timedelta(0))


def renewal_lead(bundle: Bundle, renew_before: RenewBefore | None) -> timedelta:
    """How long before its end a certificate is due for renewal; never negative.

    Without `renew_before`, 30 days or a third of the lifetime, whichever is shorter; so one that lives a day works too.
    And with one that is too long, by which it would always be due.
    """
    lifetime = lifetime_of(bundle)
    if renew_before is None or is_too_long(renew_before, bundle):
        return min(DEFAULT_RENEW_BEFORE, lifetime / 3)
    if renew_before.duration is not None:
        return renew_before.duration
    return lifetime * (renew_before.share or 0.0)


def is_too_long(renew_before: RenewBefore, bundle: Bundle) -> bool:
    """Whether a certificate would be due as soon as it is issued, as its successor would be."""
    return renew_before.duration is not None and renew_before.duration >= lifetime_of(bundle)


def renewal_start(bundle: Bundle, ends: datetime, renew_before: RenewBefore | None) -> datetime:
    """When the renewal is due: before the end of the chain, by a lead that depends on the lifetime of the leaf."""
    return count_back(ends, renewal_lead(bundle, renew_before))


def count_back(end: datetime, lead: timedelta) -> datetime:
    """The time `lead` before an end; at the earliest the year 1, which is the first that Python can represent."""
    return end - min(lead, end - _BEGIN_OF_TIME)


def renew_before_of(declaration: Declaration, name: CertificateName) -> RenewBefore | None:
    """The certificate's own setting, else the policy's."""
    certificate = declaration.certificates.get(name)
    own = certificate.renew_before if certificate else None
    return own if own is not None else declaration.policy.renew_before


def grace_of(policy: Policy, declared_grace: timedelta | None) -> timedelta:
    """The certificate's own grace, else the policy's."""
    return policy.grace if declared_grace is None else declared_grace


def is_raised(grace: timedelta, policy: Policy) -> bool:
    """Whether a grace period is the shortest that the operator allows, whatever mtls.toml has."""
    return grace == policy.min_grace > timedelta(0)


def most_unbinds(policy: Policy, bindings: int) -> int:
    """How many bindings one run may remove, where `bindings` are of this stack: by default 10, or half of them."""
    return max(DEFAULT_MAX_UNBINDS, bindings // 2) if policy.max_unbinds is None else policy.max_unbinds


def most_deletes(policy: Policy, uploads: int) -> tuple[int, int | None]:
    """How many of this stack's `uploads` one run may delete by mtls.toml, and the share in percent if that decides."""
    return _smaller(policy.max_deletes, policy.max_deletes_share, uploads) or (uploads, None)


def deletes_ceiling(policy: Policy, uploads: int) -> int | None:
    """How many the operator allows, whatever else allows more; None for no limit."""
    found = _smaller(policy.most_deletes, policy.most_deletes_share, uploads)
    return None if found is None else found[0]


def _smaller(count: int | None, share: int | None, uploads: int) -> tuple[int, int | None] | None:
    of_share = None if share is None else (-(-uploads * share // 100), share)  # rounded up
    of_count = None if count is None else (count, None)
    limits: list[tuple[int, int | None]] = [one for one in (of_count, of_share) if one is not None]
    return min(limits, key=lambda one: one[0], default=None)


def protecting(entry: Entry, certificate: CertificateName, policy: Policy) -> frozenset[str]:
    """The names of an upload that are protected: that in its mark, or of one by hand its own, and that of the
    certificate that it is of."""
    mark = read_mark(entry)
    names = {certificate, entry.name if mark is None else mark.certificate}
    return frozenset(name for name in names if any(fnmatchcase(name, glob) for glob in _protect(policy)))


def protecting_text(names: Iterable[str], policy: Policy) -> str:
    """What protects the first of these names, for a sentence."""
    first = min(names)
    by_file = next((glob for glob in policy.protect if fnmatchcase(first, glob)), None)
    return "the variable MTLSCTL_PROTECT" if by_file is None else f'`protect = ["{by_file}"]` in `[policy]`'


def _protect(policy: Policy) -> tuple[str, ...]:
    return (*policy.protect, *policy.always_protect)


def grace_end(times: tuple[datetime, ...], grace: timedelta) -> datetime:
    """The end of the grace period: after the latest of `times`, which are the uploads of the entry and its successor,
    and the time from which the successor is valid (rule 11)."""
    latest = max(times)
    return latest + min(grace, _END_OF_TIME - latest)


def skew_facts(ahead: timedelta) -> Mapping[str, str]:
    """For the sentence about a clock that is wrong: by how much, in minutes, and in which direction."""
    by = timedelta(minutes=round(abs(ahead).total_seconds() / 60))
    return {"by": duration_text(by), "way": "ahead of" if ahead > timedelta(0) else "behind"}


def duration_text(time: timedelta) -> str:
    """A duration as it is written in mtls.toml: `7d`, `1h30m`, `0s`."""
    seconds = int(time.total_seconds())
    parts = ((seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
