"""Whether a chain leads to a CA that an origin is declared to trust, checked from the files alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import InputError
from reconciler.x509.certificates import Bundle, issuer_text, quiet, rfc3339, subject_text
from reconciler.x509.chains import make_chain
from reconciler.x509.paths import is_proved, is_self_signed


def roots_of(bundle: Bundle, path: str) -> Bundle:
    """The self-signed certificates in a file of roots; InputError if it has none.

    Others are left out: a TLS library would add them to our own chain, and the proof would be of another chain than the
    one that Cloudflare sends.
    """
    ders = tuple(der for der, one in zip(bundle.ders, bundle.certificates, strict=True) if is_self_signed(one))
    if not ders:
        message = f"{path} contains no root: no certificate in it is self-signed"
        hint = "use the root of the origin's own certificate; the origin sends its intermediates itself"
        raise InputError([Diagnostic(Severity.ERROR, Code.ORIGIN_CA_WITHOUT_ROOT, message, Place(path), hint)])
    return Bundle(ders)


def check_trust(
    bundle: Bundle, trusted: Bundle, *, path: str, trusted_path: str, now: datetime
) -> Iterator[Diagnostic]:
    """Findings that speak against an origin with these CAs accepting the chain. `now` is aware UTC.

    Origins trust a root, so the chain must lead there link by link. Only some accept a known intermediate instead.
    """
    with quiet():
        chain = make_chain(bundle, path, now=now)
        # Every certificate may be the one whose issuer the origin trusts, on any path that cross-signing makes.
        ways = [_follow(bundle.certificates[one], trusted) for one in (*reversed(chain.path), *chain.related())]
    best = next((one for one in ways if is_self_signed(one[-1]) and one[-1] in trusted.certificates), None)
    way = best or next((one for one in ways if len(one) > 1), ways[0])
    top, last = way[0], way[-1]
    if last is top and top not in trusted.certificates:
        yield _not_trusted(top, bundle, trusted, path, trusted_path)
        return
    if not is_self_signed(last):
        message = f"{trusted_path} contains no root for this chain: {subject_text(last)} is an intermediate"
        hint = "add the root; many origins, such as those that use OpenSSL, don't accept an intermediate in its place"
        yield Diagnostic(Severity.WARNING, Code.CLIENT_CA_WITHOUT_ROOT, message, Place(trusted_path), hint)
    for one in way if top in trusted.certificates else way[1:]:
        if not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
            times = f"{rfc3339(one.not_valid_before_utc)} to {rfc3339(one.not_valid_after_utc)}"
            message = f"{subject_text(one)} in {trusted_path} is not valid now; it is valid from {times}"
            hint = "replace it with its successor; an origin refuses every chain through it"
            yield Diagnostic(Severity.ERROR, Code.CLIENT_CA_EXPIRED, message, Place(trusted_path), hint)


def _not_trusted(top: x509.Certificate, bundle: Bundle, trusted: Bundle, path: str, trusted_path: str) -> Diagnostic:
    named = ", ".join(subject_text(one) for one in trusted.certificates[:3])
    message = f"the chain of {path} ends at an issuer that is not in {trusted_path}: {issuer_text(top)}"
    hint = f"add the missing intermediates after the leaf, or use a certificate of one of these CAs: {named}"
    return Diagnostic(
        Severity.ERROR, Code.CHAIN_NOT_TRUSTED, message, Place(path, bundle.lines[0] if bundle.lines else None), hint
    )


def _follow(start: x509.Certificate, trusted: Bundle) -> list[x509.Certificate]:
    """The path from a certificate up through the trusted ones, as far as it goes."""
    way = [start]
    while not is_self_signed(way[-1]):
        above = next((one for one in trusted.certificates if one not in way and is_proved(way[-1], one)), None)
        if above is None:
            break
        way.append(above)
    return way
