"""Checks of what a certificate may be used for, by its extensions (RFC 5280 section 4.2.1, as origins enforce it)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.x509.certificates import MALFORMED, oid_text
from reconciler.x509.chains import Chain
from reconciler.x509.paths import is_self_signed

_E = TypeVar("_E", bound=x509.ExtensionType)
_CLIENT = frozenset({Usage.CLIENT_AUTH, Usage.ANY_EXTENDED_KEY_USAGE})
_USAGE_NAMES = {
    Usage.SERVER_AUTH: "serverAuth",
    Usage.CODE_SIGNING: "codeSigning",
    Usage.EMAIL_PROTECTION: "emailProtection",
    Usage.TIME_STAMPING: "timeStamping",
    Usage.OCSP_SIGNING: "OCSPSigning",
}
_CONSTRAINTS = x509.NameConstraints.oid
_KNOWN_TO_ALL = frozenset(
    {
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.SubjectAlternativeName.oid,
        x509.CRLDistributionPoints.oid,
        _CONSTRAINTS,
    }
)
"""Extensions that every origin of `tests/support/data/origin-verdicts.json` accepts where they are critical."""

_KNOWN_TO_SOME = frozenset(
    {
        x509.CertificatePolicies.oid,
        x509.PolicyConstraints.oid,
        x509.ObjectIdentifier("2.5.29.33"),  # policyMappings
        x509.InhibitAnyPolicy.oid,
        x509.OCSPNoCheck.oid,
        x509.ObjectIdentifier("2.16.840.1.113730.1.1"),  # nsCertType
    }
)
"""Those that some of them accept."""

_NAMES_OF_GO = (x509.DNSName, x509.RFC822Name, x509.IPAddress, x509.UniformResourceIdentifier)

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
            if is_self_signed(leaf)
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


def critical_extensions(chain: Chain) -> Iterator[Diagnostic]:
    """Critical extensions of the leaf and its intermediates that origins don't know, and so must refuse (RFC 5280
    section 4.2)."""
    for index in (chain.leaf, *chain.issuers):
        for one in _extensions(chain.bundle.certificates[index]):
            if one.critical and one.oid not in _KNOWN_TO_ALL:
                some = one.oid in _KNOWN_TO_SOME
                what = f"the critical extension {oid_text(one.oid)}, which {'some ' if some else ''}origins refuse"
                severity = Severity.WARNING if some else Severity.ERROR
            elif one.critical and _has_only_rare_names(one.value):
                what = "a critical subjectAltName with only types of names that some origins refuse"
                severity = Severity.WARNING
            else:
                continue
            hint = "ask the CA to reissue it with this extension not marked critical, or without it"
            message = f"{chain.describe(index)} has {what}"
            yield chain.finding(severity, Code.EXTENSION_CRITICAL, message, index, hint)


def path_lengths(chain: Chain) -> Iterator[Diagnostic]:
    """No CA of the path may have more CAs below it than its pathLenConstraint allows (RFC 5280 section 6.1.4 l)."""
    for below, index in enumerate(chain.issuers):
        constraints = _extension(chain.bundle.certificates[index], x509.BasicConstraints)
        most = constraints.path_length if constraints is not None else None
        if most is not None and below > most:
            message = f"{chain.describe(index)} has pathLenConstraint {most}, but {below} CA certificates are below it"
            hint = "origins refuse this chain: ask the CA for one that its own rules allow"
            yield chain.finding(Severity.ERROR, Code.PATH_LENGTH, message, index, hint)


def all_are_cas(chain: Chain) -> Iterator[Diagnostic]:
    """With `ca = true`, Cloudflare accepts only certificates with basicConstraints CA:TRUE."""
    for index, certificate in enumerate(chain.bundle.certificates):
        if not _is_ca(certificate):
            message = f"{chain.describe(index)} is declared as a CA, but lacks basicConstraints CA:TRUE"
            hint = "set `certificate` to the CA's own file; for a client certificate, remove `ca` and set `private_key`"
            yield chain.finding(Severity.ERROR, Code.CA_IS_LEAF, message, index, hint)


def _extensions(certificate: x509.Certificate) -> x509.Extensions:
    try:
        return certificate.extensions
    except MALFORMED:
        return x509.Extensions([])  # `readable` reports it


def _has_only_rare_names(value: x509.ExtensionType) -> bool:
    if not isinstance(value, x509.SubjectAlternativeName):
        return False
    return not any(isinstance(name, _NAMES_OF_GO) for name in value)


def _is_ca(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _extension(certificate: x509.Certificate, kind: type[_E]) -> _E | None:
    """The extension; None if it is absent, or if it can't be read, which `readable` reports."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, *MALFORMED):
        return None
