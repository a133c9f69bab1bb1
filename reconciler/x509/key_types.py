"""Checks which keys and signature algorithms origins and stores accept, by type and size; nothing is verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import PublicKeyAlgorithmOID
from cryptography.x509.oid import SignatureAlgorithmOID as Signature

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.x509.certificates import Bundle, key_kind, oid_text, public_key_of
from reconciler.x509.chains import Chain, weak_hash
from reconciler.x509.paths import is_self_signed

MIN_RSA_BITS = 2048
"""The smallest RSA key that OpenSSL accepts at security level 2, the default of most origins."""

COMMON_RSA_BITS = 4096
"""The largest RSA key that Cloudflare's own runtime, workerd, can sign with."""

COMMON_EXPONENT, MAX_EXPONENT = 65537, 2**31 - 1
"""The exponent that every library uses, and the only one up to which all can sign; the largest that Go accepts."""

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

NAMED_CURVE_HINT = (
    "create a new key with a named curve (openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt"
    " ec_param_enc:named_curve) and request a certificate for it from the CA"
)

_COMMON_SIGNATURES = frozenset(
    {
        Signature.RSA_WITH_SHA256,
        Signature.RSA_WITH_SHA384,
        Signature.RSA_WITH_SHA512,
        Signature.ECDSA_WITH_SHA256,
        Signature.ECDSA_WITH_SHA384,
        Signature.ECDSA_WITH_SHA512,
        Signature.ED25519,
    }
)

_EC_KEY = bytes.fromhex("06072a8648ce3d0201")
"""The identifier of an EC key."""

_USUAL_EC_KEYS = (
    bytes.fromhex(f"30593013{_EC_KEY.hex()}06082a8648ce3d03010703420004"),
    bytes.fromhex(f"30763010{_EC_KEY.hex()}06052b8104002203620004"),
)
"""How a key of P-256 and of P-384 begins in a certificate, if its curve is named and its point is not compressed."""

_PSS_PARAMETERS = tuple(
    bytes.fromhex(
        f"a00f300d060960864801650304020{hash_number}0500a11c301a06092a864886f70d010108300d06096086480165030402"
        f"0{hash_number}0500a2030201{size:02x}"
    )
    for hash_number, size in ((1, 32), (2, 48), (3, 64))
)
"""RSA-PSS with SHA-256, SHA-384 or SHA-512 for everything, and a salt of the same size: all that Go accepts."""

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
    return _keys(chain, (chain.leaf, *chain.issuers), leaf=chain.leaf)


def ca_keys(chain: Chain) -> Iterator[Diagnostic]:
    """Findings about the keys of all certificates."""
    return _keys(chain, range(len(chain.bundle.ders)), leaf=None)


def known_signature(chain: Chain) -> Iterator[Diagnostic]:
    """Findings about signature algorithms of the leaf and its intermediates that not every origin knows."""
    for index in (chain.leaf, *chain.issuers):
        certificate = chain.bundle.certificates[index]
        try:
            _ = certificate.signature_hash_algorithm
        except UnsupportedAlgorithm:
            message = f"{chain.describe(index)} has an unknown signature algorithm"
            hint = "make sure that the origin supports this signature algorithm"
            yield chain.finding(Severity.WARNING, Code.SIGNATURE_UNKNOWN, message, index, hint)
            continue
        if weak_hash(certificate) is None and not _is_common_signature(certificate):
            oid = certificate.signature_algorithm_oid
            name = "RSA-PSS with rare parameters" if oid == Signature.RSASSA_PSS else oid_text(oid)
            message = f"{chain.describe(index)} is signed with {name}, which some origins refuse"
            hint = "let the CA issue it again, signed by RSA or ECDSA with SHA-256, SHA-384 or SHA-512"
            yield chain.finding(Severity.WARNING, Code.SIGNATURE_RARE, message, index, hint)


def oddly_written_key(bundle: Bundle, index: int) -> ec.EllipticCurvePublicKey | None:
    """The EC key of a certificate that does not name its curve, or has its point compressed; else None."""
    certificate, der = bundle.certificates[index], bundle.ders[index]
    # Most keys need not be loaded, which takes long: if the identifier is there once, it is that of the key.
    if der.count(_EC_KEY) == 1 and any(start in der for start in _USUAL_EC_KEYS):
        return None
    if certificate.public_key_algorithm_oid != PublicKeyAlgorithmOID.EC_PUBLIC_KEY:
        return None
    key = public_key_of(certificate)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return None
    # The library reads every way of writing a key, and writes the usual one.
    usual = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return None if usual in certificate.tbs_certificate_bytes else key


def leaf_encodings(chain: Chain) -> Iterator[Diagnostic]:
    """EC keys of the leaf and its intermediates that are not written as TLS requires (RFC 8422 section 5.3)."""
    return _encodings(chain, (chain.leaf, *chain.issuers), Severity.ERROR)


def ca_encodings(chain: Chain) -> Iterator[Diagnostic]:
    """The same of all certificates."""
    return _encodings(chain, range(len(chain.bundle.ders)), Severity.ERROR)


def stored_encodings(chain: Chain) -> Iterator[Diagnostic]:
    """The same of the leaf and its intermediates as warnings, of a certificate that is stored already."""
    return _encodings(chain, (chain.leaf, *chain.issuers), Severity.WARNING)


def ca_signatures(chain: Chain) -> Iterator[Diagnostic]:
    """Findings about the signature algorithms of CAs, including roots: Cloudflare checks all of them."""
    for index, certificate in enumerate(chain.bundle.certificates):
        if certificate.signature_algorithm_oid not in CA_SIGNATURES:
            message = f"{chain.describe(index)} has a signature algorithm that Cloudflare does not accept for CAs"
            hint = "use a CA signed with RSA (PKCS#1) or ECDSA, each with SHA-1 or SHA-2"
            yield chain.finding(Severity.ERROR, Code.CA_SIGNATURE_ALGORITHM, message, index, hint)
        elif (weak := weak_hash(certificate)) and not is_self_signed(certificate):
            message = f"{chain.describe(index)} is signed with {weak}, which many programs refuse"
            hint = "ask its issuer to sign it again with SHA-256"
            yield chain.finding(Severity.WARNING, Code.WEAK_SIGNATURE, message, index, hint)


def _keys(chain: Chain, indexes: Iterable[int], *, leaf: int | None) -> Iterator[Diagnostic]:
    for index in indexes:
        certificate = chain.bundle.certificates[index]
        key = public_key_of(certificate)
        if key is None:
            oid = certificate.public_key_algorithm_oid.dotted_string
            message = f"{chain.describe(index)} has a key of unknown type ({oid})"
            yield chain.finding(Severity.ERROR, Code.KEY_TYPE_REFUSED, message, index, NEW_KEY_HINT)
        elif why := refused_key(key):
            message = f"{chain.describe(index)} has a key of type {key_kind(key)}: {why}"
            yield chain.finding(Severity.ERROR, Code.KEY_TYPE_REFUSED, message, index, NEW_KEY_HINT)
        elif rare := _rare_kind(certificate, key, is_leaf=index == leaf):
            message = f"{chain.describe(index)} has a key of type {rare}, which some stores and origins do not accept"
            hint = "use EC P-256 or RSA 2048, which are accepted everywhere"
            yield chain.finding(Severity.WARNING, Code.KEY_TYPE_RARE, message, index, hint)


def _encodings(chain: Chain, indexes: Iterable[int], severity: Severity) -> Iterator[Diagnostic]:
    for index in indexes:
        certificate, key = chain.bundle.certificates[index], oddly_written_key(chain.bundle, index)
        if key is None:
            continue
        point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        curve = key_kind(key).removeprefix("EC ")
        what = (
            f"has explicit EC parameters instead of the named curve {curve}, which origins refuse"
            if point in certificate.tbs_certificate_bytes
            else f"has a compressed public key of the curve {curve}, which some origins refuse"
        )
        message = f"{chain.describe(index)} {what}"
        yield chain.finding(severity, Code.KEY_ENCODING, message, index, NAMED_CURVE_HINT)


def _is_common_signature(certificate: x509.Certificate) -> bool:
    """Whether OpenSSL, Go and workerd all accept it."""
    oid = certificate.signature_algorithm_oid
    if oid == Signature.RSASSA_PSS:
        return any(parameters in certificate.tbs_certificate_bytes for parameters in _PSS_PARAMETERS)
    return oid in _COMMON_SIGNATURES


def _rare_kind(certificate: x509.Certificate, key: object, *, is_leaf: bool) -> str | None:
    if isinstance(key, rsa.RSAPublicKey):
        exponent = key.public_numbers().e
        if exponent > MAX_EXPONENT or (is_leaf and exponent < COMMON_EXPONENT):
            return f"{key_kind(key)} with the exponent {exponent}"
        if is_leaf and key.key_size > COMMON_RSA_BITS:
            return key_kind(key)
    if certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS:
        return key_kind(key).replace("RSA", "RSA-PSS")
    is_p521 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP521R1)
    is_ed25519 = isinstance(key, ed25519.Ed25519PublicKey)  # which Cloudflare's documentation does not name
    return key_kind(key) if is_ed25519 or (is_leaf and is_p521) else None
