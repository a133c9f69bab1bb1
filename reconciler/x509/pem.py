"""The blocks of a PEM text, and the kind of any other file.

Reads the bytes that it is given and judges nothing: the callers report what is wrong for their purpose. It must never
quote what it reads, because any of it may be a private key.
"""

from __future__ import annotations

import binascii
import json
import re
import warnings
from base64 import b64encode
from collections.abc import Callable
from dataclasses import field
from enum import Enum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from reconciler.findings.values import dataclass

MAX_KEY_BYTES = 13_000
"""Maximum size of a private key file or variable; RSA 16384 in PKCS#8 is about 12,600 bytes of PEM."""

CERTIFICATE_LABELS = ("CERTIFICATE", "X509 CERTIFICATE")
"""RFC 7468 section 5.1 asks parsers to accept the second, older label too."""

# Repetitions that could overlap are bounded, so that no file can make the search slow.
_MARKER = re.compile(r"-----(BEGIN|END) ([A-Za-z0-9 ._#/-]{0,64}?)-----")
# Word processors replace several hyphens by one long dash.
_NEAR_MARKER = re.compile(
    r"^[ \t]{0,64}[-–—]{1,64} ?(?:BEGIN|END) .{0,64}?(?:CERTIFICATE|KEY)[ –—-]{0,64}\r?$", re.MULTILINE
)
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/=\s]")
_ONLY_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{64,}+={0,2}")


class MissingMarker(Enum):
    """The line that a block lacks."""

    NO_BEGIN = "begin"
    NO_END = "end"


@dataclass(frozen=True, slots=True)
class Block:
    """One block. `start` is the offset of its first line in the text. `body` is left out of repr: it may be a key."""

    label: str
    start: int
    body: str = field(default="", repr=False)
    body_start: int = 0
    fault: MissingMarker | None = None

    @property
    def is_certificate(self) -> bool:
        """Whether the label is that of an X.509 certificate."""
        return self.label in CERTIFICATE_LABELS

    @property
    def is_private_key(self) -> bool:
        """Whether the label is that of a private key, in any format, encrypted or not."""
        return self.label.endswith("PRIVATE KEY")


def find_blocks(text: str) -> tuple[Block, ...]:
    """Every block in order, including incomplete ones. Text around blocks is skipped (RFC 7468 section 2)."""
    blocks: list[Block] = []
    opened: re.Match[str] | None = None
    for marker in _MARKER.finditer(text):
        if marker[1] == "BEGIN":
            if opened is not None:
                blocks.append(Block(opened[2], opened.start(), fault=MissingMarker.NO_END))
            opened = marker
        elif opened is None:
            blocks.append(Block(marker[2], marker.start(), fault=MissingMarker.NO_BEGIN))
        else:
            fault = None if marker[2] == opened[2] else MissingMarker.NO_END
            body = text[opened.end() : marker.start()]
            blocks.append(Block(opened[2], opened.start(), body, opened.end(), fault))
            opened = None
    if opened is not None:
        blocks.append(Block(opened[2], opened.start(), fault=MissingMarker.NO_END))
    return tuple(blocks)


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, both counted from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def near_marker(text: str) -> int | None:
    """The offset of the first line that resembles a BEGIN or END line but lacks five dashes on each side, or None."""
    usual = sum(text.count(f"-----{word} CERTIFICATE-----") for word in ("BEGIN", "END"))
    if usual == text.count("BEGIN") + text.count("END"):  # then no other line has these words
        return None
    return next((near.start() for near in _NEAR_MARKER.finditer(text) if not _MARKER.search(near[0])), None)


def invalid_character(body: str) -> int | None:
    """The offset of the first character that is not valid in base64, or None."""
    found = _NOT_BASE64.search(body)
    return found.start() if found else None


def decode(body: str) -> bytes | None:
    """The decoded bytes of a block, or None if it is not valid base64. White space is ignored."""
    try:
        return binascii.a2b_base64("".join(body.split()), strict_mode=True)
    except ValueError:
        return None


def encode(label: str, der: bytes) -> str:
    """One block in the strict form of RFC 7468 section 3: LF, 64 characters per line, a newline at the end."""
    text = b64encode(der).decode("ascii")
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))


class Kind(Enum):
    """What a file is instead of PEM text. Each value completes "the file is ..." and "found ..."."""

    EMPTY = "empty"
    UTF16 = "text in UTF-16, not in UTF-8"
    DER_CERTIFICATE = "a certificate in binary DER form, not PEM"
    DER_KEY = "a private key in binary DER form"
    DER_ENCRYPTED_KEY = "an encrypted private key in binary DER form"
    DER_PUBLIC_KEY = "a public key in binary DER form"
    DER_REQUEST = "a certificate signing request in binary DER form"
    DER_PKCS7 = "a PKCS#7 file in binary DER form (.p7b)"
    PKCS12 = "a PKCS#12 keystore (.p12, .pfx)"
    JKS = "a Java keystore (.jks)"
    JSON = "JSON"
    HTML = "a web page (HTML or XML)"
    SSH_PUBLIC = "an SSH public key"
    PUTTY = "a PuTTY key (.ppk)"
    LFS = "a Git LFS pointer, not the file that it points to"
    VAULT = "data encrypted with a secrets tool (Ansible Vault, SOPS, age or git-crypt)"
    BASE64_PEM = "PEM text with an additional base64 encoding"
    BARE_BASE64 = "base64 without its BEGIN and END lines"
    BINARY = "binary data of an unknown format"
    TEXT = "text without any PEM block"


def decode_text(data: bytes) -> str | Kind:
    """The text of a file without its byte-order mark, or UTF16.

    Bytes that are not UTF-8 are replaced, not refused: they can only be in the text around the blocks.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or _is_utf16(data[:64]):
        return Kind.UTF16
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace")


def recognise(data: bytes, text: str) -> Kind | None:
    """What the file is instead of PEM text; None if it has PEM blocks, even damaged. `text` is from `decode_text`."""
    stripped = text.strip()
    if not stripped:
        return Kind.EMPTY
    if stripped[0] in "{[" and _is_json(stripped):
        return Kind.JSON
    if _MARKER.search(text):
        return None
    known = recognise_der(data) or _recognise_text(stripped)
    if known is None and near_marker(text) is not None:
        return None
    return known or (Kind.BINARY if b"\0" in data else Kind.TEXT)


def recognise_der(data: bytes) -> Kind | None:
    """The kind of a DER structure or Java keystore, or None if it is not recognised."""
    if data.startswith(b"\xfe\xed\xfe\xed"):
        return Kind.JKS
    if not data.startswith(b"\x30"):
        return None
    # PFX ::= SEQUENCE { version INTEGER {v3(3)}, ... } (RFC 7292 section 4); no other kind here begins with 3.
    if re.match(rb"\x30(?:[\x00-\x80]|\x81.|\x82..|\x83...)\x02\x01\x03\x30", data, re.DOTALL):
        return Kind.PKCS12
    if b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07" in data[:20]:  # pkcs-7 content types (RFC 2315 section 14)
        return Kind.DER_PKCS7
    return next((kind for kind, load in _LOADERS if _loads(load, data)), _encrypted_key(data))


def _encrypted_key(data: bytes) -> Kind | None:
    # EncryptedPrivateKeyInfo begins with a PKCS#5 or PKCS#12 algorithm (RFC 5958 section 3).
    encrypted = (b"\x2a\x86\x48\x86\xf7\x0d\x01\x05", b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c")
    return Kind.DER_ENCRYPTED_KEY if any(oid in data[:24] for oid in encrypted) else None


def _load_private(data: bytes) -> object:
    return load_der_private_key(data, None, unsafe_skip_rsa_key_validation=True)


_LOADERS: tuple[tuple[Kind, Callable[[bytes], object]], ...] = (
    (Kind.DER_CERTIFICATE, x509.load_der_x509_certificate),
    (Kind.DER_REQUEST, x509.load_der_x509_csr),
    (Kind.DER_KEY, _load_private),
    (Kind.DER_PUBLIC_KEY, load_der_public_key),
)


def _loads(load: Callable[[bytes], object], data: bytes) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            load(data)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        return False
    return True


def _is_utf16(head: bytes) -> bool:
    # In ASCII text encoded as UTF-16, every second byte is zero; neither PEM text nor DER begins like that.
    return len(head) >= 4 and any(head) and (not any(head[1::2]) or not any(head[::2]))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


_BEGINNINGS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    (Kind.HTML, ("<!doctype", "<html", "<?xml")),
    (Kind.SSH_PUBLIC, ("ssh-rsa ", "ssh-ed25519 ", "ssh-dss ", "ecdsa-sha2-", "sk-", "---- begin ssh2 public key")),
    (Kind.PUTTY, ("putty-user-key-file",)),
    (Kind.LFS, ("version https://git-lfs.github.com/",)),
    (Kind.VAULT, ("$ansible_vault", "age-encryption.org/", "\0gitcrypt", "sops:")),
    (Kind.BASE64_PEM, ("ls0tls1crudjti",)),
)


def _recognise_text(text: str) -> Kind | None:
    start = text[:64].lower()
    for kind, beginnings in _BEGINNINGS:
        if start.startswith(beginnings):
            return kind
    return Kind.BARE_BASE64 if _ONLY_BASE64.fullmatch(text) else None
