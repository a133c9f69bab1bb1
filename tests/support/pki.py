"""Throw-away certificates and keys for the tests, good ones and every kind of bad one.

`make_ca("Root")` is where to begin; `.issue(...)` gives leaves, `.issue_ca(...)` intermediates. Everything is valid
around `NOW`. Keys are EC P-256 by default, for these cost nothing; RSA keys are made once a session and shared.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from reconciler.x509.certificates import Bundle
from reconciler.x509.pem import encode

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
"""The time that the tests hand in."""

DAY = timedelta(days=1)
BEGIN, END = NOW - 30 * DAY, NOW + 335 * DAY

CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH

_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "ec256": ec.SECP256R1,
    "ec384": ec.SECP384R1,
    "ec521": ec.SECP521R1,
    "secp256k1": ec.SECP256K1,
}

_DSA_1024 = dsa.DSAParameterNumbers(  # making new ones takes seconds
    p=int(
        "d9c42ae3c1c896a9bcaa6c9fc9491b83c750a82cb53bd0f2f2334df7884eb10bda50b99772b8e75401dfcfc9e75c0c04"
        "bde178ed9d74f3b322bee2103e2f6397213ee48c5d66bf03f1f40a8e9cd1824a9c2f155e458f4b9ca86f37e49d1c5230"
        "f885a83fc1e9cd8574862d73d3895da72f7c1f9270a4ee84e945ed207cbb2efb",
        16,
    ),
    q=int("89ccb278fa9367fbeed9df6faa1f48b0bd09419b", 16),
    g=int(
        "4d378c8d414c3bdec5c66ffe59553149b1449dda374eb066bec7dbd5e3a91debcdf4e31fc18c90fb303b4d358206ef16"
        "231565b23c5d4fb32985b464888e99773a3f692f8e2db1a3421c0afd875958b3c2b919ef97a383b70a7b4e71f0d2d786"
        "b55632e5726bb220de62f71bad9edca6e376a4221a613e16ff332122bffdbbe6",
        16,
    ),
)


@lru_cache
def _shared_key(kind: str, slot: int) -> CertificateIssuerPrivateKeyTypes:
    if kind == "dsa1024":
        return _DSA_1024.parameters().generate_private_key()
    return rsa.generate_private_key(65537, int(kind[3:]))


def make_key(kind: str = "ec256", slot: int = 0) -> CertificateIssuerPrivateKeyTypes:
    """A key: `ec256`, `ec384`, `ec521`, `secp256k1`, `ed25519`, `ed448`, `dsa1024`, or `rsa2048`, ... of any size.

    RSA and DSA keys are shared by all who ask for the same slot.
    """
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind]())
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ed448":
        return ed448.Ed448PrivateKey.generate()
    return _shared_key(kind, slot)


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, and the intermediates above it, root left out."""

    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes = field(repr=False)
    intermediates: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def certificate_pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def chain_pem(self) -> bytes:
        """The certificate, then its intermediates, as a user's file has them."""
        return b"".join(one.public_bytes(Encoding.PEM) for one in (self.certificate, *self.intermediates))

    @property
    def bundle(self) -> Bundle:
        """The same as `chain_pem`, parsed."""
        return Bundle(tuple(one.public_bytes(Encoding.DER) for one in (self.certificate, *self.intermediates)))

    @property
    def key_pem(self) -> bytes:
        """The private key as PKCS#8."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def traditional_key_pem(self) -> bytes:
        """The private key as PKCS#1 (RSA) or SEC1 (EC)."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())

    @property
    def key_der(self) -> bytes:
        """The private key as PKCS#8 without PEM."""
        return self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def encrypted_key_pem(self, *, traditional: bool = False) -> bytes:
        """The private key under a password, as PKCS#8 or with the headers of RFC 1421."""
        form = PrivateFormat.TraditionalOpenSSL if traditional else PrivateFormat.PKCS8
        return self.key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"password"))

    @property
    def public_key_pem(self) -> bytes:
        """The public key alone."""
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def request_pem(self) -> bytes:
        """A signing request for the same key."""
        builder = x509.CertificateSigningRequestBuilder(self.certificate.subject)
        return builder.sign(self.key, _hash_for(self.key)).public_bytes(Encoding.PEM)


@dataclass(frozen=True)
class Authority(Issued):
    """A CA; `intermediates` are those above it."""

    def issue(
        self,
        subject: str | x509.Name = "client",
        *,
        key: str | CertificateIssuerPrivateKeyTypes = "ec256",
        not_before: datetime = BEGIN,
        not_after: datetime = END,
        eku: tuple[x509.ObjectIdentifier, ...] | None = (CLIENT_AUTH,),
        digital_signature: bool | None = True,
        ca: bool | None = False,
        san: tuple[x509.GeneralName, ...] = (),
        serial: int | None = None,
        hash_algorithm: hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None = None,
    ) -> Issued:
        """A leaf. None leaves the extension out: `eku` extendedKeyUsage, `digital_signature` keyUsage, `ca` the
        basic constraints.
        """
        own = make_key(key) if isinstance(key, str) else key
        builder = _builder(_name(subject), self.certificate.subject, own, not_before, not_after, serial)
        if ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
        if digital_signature is not None:
            builder = builder.add_extension(
                _key_usage(digital_signature=digital_signature, sign=bool(ca)), critical=True
            )
        if eku is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(eku), critical=False)
        if san:
            builder = builder.add_extension(x509.SubjectAlternativeName(san), critical=False)
        certificate = builder.sign(self.key, hash_algorithm or _hash_for(self.key))
        return Issued(certificate, own, _above(self))

    def issue_ca(
        self,
        subject: str | x509.Name = "Intermediate",
        *,
        key: str | CertificateIssuerPrivateKeyTypes = "ec256",
        not_before: datetime = BEGIN,
        not_after: datetime = END,
        ca: bool | None = True,
        cert_sign: bool = True,
        eku: tuple[x509.ObjectIdentifier, ...] | None = None,
    ) -> Authority:
        """An intermediate CA; `ca` and `cert_sign` make one that must not issue."""
        own = make_key(key) if isinstance(key, str) else key
        builder = _builder(_name(subject), self.certificate.subject, own, not_before, not_after, None)
        if ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
        builder = builder.add_extension(_key_usage(digital_signature=True, sign=cert_sign), critical=True)
        if eku is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(eku), critical=False)
        return Authority(builder.sign(self.key, _hash_for(self.key)), own, _above(self))


def make_ca(
    name: str | x509.Name = "Root",
    *,
    key: str | CertificateIssuerPrivateKeyTypes = "ec256",
    not_before: datetime = BEGIN,
    not_after: datetime = NOW + 3650 * DAY,
    ca: bool | None = True,
) -> Authority:
    """A self-signed root; with `ca=False` or None a self-signed leaf."""
    own = make_key(key) if isinstance(key, str) else key
    subject = _name(name)
    builder = _builder(subject, subject, own, not_before, not_after, None)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    return Authority(builder.sign(own, _hash_for(own)), own)


def patch(issued: Issued, old: bytes, new: bytes) -> Issued:
    """The certificate with some bytes of its DER replaced, so that its signature is wrong: for faults that no library
    writes. `old` must be there exactly once, and the length must stay.
    """
    assert issued.der.count(old) == 1
    assert len(old) == len(new)
    return Issued(x509.load_der_x509_certificate(issued.der.replace(old, new)), issued.key)


def to_pem(label: str, der: bytes) -> bytes:
    """One PEM block under any label."""
    return encode(label, der).encode()


def by_openssl(folder: Path, *options: str, key: str = "ec256", signer: Issued | None = None) -> Issued:
    """A leaf "by-openssl" made by the openssl command, for what the library refuses to make: SHA-1, odd serials,
    version 1. `options` go to `openssl x509 -req`; `signer` None makes it self-signed. It is valid from the real time
    on. Skips where there is no openssl.
    """
    own = make_key(key)
    draft = Issued(make_ca("by-openssl", key=own).certificate, own)
    (folder / "request.pem").write_bytes(draft.request_pem)
    (folder / "own.key").write_bytes(draft.key_pem)
    signing = ["-signkey", "own.key"]
    if signer is not None:
        (folder / "ca.pem").write_bytes(signer.certificate_pem)
        (folder / "ca.key").write_bytes(signer.key_pem)
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key"]
    serial = [] if "-set_serial" in options else ["-set_serial", "7"]
    fixed = ["x509", "-req", "-in", "request.pem", "-days", "3650", "-outform", "DER", "-out", "made.der"]
    _openssl(folder, *fixed, *signing, *serial, *options)
    certificate = Bundle(((folder / "made.der").read_bytes(),)).leaf
    above = _above(signer) if isinstance(signer, Authority) else ()
    return Issued(certificate, own, above)


def rsa_pss_by_openssl(folder: Path) -> tuple[Bundle, bytes]:
    """A self-signed leaf and its PKCS#8 key, whose kind is RSA-PSS; the library reads such keys and makes none."""
    _openssl(folder, "genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "pss.key")
    plain = ["-subj", "/CN=pss", "-addext", "basicConstraints=critical,CA:FALSE"]
    _openssl(folder, "req", "-x509", "-new", "-key", "pss.key", *plain, "-outform", "DER", "-out", "pss.der")
    return Bundle(((folder / "pss.der").read_bytes(),)), (folder / "pss.key").read_bytes()


def _openssl(folder: Path, *arguments: str) -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs the openssl command to make this certificate")
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this openssl does not make such a certificate: {done.stderr.decode(errors='replace')[-200:]}")


def _above(authority: Issued) -> tuple[x509.Certificate, ...]:
    is_root = authority.certificate.subject == authority.certificate.issuer
    return () if is_root else (authority.certificate, *authority.intermediates)


def _name(name: str | x509.Name) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) if isinstance(name, str) else name


def _hash_for(key: object) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()


def _key_usage(*, digital_signature: bool, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=not digital_signature,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: CertificateIssuerPrivateKeyTypes,
    not_before: datetime,
    not_after: datetime,
    serial: int | None,
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key.public_key(),
        serial_number=serial if serial is not None else x509.random_serial_number(),
        not_valid_before=not_before,
        not_valid_after=not_after,
    )
