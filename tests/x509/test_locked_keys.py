"""Encrypted private keys, as OpenSSL and Windows write them; a wrong passphrase is said, and not shown."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from reconciler.findings.codes import Code
from reconciler.findings.errors import KeySourceError
from reconciler.x509.key_pairs import check_pair
from reconciler.x509.locked_keys import is_encrypted, unlock
from tests.support.pki import make_ca

LEAF = make_ca("Root").issue("client", key="rsa2048")
SECRET = "correct horse battery"

PEM = {
    "PKCS#8": ("pkcs8", "-topk8"),
    "PKCS#8 with scrypt": ("pkcs8", "-topk8", "-scrypt"),
    "PKCS#8 of old tools": ("pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES"),
    "PKCS#8 in DER": ("pkcs8", "-topk8", "-outform", "DER"),
    "the old form with AES": ("rsa", "-aes256", "-traditional"),
    "the old form with 3DES": ("rsa", "-des3", "-traditional"),
}
PKCS12 = {
    "PKCS#12": (),
    "PKCS#12 of old tools": ("-legacy",),
    "PKCS#12 of old Windows": ("-legacy", "-certpbe", "PBE-SHA1-RC2-40", "-keypbe", "PBE-SHA1-3DES"),
}


def openssl(folder: Path, *arguments: str) -> bytes:
    """What OpenSSL writes to `out`, from the key and the certificate in this folder."""
    (folder / "key.pem").write_bytes(LEAF.key_pem)
    (folder / "cert.pem").write_bytes(LEAF.certificate_pem)
    command = ["openssl", *arguments, "-out", "out"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder / "out").read_bytes()


def locked(folder: Path, name: str, secret: str = SECRET) -> bytes:
    """The key, encrypted in one of the forms."""
    if name in PEM:
        return openssl(folder, *PEM[name], "-in", "key.pem", "-passout", f"pass:{secret}")
    files = ("-inkey", "key.pem", "-in", "cert.pem")
    return openssl(folder, "pkcs12", "-export", *files, "-passout", f"pass:{secret}", *PKCS12[name])


@pytest.mark.parametrize("name", [*PEM, *PKCS12])
def test_an_encrypted_key_is_decrypted(tmp_path: Path, name: str) -> None:
    """In each form: what comes back is the plain key of the certificate."""
    data = locked(tmp_path, name)
    assert is_encrypted(data)
    key = unlock(data, SECRET.encode())
    assert check_pair(LEAF.bundle, key, where=None) == ()
    assert not is_encrypted(key)


@pytest.mark.parametrize("name", [*PEM, *PKCS12])
@pytest.mark.parametrize("secret", ["", "wrong"])
def test_a_wrong_passphrase_is_an_error_that_shows_nothing(tmp_path: Path, name: str, secret: str) -> None:
    """Neither the passphrase nor the key, nor the text of the library."""
    with pytest.raises(KeySourceError) as refused:
        unlock(locked(tmp_path, name), secret.encode())
    assert refused.value.code is Code.KEY_PASSPHRASE
    assert SECRET not in f"{refused.value.message}{refused.value.hint}"


def test_an_empty_passphrase_is_one_too(tmp_path: Path) -> None:
    """Windows and some tools export PKCS#12 with none."""
    key = unlock(locked(tmp_path, "PKCS#12", ""), b"")
    assert check_pair(LEAF.bundle, key, where=None) == ()


@pytest.mark.parametrize("data", [LEAF.key_pem, LEAF.traditional_key_pem, LEAF.certificate_pem, b"", b"no key"])
def test_what_is_not_encrypted_stays_as_it_is(data: bytes) -> None:
    """What is wrong with it, the check of the pair says."""
    assert unlock(data, b"unused") == data
    assert not is_encrypted(data)


def test_pkcs12_without_a_key_is_an_error(tmp_path: Path) -> None:
    """An export of the certificate alone."""
    data = openssl(tmp_path, "pkcs12", "-export", "-nokeys", "-in", "cert.pem", "-passout", f"pass:{SECRET}")
    with pytest.raises(KeySourceError, match="contains no private key"):
        unlock(data, SECRET.encode())


def test_a_key_next_to_its_certificate_is_decrypted(tmp_path: Path) -> None:
    """Text around the block does not matter, as for a plain key."""
    data = LEAF.certificate_pem + locked(tmp_path, "the old form with AES").replace(b"\n", b"\r\n")
    assert load_pem_private_key(unlock(data, SECRET.encode()), None).key_size == 2048  # type: ignore[union-attr]
