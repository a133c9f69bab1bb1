"""Checks of what a certificate may be used for, by its extensions (RFC 5280 section 4.2.1, as origins enforce it)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.x509.certificates import MALFORMED
from reconciler.x509.chains import Chain, is_self_issued

_E = TypeVar("_E", bound=x509.ExtensionType)
_CLIENT = frozenset({Usage.CLIENT_AUTH, Usage.ANY_EXTENDED_KEY_USAGE})
_USAGE_NAMES = {
    Usage.SERVER_AUTH: "serverAuth",
    Usage.CODE_SIGNING: "codeSigning",
    Usage.EMAIL_PROTECTION: "emailProtection",
    Usage.TIME_STAMPING: "timeStamping",
    Usage.OCSP_SIGNING: "OCSPSigning",
}
_REISSUE = "ask the CA to reissue it as a TLS client certificate"


def readable(chain: Chain) -> Iterator[Diagnostic]:
    """Extensions that can't be read. Cloudflare runs Go, which rejects the whole certificate because of them."""
    for index, certificate in enumerate(chain.bundle.certificates):
        try:
            _ = certificate.extensions
        except MALFORMED:
            message = f"{chain.describe(index)} has an unreadable or duplicate extension"
            yield chain.finding(Severity.ERROR, Code.EXTENSION_UNREADABLE, message, index, "ask the CA to reissue it")


def client_usage(chain: Chain) -> Iterator[Diagnostic]:
    """extendedKeyUsage, if present, must allow clientAuth; on intermediates too, which restrict what they issue."""
    for index in (chain.leaf, *chain.issuers):
        usages = _extension(chain.bundle.certificates[index], x509.ExtendedKeyUsage)
        if usages is not None and not _CLIENT & set(usages):
            names = ", ".join(_USAGE_NAMES.get(usage, usage.dotted_string) for usage in usages)
            message = f"{chain.describe(index)} can't authenticate a TLS client: its extendedKeyUsage is {names}"
            hint = f"{_REISSUE}, with extendedKeyUsage clientAuth"
            yield chain.finding(Severity.ERROR, Code.USAGE_WITHOUT_CLIENT_AUTH, message, index, hint)


def signing_usage(chain: Chain) -> Iterator[Diagnostic]:
    """The leaf's keyUsage, if present, must allow digitalSignature: its key signs the handshake."""
    usage = _extension(chain.bundle.certificates[chain.leaf], x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        message = f"{chain.describe(chain.leaf)} can't sign a TLS handshake: its keyUsage lacks digitalSignature"
        hint = f"{_REISSUE}, with keyUsage digitalSignature"
        yield chain.finding(Severity.ERROR, Code.USAGE_WITHOUT_DIGITAL_SIGNATURE, message, chain.leaf, hint)


def leaf_is_no_ca(chain: Chain) -> Iterator[Diagnostic]:
    """The leaf must not be a CA: most origins refuse a CA as a client certificate."""
    leaf = chain.bundle.certificates[chain.leaf]
    if _is_ca(leaf):
        message = f"{chain.describe(chain.leaf)} is a CA, not a client certificate (basicConstraints CA:TRUE)"
        hint = (
            "create it with -addext basicConstraints=critical,CA:FALSE; `openssl req -x509` does not add it itself"
            if is_self_issued(leaf)
            else "set `certificate` to the client certificate's file; to upload a CA, add `ca = true`"
        )
        yield chain.finding(Severity.ERROR, Code.LEAF_IS_CA, message, chain.leaf, hint)


def issuers_are_cas(chain: Chain) -> Iterator[Diagnostic]:
    """Every intermediate must be allowed to sign certificates (RFC 5280 section 6.1.4 k and n)."""
    for index in chain.issuers:
        certificate = chain.bundle.certificates[index]
        usage = _extension(certificate, x509.KeyUsage)
        hint = "get the right intermediate from the CA: origins refuse a chain through this one"
        if not _is_ca(certificate):
            message = f"{chain.describe(index)} is used as an issuer, but is not a CA"
            yield chain.finding(Severity.ERROR, Code.INTERMEDIATE_NOT_CA, message, index, hint)
        elif usage is not None and not usage.key_cert_sign:
            message = f"{chain.describe(index)} is used as an issuer, but its keyUsage lacks keyCertSign"
            yield chain.finding(Severity.ERROR, Code.INTERMEDIATE_NOT_CA, message, index, hint)


def all_are_cas(chain: Chain) -> Iterator[Diagnostic]:
    """With `ca = true`, Cloudflare accepts only certificates with basicConstraints CA:TRUE."""
    for index, certificate in enumerate(chain.bundle.certificates):
        if not _is_ca(certificate):
            message = f"{chain.describe(index)} is declared as a CA, but lacks basicConstraints CA:TRUE"
            hint = "set `certificate` to the CA's own file; for a client certificate, remove `ca` and set `private_key`"
            yield chain.finding(Severity.ERROR, Code.CA_IS_LEAF, message, index, hint)


def _is_ca(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _extension(certificate: x509.Certificate, kind: type[_E]) -> _E | None:
    """The extension; None if it is absent, or if it can't be read, which `readable` reports."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, *MALFORMED):
        return None
