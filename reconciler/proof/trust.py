"""Whether a chain leads to a CA that an origin is said to trust clients by, told from the files alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import InputError
from reconciler.x509.certificates import Bundle, issuer_text, quiet, rfc3339, subject_text
from reconciler.x509.chains import is_self_issued, make_chain


def roots_of(bundle: Bundle, path: str) -> Bundle:
    """The self-signed certificates of a file of roots; InputError where it has none.

    Others are left out: a TLS library would add them to our own chain, and would prove another one than Cloudflare
    presents.
    """
    ders = tuple(der for der, one in zip(bundle.ders, bundle.certificates, strict=True) if is_self_issued(one))
    if not ders:
        message = f"no certificate in {path} is a root: none is self-signed"
        hint = "give the root of the origin's own certificate; the origin sends its intermediates itself"
        raise InputError([Diagnostic(Severity.ERROR, Code.ORIGIN_CA_WITHOUT_ROOT, message, Place(path), hint)])
    return Bundle(ders)


def check_trust(
    bundle: Bundle, trusted: Bundle, *, path: str, trusted_path: str, now: datetime
) -> Iterator[Diagnostic]:
    """What speaks against the chain being accepted by an origin that trusts these CAs. `now` is aware UTC.

    Origins trust a root, so the chain must lead there link by link. Only some stop at an intermediate that they know.
    """
    with quiet():
        chain = make_chain(bundle, path, now=now)
        top = bundle.certificates[chain.path[-1]]
        way = _follow(top, trusted)
    last = way[-1]
    if last is top and top not in trusted.certificates:
        yield _not_trusted(top, bundle, trusted, path, trusted_path)
        return
    if not is_self_issued(last):
        message = f"{trusted_path} has no root: {subject_text(last)} is an intermediate"
        hint = "many origins, those with OpenSSL among them, do not stop at an intermediate: give the root as well"
        yield Diagnostic(Severity.WARNING, Code.CLIENT_CA_WITHOUT_ROOT, message, Place(trusted_path), hint)
    for one in way if top in trusted.certificates else way[1:]:
        if not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
            times = f"{rfc3339(one.not_valid_before_utc)} to {rfc3339(one.not_valid_after_utc)}"
            message = f"{subject_text(one)} in {trusted_path} is not valid now, but from {times}"
            hint = "an origin refuses every chain through it: look for its successor"
            yield Diagnostic(Severity.ERROR, Code.CLIENT_CA_EXPIRED, message, Place(trusted_path), hint)


def _not_trusted(top: x509.Certificate, bundle: Bundle, trusted: Bundle, path: str, trusted_path: str) -> Diagnostic:
    named = ", ".join(subject_text(one) for one in trusted.certificates[:3])
    message = f"the chain of {path} ends at an issuer that is not in {trusted_path}: {issuer_text(top)}"
    hint = f"put the intermediates that lead to it behind the leaf, or is it of another CA? There are: {named}"
    return Diagnostic(
        Severity.ERROR, Code.CHAIN_NOT_TRUSTED, message, Place(path, bundle.lines[0] if bundle.lines else None), hint
    )


def _follow(start: x509.Certificate, trusted: Bundle) -> list[x509.Certificate]:
    """From a certificate up through those that are trusted, as far as they lead."""
    way = [start]
    while not is_self_issued(way[-1]):
        above = next((one for one in trusted.certificates if one not in way and _issued(way[-1], one)), None)
        if above is None:
            break
        way.append(above)
    return way


def _issued(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        child.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True
