"""Observes the messages of a TLS handshake, if this Python allows it.

The standard library has no public way to see that a server requests a certificate. It has a private one, which any
version may remove: then nothing is observed, which is reported; nothing is guessed.
"""

from __future__ import annotations

import ssl
from typing import Protocol

from reconciler.proof.alerts import alert_name
from reconciler.proof.requests import TLS_1_3, CertificateRequest, read_certificates, read_request

_CALLBACK = "_msg_callback"

_ALERT_RECORD = 21
_HANDSHAKE_RECORD = 22
_FATAL = 2

_NEW_SESSION_TICKET = 4
_CERTIFICATE = 11
_CERTIFICATE_REQUEST = 13
_CERTIFICATE_VERIFY = 15


class _Callback(Protocol):
    def __call__(
        self, connection: object, direction: str, version: int, content: int, message: int, data: bytes
    ) -> None: ...


class Watch:
    """What was sent and received on one connection so far. Messages after `handshake_done` was set count as late."""

    def __init__(self) -> None:
        self.observable = False
        self.handshake_done = False
        self.request: CertificateRequest | None = None
        self.asked_late = False
        self.sent = False
        self.presented: tuple[bytes, ...] = ()
        self.ticket = False
        self.alert: str | None = None

    def attach(self, context: ssl.SSLContext) -> None:
        """Observe the one connection that will be made with this context."""
        if hasattr(type(context), _CALLBACK):
            setattr(context, _CALLBACK, self._saw)
            self.observable = True

    def _saw(self, connection: object, direction: str, version: int, content: int, message: int, data: bytes) -> None:
        """Called by the TLS library for every message and alert, decrypted."""
        del connection, message
        reading = direction == "read"
        if content == _ALERT_RECORD and len(data) == 2 and reading:
            level, number = data
            # Since TLS 1.3 the level has no meaning: every alert but these two ends the connection (RFC 8446, 6).
            ends = (
                alert_name(number) not in {"close_notify", "user_canceled"} if version >= TLS_1_3 else level == _FATAL
            )
            if ends:
                self.alert = self.alert or alert_name(number)
        elif content == _HANDSHAKE_RECORD and data:
            self._saw_handshake(data, version, reading=reading)

    def _saw_handshake(self, data: bytes, version: int, *, reading: bool) -> None:
        kind = data[0]
        if reading and kind == _CERTIFICATE_REQUEST and self.handshake_done:
            self.asked_late = True
        elif reading and kind == _CERTIFICATE_REQUEST:
            self.request = read_request(data, version)
        elif reading and kind == _NEW_SESSION_TICKET:
            self.ticket = True
        elif not reading and kind == _CERTIFICATE:
            self.presented = read_certificates(data, version)
        elif not reading and kind == _CERTIFICATE_VERIFY:
            self.sent = True
