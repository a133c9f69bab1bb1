"""From a URL to a connected socket. Proxies in the environment are ignored."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from reconciler.findings.values import dataclass

_HTTPS = 443
_PATH_SIGNS = "/:@!$&'()*+,;=~%-._?"
_MOST_ADDRESSES = 4


@dataclass(frozen=True, slots=True)
class OriginAddress:
    """The parts of a URL: the host name that TLS checks, and what HTTP needs. The fragment is only for browsers."""

    host: str
    port: int
    authority: str
    path: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One resolved address of a host, so that all connections go to the same one."""

    family: int
    place: tuple[object, ...]

    def is_in(self, networks: Iterable[str]) -> bool:
        """Whether the address is in one of these networks."""
        address = ipaddress.ip_address(str(self.place[0]).partition("%")[0])
        return any(address in ipaddress.ip_network(network) for network in networks)


class NotReached(Exception):
    """There is no connection; the message says why."""


def read_url(url: str) -> OriginAddress:
    """The parts of a URL that was validated before; NotReached if its host is not a valid name."""
    parts = urlsplit(url)
    try:
        host = (parts.hostname or "").encode("idna").decode("ascii")
    except UnicodeError as error:
        raise NotReached("the host of the URL is not a valid name") from error
    shown = f"[{host}]" if ":" in host else host
    port = parts.port or _HTTPS
    path = quote(parts.path or "/", safe=_PATH_SIGNS) + (
        f"?{quote(parts.query, safe=_PATH_SIGNS)}" if parts.query else ""
    )
    return OriginAddress(host, port, shown if port == _HTTPS else f"{shown}:{port}", path)


def resolve(address: OriginAddress, timeout_s: float) -> tuple[Endpoint, ...]:
    """The first few addresses of a host, at least one; NotReached if it has none or resolving takes too long."""
    answers: queue.SimpleQueue[list[Endpoint] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            answers.put([Endpoint(family, tuple(place)) for family, _, _, _, place in found])
        except (OSError, UnicodeError) as error:
            answers.put(error if isinstance(error, OSError) else OSError(str(error)))

    # The system's resolver has no timeout; after the timeout the thread is abandoned.
    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout_s)
    except queue.Empty:
        raise NotReached(f"resolving the name {address.host} timed out after {timeout_s:g} seconds") from None
    if isinstance(answer, OSError):
        raise NotReached(f"the name {address.host} does not resolve: {reason_of(answer)}") from answer
    if not answer:
        raise NotReached(f"the name {address.host} has no address")
    return tuple(dict.fromkeys(answer))[:_MOST_ADDRESSES]


def connect(endpoint: Endpoint, timeout_s: float) -> tuple[socket.socket, float]:
    """A connected socket, and the seconds it took to connect; NotReached if that failed."""
    began = time.monotonic()
    connection = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.connect(endpoint.place)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        connection.close()
        where = ":".join(str(part) for part in endpoint.place[:2])
        raise NotReached(f"connecting to {where} failed: {reason_of(error)}") from error
    return connection, time.monotonic() - began


def reason_of(error: OSError) -> str:
    """The system's error message, without numbers and prefixes."""
    if isinstance(error, TimeoutError):
        return "timed out"
    return (error.strerror or str(error)).split("] ")[-1][:200]
