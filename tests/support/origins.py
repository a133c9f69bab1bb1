"""An origin that remembers which clients it saw; clients that it and the servers of `tests/servers` accept."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.servers.certificates import pki
from tests.support.pki import SERVER_AUTH, Authority, Issued

TODAY = datetime.now(UTC)
BEGIN, END = TODAY - timedelta(days=2), TODAY + timedelta(days=40)
"""Real programs look at the clock."""


def server_ca() -> Authority:
    """Whose certificate the origins have."""
    return pki().server_root


def client_ca() -> Authority:
    """The root that the origins trust clients by."""
    return pki().client_root


@cache
def client(name: str) -> Issued:
    """A client that origins accept; the same name is the same certificate."""
    return client_ca().issue(name, not_before=BEGIN, not_after=END)


@cache
def server_pair(*names: str) -> Issued:
    """The certificate of an origin for these names and addresses."""
    san = [x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names]
    return server_ca().issue(names[0], eku=(SERVER_AUTH,), san=tuple(san), not_before=BEGIN, not_after=END)


@dataclass
class Origin:
    """A running origin. `seen` has the serial numbers of the client certificates, None for a request without one."""

    port: int
    seen: list[int | None] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"https://localhost:{self.port}/health"


@contextlib.contextmanager
def origin(
    verify: ssl.VerifyMode = ssl.CERT_REQUIRED,
    *,
    version: ssl.TLSVersion | None = None,
    status: int = 200,
    headers: tuple[tuple[str, str], ...] = (),
    silent: bool = False,
    names: tuple[str, ...] = ("localhost", "127.0.0.1"),
) -> Iterator[Origin]:
    """An origin that answers with this status. `silent`: it takes requests and never answers any."""
    running = Origin(0)
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a body waits 40 ms for what acknowledges its headers

        def do_GET(self) -> None:
            assert isinstance(self.connection, ssl.SSLSocket)
            shown = self.connection.getpeercert(binary_form=True)
            running.seen.append(x509.load_der_x509_certificate(shown).serial_number if shown else None)
            if silent:
                released.wait()
            self.send_response(status)
            for name, value in (("content-length", "2"), *headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's word
            """Silence."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A refused handshake is what the tests are about."""

        def shutdown_request(self, request: Any) -> None:
            # Closing with something unread resets the connection, and that may overtake the alert.
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_WR)
                request.settimeout(5)
                while request.recv(65536):
                    pass
            request.close()

    context = _context(verify, version, server_pair(*names))
    with Server(("127.0.0.1", 0), Handler) as server:
        # The handshake is made by the first read, in the thread of its connection.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        running.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield running
        finally:
            released.set()
            server.shutdown()
            thread.join()


def _context(verify: ssl.VerifyMode, version: ssl.TLSVersion | None, own: Issued) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.pem"
        path.write_bytes(own.certificate_pem + own.key_pem)
        context.load_cert_chain(path)
    context.verify_mode = verify
    context.load_verify_locations(cadata=client_ca().certificate_pem.decode())
    return context
