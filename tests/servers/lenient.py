"""A client of OpenSSL that shows whatever it is given, so that the origin is the one who judges."""

from __future__ import annotations

import socket
import ssl
import tempfile
from pathlib import Path

ACCEPTED, REFUSED, NOT_SENT = "accepted", "refused", "not sent"


def show(port: int, chain: bytes, key: bytes, version: ssl.TLSVersion) -> str:
    """What an origin on this machine does with a certificate: `accepted`, `refused` with the alert, or `not sent`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")  # weak keys and hashes are the origin's business
    sent = False

    def watch(_: object, direction: str, __: object, ___: object, message: object, ____: bytes) -> None:
        nonlocal sent
        sent = sent or (direction == "write" and getattr(message, "name", "") == "CERTIFICATE_VERIFY")

    setattr(context, "_msg_callback", watch)  # noqa: B010 - private, and nothing else tells
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "chain.pem").write_bytes(chain)
        (Path(folder) / "own.key").write_bytes(key)
        try:
            context.load_cert_chain(Path(folder) / "chain.pem", Path(folder) / "own.key")
        except ssl.SSLError as error:
            return f"{NOT_SENT}: {error.reason}"
    try:
        with socket.create_connection(("127.0.0.1", port), 20) as plain, context.wrap_socket(plain) as tls:
            tls.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
            status = tls.recv(64).partition(b"\r\n")[0]
    except OSError as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        return f"{REFUSED}: {reason}" if sent else f"{NOT_SENT}: {reason}"
    if not sent:
        return f"{NOT_SENT}: no certificate in common"
    return ACCEPTED if b" 200 " in status else f"{REFUSED}: {status.decode(errors='replace')}"
