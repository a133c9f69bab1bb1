"""New private keys, certificate requests made with them, and whether the certificate that comes back is what was asked.

Everything is in memory. No message or exception from here contains a part of a key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.x509.certificates import MALFORMED, Bundle, general_name_text, key_kind, oid_text, quiet, subject_text
from reconciler.x509.key_pairs import load_key

_PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_MAKERS: Mapping[str, Callable[[], _PrivateKey]] = {
    "EC P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EC P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA 2048": lambda: rsa.generate_private_key(65537, 2048),
    "RSA 3072": lambda: rsa.generate_private_key(65537, 3072),
    "RSA 4096": lambda: rsa.generate_private_key(65537, 4096),
}
MADE_KINDS = tuple(_MAKERS)
"""The types of keys that can be made, as `key_kind` names them."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key as PKCS#8 PEM, never shown; its type, and the hash of its public key as `key_digest` gives it."""

    pem: bytes = field(repr=False)
    kind: str
    digest: str


def make_key(kind: str) -> SigningKey:
    """A new key of one of MADE_KINDS."""
    return _signing_key(_MAKERS[kind]())


def read_key(pem: bytes) -> SigningKey:
    """A key that was made before. CertificateError, which shows nothing of it, if no request can be made with it."""
    return _signing_key(load_key(pem))


def _signing_key(key: _PrivateKey) -> SigningKey:
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return SigningKey(pem, key_kind(key), hashlib.sha256(public).hexdigest())


@dataclass(frozen=True, slots=True)
class CertificateProfile:
    """What a certificate should have, apart from its key. `usage` None: the issuer decides."""

    subject: x509.Name
    names: tuple[x509.GeneralName, ...] = ()
    usage: x509.KeyUsage | None = None
    purposes: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.CLIENT_AUTH,)

    @property
    def common_name(self) -> str:
        """The common name of the subject; empty if there is none."""
        found = self.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(found[0].value) if found else ""


def profile_of(present: Bundle | None, subject: str | None, names: Sequence[str] | None) -> CertificateProfile:
    """What the successor of a certificate should have: what the present one has, or what is declared instead.

    `subject` is RFC 4514, `names` are such as `DNS:billing.example`. ValueError, with words for a person, if neither
    says what to ask for, or if the present certificate has a malformed extension.
    """
    if present is None and subject is None and not names:
        raise ValueError("it has no certificate yet, and neither `subject` nor `names` is declared")
    wanted = CertificateProfile(x509.Name([])) if present is None else _present(present.leaf)
    if subject is not None:
        wanted = CertificateProfile(x509.Name.from_rfc4514_string(subject), wanted.names, wanted.usage, wanted.purposes)
    if names is not None:
        wanted = CertificateProfile(wanted.subject, tuple(map(_general_name, names)), wanted.usage, wanted.purposes)
    if not list(wanted.subject) and not wanted.names:
        raise ValueError("it would have neither a subject nor alternative names, so origins could not know it")
    return wanted


def _present(leaf: x509.Certificate) -> CertificateProfile:
    try:
        with quiet():
            extensions = leaf.extensions
            found = {type(one.value): one.value for one in extensions}
            names, purposes = found.get(x509.SubjectAlternativeName), found.get(x509.ExtendedKeyUsage)
            usage = found.get(x509.KeyUsage)
            return CertificateProfile(
                leaf.subject,
                tuple(names) if isinstance(names, x509.SubjectAlternativeName) else (),
                usage if isinstance(usage, x509.KeyUsage) else None,
                tuple(purposes) if isinstance(purposes, x509.ExtendedKeyUsage) else (),
            )
    except MALFORMED as error:
        raise ValueError("the present certificate has a name or an extension that can't be read") from error


def _general_name(text: str) -> x509.GeneralName:
    kind, _, value = text.partition(":")
    match kind:
        case "DNS":
            return x509.DNSName(value)
        case "URI":
            return x509.UniformResourceIdentifier(value)
        case "IP":
            return x509.IPAddress(ip_address(value))
        case _:
            return x509.RFC822Name(value)


def alternative_names(wanted: CertificateProfile, kind: str) -> tuple[str, ...]:
    """The alternative names of one kind: `DNS`, `URI`, `IP` or `email`."""
    texts = (_name_text(name).partition(":") for name in wanted.names)
    return tuple(value for found, _, value in texts if found == kind)


def make_request(wanted: CertificateProfile, key: SigningKey) -> bytes:
    """The certificate request (PEM), signed with the key."""
    private = load_key(key.pem)
    builder = x509.CertificateSigningRequestBuilder().subject_name(wanted.subject)
    if wanted.names:  # critical where the subject is empty, RFC 5280 section 4.2.1.6
        critical = not list(wanted.subject)
        builder = builder.add_extension(x509.SubjectAlternativeName(wanted.names), critical=critical)
    if wanted.usage is not None:
        builder = builder.add_extension(_usage_for(wanted.usage, private), critical=True)
    if wanted.purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(wanted.purposes), critical=False)
    return builder.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM)


def _usage_for(usage: x509.KeyUsage, key: _PrivateKey) -> x509.KeyUsage:
    """The same usages, without those that an EC key can't have."""
    has_rsa, agrees = isinstance(key, rsa.RSAPrivateKey), usage.key_agreement
    return x509.KeyUsage(
        digital_signature=usage.digital_signature,
        content_commitment=usage.content_commitment,
        key_encipherment=usage.key_encipherment and has_rsa,
        data_encipherment=usage.data_encipherment and has_rsa,
        key_agreement=agrees,
        key_cert_sign=usage.key_cert_sign,
        crl_sign=usage.crl_sign,
        encipher_only=agrees and usage.encipher_only,
        decipher_only=agrees and usage.decipher_only,
    )


def check_answer(wanted: CertificateProfile, answer: Bundle, *, where: Pointer) -> Iterator[Diagnostic]:
    """What differs between a certificate and what was asked for.

    Origins know their clients by subject and alternative names, so those are errors; the order of the subject's parts
    is the issuer's. Other purposes are a warning.
    """
    try:
        found = _present(answer.leaf)
    except ValueError:
        return  # `preflight` reports it
    if _parts(found.subject) != _parts(wanted.subject):
        asked = wanted.subject.rfc4514_string() or "(empty)"
        message = f"the issuer's certificate has the subject {subject_text(answer.leaf)}, but {asked} was asked for"
        hint = "let the issuer keep the subject of the request; or, if that is right, declare it: `renew.subject`"
        yield Diagnostic(Severity.ERROR, Code.RENEWAL_DIFFERS, message, where, hint)
    asked_names, got_names = _name_texts(wanted), _name_texts(found)
    if asked_names != got_names:
        message = (
            f"the issuer's certificate has the alternative names {_listed(got_names)}, but {_listed(asked_names)} was"
            " asked for"
        )
        hint = "let the issuer keep the names of the request; or, if that is right, declare them: `renew.names`"
        yield Diagnostic(Severity.ERROR, Code.RENEWAL_DIFFERS, message, where, hint)
    if set(found.purposes) != set(wanted.purposes):
        asked, got = _purposes(wanted), _purposes(found)
        message = f"the issuer's certificate has the extended key usages {got}, but {asked} was asked for"
        yield Diagnostic(
            Severity.WARNING, Code.RENEWAL_USAGES, message, where, "no action needed if your origins accept it"
        )


def _parts(name: x509.Name) -> list[tuple[str, str]]:
    return sorted((part.oid.dotted_string, str(part.value)) for part in name)


def _name_texts(wanted: CertificateProfile) -> tuple[str, ...]:
    texts = {_name_text(name) for name in wanted.names}
    return tuple(sorted({f"DNS:{text[4:].lower()}" if text.startswith("DNS:") else text for text in texts}))


def _name_text(name: x509.GeneralName) -> str:
    return repr(name) if isinstance(name, x509.OtherName) else general_name_text(name)


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(texts) or "(none)"


def _purposes(wanted: CertificateProfile) -> str:
    return _listed(sorted(map(oid_text, wanted.purposes)))
