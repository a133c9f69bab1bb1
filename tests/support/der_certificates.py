"""Certificates written byte by byte, for what no library makes: written-out curves, MD5, odd serials and versions.

`root()` is what issues them; `make(root(), "name", CA)` gives an intermediate, `make(..., "name")` a client's. Keys are
made when they are asked for, and are never on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TypedDict, Unpack

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from reconciler.x509.pem import encode
from tests.support.pki import CLIENT_AUTH, make_key

# --- DER ------------------------------------------------------------------------------------------------------------


def tlv(tag: int, *parts: bytes) -> bytes:
    """One value of DER."""
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + body


def sequence(*parts: bytes) -> bytes:
    """A SEQUENCE."""
    return tlv(0x30, *parts)


def integer(value: int) -> bytes:
    """An INTEGER, negative ones too."""
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, signed=True))


def oid(dotted: str) -> bytes:
    """An object identifier."""
    first, second, *others = (int(part) for part in dotted.split("."))
    body = bytes((40 * first + second,))
    for part in others:
        digits = [part & 0x7F]
        while part := part >> 7:
            digits.append(0x80 | part & 0x7F)
        body += bytes(reversed(digits))
    return tlv(0x06, body)


def extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    """An extension of a certificate."""
    return sequence(oid(dotted), tlv(0x01, b"\xff") if critical else b"", tlv(0x04, value))


NULL = tlv(0x05)

# --- keys -----------------------------------------------------------------------------------------------------------

Key = CertificateIssuerPrivateKeyTypes
Hash = hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | hashes.SHA1 | hashes.MD5

_ECDSA = {
    "sha1": "1.2.840.10045.4.1",
    "sha224": "1.2.840.10045.4.3.1",
    "sha256": "1.2.840.10045.4.3.2",
    "sha384": "1.2.840.10045.4.3.3",
    "sha512": "1.2.840.10045.4.3.4",
}
_RSA = {
    "md5": "1.2.840.113549.1.1.4",
    "sha1": "1.2.840.113549.1.1.5",
    "sha224": "1.2.840.113549.1.1.14",
    "sha256": "1.2.840.113549.1.1.11",
    "sha384": "1.2.840.113549.1.1.12",
    "sha512": "1.2.840.113549.1.1.13",
}
_RSA_ENCRYPTION, _RSA_PSS = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10"
_SHA256_OID, _MGF1 = "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.8"


@dataclass(frozen=True)
class _How:
    """What a key signs with; `salt` None: not with RSA-PSS."""

    hash_algorithm: Hash
    salt: int | None = None


def _pss_sha256(salt: int) -> bytes:
    return sequence(
        tlv(0xA0, sequence(oid(_SHA256_OID), NULL)),
        tlv(0xA1, sequence(oid(_MGF1), sequence(oid(_SHA256_OID), NULL))),
        tlv(0xA2, integer(salt)),
    )


def _sign(key: Key, data: bytes, how: _How) -> tuple[bytes, bytes]:
    """The algorithm's identifier and the signature."""
    hash_algorithm = how.hash_algorithm
    match key:
        case ec.EllipticCurvePrivateKey():
            return sequence(oid(_ECDSA[hash_algorithm.name])), key.sign(data, ec.ECDSA(hash_algorithm))
        case rsa.RSAPrivateKey() if how.salt is not None:
            scheme = padding.PSS(padding.MGF1(hash_algorithm), how.salt)
            return sequence(oid(_RSA_PSS), _pss_sha256(how.salt)), key.sign(data, scheme, hash_algorithm)
        case rsa.RSAPrivateKey():
            signature = key.sign(data, padding.PKCS1v15(), hash_algorithm)
            return sequence(oid(_RSA[hash_algorithm.name]), NULL), signature
        case ed25519.Ed25519PrivateKey():
            return sequence(oid("1.3.101.112")), key.sign(data)
        case ed448.Ed448PrivateKey():
            return sequence(oid("1.3.101.113")), key.sign(data)
        case _:
            raise AssertionError(key)


def public_info(key: Key) -> bytes:
    """The public key as certificates have it."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


_DOMAINS: Mapping[str, tuple[int, int, int, int, int]] = {
    "secp256r1": (
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    ),
    "secp384r1": (
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
        0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7,
        0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
}
"""Of a curve: the prime, b, the generator's x and y, the order; a is the prime less 3 (SEC 2)."""


def explicit_parameters(curve: str) -> bytes:
    """The curve written out, instead of its name (RFC 3279 section 2.3.5)."""
    prime, b, x, y, order = _DOMAINS[curve]
    size = (prime.bit_length() + 7) // 8
    return sequence(
        integer(1),
        sequence(oid("1.2.840.10045.1.1"), integer(prime)),
        sequence(tlv(0x04, (prime - 3).to_bytes(size)), tlv(0x04, b.to_bytes(size))),
        tlv(0x04, b"\x04" + x.to_bytes(size) + y.to_bytes(size)),
        integer(order),
        integer(1),
    )


def explicit_info(key: Key) -> bytes:
    """The public key with its curve written out."""
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    parameters = explicit_parameters(key.curve.name)
    return sequence(sequence(oid("1.2.840.10045.2.1"), parameters), tlv(0x03, b"\0", point))


def plain_key_pem(key: Key) -> bytes:
    """The private key as PKCS#8."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def explicit_key_pem(key: Key) -> bytes:
    """The private key as PKCS#8 with its curve written out."""
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    size = (key.curve.key_size + 7) // 8
    private = sequence(integer(1), tlv(0x04, key.private_numbers().private_value.to_bytes(size)))
    algorithm = sequence(oid("1.2.840.10045.2.1"), explicit_parameters(key.curve.name))
    return encode("PRIVATE KEY", sequence(integer(0), algorithm, tlv(0x04, private))).encode()


def compressed_info(key: Key) -> bytes:
    """The public key with its point compressed."""
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    algorithm = sequence(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7"))
    return sequence(algorithm, tlv(0x03, b"\0", point))


def pss_info(key: Key) -> bytes:
    """The public key as one for RSA-PSS alone."""
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return sequence(sequence(oid(_RSA_PSS)), tlv(0x03, b"\0", public))


def pss_key_pem(key: Key) -> bytes:
    """The private key as one for RSA-PSS alone."""
    private = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return encode("PRIVATE KEY", sequence(integer(0), sequence(oid(_RSA_PSS)), tlv(0x04, private))).encode()


def _digits(bits: int, *, of_pi: bool) -> int:
    """Pi or e, times 2 to the `bits`, rounded down."""
    unit = 1 << bits + 64

    def arctangent(of: int) -> int:
        total, term, divisor = 0, unit // of, 1
        while term:
            total += term // divisor if divisor % 4 == 1 else -(term // divisor)
            term //= of * of
            divisor += 2
        return total

    if of_pi:
        return 4 * (4 * arctangent(5) - arctangent(239)) >> 64
    total, term, divisor = unit, unit, 1
    while term:
        term //= divisor
        total += term
        divisor += 1
    return total >> 64


_PRIMES = {2048: (124476, 560316), 4096: (240904, 5736041), 8192: (4743158, 10965728)}


@cache
def large_rsa(bits: int, exponent: int = 65537) -> rsa.RSAPrivateKey:
    """A key of 4096, 8192 or 16384 bits at once, of well-known primes: making one takes minutes.

    The primes are those of Diffie-Hellman: 2^n - 2^(n-64) - 1 + 2^64 (2^(n-130) pi + c) of RFC 3526, and the same with
    e of RFC 7919.
    """
    half = bits // 2
    of_pi, of_e = _PRIMES[half]
    base = 2**half - 2 ** (half - 64) - 1
    p = base + 2**64 * (_digits(half - 130, of_pi=True) + of_pi)
    q = base + 2**64 * (_digits(half - 130, of_pi=False) + of_e)
    d = pow(exponent, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(exponent, p * q)
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


# --- certificates ---------------------------------------------------------------------------------------------------


def name(text: str) -> bytes:
    """A name with this common name; empty for an empty one."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else []).public_bytes()


def time(when: str) -> bytes:
    """UTCTime of 13 characters, `490101000000Z`, or GeneralizedTime of 15."""
    return tlv(0x17 if len(when) == 13 else 0x18, when.encode())


_DAY = timedelta(days=1)


@cache
def _dates() -> tuple[str, str]:
    now = datetime.now(UTC)
    return f"{now - 30 * _DAY:%y%m%d%H%M%S}Z", f"{now + 300 * _DAY:%y%m%d%H%M%S}Z"


BASIC, _KEY_USAGE, _EXTENDED, _ALTERNATIVE = "2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.17"
_CONSTRAINTS, _SUBJECT_KEY, ISSUER_KEY = "2.5.29.30", "2.5.29.14", "2.5.29.35"
SERIAL = 0x1122334455667788
SIGNS, ISSUES = b"\x03\x02\x07\x80", b"\x03\x02\x01\x06"


def basic(*, ca: bool, depth: int | None = None) -> bytes:
    """basicConstraints."""
    return extension(BASIC, x509.BasicConstraints(ca, depth).public_bytes(), critical=True)


def usage(bits: bytes) -> bytes:
    """keyUsage, from its BIT STRING."""
    return extension(_KEY_USAGE, bits, critical=True)


def extended(*usages: x509.ObjectIdentifier) -> bytes:
    """extendedKeyUsage."""
    return extension(_EXTENDED, x509.ExtendedKeyUsage(usages).public_bytes())


def alternative(*names: x509.GeneralName, critical: bool = False) -> bytes:
    """subjectAltName."""
    return extension(_ALTERNATIVE, x509.SubjectAlternativeName(names).public_bytes(), critical=critical)


def constraints(
    permitted: Iterable[x509.GeneralName] = (), excluded: Iterable[x509.GeneralName] = (), *, critical: bool = True
) -> bytes:
    """nameConstraints."""
    value = x509.NameConstraints(list(permitted) or None, list(excluded) or None).public_bytes()
    return extension(_CONSTRAINTS, value, critical=critical)


def key_ids(own: bytes | None, issuer: bytes | None) -> list[bytes]:
    """The extensions with the key IDs of the certificate and of its issuer, those that are given."""
    found = [extension(_SUBJECT_KEY, tlv(0x04, own))] if own else []
    return [*found, extension(ISSUER_KEY, sequence(tlv(0x80, issuer)))] if issuer else found


LEAF = (basic(ca=False), usage(SIGNS), extended(CLIENT_AUTH))
CA = (basic(ca=True), usage(ISSUES))


class Changes(TypedDict, total=False):
    """What a certificate can differ in; `info` and `key_pem` write its public and its private key."""

    key: Key | str
    hash_algorithm: Hash
    pss: bool
    salt: int
    info: Callable[[Key], bytes]
    key_pem: Callable[[Key], bytes]
    serial: int
    version: int
    dates: tuple[str, str]
    issuer_name: bytes


@dataclass(frozen=True)
class Made:
    """A certificate, what it is made of, and the certificates above it, without the root."""

    key: Key = field(repr=False)
    subject: bytes
    der: bytes = b""
    above: tuple[bytes, ...] = ()
    key_pem: bytes = field(default=b"", repr=False)
    signs_itself: bool = False

    @property
    def ders(self) -> tuple[bytes, ...]:
        """The chain, leaf first."""
        return (self.der, *self.above)

    @property
    def pem(self) -> bytes:
        """The chain as a file."""
        return "".join(encode("CERTIFICATE", der) for der in self.ders).encode()

    def damaged(self) -> Made:
        """The same with one bit of its serial number flipped, which its signature does not fit."""
        at = self.der.index(b"\x02\x08") + 9
        der = self.der[:at] + bytes((self.der[at] ^ 1,)) + self.der[at + 1 :]
        return replace(self, der=der)


def make(issuer: Made | None, subject: str, extensions: Iterable[bytes] = LEAF, **changes: Unpack[Changes]) -> Made:
    """A certificate with a chain of its own; `issuer` None: it signs itself."""
    kind, version = changes.get("key", "ec256"), changes.get("version", 3)
    own = make_key(kind) if isinstance(kind, str) else kind
    signer = own if issuer is None else issuer.key
    above = () if issuer is None or issuer.signs_itself else issuer.ders
    own_name = name(subject)
    how = _How(changes.get("hash_algorithm", hashes.SHA256()), changes.get("salt", 32) if changes.get("pss") else None)
    algorithm, _ = _sign(signer, b"", how)
    rest = tuple(extensions)
    begin, end = changes.get("dates", _dates())
    body = sequence(
        tlv(0xA0, integer(version - 1)) if version > 1 else b"",
        integer(changes.get("serial", SERIAL)),
        algorithm,
        changes.get("issuer_name") or (own_name if issuer is None else issuer.subject),
        sequence(time(begin), time(end)),
        own_name,
        changes.get("info", public_info)(own),
        tlv(0xA3, sequence(*rest)) if version == 3 and rest else b"",
    )
    _, signature = _sign(signer, body, how)
    der = sequence(body, algorithm, tlv(0x03, b"\0", signature))
    return Made(own, own_name, der, above, changes.get("key_pem", plain_key_pem)(own), issuer is None)


@cache
def root() -> Made:
    """What the origins trust."""
    return make(None, "Root", CA)
