"""A few certificates, made once a process and the same in every process, and what of their keys is secret."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
"""When every story begins."""

_DAY = timedelta(days=1)

LEAVES = tuple(range(8))
"""What certificates may be declared with; the last but one has an intermediate, the last one ends in 20 days."""

CHAINED, SHORT = LEAVES[-2], LEAVES[-1]
CAS = (20, 21)
FOREIGN = (30, 31, 32)
"""What only others have in the store."""

WINDOW = 20
_SECRET = slice(48, 91)  # the private number in the base64 of a P-256 key; what is before it is the same for all
_BLOCK, _STRIDE = 5, 16  # of any window of 20, some block that begins at a multiple of 16 is a part


@dataclass(frozen=True, slots=True)
class Content:
    """The PEM of one certificate (with its chain) and of its key."""

    pem: str
    key: str = field(repr=False)

    @property
    def secret(self) -> str:
        """The base64 of the private number."""
        body = "".join(line for line in self.key.splitlines() if not line.startswith("-"))
        return body[_SECRET]


@cache
def content(number: int) -> Content:
    """The number-th content: the same in every process, for a seed must replay a run to the byte."""
    own = _key(number)
    key = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    if number in CAS:
        return Content(_text(_certificate(number, f"ca-{number}", own, own, f"ca-{number}", ca=True)), key)
    issuer = 101 if number == CHAINED else 100
    leaf = _certificate(number, f"client-{number}", own, _key(issuer), f"ca-{issuer}", ca=False)
    above = _text(_certificate(101, "ca-101", _key(101), _key(100), "ca-100", ca=True)) if number == CHAINED else ""
    return Content(_text(leaf) + above, key)


def leaks(texts: Iterable[str]) -> bool:
    """Whether a run of 20 characters of any key's secret is in a text, wherever its lines break.

    Three short blocks of each key are looked for first: a tenth of the work of all windows, and never a miss.
    """
    return any(_leaks(text) for text in texts)


def _leaks(text: str) -> bool:
    flat = text.replace("\\n", "").replace("\n", "").replace("\r", "")
    return any(block in flat and _has_window(flat) for block in _blocks())


def _has_window(flat: str) -> bool:
    return any(secret[at : at + WINDOW] in flat for secret in _secrets() for at in range(len(secret) - WINDOW + 1))


@cache
def _secrets() -> tuple[str, ...]:
    return tuple(content(number).secret for number in (*LEAVES, *CAS, *FOREIGN))


@cache
def _blocks() -> tuple[str, ...]:
    return tuple(
        secret[at : at + _BLOCK] for secret in _secrets() for at in range(0, len(secret) - _BLOCK + 1, _STRIDE)
    )


@cache
def _key(number: int) -> ec.EllipticCurvePrivateKey:
    secret = sha256(b"simulation %d" % number).digest()
    return ec.derive_private_key(int.from_bytes(secret) >> 1, ec.SECP256R1())


def _text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _certificate(
    number: int,
    name: str,
    own: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    issuer: str,
    *,
    ca: bool,
) -> x509.Certificate:
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(own.public_key())
        .serial_number(1000 + number)
        .not_valid_before(NOW - 30 * _DAY)
        .not_valid_after(NOW + (20 if number == SHORT else 335) * _DAY)
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=ca, crl_sign=ca, decipher_only=False, **usage),
            critical=True,
        )
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return builder.sign(signer, hashes.SHA256(), ecdsa_deterministic=True)
