"""The meaning of workerd's output about a failed TLS connection: the Worker itself only gets "internal error".

The lines are those of workerd 2025-09 (BoringSSL) and 2026-11 (rustls). Unknown lines blame no one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from reconciler.findings.values import dataclass
from reconciler.proof.reach import FORBIDDEN_TEXT, Reached


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a connection failed, or why workerd does not accept a certificate and key."""

    reached: Reached
    detail: str
    alert: str | None = None


_ALERT = re.compile(r"received fatal alert: (?P<rustls>[A-Za-z]+)|_ALERT_(?P<boring>[A-Z_]+)")
_ALERTS: Mapping[str, tuple[Reached, str]] = {
    "unknown_ca": (Reached.REJECTED, "it does not trust the issuer, or the chain lacks an intermediate"),
    "certificate_expired": (Reached.REJECTED, "it considers the certificate expired"),
    "certificate_revoked": (Reached.REJECTED, "it considers the certificate revoked"),
    "certificate_unknown": (Reached.REJECTED, "it does not accept the certificate"),
    "bad_certificate": (Reached.REJECTED, "it does not accept the certificate, which may not be valid yet"),
    "unsupported_certificate": (Reached.REJECTED, "the certificate is not for clients"),
    "decode_error": (Reached.REJECTED, "it can't read the certificate"),
    "access_denied": (Reached.REJECTED, "it denies access to this client"),
    "decrypt_error": (Reached.REJECTED, "the signature of the key does not match the certificate"),
    "certificate_required": (Reached.NOT_SENT, "it received no certificate"),
    "handshake_failure": (
        Reached.REJECTED,
        "it received no certificate, or there is no algorithm that both sides support",
    ),
}
"""RFC 8446 section 6.2. The server chooses which alert it sends."""

_UNTRUSTED = (
    re.compile(r"invalid peer certificate: (?P<reason>.+)"),
    re.compile(r"TLS peer's certificate is not trusted; reason = (?P<reason>.+)"),
)
_UNREACHABLE = re.compile(
    r"failed to lookup address|DNS lookup failed|Connection refused|connect\(\).*(?:refused|reach)"
)
_FORBIDDEN = re.compile(r"connecting to \S+ is not allowed|blocked by restrictPeers\(\)")
_UNUSABLE = re.compile(
    r"TLS configuration: (?P<rustls>.+)"
    r"|(?P<boring>(?:PEM routines|Cipher functions|X\.509 [a-z ]+):OPENSSL_internal:\w+)"
)
_LONGEST = 200


def find_failure(lines: Iterable[str]) -> Failure | None:
    """The first failure in these lines of workerd's stderr, or None."""
    return next((failure for line in lines if (failure := read_failure(line)) is not None), None)


def read_failure(line: str) -> Failure | None:
    """The failure that a line reports; None for any other line."""
    if alert := _ALERT.search(line):
        return _alert(alert)
    if found := _UNUSABLE.search(line):  # before the next, whose words it may quote about our own certificate
        reason = (found["rustls"] or found["boring"])[:_LONGEST]
        return Failure(Reached.UNUSABLE, f"the runtime does not accept the certificate and key: {reason}")
    for pattern in _UNTRUSTED:
        if found := pattern.search(line):
            reason = found["reason"][:_LONGEST]
            return Failure(Reached.SERVER_UNTRUSTED, f"the origin's own certificate is not trusted: {reason}")
    if _FORBIDDEN.search(line):
        return Failure(Reached.FORBIDDEN, f"the origin was not called: {FORBIDDEN_TEXT}")
    if _UNREACHABLE.search(line):
        return Failure(Reached.UNREACHABLE, "the origin's name does not resolve, or nothing answers there")
    return None


def _alert(found: re.Match[str]) -> Failure:
    camel = found["rustls"]
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", camel).lower() if camel else found["boring"].lower()
    reached, meaning = _ALERTS.get(words, (Reached.INCONCLUSIVE, "this says nothing about the certificate"))
    return Failure(reached, f"the origin ended the handshake with {words}: {meaning}", words)
