"""Checks which keys and signature algorithms origins and stores accept, by type and size; nothing is verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import PublicKeyAlgorithmOID
from cryptography.x509.oid import SignatureAlgorithmOID as Signature

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.x509.certificates import key_kind, public_key_of
from reconciler.x509.chains import Chain, is_self_issued, weak_hash

MIN_RSA_BITS = 2048
"""The smallest RSA key that OpenSSL accepts at security level 2, the default of most origins."""

MAX_RSA_BITS = 8192
"""The largest RSA key that Go's crypto/tls, and so many origins and proxies, accepts since CVE-2023-29409."""

CA_SIGNATURES = frozenset(
    {
        Signature.RSA_WITH_SHA1,
        Signature.RSA_WITH_SHA256,
        Signature.RSA_WITH_SHA384,
        Signature.RSA_WITH_SHA512,
        Signature.ECDSA_WITH_SHA1,
        Signature.ECDSA_WITH_SHA256,
        Signature.ECDSA_WITH_SHA384,
        Signature.ECDSA_WITH_SHA512,
    }
)
"""What Cloudflare documents for uploaded CAs: RSA or ECDSA with SHA-1 or SHA-2; no Ed25519, no RSA-PSS."""

NEW_KEY_HINT = "create a new key (EC P-256 or RSA 2048) and request a certificate for it from the CA"

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


def refused_key(key: object) -> str | None:
    """Why no origin or store accepts a key of this type, public or private; None if some do."""
    match key:
        case rsa.RSAPublicKey() | rsa.RSAPrivateKey():
            if MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
                return None
            beyond = f"below {MIN_RSA_BITS}" if key.key_size < MIN_RSA_BITS else f"above {MAX_RSA_BITS}"
            return f"origins refuse RSA keys {beyond} bits"
        case ec.EllipticCurvePublicKey() | ec.EllipticCurvePrivateKey():
            return None if isinstance(key.curve, _CURVES) else "TLS clients use the curves P-256 and P-384"
        case ed25519.Ed25519PublicKey() | ed25519.Ed25519PrivateKey():
            return None
        case _:
            return "TLS clients use RSA or EC keys"


def leaf_keys(chain: Chain) -> Iterator[Diagnostic]:
    """Findings about the keys of the leaf and intermediates: origins refuse a chain with a weak key below the root."""
    return _keys(chain, (chain.leaf, *chain.issuers))


def ca_keys(chain: Chain) -> Iterator[Diagnostic]:
    """Findings about the keys of all certificates."""
    return _keys(chain, range(len(chain.bundle.ders)))


def known_signature(chain: Chain) -> Iterator[Diagnostic]:
    """A finding if the library does not know the leaf's signature algorithm."""
    try:
        _ = chain.bundle.certificates[chain.leaf].signature_hash_algorithm
    except UnsupportedAlgorithm:
        message = f"{chain.describe(chain.leaf)} has an unknown signature algorithm"
        hint = "make sure that the origin supports this signature algorithm"
        yield chain.finding(Severity.WARNING, Code.SIGNATURE_UNKNOWN, message, chain.leaf, hint)


def ca_signatures(chain: Chain) -> Iterator[Diagnostic]:
    """Findings about the signature algorithms of CAs, including roots: Cloudflare checks all of them."""
    for index, certificate in enumerate(chain.bundle.certificates):
        if certificate.signature_algorithm_oid not in CA_SIGNATURES:
            message = f"{chain.describe(index)} has a signature algorithm that Cloudflare does not accept for CAs"
            hint = "use a CA signed with RSA (PKCS#1) or ECDSA, each with SHA-1 or SHA-2"
            yield chain.finding(Severity.ERROR, Code.CA_SIGNATURE_ALGORITHM, message, index, hint)
        elif (weak := weak_hash(certificate)) and not is_self_issued(certificate):
            message = f"{chain.describe(index)} is signed with {weak}, which many programs refuse"
            hint = "ask its issuer to sign it again with SHA-256"
            yield chain.finding(Severity.WARNING, Code.WEAK_SIGNATURE, message, index, hint)


def _keys(chain: Chain, indexes: Iterable[int]) -> Iterator[Diagnostic]:
    for index in indexes:
        certificate, who = chain.bundle.certificates[index], chain.describe(index)
        key = public_key_of(certificate)
        if key is None:
            oid = certificate.public_key_algorithm_oid.dotted_string
            message = f"{who} has a key of unknown type ({oid})"
            yield chain.finding(Severity.ERROR, Code.KEY_TYPE_REFUSED, message, index, NEW_KEY_HINT)
        elif why := refused_key(key):
            message = f"{who} has a key of type {key_kind(key)}: {why}"
            yield chain.finding(Severity.ERROR, Code.KEY_TYPE_REFUSED, message, index, NEW_KEY_HINT)
        elif rare := _rare_kind(certificate, key):
            message = f"{who} has a key of type {rare}, which some stores and origins do not accept"
            hint = "use EC P-256 or RSA 2048, which are accepted everywhere"
            yield chain.finding(Severity.WARNING, Code.KEY_TYPE_RARE, message, index, hint)


def _rare_kind(certificate: x509.Certificate, key: object) -> str | None:
    if certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS:
        return key_kind(key).replace("RSA", "RSA-PSS")
    is_p521 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP521R1)
    return key_kind(key) if is_p521 or isinstance(key, ed25519.Ed25519PublicKey) else None
