"""`/zones/{zone}/client_certificates`: a CA of the emulator's own, in place of the one that Cloudflare manages.

The CA is one of the account, lives as long as the emulator, and signs what the request says of subject and key; names
and usages are the CA's. A revoked certificate stays in the list.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from reconciler.emulator.certificates import page_of
from reconciler.emulator.holders import owner_of_zones
from reconciler.emulator.state import Ask
from reconciler.emulator.wire import UNPUBLISHED, ApiError, Json, Reply, invalid, success
from reconciler.findings.values import dataclass
from reconciler.x509.certificates import rfc3339

_MOST_DAYS = 5475
"""15 years. Cloudflare publishes no limit; that of its origin CA is this one."""


@dataclass(frozen=True, slots=True)
class SigningCa:
    """A root that signs client certificates."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def list_signed(ask: Ask) -> Reply:
    """One page of the zone's client certificates, newest first; of one `status`, or of all."""
    wanted = ask.request.first("status") or "all"
    return page_of(ask, [*reversed(_signed(ask).values())], lambda one: wanted in ("all", one.get("status")), dict)


def sign(ask: Ask) -> Reply:
    """Sign a request for a number of days."""
    body, settings = ask.body(), ask.state.settings
    days, text = body.get("validity_days"), body.get("csr")
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= _MOST_DAYS:
        raise invalid(f"validity_days must be a number from 1 to {_MOST_DAYS}")
    signed = _signed(ask)
    if len(signed) >= settings.signed_limit:
        raise ApiError(400, UNPUBLISHED, "You have reached the maximum number of client certificates for this zone")
    request = _request(text)
    ca, now = _ca(ask), ask.state.clock.now()
    certificate = _issue(ca, request, now, timedelta(days=days))
    answer = _object(ask.state.ids(), certificate, ca, days, str(text))
    signed[str(answer["id"])] = answer
    return success(answer)


def get_signed(ask: Ask) -> Reply:
    """One client certificate."""
    return success(_one(ask))


def revoke(ask: Ask) -> Reply:
    """Revoke a client certificate. The reply says that it is pending; at the next read it is done."""
    found = _one(ask)
    found["status"] = "revoked"
    return success({**found, "status": "pending_revocation"})


def _signed(ask: Ask) -> dict[str, Json]:
    return owner_of_zones(ask).holders.signed.setdefault(ask.names["zone"], {})


def _one(ask: Ask) -> Json:
    found = _signed(ask).get(ask.names["id"])
    if found is None:
        raise ApiError(404, UNPUBLISHED, "Client certificate not found")
    return found


def _request(text: object) -> x509.CertificateSigningRequest:
    try:
        request = x509.load_pem_x509_csr(text.encode()) if isinstance(text, str) else None
        sound = request is not None and request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise invalid("csr is not a certificate signing request") from error
    if request is None or not sound:
        raise invalid("csr is not a certificate signing request")
    if not isinstance(request.public_key(), (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)):
        raise invalid("csr has a key of a type that is not supported")
    return request


def _ca(ask: Ask) -> SigningCa:
    account = owner_of_zones(ask)
    if account.ca is None:
        now = ask.state.clock.now()
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Emulated Managed CA of {account.id}")])
        made = x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=_MOST_DAYS)
        ).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        account.ca = SigningCa(made.sign(key, SHA256()), key)
    return account.ca


def _issue(ca: SigningCa, request: x509.CertificateSigningRequest, now: datetime, lasts: timedelta) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    key = request.public_key()
    assert isinstance(key, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey))  # noqa: S101 - for the type checker
    made = x509.CertificateBuilder(
        ca.certificate.subject, request.subject, key, x509.random_serial_number(), now, now + lasts
    )
    made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    made = made.add_extension(usage, critical=True)
    made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    return made.sign(ca.key, SHA256())


def _object(identifier: str, certificate: x509.Certificate, ca: SigningCa, days: int, csr: str) -> Json:
    pem = certificate.public_bytes(Encoding.PEM)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    fingerprint = hashlib.sha256(ca.certificate.public_bytes(Encoding.DER)).hexdigest()
    return {
        "id": identifier,
        "certificate": pem.decode(),
        "certificate_authority": {"id": fingerprint[:32], "name": ca.certificate.subject.rfc4514_string()},
        "common_name": str(names[0].value) if names else "",
        "csr": csr,
        "expires_on": rfc3339(certificate.not_valid_after_utc),
        "fingerprint_sha256": certificate.fingerprint(SHA256()).hex(),
        "issued_on": rfc3339(certificate.not_valid_before_utc),
        "serial_number": f"{certificate.serial_number:x}",
        "signature": "ECDSAWithSHA256",
        "status": "active",
        "validity_days": days,
    }
