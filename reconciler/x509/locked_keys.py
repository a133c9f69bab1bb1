"""Decrypts a private key: encrypted PEM, in the old and the new form, DER, and PKCS#12.

No message contains a part of the key, of its passphrase, or of a library's exception. How long it takes is said by the
file itself, so this is only for files that the operator trusts, never on a pull request.
"""

from __future__ import annotations

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from reconciler.findings.codes import Code
from reconciler.findings.errors import KeySourceError
from reconciler.x509.pem import Kind, decode_text, find_blocks, recognise

_IN_DER = {Kind.PKCS12, Kind.DER_ENCRYPTED_KEY}


def unlock(data: bytes, passphrase: bytes) -> bytes:
    """The private key as PKCS#8 in PEM, not encrypted. What is not encrypted comes back as it is.

    KeySourceError if the passphrase is wrong, the encryption is unknown, or a PKCS#12 file has no key.
    """
    text = decode_text(data)
    kind = text if isinstance(text, Kind) else recognise(data, text)
    try:
        if kind in _IN_DER:
            return _plain(
                _of_pkcs12(data, passphrase) if kind is Kind.PKCS12 else load_der_private_key(data, passphrase)
            )
        block = None if isinstance(text, Kind) else _encrypted_block(text)
        return data if block is None else _plain(load_pem_private_key(block.encode(), passphrase))
    except UnsupportedAlgorithm as error:
        raise KeySourceError(
            "the private key is encrypted in a way that is not supported",
            hint="encrypt it again where you keep secrets: openssl pkcs8 -topk8 -in KEY -out NEW",
            code=Code.KEY_ENCRYPTED,
        ) from error
    except (ValueError, TypeError, InternalError) as error:
        raise KeySourceError(
            "the private key could not be decrypted: its passphrase is wrong, or it is damaged",
            hint="check `passphrase` of this certificate's `private_key`: openssl pkey -in KEY -noout, or for PKCS#12"
            " openssl pkcs12 -in FILE -noout, asks for it and tells the same",
            code=Code.KEY_PASSPHRASE,
        ) from error


def is_encrypted(data: bytes) -> bool:
    """Whether this is an encrypted private key."""
    text = decode_text(data)
    if isinstance(text, Kind) or (kind := recognise(data, text)) is not None:
        return (text if isinstance(text, Kind) else kind) in _IN_DER
    return _encrypted_block(text) is not None


def _encrypted_block(text: str) -> str | None:
    """The text of the only private key of a PEM file, if it is encrypted."""
    keys = [block for block in find_blocks(text) if block.is_private_key]
    if len(keys) != 1 or keys[0].fault is not None:
        return None
    (key,) = keys
    if key.label != "ENCRYPTED PRIVATE KEY" and "ENCRYPTED" not in key.body[:200]:  # Proc-Type: 4,ENCRYPTED (RFC 1421)
        return None
    lines = (line.strip() for line in key.body.strip().splitlines())
    return "\n".join((f"-----BEGIN {key.label}-----", *lines, f"-----END {key.label}-----", ""))


def _of_pkcs12(data: bytes, passphrase: bytes) -> PrivateKeyTypes:
    key, _, _ = load_key_and_certificates(data, passphrase)
    if key is None:
        raise KeySourceError(
            "the PKCS#12 file contains no private key",
            hint="export it again together with its private key",
            code=Code.KEY_NOT_PEM,
        )
    return key


def _plain(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
