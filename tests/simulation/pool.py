"""A few certificates, made once a process and the same in every process, and what of their keys is secret."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from random import Random
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
"""When every story begins."""

_DAY = timedelta(days=1)


class Period(NamedTuple):
    """From when until when, both included; aware, UTC."""

    begins: datetime
    ends: datetime


def _period(begins: int, ends: int) -> Period:
    """In days from when every story begins."""
    return Period(NOW + begins * _DAY, NOW + ends * _DAY)


_LIFE = _period(-30, 335)

PLAIN = tuple(range(8))
"""Leaves that are valid when a story begins; the last but one has an intermediate, the last one ends in 20 days."""

CHAINED, SHORT = PLAIN[-2], PLAIN[-1]

_RENEWALS = {
    40: _period(2, 335),
    41: Period(NOW + timedelta(days=2, minutes=3), _LIFE.ends),  # near the one before: one run may wait for both
    42: _period(9, 40),
    43: _period(-60, -1),
    44: _period(-30, 1),
    45: Period(_LIFE.begins, NOW + timedelta(days=2, minutes=1)),  # ends while a run may wait for the second
}
"""Some begin later, some are short, one has ended."""

_CROSSED = {
    50: (_period(-30, -1), _LIFE),  # the first path has ended
    51: (_period(-30, 5), _period(3, 335)),  # one path follows the other
    52: (_period(-30, 2), _period(8, 335)),  # between the paths there is none
    53: (_period(4, 335),),
    54: (_period(-30, 6),),
}
"""The intermediates of leaves that live from the first begin to the last end; of several, each is a path of its own."""

LATER = 40
DATED = (*_RENEWALS, *_CROSSED)
"""Renewals of plain leaves, with the same subject and key: 40 and 50 of 0, 41 and 51 of 1."""

LEAVES = (*PLAIN, *DATED)
"""What certificates may be declared with."""

CAS = (20, 21, 22)
"""The last one begins later."""

_CA_LIVES = {22: _period(5, 335)}
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


def some_leaf(random: Random) -> int:
    """A content for a certificate; two of three are plain."""
    return random.choice(PLAIN if random.random() < 0.65 else DATED)


@cache
def periods(number: int) -> tuple[Period, ...]:
    """When a content is valid: for each of its paths, while all of that path is. Some may overlap."""
    return _CROSSED.get(number, (_life(number),))


def _life(number: int) -> Period:
    """Of the content's own certificate."""
    short = {SHORT: _period(-30, 20)}
    return {**_RENEWALS, **_CA_LIVES, **short}.get(number, _LIFE)


def subject(number: int) -> str:
    """Whose certificate a content is: renewals have the same."""
    return f"client-{number % 10 if number in DATED else number}"


@cache
def content(number: int) -> Content:
    """The number-th content: the same in every process, for a seed must replay a run to the byte."""
    of = number % 10 if number in DATED else number
    own, life = _key(of), _life(number)
    key = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    if number in CAS:
        return Content(_text(_certificate(number, f"ca-{number}", own, own, f"ca-{number}", life, ca=True)), key)
    chain = {CHAINED: (_LIFE,), **_CROSSED}.get(number, ())
    issuer = 101 if chain else 100
    leaf = _certificate(number, subject(number), own, _key(issuer), f"ca-{issuer}", life, ca=False)
    above = [_certificate(101, "ca-101", _key(101), _key(100), "ca-100", period, ca=True) for period in chain]
    return Content("".join(map(_text, (leaf, *above))), key)


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
    return tuple(dict.fromkeys(content(number).secret for number in (*LEAVES, *CAS, *FOREIGN)))


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
    life: Period,
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
        .not_valid_before(life.begins)
        .not_valid_after(life.ends)
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=ca, crl_sign=ca, decipher_only=False, **usage),
            critical=True,
        )
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return builder.sign(signer, hashes.SHA256(), ecdsa_deterministic=True)
