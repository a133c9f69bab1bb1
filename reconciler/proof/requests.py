"""An origin's request for a client certificate: the CertificateRequest of TLS 1.2 and 1.3, read from its bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryptography import x509

from reconciler.findings.values import dataclass
from reconciler.x509.certificates import MALFORMED, Bundle, quiet

TLS_1_3 = 0x0304

_HEADER = 4
_SIGNATURE_ALGORITHMS = 0x000D
_CERTIFICATE_AUTHORITIES = 0x002F
_MAX_NAMES = 1000
_MAX_NAME_TEXT = 200


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """The request. `authorities` are the names, in DER, of CAs that the origin says it trusts; it may name none and
    trust others. `algorithms` are the signatures that it accepts, by their numbers in TLS."""

    authorities: tuple[bytes, ...] = ()
    algorithms: tuple[int, ...] = ()


def read_request(message: bytes, version: int) -> CertificateRequest:
    """The request in a complete handshake message; unreadable parts are left out."""
    body = message[_HEADER:]
    if version >= TLS_1_3:
        extensions = dict(_extensions(body))
        algorithms = _vector(extensions.get(_SIGNATURE_ALGORITHMS, b""), 2)[0]
        names = _vector(extensions.get(_CERTIFICATE_AUTHORITIES, b""), 2)[0]
    else:
        _, rest = _vector(body, 1)  # the types of certificates; the signature algorithms are more precise
        algorithms, rest = _vector(rest, 2)
        names, _ = _vector(rest, 2)
    return CertificateRequest(tuple(_vectors(names)), tuple(_numbers(algorithms)))


def names_issuer(request: CertificateRequest, bundle: Bundle) -> bool:
    """True if an issuer of the chain is among the names. Origins name roots, so every certificate's issuer counts."""
    with quiet():
        named = {name for der in request.authorities if (name := _read_name(der)) is not None}
        return any(_issuer(certificate) in named for certificate in bundle.certificates)


def authority_texts(request: CertificateRequest) -> tuple[str, ...]:
    """The names in the format of RFC 4514, long ones cut."""
    with quiet():
        return tuple(_name_text(der)[:_MAX_NAME_TEXT] for der in request.authorities)


def algorithm_names(numbers: Iterable[int]) -> tuple[str, ...]:
    """Signature algorithms by their names in TLS (RFC 8446 section 4.2.3), unknown ones by number."""
    return tuple(_ALGORITHMS.get(number, f"0x{number:04x}") for number in numbers)


def read_certificates(message: bytes, version: int) -> tuple[bytes, ...]:
    """The DERs in a Certificate message, leaf first; empty if the message can't be read."""
    body = message[_HEADER:]
    if version >= TLS_1_3:
        _, body = _vector(body, 1)  # the request's context
    rest, _ = _vector(body, 3)
    found: list[bytes] = []
    while rest:
        der, rest = _vector(rest, 3)
        if version >= TLS_1_3:
            _, rest = _vector(rest, 2)  # extensions of this certificate
        if not der:
            break
        found.append(der)
    return tuple(found)


def _issuer(certificate: x509.Certificate) -> x509.Name | None:
    try:
        return certificate.issuer
    except MALFORMED:
        return None


def _vector(data: bytes, width: int) -> tuple[bytes, bytes]:
    """The content after a length of `width` bytes, and the rest; both empty if the length is wrong."""
    end = width + int.from_bytes(data[:width], "big")
    return (data[width:end], data[end:]) if len(data) >= end and len(data) >= width else (b"", b"")


def _vectors(data: bytes) -> Iterator[bytes]:
    for _ in range(_MAX_NAMES):
        one, data = _vector(data, 2)
        if not one:
            return
        yield one


def _numbers(data: bytes) -> Iterator[int]:
    for start in range(0, len(data) - 1, 2):
        yield int.from_bytes(data[start : start + 2], "big")


def _extensions(body: bytes) -> Iterator[tuple[int, bytes]]:
    _, rest = _vector(body, 1)  # the context, empty in a handshake
    rest, _ = _vector(rest, 2)
    while len(rest) >= _HEADER:
        number = int.from_bytes(rest[:2], "big")
        data, rest = _vector(rest[2:], 2)
        yield number, data


def _name_text(der: bytes) -> str:
    name = _read_name(der)
    return f"(unreadable, {len(der)} bytes)" if name is None else name.rfc4514_string() or "(empty)"


def _read_name(der: bytes) -> x509.Name | None:
    """A single name. The library reads names only as part of something else, so it is put into a signing request
    without any other content, whose signature is not checked."""
    key = b"\x30\x05\x06\x03\x2b\x65\x70"  # Ed25519
    public = _der(0x30, key + _der(0x03, bytes(33)))
    inner = _der(0x30, b"\x02\x01\x00" + der + public + b"\xa0\x00")
    try:
        return x509.load_der_x509_csr(_der(0x30, inner + key + _der(0x03, bytes(1)))).subject
    except (*MALFORMED, x509.InvalidVersion):
        return None


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


_ALGORITHMS = {
    0x0201: "rsa_pkcs1_sha1",
    0x0203: "ecdsa_sha1",
    0x0401: "rsa_pkcs1_sha256",
    0x0403: "ecdsa_secp256r1_sha256",
    0x0501: "rsa_pkcs1_sha384",
    0x0503: "ecdsa_secp384r1_sha384",
    0x0601: "rsa_pkcs1_sha512",
    0x0603: "ecdsa_secp521r1_sha512",
    0x0804: "rsa_pss_rsae_sha256",
    0x0805: "rsa_pss_rsae_sha384",
    0x0806: "rsa_pss_rsae_sha512",
    0x0807: "ed25519",
    0x0808: "ed448",
    0x0809: "rsa_pss_pss_sha256",
    0x080A: "rsa_pss_pss_sha384",
    0x080B: "rsa_pss_pss_sha512",
}
