"""Parses a user's certificate file: a `Bundle`, or every reason why the file is not valid.

The last guard before text is uploaded as a certificate: wrangler sends whatever the file contains, even a private key.
It must never quote the file, and must not judge the certificates: `preflight` does that.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, shorten
from reconciler.findings.errors import CertificateError
from reconciler.findings.escape import shell_word
from reconciler.findings.values import dataclass
from reconciler.x509.certificates import MALFORMED, Bundle, quiet
from reconciler.x509.pem import (
    Block,
    Kind,
    MissingMarker,
    decode,
    decode_text,
    find_blocks,
    invalid_character,
    near_marker,
    position,
    recognise,
    recognise_der,
)

MAX_CERTIFICATE_BYTES = 36_000
"""Maximum size of one block; a leaf with hundreds of names is smaller."""

MAX_CHAIN_BYTES = 95_000
"""Maximum size of a certificate file."""

MAX_CHAIN_LENGTH = 10

_BEGINS = "use a certificate in PEM: its first line is -----BEGIN CERTIFICATE-----"
_MOVE_KEY = (
    "remove the key from this file and keep it only where `private_key` points; "
    "if the file was ever committed or shared, the key is no longer secret: replace it"
)
_COPY_AGAIN = "copy the whole file again from its source"
_SWAPPED = "check whether `certificate` and `private_key` are swapped"


def parse_file(data: bytes, path: str) -> Bundle:
    """The certificates of a file in file order, each with its line.

    Accepts a byte-order mark, CRLF, indentation, text around blocks and the label X509 CERTIFICATE, but no block of any
    other kind. CertificateError has every problem of the file, each with the line of its block.
    """
    text = decode_text(data)
    kind = text if isinstance(text, Kind) else recognise(data, text)
    if kind is not None or isinstance(text, Kind):
        raise CertificateError([_not_pem(kind or Kind.UTF16, path)])
    file = _File(path, text, find_blocks(text))
    problems = [*file.wrong_blocks(), *file.over_limits(len(data)), *file.damaged_lines()]
    if any(problem.code in _TOO_LARGE for problem in problems):
        raise CertificateError(shorten(problems, Place(path)))
    read = [(block, decode(block.body)) for block in file.complete_certificates()]
    lines = tuple(position(text, block.start)[0] for block, _ in read)
    bundle = _bundle([der for _, der in read], lines)
    if bundle is None:
        problems.extend(found for block, der in read if (found := file.unreadable(block, der)) is not None)
    if problems or bundle is None:
        raise CertificateError(shorten(sorted(problems, key=_line_of), Place(path)))
    return bundle


def _bundle(ders: list[bytes | None], lines: tuple[int, ...]) -> Bundle | None:
    """The certificates, or None if one of them can't be read."""
    read = tuple(der for der in ders if der)
    if not read or len(read) != len(ders):
        return None
    try:
        with quiet():
            bundle = Bundle(read, lines)
            for certificate in bundle.certificates:
                _ = certificate.subject, certificate.issuer  # parsed only on access; callers rely on them
    except MALFORMED:
        return None
    return bundle


_TOO_LARGE = (Code.CERTIFICATE_TOO_LARGE, Code.CHAIN_TOO_LARGE, Code.CHAIN_TOO_LONG)


def _line_of(problem: Diagnostic) -> int:
    return (problem.where.line or 0) if isinstance(problem.where, Place) else 0


def _not_pem(kind: Kind, path: str) -> Diagnostic:
    quoted = shell_word(path)
    if kind is Kind.EMPTY:
        hint = "write the certificate to it as PEM: the leaf first, then its intermediates"
        return _problem(Code.CERTIFICATE_EMPTY, "the certificate file is empty", Place(path), hint)
    if kind in (Kind.DER_KEY, Kind.DER_ENCRYPTED_KEY):
        message = f"the file is {kind.value}, not a certificate"
        return _problem(Code.CERTIFICATE_IS_PRIVATE_KEY, message, Place(path), _SWAPPED)
    hint = _HINTS.get(kind, _BEGINS).format(path=quoted)
    what = kind.value if ", not " in kind.value else f"{kind.value}, not a PEM certificate"
    return _problem(Code.CERTIFICATE_NOT_PEM, f"the file is {what}", Place(path), hint)


_HINTS = {
    Kind.UTF16: "save it as UTF-8; in PowerShell: Set-Content -Encoding ascii",
    Kind.DER_CERTIFICATE: "convert it: openssl x509 -inform der -in {path} -out certificate.pem",
    Kind.DER_PKCS7: "convert it: openssl pkcs7 -inform der -print_certs -in {path} -out certificate.pem",
    Kind.PKCS12: "extract the certificates: openssl pkcs12 -nokeys -in {path} -out certificate.pem; for"
    " an old keystore, add -legacy",
    Kind.JKS: "extract the certificate: keytool -exportcert -rfc -keystore {path} -alias NAME",
    Kind.DER_REQUEST: "send it to the CA and use the certificate that the CA returns",
    Kind.DER_PUBLIC_KEY: "get the certificate from the CA; a public key alone is not a certificate",
    Kind.LFS: "fetch the file itself: git lfs pull; in CI, set lfs: true on the checkout step",
    Kind.VAULT: "store the certificate unencrypted: it is public, only the private key is a secret",
    Kind.BASE64_PEM: "decode it once: base64 -d {path}",
    Kind.BARE_BASE64: "add the line -----BEGIN CERTIFICATE----- before it and -----END CERTIFICATE----- after it",
}

_OTHER_BLOCKS = {
    "CERTIFICATE REQUEST": (
        "a certificate signing request (CSR), not a certificate",
        "send it to the CA and use the certificate that the CA returns",
    ),
    "PUBLIC KEY": (
        "a public key, not a certificate",
        "get the certificate from the CA; a public key alone is not a certificate",
    ),
    "PKCS7": (
        "a PKCS#7 bundle, not a PEM certificate",
        "convert it: openssl pkcs7 -print_certs -in {path} -out certificate.pem",
    ),
    "TRUSTED CERTIFICATE": (
        "an OpenSSL trusted certificate, which only OpenSSL reads",
        "convert it: openssl x509 -in {path} -out certificate.pem",
    ),
    "X509 CRL": ("a certificate revocation list, not a certificate", _BEGINS),
}
_SAME_AS = {
    "NEW CERTIFICATE REQUEST": "CERTIFICATE REQUEST",
    "RSA PUBLIC KEY": "PUBLIC KEY",
    "SSH2 PUBLIC KEY": "PUBLIC KEY",
    "CMS": "PKCS7",
    "PKCS #7 SIGNED DATA": "PKCS7",
}


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    text: str
    blocks: tuple[Block, ...]

    def at(self, offset: int) -> Place:
        return Place(self.path, *position(self.text, offset))

    def complete_certificates(self) -> Iterator[Block]:
        return (block for block in self.blocks if block.is_certificate and block.fault is None)

    def wrong_blocks(self) -> Iterator[Diagnostic]:
        """Findings about blocks that are not allowed in the file, and about incomplete certificate blocks."""
        if all(block.is_certificate and block.fault is None for block in self.blocks):
            return
        keys = [block for block in self.blocks if block.is_private_key]
        if keys and any(block.is_certificate for block in self.blocks):
            for block in keys:
                message = "the certificate file contains a private key, but certificate files are public"
                yield _problem(Code.CERTIFICATE_HAS_PRIVATE_KEY, message, self.at(block.start), _MOVE_KEY)
        elif keys:
            message = "the file is a private key, not a certificate"
            yield _problem(Code.CERTIFICATE_IS_PRIVATE_KEY, message, self.at(keys[0].start), _SWAPPED)
        begun = sum(one.is_certificate and one.fault is not MissingMarker.NO_BEGIN for one in self.blocks)
        complete = sum(1 for _ in self.complete_certificates())
        counted = f"of the certificates in this file, {begun} have a BEGIN line and {complete} are complete"
        for block in self.blocks:
            if block.is_certificate and block.fault is not None:
                yield self._incomplete(block, counted)
            elif not block.is_certificate and not block.is_private_key and not (keys and _is_key_part(block)):
                yield self._other(block)

    def over_limits(self, size: int) -> Iterator[Diagnostic]:
        """Findings about sizes and counts over the limits; a file that has one is not parsed."""
        count = sum(block.is_certificate for block in self.blocks)
        hint = "keep only the leaf and the intermediates that lead to its root"
        if size > MAX_CHAIN_BYTES:
            message = f"the file has {size:,} bytes, but the limit is {MAX_CHAIN_BYTES:,}"
            yield _problem(Code.CHAIN_TOO_LARGE, message, Place(self.path), hint)
        if count > MAX_CHAIN_LENGTH:
            message = f"the file has {count} certificates, but the limit is {MAX_CHAIN_LENGTH}"
            yield _problem(Code.CHAIN_TOO_LONG, message, Place(self.path), hint)
        for block in self.complete_certificates():
            if len(block.body) > MAX_CERTIFICATE_BYTES:
                message = f"this certificate has {len(block.body):,} bytes, but the limit is {MAX_CERTIFICATE_BYTES:,}"
                yield _problem(Code.CERTIFICATE_TOO_LARGE, message, self.at(block.start), hint)

    def damaged_lines(self) -> Iterator[Diagnostic]:
        """Findings about lines that were damaged after the CA issued the certificate."""
        conflict = ("\n" + self.text).find("\n<<<<<<< ")
        if conflict >= 0:
            message = "the file contains git merge conflict markers"
            hint = "resolve the conflict: keep one complete certificate"
            yield _problem(Code.CERTIFICATE_GARBLED, message, self.at(conflict), hint)
        near = near_marker(self.text)
        if near is not None:
            message = "this BEGIN or END line is malformed"
            hint = "write exactly five dashes on each side, as in -----BEGIN CERTIFICATE-----"
            yield _problem(Code.CERTIFICATE_GARBLED, message, self.at(near), hint)

    def unreadable(self, block: Block, der: bytes | None) -> Diagnostic | None:
        """Why a block with a BEGIN and an END line is not a certificate; None if it is one."""
        where = self.at(block.start)
        if der is None or not der:
            return self._not_base64(block, where)
        return _no_certificate(der, where) if _bundle([der], ()) is None else None

    def _not_base64(self, block: Block, where: Place) -> Diagnostic:
        invalid = invalid_character(block.body)
        if "\\n" in block.body:
            message = "the certificate has the two characters \\n in place of line breaks"
            hint = f"convert it: printf '%b' \"$(cat {shell_word(self.path)})\" > certificate.pem"
            return _problem(Code.CERTIFICATE_GARBLED, message, where, hint)
        if invalid is not None:
            message = "the certificate is damaged: this character is not valid in base64"
            return _problem(Code.CERTIFICATE_GARBLED, message, self.at(block.body_start + invalid), _COPY_AGAIN)
        if not block.body.strip():
            message = "this certificate is empty: there is nothing between its BEGIN and END lines"
        else:
            message = "the certificate is damaged: a part of its base64 is missing"
        return _problem(Code.CERTIFICATE_GARBLED, message, where, _COPY_AGAIN)

    def _incomplete(self, block: Block, counted: str) -> Diagnostic:
        lacks = "BEGIN" if block.fault is MissingMarker.NO_BEGIN else "END"
        message = f"this certificate has no {lacks} line; {counted}"
        return _problem(Code.CERTIFICATE_TRUNCATED, message, self.at(block.start), _COPY_AGAIN)

    def _other(self, block: Block) -> Diagnostic:
        label = _SAME_AS.get(block.label, block.label)
        fallback = ("of a type that does not belong in a certificate file", "keep only CERTIFICATE blocks in the file")
        what, hint = _OTHER_BLOCKS.get(label, fallback)
        hint = hint.format(path=shell_word(self.path))
        return _problem(Code.CERTIFICATE_WRONG_BLOCK, f"this block is {what}", self.at(block.start), hint)


def _is_key_part(block: Block) -> bool:
    # `openssl ecparam -genkey` writes the curve in a separate block before the key, and the key is already reported.
    return block.label == "EC PARAMETERS"


def _no_certificate(der: bytes, where: Place) -> Diagnostic:
    kind = recognise_der(der)
    if kind in (Kind.DER_KEY, Kind.DER_ENCRYPTED_KEY):
        message = "the block labelled CERTIFICATE contains a private key"
        return _problem(Code.CERTIFICATE_HAS_PRIVATE_KEY, message, where, _MOVE_KEY)
    if kind is not None and kind is not Kind.DER_CERTIFICATE:
        what = kind.value.replace(" in binary DER form", "")
        message = f"the block labelled CERTIFICATE contains {what}"
        return _problem(Code.CERTIFICATE_WRONG_BLOCK, message, where, _BEGINS)
    length = _der_length(der)
    if length is not None and length > len(der):
        message = f"the certificate is truncated: it has {len(der)} of {length} bytes"
    else:
        message = "the base64 is valid, but it does not contain a valid X.509 certificate"
    return _problem(Code.CERTIFICATE_GARBLED, message, where, _COPY_AGAIN)


def _der_length(der: bytes) -> int | None:
    # The length of the outer SEQUENCE by its header, header included (X.690 section 8.1.3).
    if len(der) < 2 or der[0] != 0x30:
        return None
    if der[1] < 0x80:
        return 2 + der[1]
    size = der[1] & 0x7F
    return 2 + size + int.from_bytes(der[2 : 2 + size], "big") if 1 <= size <= 4 else None


def _problem(code: Code, message: str, where: Place, hint: str) -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, where, hint)
