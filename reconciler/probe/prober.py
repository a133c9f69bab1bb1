"""The connections that a proof needs: with our certificate, without one, with a throw-away one, and, if it may explain
a refusal, once more with ours, allowing a late request."""

from __future__ import annotations

import logging
import ssl
import time
from dataclasses import field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from reconciler.findings.events import CallMade
from reconciler.findings.values import dataclass
from reconciler.model.ports import Clock, PrivateKey
from reconciler.probe.address import Endpoint, NotReached, OriginAddress, read_url, resolve
from reconciler.probe.contexts import make_context
from reconciler.probe.exchange import Exchange, Timeouts
from reconciler.probe.watch import Watch
from reconciler.proof.observations import End, Moment, Observation, Seen, Shown
from reconciler.proof.ports import ClientIdentity, ProbeTarget
from reconciler.proof.reach import FORBIDDEN, FORBIDDEN_TEXT
from reconciler.proof.rules import is_worth_comparing, may_be_asked_late
from reconciler.version import __version__
from reconciler.x509.certificates import Bundle, public_key_of

_log = logging.getLogger(__name__)

_SHOWN = {
    Shown.OURS: "with the certificate",
    Shown.NONE: "without a certificate",
    Shown.THROW_AWAY: "with a throw-away certificate",
}


@dataclass(frozen=True, slots=True)
class OriginProber:
    """The port `Prober` over real connections; none to an address in the networks of `deny`."""

    clock: Clock
    timeouts: Timeouts = field(default_factory=Timeouts)
    deny: tuple[str, ...] = FORBIDDEN

    def probe(self, target: ProbeTarget, pair: ClientIdentity) -> Seen:
        """The observed behaviour of the origin. Nothing is sent if its own certificate is not trusted."""
        try:
            address = read_url(target.url)
            endpoints = resolve(address, self.timeouts.connect_s)
        except NotReached as error:
            return Seen(Observation(Shown.OURS, End.UNREACHABLE, str(error), Moment.BEFORE), chain=pair.bundle.ders)
        if any(endpoint.is_in(self.deny) for endpoint in endpoints):
            return Seen(Observation(Shown.OURS, End.FORBIDDEN, FORBIDDEN_TEXT, Moment.BEFORE), chain=pair.bundle.ders)
        for endpoint in endpoints:
            # All use the first address that accepts a connection; otherwise they could not be compared.
            way = _Way(target, address, endpoint, self.timeouts)
            ours = way.go(Shown.OURS, pair)
            if ours.end is not End.UNREACHABLE:
                break
        none = throw_away = late = None
        if is_worth_comparing(ours):
            none = way.go(Shown.NONE, None)
            throw_away = way.go(Shown.THROW_AWAY, make_throwaway(pair.bundle, self.clock.now()))
        if may_be_asked_late(ours, target.expect):
            late = way.go(Shown.OURS, pair, late=True)
        return Seen(ours, none, throw_away, late, target.expect, pair.bundle.ders)


@dataclass(frozen=True, slots=True)
class _Way:
    """The connections to one address of an origin."""

    target: ProbeTarget
    address: OriginAddress
    endpoint: Endpoint
    timeouts: Timeouts

    def go(self, shown: Shown, pair: ClientIdentity | None, *, late: bool = False) -> Observation:
        """One connection; repeated if it was closed, which may have another cause than the certificate."""
        seen = self._once(shown, pair, late=late)
        return self._once(shown, pair, late=late) if seen.end is End.CLOSED else seen

    def _once(self, shown: Shown, pair: ClientIdentity | None, *, late: bool) -> Observation:
        watch = Watch()
        try:
            context = make_context(self.target, pair, watch, late=late)
        except ssl.SSLError as error:
            reason = (error.reason or "no reason given").replace("_", " ").lower()
            return Observation(shown, End.LOCAL, reason, Moment.BEFORE)
        begun = time.monotonic()
        seen = Exchange(shown, self.address, context, watch, self.timeouts).run(self.endpoint, self._request())
        self._log(seen, (time.monotonic() - begun) * 1000)
        return seen

    def _log(self, seen: Observation, ms: float) -> None:
        """Say that a call was made, without the query of its URL: that may have a token in it."""
        path = f"https://{self.address.authority}{self.address.path.partition('?')[0]}"
        _log.info(CallMade("GET", path, ms, status=seen.status, note=f"{_SHOWN[seen.shown]}: {seen.end}"))

    def _request(self) -> bytes:
        lines = (
            f"GET {self.address.path} HTTP/1.1",
            f"Host: {self.address.authority}",
            f"User-Agent: mtlsctl/{__version__}",
            "Accept: */*",
            "Connection: close",
        )
        return "\r\n".join((*lines, "", "")).encode("ascii")


# --- a certificate that no origin knows -----------------------------------------------------------------------------

_NAME = "mtlsctl throw-away certificate"
_DAY = timedelta(days=1)
_RSA_BITS = 2048


def make_throwaway(like: Bundle, now: datetime) -> ClientIdentity:
    """A self-signed client certificate with the same type of key as the chain's leaf, so that an origin that accepts
    the signatures of one accepts those of the other."""
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
