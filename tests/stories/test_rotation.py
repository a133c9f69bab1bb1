"""A rotation from end to end under load: a Worker on real workerd, an nginx that enforces mTLS, no failed request."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID, new_state
from reconciler.system.clock import SystemClock
from tests.emulator.test_wrangler import Bench
from tests.servers.certificates import pki
from tests.servers.programs import nginx
from tests.support.cli import Project, Result
from tests.support.edge import Edge, Load, Switch
from tests.support.emulated import TOKEN
from tests.support.origins import BEGIN, END, client, client_ca, server_ca
from tests.support.pki import Issued, make_ca
from tests.support.runtime_programs import install_wrangler, node_path, workerd
from tests.support.wrangler_readers import find_node

MTLS = """\
version = 1
stack = "payments"
store = { kind = "cloudflare" }
policy = { grace = "0s", rollback_versions = 0, verify_before = ["upload", "retire"] }

[certificates.billing]
certificate = "certs/billing.pem"
private_key = { env = "BILLING_KEY" }
verify = { url = "ORIGIN", ca = "certs/origin.pem" }

[workers.checkout]
config = "wrangler.toml"

[workers.checkout.bindings]
MY_CERT = "billing"
"""

WRANGLER = """\
name = "checkout"
main = "index.js"
compatibility_date = "2026-11-01"
mtls_certificates = [{{ binding = "MY_CERT", certificate_id = "<CERTIFICATE_ID>" }}]  # written by mtlsctl

[vars]
ORIGIN = "{origin}"
"""

WORKER = """\
export default {
  async fetch(request, env) {
    return await env.MY_CERT.fetch(env.ORIGIN);
  }
};
"""


@dataclass
class Rotation:
    """Everything that takes part."""

    project: Project
    bench: Bench
    edge: Edge
    load: Load
    origin: str

    def renew(self, issued: Issued) -> None:
        """A new certificate and key lie where mtls.toml says."""
        self.project.write("certs/billing.pem", issued.chain_pem)
        self.project.environ["BILLING_KEY"] = issued.key_pem.decode()

    def issue(self, name: str, begins: datetime) -> Issued:
        """A certificate that the origin accepts once it has begun; the edge would serve with it at once."""
        issued = client_ca().issue(name, not_before=begins, not_after=END)
        self.edge.pairs[issued.bundle.fingerprint] = issued
        return issued

    def mtlsctl(self, *arguments: str) -> Result:
        """`mtlsctl`, which succeeds."""
        result = self.project.run(*arguments)
        assert result.code == 0, result.out + result.err
        return result

    def deploy(self) -> None:
        """`wrangler deploy`, and the edge rolls out what is deployed."""
        self.bench.passes("deploy")
        self.edge.roll_out()

    @property
    def stored(self) -> list[str]:
        """The fingerprints of the entries in the account."""
        entries = self.bench.state.account().entries()
        return [entry.bundle.fingerprint for entry in entries if entry.bundle is not None]


@pytest.fixture
def rotation(tmp_path: Path) -> Iterator[Rotation]:
    """A project that was applied and deployed, and serves; under load."""
    find_node()
    workerd()
    folder = tmp_path / "project"
    folder.mkdir()
    install_wrangler(folder)
    state = new_state(SystemClock())
    with contextlib.ExitStack() as stack:
        pki().write(tmp_path)
        # Nobody reads its stderr while so many connections come and go.
        port = stack.enter_context(nginx(tmp_path, "on", more="error_log nginx.log warn;"))
        origin = f"https://localhost:{port}/health"
        url = stack.enter_context(running(state))
        switch = stack.enter_context(Switch().running())
        environ = {"CLOUDFLARE_API_BASE_URL": url, "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID, "CLOUDFLARE_API_TOKEN": TOKEN}
        project = Project(folder, {"PATH": node_path(), **environ})
        project.write("certs/origin.pem", server_ca().certificate_pem)
        for path, text in {
            "mtls.toml": MTLS.replace("ORIGIN", origin),
            "wrangler.toml": WRANGLER.format(origin=origin),
            "index.js": WORKER,
        }.items():
            project.write(path, text)
        pairs = {client(name).bundle.fingerprint: client(name) for name in ("old", "new")}
        trusted = (server_ca().certificate_pem.decode(),)
        edge = Edge(state.account(), folder / "wrangler.toml", switch, pairs, trusted)
        stack.callback(edge.close)
        made = Rotation(project, Bench(folder, url, state), edge, Load(switch.port), origin)
        made.renew(client("old"))
        made.mtlsctl("apply", "--yes")
        made.deploy()
        stack.enter_context(made.load.running())
        yield made


class Late:
    """A request of which the second half comes later."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._connection.connect()
        self._connection.send(f"GET / HTTP/1.1\r\nHost: localhost:{port}\r\n".encode())

    def finish(self) -> tuple[int, str]:
        """Its answer."""
        with contextlib.closing(self._connection), http.client.HTTPResponse(self._connection.sock) as reply:
            self._connection.send(b"Connection: close\r\n\r\n")
            reply.begin()
            return reply.status, reply.read().decode()


OLD, NEW = (200, "SUCCESS CN=old"), (200, "SUCCESS CN=new")


def test_a_rotation_under_load_fails_no_request(rotation: Rotation) -> None:
    """Proved, uploaded, bound, deployed, retired, each while requests go on; nginx takes every one of them."""
    old, new = (client(name).bundle.fingerprint for name in ("old", "new"))
    assert set(rotation.load.next(20)) == {OLD}

    # An issuer that the origin does not know yet stops the rotation before anything has changed.
    stranger = make_ca("Stranger", not_before=BEGIN, not_after=END).issue("new", not_before=BEGIN, not_after=END)
    rotation.renew(stranger)
    assert rotation.project.run("apply", "--yes").code == 1
    assert rotation.stored == [old]

    # The origin takes the new pair, as seen from here and from a real Worker.
    rotation.renew(client("new"))
    (proof,) = rotation.mtlsctl("verify", "billing", "--run-project", "--format", "json").json["certificates"]
    verdicts = {level["level"]: level["verdict"] for level in proof["levels"]}
    assert (verdicts["files"], verdicts["origin"], verdicts["runtime"]) == ("in-order", "accepted", "answered")
    assert rotation.stored == [old]

    # Uploaded and bound in the file: the old one serves on, and nothing may take it away.
    rotation.mtlsctl("apply", "--yes")
    assert rotation.stored == [old, new]
    assert set(rotation.load.next(20)) == {OLD}
    waiting = rotation.mtlsctl("plan", "--format", "json").json["waiting"]
    assert [wait["condition"] for wait in waiting] == ["presented-live"]
    rotation.mtlsctl("apply", "--yes")
    assert rotation.stored == [old, new]

    # Deployed: the new one serves. A request that is under way when the switch turns is answered by the old one.
    rotation.bench.passes("deploy")
    rotation.edge.start()
    late, before = Late(rotation.load.port), rotation.edge.port
    rotation.load.next(1)  # who asked after it has been served, so the switch has it
    with ThreadPoolExecutor(1) as turning:
        turned = turning.submit(rotation.edge.turn)
        rotation.edge.switch.wait_for_draining(before)
        assert late.finish() == OLD
        turned.result()
    assert set(rotation.load.next(20)) == {NEW}

    # The old one is not needed any more.
    rotation.mtlsctl("apply", "--yes")
    assert rotation.stored == [new]
    assert set(rotation.load.next(20)) == {NEW}

    # Nothing is left to do, and not one request has failed.
    assert rotation.project.run("plan", "--detailed-exitcode").code == 0
    answers = rotation.load.answers
    assert set(answers) == {OLD, NEW}
    assert len(answers) < rotation.load.most


def test_a_successor_that_begins_later_is_bound_once_it_has_begun(rotation: Rotation) -> None:
    """The origin refuses it before; so the old one serves on, and no request fails."""
    old = client("old").bundle.fingerprint
    rotation.project.write(
        "mtls.toml", rotation.project.read("mtls.toml").replace('["upload", "retire"]', '["retire"]')
    )
    wrangler = rotation.project.folder / "wrangler.toml"
    rotation.load.most *= 4  # it takes longer

    # It begins in two hours: it is uploaded, and whatever is deployed meanwhile uses the old one.
    far = rotation.issue("far", datetime.now(UTC) + timedelta(hours=2))
    rotation.renew(far)
    assert rotation.project.run("verify", "billing").code == 1
    before = wrangler.read_bytes()
    rotation.mtlsctl("apply", "--yes")
    assert rotation.stored == [old, far.bundle.fingerprint]
    waiting = rotation.mtlsctl("plan", "--format", "json").json["waiting"]
    assert [wait["condition"] for wait in waiting] == ["not-valid-yet", "bindings-pending"]
    rotation.deploy()
    assert wrangler.read_bytes() == before
    assert set(rotation.load.next(20)) == {OLD}

    # Another one begins in seconds: `apply` waits for it.
    begins = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=20)
    new = rotation.issue("new", begins)
    rotation.renew(new)
    told = rotation.mtlsctl("apply", "--yes").err
    assert f"Waiting until {begins:%H:%M:%S} UTC" in told
    assert wrangler.stat().st_mtime >= begins.timestamp()
    assert wrangler.read_bytes() != before
    assert set(rotation.load.answers) == {OLD}

    # From then on it is a rotation as any other.
    rotation.deploy()
    assert set(rotation.load.next(20)) == {NEW}
    rotation.mtlsctl("apply", "--yes")
    assert rotation.stored == [new.bundle.fingerprint]
    assert rotation.project.run("plan", "--detailed-exitcode").code == 0
    assert set(rotation.load.next(20)) == {NEW}
    assert set(rotation.load.answers) == {OLD, NEW}
    assert len(rotation.load.answers) < rotation.load.most
