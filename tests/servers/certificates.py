"""Certificates for real servers, which go by the real clock: a server's own, the right client's and every wrong one."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TypedDict

from cryptography import x509

from tests.support.pki import SERVER_AUTH, Authority, Issued, make_ca

DAY = timedelta(days=1)


class Times(TypedDict):
    """From when until when a certificate is valid."""

    not_before: datetime
    not_after: datetime


@dataclass(frozen=True)
class Client:
    """A chain as a user's file has it, and a key, which need not be the chain's."""

    chain: bytes
    key: bytes


@dataclass(frozen=True)
class Pki:
    """`server_root` issued the server's certificate, `client_root` is what the server trusts clients by.

    `other_root` issued those of the wrong CA.
    """

    server_root: Authority
    server: Issued
    client_root: Authority
    other_root: Authority
    clients: dict[str, Client]

    def write(self, folder: Path) -> None:
        """What a server needs, as files."""
        (folder / "server.pem").write_bytes(self.server.chain_pem)
        (folder / "server.key").write_bytes(self.server.key_pem)
        (folder / "both.pem").write_bytes(self.server.chain_pem + self.server.key_pem)
        (folder / "clients.pem").write_bytes(self.client_root.certificate_pem)


@cache
def pki() -> Pki:
    """One for the whole run; valid around now by the real clock."""
    now = datetime.now(UTC).replace(microsecond=0)
    times = Times(not_before=now - 30 * DAY, not_after=now + 300 * DAY)
    server_root = make_ca("Server Root", **times)
    local = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    server = server_root.issue("localhost", eku=(SERVER_AUTH,), san=local, **times)
    root = make_ca("Client Root", **times)
    between = root.issue_ca("Client Intermediate", **times)
    other_root = make_ca("Other Root", **times)
    other = other_root.issue_ca("Other Intermediate", **times)
    right = between.issue("right", **times)
    old = Times(not_before=now - 20 * DAY, not_after=now - 10 * DAY)
    new = Times(not_before=now + 10 * DAY, not_after=now + 20 * DAY)
    clients = {
        "right": right,
        "expired": between.issue("expired", **old),
        "not yet valid": between.issue("future", **new),
        "wrong CA": other.issue("right", **times),
        "wrong EKU": between.issue("server", eku=(SERVER_AUTH,), **times),
    }
    table = {name: Client(issued.chain_pem, issued.key_pem) for name, issued in clients.items()}
    table["missing intermediate"] = Client(right.certificate_pem, right.key_pem)
    table["mismatched key"] = Client(right.chain_pem, clients["expired"].key_pem)
    return Pki(server_root, server, root, other_root, table)
