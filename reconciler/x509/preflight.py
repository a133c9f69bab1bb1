"""Whether certificates are fit to be presented to an origin, or to be CAs, told before anything leaves the machine.

A list of named checks; the order of the list is the order shown. Handed the time, and never a key: `key_pairs` has
those. It must not refuse what only an origin can decide, such as whether it trusts the chain's root.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from cryptography import x509

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.x509.certificates import Bundle, quiet, rfc3339, serial_of
from reconciler.x509.chains import Chain, duplicates, make_chain, order, own_signatures, signatures, weak_links
from reconciler.x509.constraints import name_constraints
from reconciler.x509.extensions import (
    all_are_cas,
    client_usage,
    critical_extensions,
    issuers_are_cas,
    leaf_is_no_ca,
    path_lengths,
    readable,
    signing_usage,
)
from reconciler.x509.key_types import (
    ca_encodings,
    ca_keys,
    ca_signatures,
    known_signature,
    leaf_encodings,
    leaf_keys,
    oddly_written_key,
    stored_encodings,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The earliest time that workerd's TLS library reads."""

_EXPIRED = frozenset({Code.CERTIFICATE_EXPIRED, Code.INTERMEDIATE_EXPIRED})

_Check = Callable[[Chain], Iterable[Diagnostic]]


def check_dates(bundle: Bundle, *, path: str, ca: bool, now: datetime) -> tuple[Diagnostic, ...]:
    """What has expired, or is not valid yet, of an uploaded certificate: warnings only, because it is uploaded already.

    `now` is aware UTC. `ca`: every certificate counts.
    """
    if all(one.not_valid_before_utc <= now <= one.not_valid_after_utc for one in bundle.certificates):
        return ()
    with quiet():
        chain = make_chain(bundle, path, now=now)
    hint = f"origins refuse it; put a new certificate into {path} and run `mtlsctl apply`"
    counted = range(len(bundle.ders)) if ca else (chain.leaf, *chain.issuers)
    return tuple(_dates(chain, counted, now, Severity.WARNING, hint))


def check_stored(bundle: Bundle, *, path: str, now: datetime) -> tuple[Diagnostic, ...]:
    """What origins refuse, whatever the time is, of a certificate that is stored and may be bound: warnings only.

    The store took it, so only the fault that a store does not notice counts. `now` is aware UTC.
    """
    if not any(oddly_written_key(bundle, index) for index in range(len(bundle.ders))):
        return ()
    with quiet():
        return tuple(stored_encodings(make_chain(bundle, path, now=now)))


def check_unknown(bundle: Bundle, *, ca: bool, path: str, now: datetime) -> tuple[Diagnostic, ...]:
    """The findings of `check_for_upload` while it is unknown whether it is uploaded already.

    What has expired is a warning then, because it is one of an uploaded certificate.
    """
    hint = (
        f"if it is uploaded, origins refuse it; if not, `mtlsctl apply` does not upload it: put a new certificate into"
        f" {path}"
    )
    return tuple(
        replace(one, severity=Severity.WARNING, hint=hint) if one.code in _EXPIRED else one
        for one in check_for_upload(bundle, ca=ca, path=path, now=now)
    )


def check_for_upload(bundle: Bundle, *, ca: bool, path: str, now: datetime) -> tuple[Diagnostic, ...]:
    """Every error and warning about a certificate before its upload. `ca`: each certificate is a CA of its own.

    `path` is the name of the file, `now` is aware UTC. Warnings of the X.509 library become findings, too.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)  # of which the library's deprecations are a kind
        chain = make_chain(
            Bundle(bundle.ders, bundle.lines), path, now=now
        )  # a new object, because the library warns only once for each
        found = [*(_ca_dates if ca else _leaf_dates)(chain, now)]
        for check in CA_CHECKS if ca else LEAF_CHECKS:
            found.extend(check(chain))
    return (*found, *_said_by_library(chain, said))


def oddities(chain: Chain) -> Iterator[Diagnostic]:
    """Serial numbers, versions and dates that some programs refuse.

    A serial number of more than 20 bytes is accepted by every origin, though RFC 5280 does not allow it.
    """
    for index, certificate in enumerate(chain.bundle.certificates):
        serial = serial_of(certificate)
        hint = "some programs refuse it; ask the CA to reissue it"
        if serial <= 0:
            what = "zero" if serial == 0 else "negative"
            message = f"{chain.describe(index)} has a serial number that is {what} (RFC 5280 section 4.1.2.2)"
            yield chain.finding(Severity.WARNING, Code.SERIAL_ODD, message, index, hint)
        if certificate.version is not x509.Version.v3:
            message = f"{chain.describe(index)} is an X.509 certificate of version 1, which has no extensions"
            yield chain.finding(Severity.WARNING, Code.VERSION_ODD, message, index, hint)
        if certificate.not_valid_before_utc < _EPOCH:
            message = f"{chain.describe(index)} begins before 1970, on {rfc3339(certificate.not_valid_before_utc)}"
            yield chain.finding(Severity.WARNING, Code.DATES_ODD, message, index, hint)


_ALL_CHECKS: tuple[_Check, ...] = (readable, oddities, duplicates)
LEAF_CHECKS: tuple[_Check, ...] = (
    *_ALL_CHECKS,
    leaf_keys,
    leaf_encodings,
    weak_links,  # before the signatures: SHA-1 can't be checked here, and would look like a broken link
    known_signature,
    order,
    signatures,
    leaf_is_no_ca,
    issuers_are_cas,
    path_lengths,
    name_constraints,
    client_usage,
    signing_usage,
    critical_extensions,
)
CA_CHECKS: tuple[_Check, ...] = (*_ALL_CHECKS, all_are_cas, ca_keys, ca_encodings, own_signatures, ca_signatures)


def _leaf_dates(chain: Chain, now: datetime) -> Iterator[Diagnostic]:
    hint = "every origin refuses it; get a new certificate from the CA"
    yield from _dates(chain, (chain.leaf, *chain.issuers), now, Severity.ERROR, hint)
    leaf_end = chain.bundle.certificates[chain.leaf].not_valid_after_utc
    for index in chain.issuers:
        end = chain.bundle.certificates[index].not_valid_after_utc
        if now <= end < leaf_end:
            message = f"{chain.describe(index)} expires on {rfc3339(end)}, before the leaf that depends on it"
            hint = "origins refuse the chain from then on; renew by that date, or get a newer intermediate"
            yield chain.finding(Severity.WARNING, Code.INTERMEDIATE_ENDS_FIRST, message, index, hint)


def _ca_dates(chain: Chain, now: datetime) -> Iterator[Diagnostic]:
    hint = "remove it from the file, or replace it with its successor"
    return _dates(chain, range(len(chain.bundle.ders)), now, Severity.ERROR, hint)


def _dates(chain: Chain, indexes: Iterable[int], now: datetime, severity: Severity, hint: str) -> Iterator[Diagnostic]:
    for index in indexes:
        certificate = chain.bundle.certificates[index]
        is_intermediate = index in chain.issuers
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if begin > end:
            message = f"{chain.describe(index)} ends before it begins, so it is never valid"
            yield chain.finding(severity, Code.DATES_REVERSED, message, index, "ask the CA to reissue it")
        elif now > end:
            message = f"{chain.describe(index)} has EXPIRED: it ended on {rfc3339(end)}, {_days_ago((now - end).days)}"
            code = Code.INTERMEDIATE_EXPIRED if is_intermediate else Code.CERTIFICATE_EXPIRED
            yield chain.finding(severity, code, message, index, hint)
        elif now < begin:
            message = f"{chain.describe(index)} is not valid before {rfc3339(begin)}"
            soon = (
                "origins refuse it until then; `mtlsctl apply` binds a renewed certificate when it is valid. If it"
                " should be valid now, check the clock of this machine"
            )
            code = Code.INTERMEDIATE_NOT_YET_VALID if is_intermediate else Code.CERTIFICATE_NOT_YET_VALID
            yield chain.finding(Severity.WARNING, code, message, index, soon)


def _days_ago(days: int) -> str:
    return "less than a day ago" if days == 0 else "1 day ago" if days == 1 else f"{days} days ago"


def _said_by_library(chain: Chain, said: Sequence[warnings.WarningMessage]) -> Iterator[Diagnostic]:
    """Yield the warnings of the X.509 library, each once; they do not name a certificate."""
    ours = [warning for warning in said if issubclass(warning.category, UserWarning)]
    for text in dict.fromkeys(str(warning.message) for warning in ours):
        hint = "later versions may refuse such a certificate; ask the CA to reissue it"
        message = f"the X.509 library warns: {text}"
        yield chain.finding(Severity.WARNING, Code.LIBRARY_WARNING, message, chain.leaf, hint)
