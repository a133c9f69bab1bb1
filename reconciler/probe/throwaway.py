"""A certificate that no origin can know: made for one connection, by nobody, and forgotten."""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from reconciler.model.ports import PrivateKey
from reconciler.proof.ports import ClientIdentity
from reconciler.x509.certificates import Bundle, public_key_of

_NAME = "mtlsctl throw-away certificate"
_DAY = timedelta(days=1)
_RSA_BITS = 2048


def make_throwaway(like: Bundle, now: datetime) -> ClientIdentity:
    """A self-signed client certificate with a key of the same kind as a chain's leaf has, so that an origin that takes
    the signatures of the one takes those of the other.
    """
    key = _key_like(like)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - _DAY, now + _DAY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    )
    certificate = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return ClientIdentity(Bundle((certificate.public_bytes(Encoding.DER),)), PrivateKey(pem))


def _key_like(like: Bundle) -> rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey:
    match public_key_of(like.leaf):
        case rsa.RSAPublicKey():
            return rsa.generate_private_key(65537, _RSA_BITS)
        case ed25519.Ed25519PublicKey():
            return ed25519.Ed25519PrivateKey.generate()
        case ec.EllipticCurvePublicKey(curve=curve):
            return ec.generate_private_key(curve)
        case _:
            return ec.generate_private_key(ec.SECP256R1())
