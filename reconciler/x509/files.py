"""A user's certificate file: a `Bundle`, or every reason why it is none, said by what the file really is.

The last guard before text leaves for a store under the name of a certificate: wrangler sends whatever the file holds,
a private key too. It must never quote the file, and must not judge the certificates: `preflight` does.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, shorten
from reconciler.findings.errors import CertificateError
from reconciler.x509.certificates import MALFORMED, Bundle, quiet
from reconciler.x509.pem import (
    Block,
    Kind,
    MissingMarker,
    decode,
    decode_text,
    find_blocks,
    near_marker,
    position,
    recognise,
    recognise_der,
    stranger,
)

MAX_CERTIFICATE_BYTES = 36_000
"""One block may be this long; a leaf with hundreds of names stays below."""

MAX_CHAIN_BYTES = 95_000
"""A whole certificate file may be this long; nobody needs to read more of it."""

MAX_CHAIN_LENGTH = 10

_BEGINS = "a certificate file is PEM text: it begins with -----BEGIN CERTIFICATE-----"
_MOVE_KEY = (
    "take the key out of it and keep it only where `private_key` says; "
    "if the file was ever committed or shared, the key is no secret any more"
)
_COPY_AGAIN = "copy the whole file again from where the certificate came from"


def parse_file(data: bytes, path: str) -> Bundle:
    """The certificates of a file in its order, each with its line.

    Byte-order mark, CRLF, indentation, text around blocks and the label X509 CERTIFICATE are taken; a block of any
    other kind is not. CertificateError holds every problem of the file, each with the line of its block.
    """
    text = decode_text(data)
    kind = text if isinstance(text, Kind) else recognise(data, text)
    if kind is not None or isinstance(text, Kind):
        raise CertificateError([_not_pem(kind or Kind.UTF16, path)])
    file = _File(path, text, find_blocks(text))
    problems = [*file.unfit_blocks(), *file.beyond_caps(len(data)), *file.torn_text()]
    if any(problem.code in _TOO_LARGE for problem in problems):
        raise CertificateError(shorten(problems, Place(path)))
    whole = [(block, decode(block.body)) for block in file.whole_certificates()]
    lines = tuple(position(text, block.start)[0] for block, _ in whole)
    bundle = _bundle([der for _, der in whole], lines)
    if bundle is None:
        problems.extend(found for block, der in whole if (found := file.unreadable(block, der)) is not None)
    if problems or bundle is None:
        raise CertificateError(shorten(sorted(problems, key=_line_of), Place(path)))
    return bundle


def _bundle(ders: list[bytes | None], lines: tuple[int, ...]) -> Bundle | None:
    """The certificates, None where one of them can't be read."""
    read = tuple(der for der in ders if der)
    if not read or len(read) != len(ders):
        return None
    try:
        with quiet():
            bundle = Bundle(read, lines)
            for certificate in bundle.certificates:
                _ = certificate.subject, certificate.issuer  # parsed only now; whoever has a bundle may rely on them
    except MALFORMED:
        return None
    return bundle


_TOO_LARGE = (Code.CERTIFICATE_TOO_LARGE, Code.CHAIN_TOO_LARGE, Code.CHAIN_TOO_LONG)


def _line_of(problem: Diagnostic) -> int:
    return (problem.where.line or 0) if isinstance(problem.where, Place) else 0


def _not_pem(kind: Kind, path: str) -> Diagnostic:
    quoted = shlex.quote(path)
    if kind is Kind.EMPTY:
        hint = "put the PEM text of the certificate into it: the leaf first, then its intermediates"
        return _problem(Code.CERTIFICATE_EMPTY, "the certificate file is empty", Place(path), hint)
    if kind in (Kind.DER_KEY, Kind.DER_ENCRYPTED_KEY):
        hint = "are `certificate` and `private_key` swapped?"
        return _problem(
            Code.CERTIFICATE_IS_PRIVATE_KEY, f"the file is {kind.value}, not a certificate", Place(path), hint
        )
    hint = _HINTS.get(kind, _BEGINS).format(path=quoted)
    what = kind.value if ", not " in kind.value else f"{kind.value}, not a PEM certificate"
    return _problem(Code.CERTIFICATE_NOT_PEM, f"the file is {what}", Place(path), hint)


_HINTS = {
    Kind.UTF16: "save it as UTF-8; in PowerShell: Set-Content -Encoding ascii",
    Kind.DER_CERTIFICATE: "convert it: openssl x509 -inform der -in {path} -out certificate.pem",
    Kind.DER_PKCS7: "convert it: openssl pkcs7 -inform der -print_certs -in {path} -out certificate.pem",
    Kind.PKCS12: "take the certificates out: openssl pkcs12 -nokeys -in {path} -out certificate.pem",
    Kind.JKS: "take the certificate out: keytool -exportcert -rfc -keystore {path} -alias NAME",
    Kind.DER_REQUEST: "send it to the CA; the certificate is what comes back",
    Kind.DER_PUBLIC_KEY: "a public key alone is no certificate: ask the CA for the certificate",
    Kind.LFS: "fetch the file itself: git lfs pull, and lfs: true where CI checks out",
    Kind.VAULT: "a certificate is public: keep it in clear, only the private key is a secret",
    Kind.BASE64_PEM: "decode it once: base64 -d {path}",
    Kind.BARE_BASE64: "put the line -----BEGIN CERTIFICATE----- before it and -----END CERTIFICATE----- after it",
}

_OTHER_BLOCKS = {
    "CERTIFICATE REQUEST": (
        "a certificate signing request (CSR), not a certificate",
        "send it to the CA; the certificate is what comes back",
    ),
    "PUBLIC KEY": (
        "a public key, not a certificate",
        "a public key alone is no certificate: ask the CA for the certificate",
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

    def whole_certificates(self) -> Iterator[Block]:
        return (block for block in self.blocks if block.is_certificate and block.fault is None)

    def unfit_blocks(self) -> Iterator[Diagnostic]:
        """What may not stand in the file at all, and blocks of which a part is missing."""
        keys = [block for block in self.blocks if block.is_private_key]
        if keys and any(block.is_certificate for block in self.blocks):
            for block in keys:
                message = "a private key stands in the certificate file, which is public"
                yield _problem(Code.CERTIFICATE_HAS_PRIVATE_KEY, message, self.at(block.start), _MOVE_KEY)
        elif keys:
            message = "the file is a private key, not a certificate"
            hint = "are `certificate` and `private_key` swapped?"
            yield _problem(Code.CERTIFICATE_IS_PRIVATE_KEY, message, self.at(keys[0].start), hint)
        begun = sum(one.is_certificate and one.fault is not MissingMarker.NO_BEGIN for one in self.blocks)
        counted = f"{begun} begin in this file, {sum(1 for _ in self.whole_certificates())} of them whole"
        for block in self.blocks:
            if block.is_certificate and block.fault is not None:
                yield self._torn(block, counted)
            elif not block.is_certificate and not block.is_private_key and not (keys and _is_key_part(block)):
                yield self._other(block)

    def beyond_caps(self, size: int) -> Iterator[Diagnostic]:
        """Sizes and counts that nothing needs; what is beyond is not parsed."""
        count = sum(block.is_certificate for block in self.blocks)
        hint = "keep the leaf and the intermediates that lead to its root, nothing else"
        if size > MAX_CHAIN_BYTES:
            message = f"the file has {size:,} bytes, a chain may have {MAX_CHAIN_BYTES:,}"
            yield _problem(Code.CHAIN_TOO_LARGE, message, Place(self.path), hint)
        if count > MAX_CHAIN_LENGTH:
            message = f"the file has {count} certificates, a chain may have {MAX_CHAIN_LENGTH}"
            yield _problem(Code.CHAIN_TOO_LONG, message, Place(self.path), hint)
        for block in self.whole_certificates():
            if len(block.body) > MAX_CERTIFICATE_BYTES:
                message = f"this certificate has {len(block.body):,} bytes, one may have {MAX_CERTIFICATE_BYTES:,}"
                yield _problem(Code.CERTIFICATE_TOO_LARGE, message, self.at(block.start), hint)

    def torn_text(self) -> Iterator[Diagnostic]:
        """Lines that something went wrong with between the CA and this file."""
        conflict = ("\n" + self.text).find("\n<<<<<<< ")
        if conflict >= 0:
            message = "the file has the marks of a git merge conflict"
            hint = "resolve it: keep one of the two certificates whole"
            yield _problem(Code.CERTIFICATE_GARBLED, message, self.at(conflict), hint)
        near = near_marker(self.text)
        if near is not None:
            message = "this line is not quite a BEGIN or END line"
            hint = "it needs exactly five dashes on each side, as in -----BEGIN CERTIFICATE-----"
            yield _problem(Code.CERTIFICATE_GARBLED, message, self.at(near), hint)

    def unreadable(self, block: Block, der: bytes | None) -> Diagnostic | None:
        """Why a block with both its lines is no certificate, None where it is one."""
        where = self.at(block.start)
        if der is None or not der:
            return self._not_base64(block, where)
        return _no_certificate(der, where) if _bundle([der], ()) is None else None

    def _not_base64(self, block: Block, where: Place) -> Diagnostic:
        odd = stranger(block.body)
        if "\\n" in block.body:
            message = "the lines of the certificate end with the two characters \\n, not with line ends"
            hint = f"write it again: printf '%b' \"$(cat {shlex.quote(self.path)})\" > certificate.pem"
            return _problem(Code.CERTIFICATE_GARBLED, message, where, hint)
        if odd is not None:
            message = "the certificate is damaged: base64 has no such character as the one here"
            return _problem(Code.CERTIFICATE_GARBLED, message, self.at(block.body_start + odd), _COPY_AGAIN)
        if not block.body.strip():
            message = "nothing stands between the BEGIN and the END line of this certificate"
        else:
            message = "the certificate is damaged: its base64 does not come out even, some of it is missing"
        return _problem(Code.CERTIFICATE_GARBLED, message, where, _COPY_AGAIN)

    def _torn(self, block: Block, counted: str) -> Diagnostic:
        lacks = "BEGIN" if block.fault is MissingMarker.NO_BEGIN else "END"
        message = f"this certificate has no {lacks} line: {counted}"
        return _problem(Code.CERTIFICATE_TRUNCATED, message, self.at(block.start), _COPY_AGAIN)

    def _other(self, block: Block) -> Diagnostic:
        label = _SAME_AS.get(block.label, block.label)
        fallback = ("of a kind that does not belong into a certificate file", "leave only CERTIFICATE blocks in it")
        what, hint = _OTHER_BLOCKS.get(label, fallback)
        hint = hint.format(path=shlex.quote(self.path))
        return _problem(Code.CERTIFICATE_WRONG_BLOCK, f"this block is {what}", self.at(block.start), hint)


def _is_key_part(block: Block) -> bool:
    # `openssl ecparam -genkey` writes the curve in a block of its own, before the key that was reported already.
    return block.label == "EC PARAMETERS"


def _no_certificate(der: bytes, where: Place) -> Diagnostic:
    kind = recognise_der(der)
    if kind in (Kind.DER_KEY, Kind.DER_ENCRYPTED_KEY):
        message = "under the label CERTIFICATE stands a private key"
        return _problem(Code.CERTIFICATE_HAS_PRIVATE_KEY, message, where, _MOVE_KEY)
    if kind is not None and kind is not Kind.DER_CERTIFICATE:
        what = kind.value.replace(" in binary DER form", "")
        message = f"under the label CERTIFICATE stands {what}"
        return _problem(Code.CERTIFICATE_WRONG_BLOCK, message, where, _BEGINS)
    length = _der_length(der)
    if length is not None and length > len(der):
        message = f"the certificate is cut off: {len(der)} of its {length} bytes are there"
    else:
        message = "the base64 is whole, but what it holds is no X.509 certificate"
    return _problem(Code.CERTIFICATE_GARBLED, message, where, _COPY_AGAIN)


def _der_length(der: bytes) -> int | None:
    # The size that the outer SEQUENCE says it has, header included (X.690 section 8.1.3).
    if len(der) < 2 or der[0] != 0x30:
        return None
    if der[1] < 0x80:
        return 2 + der[1]
    size = der[1] & 0x7F
    return 2 + size + int.from_bytes(der[2 : 2 + size], "big") if 1 <= size <= 4 else None


def _problem(code: Code, message: str, where: Place, hint: str) -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, where, hint)
