"""X.509 certificates as values.

Handles the bytes of certificates and the text forms that people and stores use. It must not judge them, do I/O, read
the clock, or import the model: the model is built from these values.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import field
from datetime import UTC, datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from cryptography.x509.oid import SignatureAlgorithmOID as Signature

from reconciler.findings.values import dataclass
from reconciler.x509.pem import decode, encode, find_blocks

MALFORMED = (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What the library raises on first access to a malformed name or extension of a loaded certificate."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """The facts that a person compares, all as text, so that two certificates can be shown side by side.

    `serial_number` is decimal, as Cloudflare shows it; `serial` is the same as CAs and openssl show it.
    """

    subject: str
    subject_alternative_names: tuple[str, ...]
    issuer: str
    serial_number: str
    serial: str
    not_before: str
    not_after: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class StoredFields:
    """What a store derives from a leaf and returns with it, in the format of Cloudflare's API.

    `serial_number` is decimal; `signature` is a constant of Go's crypto/x509; `expires_on` is aware UTC.
    """

    issuer: str
    serial_number: str
    signature: str
    expires_on: datetime


@dataclass(frozen=True, slots=True)
class Bundle:
    """One or more certificates in the order given, leaf first. Bundles are equal if their DERs are.

    ValueError if `ders` is empty or contains something that is not a certificate. `digest` is the content digest,
    `fingerprint` the leaf's SHA-256, both 64 hex digits. `lines` has the line where each certificate begins in its
    file, counted from 1; empty if there was no file.
    """

    ders: tuple[bytes, ...] = field(repr=False)
    lines: tuple[int, ...] = field(default=(), compare=False, repr=False)
    digest: str = field(init=False, compare=False)
    fingerprint: str = field(init=False, compare=False)
    certificates: tuple[x509.Certificate, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.ders:
            raise ValueError("a bundle needs at least one certificate")
        set_field = object.__setattr__
        set_field(self, "certificates", _load(self.ders))
        fingerprint = hashlib.sha256(self.ders[0]).hexdigest()
        is_single = len(self.ders) == 1
        digest = fingerprint if is_single else hashlib.sha256(b"".join(sorted(set(self.ders)))).hexdigest()
        set_field(self, "digest", digest)
        set_field(self, "fingerprint", fingerprint)

    @property
    def leaf(self) -> x509.Certificate:
        """The first certificate, which the key belongs to."""
        return self.certificates[0]

    @property
    def not_before(self) -> datetime:
        """Start of the leaf's validity, aware UTC."""
        return self.leaf.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """End of the leaf's validity, aware UTC, inclusive (RFC 5280 section 4.1.2.5)."""
        return self.leaf.not_valid_after_utc

    def pem(self) -> str:
        """The certificates alone as canonical PEM text, in the same order."""
        return "".join(encode("CERTIFICATE", der) for der in self.ders)

    def facts(self) -> CertificateFacts:
        """The facts of the leaf. Computed at each call, so call it only where a person reads the result."""
        leaf = self.leaf
        return CertificateFacts(
            subject=subject_text(leaf),
            subject_alternative_names=_alternative_names(leaf),
            issuer=issuer_text(leaf),
            serial_number=str(serial_of(leaf)),
            serial=serial_text(leaf),
            not_before=rfc3339(leaf.not_valid_before_utc),
            not_after=rfc3339(leaf.not_valid_after_utc),
            key=_key_text(leaf),
            fingerprint=self.fingerprint,
        )


_KNOWN: dict[str, Bundle] = {}
MOST_KNOWN = 65_536
"""How many certificates are kept parsed: those of a fleet of 60 full accounts. Each is judged by every stack of its
account, so with fewer they would be parsed again each time."""


def remember(bundle: Bundle, data: bytes) -> None:
    """Make `parse_stored` return this bundle for its own text: most certificates in files are also uploaded.

    `data` is the file. Most are written as a store returns them, so that the text need not be made again.
    """
    if len(_KNOWN) < MOST_KNOWN:
        is_bare = data.startswith(b"-----BEGIN CERTIFICATE-----\n") and data.isascii()
        _KNOWN[(data.decode() if is_bare else bundle.pem()).strip()] = bundle


def parse_stored(pem: str) -> Bundle | None:
    """The certificates in a text that a store returned; None if there are none or one of them can't be read.

    Each text is parsed once: the result depends on the text alone, and a store's whole list is read many times.
    """
    return _KNOWN.get(pem.strip()) or _parse_stored(pem)  # stores return the text without its last newline


@lru_cache(maxsize=MOST_KNOWN)
def _parse_stored(pem: str) -> Bundle | None:
    ders = [decode(block.body) for block in find_blocks(pem) if block.is_certificate]
    read = tuple(der for der in ders if der)
    if not read or len(read) != len(ders):
        return None
    try:
        return Bundle(read)
    except ValueError:
        return None


def stored_fields(bundle: Bundle) -> StoredFields:
    """The fields that Cloudflare returns with this certificate."""
    leaf = bundle.leaf
    return StoredFields(
        issuer=_text_of(lambda: leaf.issuer, {}),
        serial_number=str(serial_of(leaf)),
        signature=_signature_name(leaf),
        expires_on=leaf.not_valid_after_utc,
    )


_IS_QUIET = ContextVar("_IS_QUIET", default=False)


def quiet() -> AbstractContextManager[None]:
    """Context without the library's warnings about odd names and serials; only `preflight` reports those, as findings.

    Nesting is free: code that parses a thousand certificates can enter it once around all of them.
    """
    return _NOTHING if _IS_QUIET.get() else _made_quiet()


_NOTHING = nullcontext()


@contextmanager
def _made_quiet() -> Iterator[None]:
    token = _IS_QUIET.set(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        _IS_QUIET.reset(token)


def serial_text(certificate: x509.Certificate) -> str:
    """The serial number as `openssl x509 -serial` prints it: hexadecimal, in whole bytes."""
    number = serial_of(certificate)
    digits = f"{abs(number):X}"
    return f"{'-' if number < 0 else ''}{digits:0>{len(digits) + len(digits) % 2}}"


def serial_of(certificate: x509.Certificate) -> int:
    """The serial number, which can be zero or negative."""
    with quiet():
        return certificate.serial_number


def subject_text(certificate: x509.Certificate) -> str:
    """The subject in RFC 4514 form, most specific part first; `(empty)`, or `(unreadable)` if it is malformed."""
    return _text_of(lambda: certificate.subject) or "(empty)"


def issuer_text(certificate: x509.Certificate) -> str:
    """The issuer, in the same form as `subject_text`."""
    return _text_of(lambda: certificate.issuer) or "(empty)"


def oid_text(oid: x509.ObjectIdentifier) -> str:
    """The library's name of an object identifier, with its numbers; the numbers alone where it knows no name."""
    name = oid._name  # noqa: SLF001 - not public, but what the library itself prints
    return oid.dotted_string if name == "Unknown OID" else f"{name} ({oid.dotted_string})"


def rfc3339(time: datetime) -> str:
    """An aware time in UTC with whole seconds, `2026-11-23T12:00:00Z`."""
    return time.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def public_key_of(certificate: x509.Certificate) -> CertificatePublicKeyTypes | None:
    """The public key, or None if the library does not support its type or it is malformed."""
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def key_digest(certificate: x509.Certificate) -> str | None:
    """SHA-256 of the public key, equal for two certificates of one private key; None if `public_key_of` is None."""
    key = public_key_of(certificate)
    if key is None:
        return None
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def key_kind(key: object) -> str:
    """The type of a public or private key: `EC P-256`, `RSA 2048`, `Ed25519`."""
    match key:
        case rsa.RSAPublicKey() | rsa.RSAPrivateKey():
            return f"RSA {key.key_size}"
        case dsa.DSAPublicKey() | dsa.DSAPrivateKey():
            return f"DSA {key.key_size}"
        case ec.EllipticCurvePublicKey() | ec.EllipticCurvePrivateKey():
            return f"EC {_CURVES.get(key.curve.name, key.curve.name)}"
        case ed25519.Ed25519PublicKey() | ed25519.Ed25519PrivateKey():
            return "Ed25519"
        case ed448.Ed448PublicKey() | ed448.Ed448PrivateKey():
            return "Ed448"
        case _:
            return type(key).__name__.removesuffix("Key").removesuffix("Public").removesuffix("Private")


_UNREADABLE = "(unreadable)"
_MAIL: Mapping[x509.ObjectIdentifier, str] = {NameOID.EMAIL_ADDRESS: "emailAddress"}
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


def _load(ders: Iterable[bytes]) -> tuple[x509.Certificate, ...]:
    # The library warns about a serial number that is not positive as soon as it loads the certificate.
    with quiet():
        try:
            return tuple(x509.load_der_x509_certificate(der) for der in ders)
        except x509.InvalidVersion as error:  # not a ValueError in this library
            raise ValueError("not an X.509 certificate of version 1, 2 or 3") from error


def _text_of(read: Callable[[], x509.Name], short_names: Mapping[x509.ObjectIdentifier, str] = _MAIL) -> str:
    # Names are parsed on first access; parsing them earlier would double the time for a store's whole list.
    try:
        with quiet():
            return read().rfc4514_string(short_names)
    except MALFORMED:
        return _UNREADABLE


def _key_text(certificate: x509.Certificate) -> str:
    key, digest = public_key_of(certificate), key_digest(certificate)
    if key is None or digest is None:
        return f"unknown ({certificate.public_key_algorithm_oid.dotted_string})"
    return f"{key_kind(key)}, SPKI {digest[:16]}"


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    except MALFORMED:
        return (_UNREADABLE,)
    return tuple(map(general_name_text, names))


def general_name_text(name: x509.GeneralName) -> str:
    """`DNS:billing.example`: an alternative name with its kind; of an otherName, its type alone."""
    match name:
        case x509.DNSName():
            return f"DNS:{name.value}"
        case x509.UniformResourceIdentifier():
            return f"URI:{name.value}"
        case x509.IPAddress():
            return f"IP:{name.value}"
        case x509.RFC822Name():
            return f"email:{name.value}"
        case x509.DirectoryName():
            return f"DirName:{name.value.rfc4514_string(_MAIL)}"
        case x509.RegisteredID():
            return f"RID:{name.value.dotted_string}"
        case x509.OtherName():
            return f"otherName:{name.type_id.dotted_string}"
        case _:
            return type(name).__name__


def _signature_name(certificate: x509.Certificate) -> str:
    oid = certificate.signature_algorithm_oid
    if oid == Signature.RSASSA_PSS:
        try:
            hash_name = certificate.signature_hash_algorithm
        except UnsupportedAlgorithm:
            hash_name = None
        return f"{hash_name.name.upper()}WithRSAPSS" if hash_name else _UNKNOWN_SIGNATURE
    return _SIGNATURES.get(oid, _UNKNOWN_SIGNATURE)


_UNKNOWN_SIGNATURE = "Unknown Signature"  # the same text as cloudflare/cfssl: helpers/helpers.go, SignatureString

_SIGNATURES = {
    Signature.RSA_WITH_MD5: "MD5WithRSA",
    Signature.RSA_WITH_SHA1: "SHA1WithRSA",
    Signature.RSA_WITH_SHA256: "SHA256WithRSA",
    Signature.RSA_WITH_SHA384: "SHA384WithRSA",
    Signature.RSA_WITH_SHA512: "SHA512WithRSA",
    Signature.DSA_WITH_SHA1: "DSAWithSHA1",
    Signature.DSA_WITH_SHA256: "DSAWithSHA256",
    Signature.ECDSA_WITH_SHA1: "ECDSAWithSHA1",
    Signature.ECDSA_WITH_SHA256: "ECDSAWithSHA256",
    Signature.ECDSA_WITH_SHA384: "ECDSAWithSHA384",
    Signature.ECDSA_WITH_SHA512: "ECDSAWithSHA512",
    Signature.ED25519: "PureEd25519",
}
