# /// script
# requires-python = ">=3.11"
# dependencies = ["cryptography>=48,<51"]
# ///
"""Make throw-away client certificates for the examples: `pipx run examples/throwaway.py FOLDER NAME...`

`uv run` runs it too, and so does the Python of any environment that has the package cryptography.

Writes NAME.pem (the certificate, then its intermediate) and NAME.key into FOLDER. The throw-away CA stays there too,
as throwaway-ca.pem and throwaway-issuer.*, so that a second run with the same name gives a renewed certificate of the
same CA. Never use these for anything real.
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

ROOT, ISSUER = "throwaway-ca", "throwaway-issuer"

Key = ec.EllipticCurvePrivateKey


def make(folder: Path, name: str, days: int = 365) -> None:
    """A client certificate and its key, from the CA of the folder, which is made where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    issuer, issuer_key = _load_issuer(folder) or _make_issuer(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = _builder(name, issuer.subject, key, days, ca=False).add_extension(usage, critical=False)
    leaf = builder.sign(issuer_key, hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(_pem(leaf) + _pem(issuer))
    _write_key(folder / f"{name}.key", key)


def _make_issuer(folder: Path) -> tuple[x509.Certificate, Key]:
    """A root, of which the key is forgotten, and the intermediate that issues."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    subject = _name("Throw-away Root CA")
    root = _builder("Throw-away Root CA", subject, root_key, 3650, ca=True).sign(root_key, hashes.SHA256())
    issuer = _builder("Throw-away Issuing CA", subject, key, 3650, ca=True).sign(root_key, hashes.SHA256())
    (folder / f"{ROOT}.pem").write_bytes(_pem(root))
    (folder / f"{ISSUER}.pem").write_bytes(_pem(issuer))
    _write_key(folder / f"{ISSUER}.key", key)
    return issuer, key


def _load_issuer(folder: Path) -> tuple[x509.Certificate, Key] | None:
    if not (folder / f"{ISSUER}.key").exists():
        return None
    key = load_pem_private_key((folder / f"{ISSUER}.key").read_bytes(), None)
    if not isinstance(key, Key):
        raise SystemExit(f"{folder / ISSUER}.key is not of this script")
    return x509.load_pem_x509_certificate((folder / f"{ISSUER}.pem").read_bytes()), key


def _builder(name: str, issuer: x509.Name, key: Key, days: int, *, ca: bool) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _write_key(path: Path, key: Key) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


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
