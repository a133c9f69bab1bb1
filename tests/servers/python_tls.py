"""The TLS of Python itself: a thread that answers every request alike."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.servers import listening_socket, port_of

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def server_context(folder: Path, verify: ssl.VerifyMode, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A server's context with the files of `Pki.write`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.load_verify_locations(folder / "clients.pem")
    context.verify_mode = verify
    context.minimum_version = context.maximum_version = version
    return context


@contextlib.contextmanager
def serve(
    context: ssl.SSLContext | None, answer: bytes | None = ANSWER, requests: list[bytes] | None = None
) -> Iterator[int]:
    """The port of a server; `context` None: it speaks no TLS. `answer` None: it closes instead, once it was asked.

    `requests` gets what each connection sent.
    """
    listener = listening_socket()
    listener.setblocking(True)
    ended = threading.Event()

    def serve_one(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(10)
            tls = context.wrap_socket(connection, server_side=True) if context else connection
            with tls:
                received = b""
                while b"\r\n\r\n" not in received and (piece := tls.recv(4096)):
                    received += piece
                    if context is None:
                        break  # whatever came is no request
                if requests is not None:
                    requests.append(received)
                if answer is not None and received:
                    tls.sendall(answer)

    def accept() -> None:
        while not ended.is_set():
            connection, _ = listener.accept()
            threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

    def run() -> None:
        with contextlib.suppress(OSError):
            accept()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield port_of(listener)
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        thread.join()
        listener.close()
