"""Make throw-away client certificates for the examples: `python examples/throwaway.py FOLDER NAME...`

Writes NAME.pem and NAME.key into FOLDER, issued by a throw-away CA that stays in FOLDER/throwaway-ca.*, so that a
second run with the same name gives a renewed certificate of the same CA. Never use these for anything real.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_NAME = "throwaway-ca"


def make(folder: Path, name: str, days: int = 365) -> None:
    """A client certificate and its key, signed by the CA of the folder, which is made where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    issuer, issuer_key = _load_ca(folder) or _make_ca(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    certificate = (
        _builder(_name(name), issuer.subject, key, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    _write(folder, name, certificate, key)


def _make_ca(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed("Throw-away CA", key)
    _write(folder, CA_NAME, certificate, key)
    return certificate, key


def _load_ca(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    if not (folder / f"{CA_NAME}.key").exists():
        return None
    key = load_pem_private_key((folder / f"{CA_NAME}.key").read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SystemExit(f"{folder / CA_NAME}.key is not of this script")
    return x509.load_pem_x509_certificate((folder / f"{CA_NAME}.pem").read_bytes()), key


def _self_signed(name: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    return (
        _builder(_name(name), _name(name), key, 3650)
        .add_extension(constraints, critical=True)
        .sign(key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    private = folder / f"{name}.key"
    private.touch(mode=0o600)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def main() -> None:
    """The command line."""
    if len(sys.argv) < 3 or sys.argv[1].startswith("-"):
        raise SystemExit(__doc__)
    folder, *names = sys.argv[1:]
    for name in names:
        make(Path(folder), name)
        print(f"made {folder}/{name}.pem and {folder}/{name}.key")


if __name__ == "__main__":
    main()
