"""What the tests of proving share: one probe of a server of this machine with one of its clients."""

from __future__ import annotations

from pathlib import Path

from reconciler.model.ports import PrivateKey
from reconciler.probe import OriginProber
from reconciler.probe.exchange import Timeouts
from reconciler.proof.observations import Seen
from reconciler.proof.ports import ClientIdentity, ProbeTarget
from reconciler.proof.rules import judge
from reconciler.system.clock import SystemClock
from reconciler.x509.certificates import Bundle
from reconciler.x509.files import parse_file
from tests.servers.certificates import Client, pki

QUICK = Timeouts(connect_s=5, handshake_s=0.2, answer_s=0.2, body_s=0.2)
"""For servers that never answer."""


def pair_of(client: Client) -> ClientIdentity:
    """A client's files as the tool reads them."""
    return ClientIdentity(parse_file(client.chain, "client.pem"), PrivateKey(client.key))


def probe(
    port: int,
    client: str = "right",
    *,
    host: str = "localhost",
    path: str = "/health",
    roots: Bundle | None = None,
    expect: int | None = None,
    timeouts: Timeouts | None = None,
) -> Seen:
    """What an origin on this machine does with a client."""
    target = ProbeTarget(f"https://{host}:{port}{path}", roots or pki().server_root.bundle, expect)
    return OriginProber(SystemClock(), timeouts or Timeouts()).probe(target, pair_of(pki().clients[client]))


def told(seen: Seen) -> str:
    """The verdict, and the alert where there was one: `rejected unknown_ca`."""
    alert = seen.ours.alert
    return f"{judge(seen).verdict} {alert}" if alert else str(judge(seen).verdict)


def folder_with_files(tmp_path: Path) -> Path:
    """A folder with what a server needs."""
    pki().write(tmp_path)
    return tmp_path
