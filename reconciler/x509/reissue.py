"""Certificates with the same shape and other names: for a recording that may be public.

A certificate is written again with other names, keys, serial numbers and signatures. Its dates, its version, its type
and size of key, its signature algorithm and which extensions it has stay, and so does who issued whom. The new keys are
thrown away: they only have to make the signatures that the old ones made.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID, NameOID

from reconciler.findings.values import dataclass
from reconciler.x509.certificates import MALFORMED, Bundle, key_digest, public_key_of, serial_of, subject_text
from reconciler.x509.paths import is_proved

MakeRsa = Callable[[int], rsa.RSAPrivateKey]
"""A new RSA key of so many bits; to make one takes randomness, so the caller does it."""

_Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
_Public = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
_KEPT = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.INHIBIT_ANY_POLICY,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.TLS_FEATURE,
        ExtensionOID.OCSP_NO_CHECK,
    }
)
"""Extensions without names."""
_DROPPED = frozenset({ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS, ExtensionOID.SIGNED_CERTIFICATE_TIMESTAMPS})
_NULL = b"\x05\x00"
_LONGEST_REASON = 200
_EXPONENT = 65537


class CannotReissueError(ValueError):
    """A certificate can't be written again; the text says which one, and why."""


@dataclass(slots=True)
class Reissuer:
    """Writes certificates again. `all_of`: all certificates that belong together, each once, as DER. `name`: the
    pseudonym for a text in a name."""

    all_of: Iterable[bytes]
    make_rsa: MakeRsa
    name: Callable[[str], str]
    _certificates: dict[bytes, x509.Certificate] = field(init=False)
    _by_subject: dict[x509.Name, list[x509.Certificate]] = field(init=False)
    _issuers: dict[bytes, x509.Certificate | None] = field(default_factory=dict, init=False)
    _signing: set[str] = field(default_factory=set, init=False)
    _keys: dict[str, _Private | _Public] = field(default_factory=dict, init=False)
    _numbers: dict[str, dict[object, int]] = field(default_factory=lambda: defaultdict(dict), init=False)
    _done: dict[bytes, bytes] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._certificates = {der: x509.load_der_x509_certificate(der) for der in self.all_of}
        self._by_subject = defaultdict(list)
        for certificate in self._certificates.values():
            self._by_subject[_tried(lambda one: one.subject, certificate)].append(certificate)
        for der, certificate in self._certificates.items():
            issuers = self._by_subject.get(_tried(lambda one: one.issuer, certificate), ())
            found = next((one for one in issuers if is_proved(certificate, one)), None)
            self._issuers[der] = found
            if found is not None:
                self._signing.add(key_digest(found) or "")

    def bundle(self, bundle: Bundle) -> Bundle:
        """The certificates of a bundle, written again."""
        return Bundle(tuple(map(self.der, bundle.ders)), bundle.lines)

    def der(self, der: bytes) -> bytes:
        """One certificate, written again; the same each time. CannotReissueError if that is not possible."""
        if der not in self._done:
            certificate = self._certificates[der]
            self._done[der] = _tried(self._write, certificate)
        return self._done[der]

    def serial(self, number: int) -> int:
        """The pseudonym of a serial number. One that is odd stays so."""
        return self._number("serial", number) if number > 0 else number

    def rewritten(self, name: x509.Name) -> x509.Name:
        """A name with the same kinds of parts."""
        return x509.Name(
            x509.RelativeDistinguishedName(
                x509.NameAttribute(one.oid, "XX" if one.oid == NameOID.COUNTRY_NAME else self.name(_text(one.value)))
                for one in part
            )
            for part in name.rdns
        )

    def _write(self, certificate: x509.Certificate) -> bytes:
        (_, outer), *_ = _values(certificate.tbs_certificate_bytes)
        parts = list(_values(outer))
        at = 1 if parts[0][0] == 0xA0 else 0
        head = [_tlv(*one) for one in parts[:at]]
        serial, algorithm, _, validity, _, _, *rest = parts[at:]
        extensions = [_tlv(tag, self._extensions(certificate, content)) for tag, content in rest if tag == 0xA3]
        tbs = _tlv(
            0x30,
            b"".join(head)
            + (_tlv(*serial) if serial_of(certificate) <= 0 else _integer(self.serial(serial_of(certificate))))
            + _tlv(*algorithm)
            + self.rewritten(certificate.issuer).public_bytes()
            + _tlv(*validity)
            + self.rewritten(certificate.subject).public_bytes()
            + self._public(certificate).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            + b"".join(extensions),
        )
        der = _tlv(0x30, tbs + _tlv(*algorithm) + _tlv(0x03, b"\0" + self._signature(certificate, tbs)))
        x509.load_der_x509_certificate(der)
        return der

    # --- keys and signatures ------------------------------------------------------------------------------------------

    def _key(self, certificate: x509.Certificate) -> _Private | _Public:
        """The new key: one that can sign if the old one signed a certificate that is here."""
        digest = key_digest(certificate)
        if digest is None:
            raise ValueError("the type of its key is not supported")
        if digest not in self._keys:
            seed = hashlib.sha512(f"key {self._number('key', digest)}".encode()).digest()
            self._keys[digest] = self._new_key(public_key_of(certificate), seed, signs=digest in self._signing)
        return self._keys[digest]

    def _new_key(self, old: object, seed: bytes, *, signs: bool) -> _Private | _Public:
        match old:
            case rsa.RSAPublicKey() if signs and old.public_numbers().e == _EXPONENT:
                return self.make_rsa(old.key_size)
            case rsa.RSAPublicKey():
                number = int.from_bytes(seed * (old.key_size // 512 + 1)) >> 3
                number &= (1 << old.key_size) - 1
                return rsa.RSAPublicNumbers(old.public_numbers().e, number | 1 | 1 << (old.key_size - 1)).public_key()
            case ec.EllipticCurvePublicKey():
                return ec.derive_private_key(int.from_bytes(seed[:20]), old.curve)
            case ed25519.Ed25519PublicKey():
                return ed25519.Ed25519PrivateKey.from_private_bytes(seed[:32])
            case ed448.Ed448PublicKey():
                return ed448.Ed448PrivateKey.from_private_bytes(seed[:57])
            case _:
                raise ValueError("the type of its key is not supported")

    def _public(self, certificate: x509.Certificate) -> _Public:
        key = self._key(certificate)
        return key if isinstance(key, _Public) else key.public_key()

    def _signature(self, certificate: x509.Certificate, tbs: bytes) -> bytes:
        """By the new key of its issuer; nothing but zeros if that is not here, or did not sign it."""
        issuer = self._issuers[certificate.public_bytes(Encoding.DER)]
        try:
            made = None if issuer is None else _sign(self._key(issuer), certificate, tbs)
        except (UnsupportedAlgorithm, InvalidSignature):
            made = None  # as with MD5, which no library signs with; nothing checks such a signature either
        return bytes(len(certificate.signature)) if made is None else made

    # --- extensions ---------------------------------------------------------------------------------------------------

    def _extensions(self, certificate: x509.Certificate, content: bytes) -> bytes:
        (_, listed), *_ = _values(content)
        written = []
        for (_, raw), one in zip(_values(listed), certificate.extensions, strict=True):
            *head, _ = _values(raw)
            value = self._extension(one.value)
            if value is not None:
                written.append(_tlv(0x30, b"".join(_tlv(*part) for part in head) + _tlv(0x04, value)))
        return _tlv(0x30, b"".join(written))

    def _extension(self, value: x509.ExtensionType) -> bytes | None:
        """The value of an extension without names; None to leave it out."""
        match value:
            case x509.SubjectKeyIdentifier():
                return x509.SubjectKeyIdentifier(self._key_id(value.digest)).public_bytes()
            case x509.AuthorityKeyIdentifier():
                names, number = value.authority_cert_issuer, value.authority_cert_serial_number
                return x509.AuthorityKeyIdentifier(
                    None if value.key_identifier is None else self._key_id(value.key_identifier),
                    None if names is None else list(map(self._general_name, names)),
                    None if number is None else self.serial(number),
                ).public_bytes()
            case x509.SubjectAlternativeName():
                return x509.SubjectAlternativeName(map(self._general_name, value)).public_bytes()
            case x509.IssuerAlternativeName():
                return x509.IssuerAlternativeName(map(self._general_name, value)).public_bytes()
            case x509.CRLDistributionPoints():
                point = x509.DistributionPoint(
                    [x509.UniformResourceIdentifier("http://ca.example/crl")], None, None, None
                )
                return x509.CRLDistributionPoints([point]).public_bytes()
            case x509.AuthorityInformationAccess():
                place = x509.UniformResourceIdentifier("http://ca.example/ocsp")
                access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
                return x509.AuthorityInformationAccess([access]).public_bytes()
            case x509.CertificatePolicies():
                policy = x509.PolicyInformation(x509.ObjectIdentifier("2.5.29.32.0"), None)
                return x509.CertificatePolicies([policy]).public_bytes()
            case x509.UnrecognizedExtension():
                return _NULL
        if value.oid in _DROPPED:
            return None
        if value.oid not in _KEPT:
            raise ValueError(f"it has the extension {value.oid.dotted_string}, which can't be written without names")
        return value.public_bytes()

    def _general_name(self, name: x509.GeneralName) -> x509.GeneralName:
        match name:
            case x509.DNSName():
                star = "*." if name.value.startswith("*.") else ""
                return x509.DNSName(f"{star}{self.name(name.value)}.example")
            case x509.UniformResourceIdentifier():
                return x509.UniformResourceIdentifier(f"https://{self.name(name.value)}.example/")
            case x509.RFC822Name():
                return x509.RFC822Name(f"{self.name(name.value)}@example.com")
            case x509.IPAddress():
                number = self._number("address", name.value)
                is_old = getattr(name.value, "version", 4) == 4
                base = int(IPv4Address("198.18.0.0")) if is_old else int(IPv6Address("2001:db8::"))
                return x509.IPAddress(IPv4Address(base + number) if is_old else IPv6Address(base + number))
            case x509.DirectoryName():
                return x509.DirectoryName(self.rewritten(name.value))
            case x509.OtherName():
                return x509.OtherName(name.type_id, _NULL)
            case _:
                return name

    def _key_id(self, old: bytes) -> bytes:
        return hashlib.sha512(f"id {self._number('key id', old)}".encode()).digest()[: max(1, min(len(old), 64))]

    def _number(self, kind: str, value: object) -> int:
        """The number of a value among those of its kind, in the order in which they are met."""
        numbers = self._numbers[kind]
        return numbers.setdefault(value, len(numbers) + 1)


def texts_of(bundle: Bundle) -> Iterator[str]:
    """Yield every text in the names of these certificates."""
    for certificate in bundle.certificates:
        for name in (certificate.subject, certificate.issuer):
            yield from (_text(one.value) for one in name)


T = TypeVar("T")


def _tried(make: Callable[[x509.Certificate], T], certificate: x509.Certificate) -> T:
    try:
        return make(certificate)
    except (*MALFORMED, UnsupportedAlgorithm) as error:
        why = str(error)[:_LONGEST_REASON] or "it is malformed"
        raise CannotReissueError(f"the certificate {subject_text(certificate)}: {why}") from error


def _sign(key: _Private | _Public, child: x509.Certificate, tbs: bytes) -> bytes | None:
    """A signature of the kind that a certificate has; None if the key is none that signs so."""
    algorithm, parameters = child.signature_hash_algorithm, child.signature_algorithm_parameters
    match key:
        case ed25519.Ed25519PrivateKey() | ed448.Ed448PrivateKey():
            return key.sign(tbs)
        case ec.EllipticCurvePrivateKey() if isinstance(parameters, ec.ECDSA):
            return key.sign(tbs, parameters)
        case rsa.RSAPrivateKey() if isinstance(parameters, padding.PKCS1v15 | padding.PSS) and algorithm is not None:
            return key.sign(tbs, parameters, algorithm)
        case _:
            return None


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.hex()


# --- DER ------------------------------------------------------------------------------------------------------------


def _values(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each value of a sequence: its tag and its content. The library has read these bytes, so they are DER."""
    while data:
        size, at = data[1], 2
        if size & 0x80:
            at += size & 0x7F
            size = int.from_bytes(data[2:at])
        yield data[0], data[at : at + size]
        data = data[at + size :]


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + content


def _integer(value: int) -> bytes:
    return _tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1))
