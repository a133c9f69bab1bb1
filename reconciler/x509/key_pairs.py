"""Whether a private key is one, is fit, and belongs to the certificate it is declared with.

Looks at a key that is handed in and forgets it. No message, hint or exception from here may hold a part of the key,
nor the text of a library's exception, which may quote its input. It must not ask whether the certificate is fit.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.errors import CertificateError
from reconciler.x509.certificates import Bundle, key_kind, public_key_of, subject_text
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
    """Everything that speaks against uploading this key with this certificate; empty where the pair is proved.

    PKCS#8, PKCS#1 and SEC1 in PEM; byte-order mark, CRLF, EC PARAMETERS and certificates beside the key are taken. The
    proof is a signature made with the key and verified with the certificate: the library's own validation of an RSA
    key costs 40 ms and proves less. `where` is what the findings point to; this room gives no lines of a key away.
    """
    block = _find_key(key_pem)
    key = _load(block) if isinstance(block, Block) else block
    found = key if isinstance(key, _Refusal) else _compare(bundle, key)
    return (found.as_diagnostic(where),) if found else ()


def only_key(key_pem: bytes) -> bytes:
    """The key's block alone, in strict PEM with LF: what a store is sent, for it refuses anything beside the key.

    CertificateError where `check_pair` would say that there is no such block.
    """
    block = _find_key(key_pem)
    if isinstance(block, _Refusal):
        raise CertificateError([block.as_diagnostic(None)])
    return _strict(block)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a key can't be used. Made of fixed words, sizes, kinds and names of certificates only."""

    code: Code
    message: str
    hint: str

    def as_diagnostic(self, where: _Where) -> Diagnostic:
        return Diagnostic(Severity.ERROR, self.code, self.message, where, self.hint)


_BEGINS = "a key is PEM text: it begins with -----BEGIN PRIVATE KEY----- (or with RSA or EC in that line)"
_SWAPPED = "are `certificate` and `private_key` swapped?"
_COPY_AGAIN = "take the whole key again from where it was made"
_MAKE_ANEW = "make the key again as PKCS#8 PEM: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"

_ENCRYPTED = _Refusal(
    Code.KEY_ENCRYPTED,
    "the private key is encrypted, and the store needs it in clear",
    "decrypt it where secrets are kept, not in the tree (openssl pkey -in KEY), "
    'and read it from there: private_key = { env = "NAME" }',
)
_GARBLED = _Refusal(Code.KEY_GARBLED, "the private key is damaged: its base64 does not decode", _COPY_AGAIN)
_NO_KEY = _Refusal(Code.KEY_GARBLED, "the base64 is whole, but what it holds is no usable private key", _COPY_AGAIN)
_UNKNOWN_KIND = _Refusal(Code.KEY_TYPE_REFUSED, "the private key is of an unknown kind", NEW_KEY_HINT)
_HALF_WRONG = _Refusal(
    Code.KEY_GARBLED,
    "the private key has the public half of the certificate, but can't sign for it: its private half is damaged",
    _COPY_AGAIN,
)

_HINTS = {
    Kind.UTF16: "save it as UTF-8; in PowerShell: Set-Content -Encoding ascii",
    Kind.DER_KEY: "convert it: openssl pkey -inform der -in KEY -out key.pem",
    Kind.DER_CERTIFICATE: _SWAPPED,
    Kind.PKCS12: "take the key out: openssl pkcs12 -nocerts -noenc -in STORE, and keep it as a secret",
    Kind.JKS: "take the key out by way of PKCS#12: keytool -importkeystore -deststoretype pkcs12",
    Kind.BASE64_PEM: "decode it once before it is put there: base64 -d",
    Kind.LFS: "a private key does not belong into Git LFS: keep it as a secret of the pipeline",
    Kind.VAULT: "decrypt it in the step that runs mtlsctl, into an environment variable",
}
_OTHER_BLOCKS = {
    "CERTIFICATE": (Code.KEY_IS_CERTIFICATE, "a certificate, not a private key", _SWAPPED),
    "CERTIFICATE REQUEST": (Code.KEY_IS_REQUEST, "a certificate signing request (CSR), not a private key", _BEGINS),
    "PUBLIC KEY": (Code.KEY_IS_PUBLIC, "a public key, not the private one", "name the file of the private half"),
}
_SAME_AS = {
    "X509 CERTIFICATE": "CERTIFICATE",
    "TRUSTED CERTIFICATE": "CERTIFICATE",
    "NEW CERTIFICATE REQUEST": "CERTIFICATE REQUEST",
    "RSA PUBLIC KEY": "PUBLIC KEY",
    "EC PUBLIC KEY": "PUBLIC KEY",
}


def _find_key(data: bytes) -> Block | _Refusal:
    """The one whole, unencrypted private key block of a text."""
    if len(data) > MAX_KEY_BYTES:
        message = f"the private key has {len(data):,} bytes, one may have {MAX_KEY_BYTES:,}"
        return _Refusal(Code.KEY_TOO_LARGE, message, "keep one key in it and nothing else")
    text = decode_text(data)
    kind = text if isinstance(text, Kind) else recognise(data, text)
    if kind is not None or isinstance(text, Kind):
        return _not_pem(kind or Kind.UTF16)
    blocks = find_blocks(text)
    keys = [block for block in blocks if block.is_private_key]
    if not keys:
        return _no_key_block(text, blocks)
    if len(keys) > 1:
        return _Refusal(
            Code.KEY_SEVERAL, f"{len(keys)} private keys are here, one is needed", "keep the leaf's key alone"
        )
    return _whole(keys[0])


def _whole(key: Block) -> Block | _Refusal:
    if key.fault is not None:
        message = f"the private key is cut off: its {key.fault.value.upper()} line is missing"
        return _Refusal(Code.KEY_TRUNCATED, message, _COPY_AGAIN)
    if key.label == "OPENSSH PRIVATE KEY":
        return _Refusal(
            Code.KEY_NOT_PEM, "the private key is in OpenSSH's own format, which TLS does not use", _MAKE_ANEW
        )
    if key.label == "ENCRYPTED PRIVATE KEY" or "ENCRYPTED" in key.body[:200]:  # Proc-Type: 4,ENCRYPTED (RFC 1421)
        return _ENCRYPTED
    return key if decode(key.body) else _GARBLED


def _not_pem(kind: Kind) -> _Refusal:
    if kind is Kind.EMPTY:
        return _Refusal(Code.KEY_EMPTY, "the private key is empty", "put the PEM text of the key there")
    if kind is Kind.DER_ENCRYPTED_KEY:
        return _ENCRYPTED
    what = kind.value if ", not " in kind.value else f"{kind.value}, not a private key in PEM"
    return _Refusal(Code.KEY_NOT_PEM, f"what stands for the private key is {what}", _HINTS.get(kind, _BEGINS))


def _no_key_block(text: str, blocks: tuple[Block, ...]) -> _Refusal:
    if near_marker(text) is not None or not blocks:
        message = "the BEGIN or END line of the private key is damaged"
        return _Refusal(Code.KEY_GARBLED, message, f"it needs exactly five dashes on each side; {_BEGINS}")
    fallback = (Code.KEY_NOT_PEM, "a PEM block of another kind, not a private key", _BEGINS)
    label = _SAME_AS.get(blocks[0].label, blocks[0].label)
    code, what, hint = _OTHER_BLOCKS.get(label, fallback)
    return _Refusal(code, f"what stands for the private key is {what}", hint)


def _strict(block: Block) -> bytes:
    return encode(block.label, decode(block.body) or b"").encode("ascii")


def _load(block: Block) -> PrivateKeyTypes | _Refusal:
    # What a library says of a key it can't read is dropped on purpose: it may quote the key.
    try:
        return load_pem_private_key(_strict(block), None, unsafe_skip_rsa_key_validation=True)
    except UnsupportedAlgorithm:
        return _UNKNOWN_KIND
    except (ValueError, TypeError, InternalError):
        return _NO_KEY


def _compare(bundle: Bundle, key: PrivateKeyTypes) -> _Refusal | None:
    if why := refused_key(key):
        return _Refusal(Code.KEY_TYPE_REFUSED, f"the private key is of the kind {key_kind(key)}: {why}", NEW_KEY_HINT)
    try:
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        owners = [index for index in range(len(bundle.ders)) if _public_der(bundle, index) == public]
        if 0 not in owners:
            return _other_owner(bundle, owners)
        return None if _signs_for(bundle, key) else _HALF_WRONG
    except (ValueError, TypeError, InternalError, UnsupportedAlgorithm):
        return _HALF_WRONG


def _public_der(bundle: Bundle, index: int) -> bytes | None:
    public = public_key_of(bundle.certificates[index])
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) if public else None


def _other_owner(bundle: Bundle, owners: list[int]) -> _Refusal:
    leaf = subject_text(bundle.leaf)
    if not owners:
        message = f"the private key does not belong to the certificate ({leaf})"
        hint = "find the key that the certificate was requested with; after a renewal both files change together"
        return _Refusal(Code.KEY_MISMATCH, message, hint)
    owner = f"certificate {owners[0] + 1} of {len(bundle.ders)} ({subject_text(bundle.certificates[owners[0]])})"
    message = f"the private key belongs to {owner}, not to the first one ({leaf})"
    return _Refusal(Code.KEY_OF_OTHER_CERTIFICATE, message, "the leaf, the certificate of the key, must come first")


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
