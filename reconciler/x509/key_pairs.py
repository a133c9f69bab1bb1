"""Checks that a private key is valid, is usable, and belongs to the certificate that it is declared with.

Reads a key that is passed in and does not keep it. No message, hint or exception from here may contain a part of the
key, or the text of a library's exception, which may quote its input. It must not judge the certificate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import PublicKeyAlgorithmOID

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.errors import CertificateError, KeySourceError
from reconciler.findings.values import dataclass
from reconciler.x509.certificates import Bundle, key_digest, key_kind, public_key_of, subject_text
from reconciler.x509.key_types import NEW_KEY_HINT, refused_key
from reconciler.x509.pem import (
    MAX_KEY_BYTES,
    Block,
    Kind,
    decode,
    decode_text,
    encode,
    find_blocks,
    near_marker,
    recognise,
)

_Where = Place | Pointer | None


def check_pair(bundle: Bundle, key_pem: bytes, *, where: _Where) -> tuple[Diagnostic, ...]:
    """Everything that prevents uploading this key with this certificate; empty if the pair is proved to match.

    Accepts PKCS#8, PKCS#1 and SEC1 in PEM, with a byte-order mark, CRLF, EC PARAMETERS, or certificates next to the
    key. The proof is a signature made with the key and verified with the certificate: the library's own validation of
    an RSA key takes 40 ms and proves less. Findings point to `where`, never to a line of the key.
    """
    block = _find_key(key_pem)
    key = _load(block) if isinstance(block, Block) else block
    found = key if isinstance(key, _Refusal) else _compare(bundle, key) or _check_encoding(bundle, block, key)
    return (found.as_diagnostic(where),) if found else ()


def only_key(key_pem: bytes) -> bytes:
    """The key's block alone, in strict PEM with LF, for an upload: stores refuse any text next to the key.

    CertificateError if there is no usable block, with the same finding as `check_pair`.
    """
    block = _find_key(key_pem)
    if isinstance(block, _Refusal):
        raise CertificateError([block.as_diagnostic(None)])
    return _strict(block)


def load_key(key_pem: bytes) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """The key, to sign a request with. CertificateError, with the same findings as `check_pair`, for any other."""
    block = _find_key(key_pem)
    key = _load(block) if isinstance(block, Block) else block
    if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        return key
    raise CertificateError([(key if isinstance(key, _Refusal) else _UNKNOWN_KIND).as_diagnostic(None)])


def by_public_key(data: bytes) -> dict[str, bytes]:
    """The private keys of a text with several, by the digest of their public keys (`key_digest`); of one alone, none.

    Keys that are encrypted or damaged are left out.
    """
    text = decode_text(data)
    blocks = [] if isinstance(text, Kind) else [block for block in find_blocks(text) if block.is_private_key]
    found: dict[str, bytes] = {}
    for block in blocks if len(blocks) > 1 else ():
        checked = _check_block(block)
        key = _load(checked) if isinstance(checked, Block) else checked
        if not isinstance(key, _Refusal):
            public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            found[hashlib.sha256(public).hexdigest()] = _strict(block)
    return found


def fitting(several: Mapping[str, bytes], bundle: Bundle) -> bytes:
    """The key that belongs to the leaf, of those that `by_public_key` found. KeySourceError if none does."""
    key = several.get(key_digest(bundle.leaf) or "")
    if key is None:
        raise KeySourceError(
            f"none of the {len(several)} private keys on standard input belongs to the certificate"
            f" ({subject_text(bundle.leaf)})",
            hint="add the key that the certificate was requested with; keys that are encrypted or damaged do not count",
            code=Code.KEY_MISMATCH,
        )
    return key


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a key can't be used. Contains only fixed text, sizes, key types and names of certificates."""

    code: Code
    message: str
    hint: str

    def as_diagnostic(self, where: _Where) -> Diagnostic:
        return Diagnostic(Severity.ERROR, self.code, self.message, where, self.hint)


_BEGINS = "use a key in PEM: its first line is -----BEGIN PRIVATE KEY----- (or has RSA or EC before PRIVATE)"
_DASHES = f"write exactly five dashes on each side; {_BEGINS}"
_SWAPPED = "check whether `certificate` and `private_key` are swapped"
_COPY_AGAIN = "copy the whole key again from its source"
_NEW_PEM_KEY = "create a new key in PKCS#8 PEM: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"

_ENCRYPTED = _Refusal(
    Code.KEY_ENCRYPTED,
    "the private key is encrypted, but an upload needs it unencrypted",
    'say where its passphrase is, next to the key source: passphrase = { env = "NAME" }',
)
_GARBLED = _Refusal(Code.KEY_GARBLED, "the private key is damaged: its base64 can't be decoded", _COPY_AGAIN)
_NO_KEY = _Refusal(Code.KEY_GARBLED, "the base64 is valid, but it does not contain a usable private key", _COPY_AGAIN)
_UNKNOWN_KIND = _Refusal(Code.KEY_TYPE_REFUSED, "the private key has an unknown type", NEW_KEY_HINT)
_DAMAGED_PAIR = _Refusal(
    Code.KEY_GARBLED,
    "the private key has the certificate's public key, but can't sign for it: its private part is damaged",
    _COPY_AGAIN,
)
_WRITTEN_OUT = _Refusal(
    Code.KEY_ENCODING,
    "the private key has explicit EC parameters instead of a named curve, which Workers can't use",
    "convert it where you keep secrets: openssl pkey -in KEY -ec_param_enc named_curve -out NEW",
)
_OTHER_RSA = _Refusal(
    Code.KEY_TYPE_REFUSED,
    "one of the certificate and the private key is for RSA-PSS alone, and the other is for any RSA signature",
    NEW_KEY_HINT,
)
_RSA_PSS = bytes.fromhex("06092a864886f70d01010a")
_CURVE_NAMES = {
    ec.SECP256R1: bytes.fromhex("06082a8648ce3d030107"),
    ec.SECP384R1: bytes.fromhex("06052b81040022"),
    ec.SECP521R1: bytes.fromhex("06052b81040023"),
}
"""The object identifiers of curves as a key has them."""

_HINTS = {
    Kind.UTF16: "save it as UTF-8; in PowerShell: Set-Content -Encoding ascii",
    Kind.DER_KEY: "convert it: openssl pkey -inform der -in KEY -out key.pem",
    Kind.DER_CERTIFICATE: _SWAPPED,
    Kind.PKCS12: 'write private_key = { pkcs12 = "PATH", passphrase = { env = "NAME" } }',
    Kind.JKS: "extract the key through PKCS#12: keytool -importkeystore -deststoretype pkcs12",
    Kind.BASE64_PEM: "decode it once before you store it: base64 -d",
    Kind.LFS: "remove the private key from Git LFS and keep it as a secret of the pipeline",
    Kind.VAULT: "decrypt it into an environment variable, in the step that runs mtlsctl",
}
_OTHER_BLOCKS = {
    "CERTIFICATE": (Code.KEY_IS_CERTIFICATE, "a certificate", _SWAPPED),
    "CERTIFICATE REQUEST": (Code.KEY_IS_REQUEST, "a certificate signing request (CSR)", _BEGINS),
    "PUBLIC KEY": (Code.KEY_IS_PUBLIC, "a public key", "set `private_key` to the private key"),
}
_SAME_AS = {
    "X509 CERTIFICATE": "CERTIFICATE",
    "TRUSTED CERTIFICATE": "CERTIFICATE",
    "NEW CERTIFICATE REQUEST": "CERTIFICATE REQUEST",
    "RSA PUBLIC KEY": "PUBLIC KEY",
    "EC PUBLIC KEY": "PUBLIC KEY",
}


def _find_key(data: bytes) -> Block | _Refusal:
    """The private key block of a text, if there is exactly one and it is complete and not encrypted."""
    if len(data) > MAX_KEY_BYTES:
        message = f"the private key has {len(data):,} bytes, but the limit is {MAX_KEY_BYTES:,}"
        return _Refusal(Code.KEY_TOO_LARGE, message, "keep only one key in it")
    text = decode_text(data)
    kind = text if isinstance(text, Kind) else recognise(data, text)
    if kind is not None or isinstance(text, Kind):
        return _not_pem(kind or Kind.UTF16)
    blocks = find_blocks(text)
    keys = [block for block in blocks if block.is_private_key]
    if not keys:
        return _no_key_block(text, blocks)
    if len(keys) > 1:
        return _Refusal(Code.KEY_SEVERAL, f"expected one private key, found {len(keys)}", "keep only the leaf's key")
    return _check_block(keys[0])


def _check_block(key: Block) -> Block | _Refusal:
    if key.fault is not None:
        message = f"the private key is truncated: its {key.fault.value.upper()} line is missing"
        return _Refusal(Code.KEY_TRUNCATED, message, _COPY_AGAIN)
    if key.label == "OPENSSH PRIVATE KEY":
        message = "the private key is in OpenSSH format, which TLS does not use"
        return _Refusal(Code.KEY_NOT_PEM, message, _NEW_PEM_KEY)
    if key.label == "ENCRYPTED PRIVATE KEY" or "ENCRYPTED" in key.body[:200]:  # Proc-Type: 4,ENCRYPTED (RFC 1421)
        return _ENCRYPTED
    return key if decode(key.body) else _GARBLED


def _not_pem(kind: Kind) -> _Refusal:
    if kind is Kind.EMPTY:
        return _Refusal(Code.KEY_EMPTY, "the private key is empty", "write the key there as PEM")
    if kind is Kind.DER_ENCRYPTED_KEY:
        return _ENCRYPTED
    return _Refusal(Code.KEY_NOT_PEM, f"expected a private key in PEM, found {kind.value}", _HINTS.get(kind, _BEGINS))


def _no_key_block(text: str, blocks: tuple[Block, ...]) -> _Refusal:
    if near_marker(text) is not None or not blocks:
        message = "the BEGIN or END line of the private key is malformed"
        return _Refusal(Code.KEY_GARBLED, message, _DASHES)
    fallback = (Code.KEY_NOT_PEM, "a PEM block of another type", _BEGINS)
    label = _SAME_AS.get(blocks[0].label, blocks[0].label)
    code, what, hint = _OTHER_BLOCKS.get(label, fallback)
    return _Refusal(code, f"expected a private key in PEM, found {what}", hint)


def _strict(block: Block) -> bytes:
    return encode(block.label, decode(block.body) or b"").encode("ascii")


def _load(block: Block) -> PrivateKeyTypes | _Refusal:
    # The library's error about a key that it can't read is dropped on purpose: it may quote the key.
    try:
        return load_pem_private_key(_strict(block), None, unsafe_skip_rsa_key_validation=True)
    except UnsupportedAlgorithm:
        return _UNKNOWN_KIND
    except (ValueError, TypeError, InternalError):
        return _NO_KEY


def _compare(bundle: Bundle, key: PrivateKeyTypes) -> _Refusal | None:
    if why := refused_key(key):
        return _Refusal(Code.KEY_TYPE_REFUSED, f"the private key has type {key_kind(key)}: {why}", NEW_KEY_HINT)
    try:
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        owners = [index for index in range(len(bundle.ders)) if _public_der(bundle, index) == public]
        if 0 not in owners:
            return _other_owner(bundle, owners)
        return None if _signs_for(bundle, key) else _DAMAGED_PAIR
    except (ValueError, TypeError, InternalError, UnsupportedAlgorithm):
        return _DAMAGED_PAIR


def _check_encoding(bundle: Bundle, block: Block | _Refusal, key: PrivateKeyTypes) -> _Refusal | None:
    """What is wrong with how the key is written, which the library does not tell once it has read it."""
    der = b"" if isinstance(block, _Refusal) else decode(block.body) or b""
    match key:
        case ec.EllipticCurvePrivateKey():
            named = _CURVE_NAMES.get(type(key.curve))
            return _WRITTEN_OUT if named is not None and named not in der else None
        case rsa.RSAPrivateKey():
            is_pss = bundle.leaf.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS
            return _OTHER_RSA if is_pss != (_RSA_PSS in der) else None
        case _:
            return None


def _public_der(bundle: Bundle, index: int) -> bytes | None:
    public = public_key_of(bundle.certificates[index])
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) if public else None


def _other_owner(bundle: Bundle, owners: list[int]) -> _Refusal:
    leaf = subject_text(bundle.leaf)
    if not owners:
        message = f"the private key does not match the certificate ({leaf})"
        hint = (
            "use the key that the certificate was requested with; a renewal replaces both. A certificate that is"
            " uploaded already needs no key, as after a revert: then leave the key out"
        )
        return _Refusal(Code.KEY_MISMATCH, message, hint)
    owner = f"certificate {owners[0] + 1} of {len(bundle.ders)} ({subject_text(bundle.certificates[owners[0]])})"
    message = f"the private key matches {owner}, not the first one ({leaf})"
    return _Refusal(Code.KEY_OF_OTHER_CERTIFICATE, message, "put the leaf first: the certificate that matches the key")


def _signs_for(bundle: Bundle, key: PrivateKeyTypes) -> bool:
    public, text = public_key_of(bundle.leaf), b"mtlsctl pair check"
    try:
        match key, public:
            case rsa.RSAPrivateKey(), rsa.RSAPublicKey():
                signature = key.sign(text, padding.PKCS1v15(), hashes.SHA256())
                public.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
            case ec.EllipticCurvePrivateKey(), ec.EllipticCurvePublicKey():
                public.verify(key.sign(text, ec.ECDSA(hashes.SHA256())), text, ec.ECDSA(hashes.SHA256()))
            case ed25519.Ed25519PrivateKey(), ed25519.Ed25519PublicKey():
                public.verify(key.sign(text), text)
            case _:
                return False
    except InvalidSignature:
        return False
    return True
