"""The whole circle with real parts: a certificate of minutes renews itself under load, and no request fails.

step-ca signs, SOPS keeps the keys for age, nginx trusts the CA, wrangler deploys to the emulator, workerd serves.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from reconciler.emulator.server import running
from reconciler.emulator.state import new_state
from reconciler.system.clock import SystemClock
from reconciler.x509.certificates import serial_text
from tests.cli.test_canaries import windows_of
from tests.emulator.test_wrangler import Bench
from tests.servers.certificates import pki
from tests.servers.programs import nginx
from tests.stories.test_rotation import WORKER, WRANGLER
from tests.support.cli import Project, Result
from tests.support.edge import Edge, Load, Switch
from tests.support.emulated import account_environ
from tests.support.pki import Issued
from tests.support.runtime_programs import install_wrangler, node_path, workerd
from tests.support.step_ca import PASSWORD, authority, provisioner, step_ca
from tests.support.tools import find_age, find_tool
from tests.support.watching import BEGINNING, Seen, watched
from tests.support.wrangler_readers import find_node

MTLS = """\
version = 1
stack = "payments"
store = { kind = "cloudflare" }
# It is due as soon as it is issued.
policy = { grace = "0s", rollback_versions = 0, verify_before = ["upload", "retire"], renew_before = "10m50s" }

[issuers.internal]
kind = "step"
url = "STEP"
provisioner = "mtlsctl"
password = { env = "STEP_PASSWORD" }
root = "certs/step.pem"

[certificates.billing]
certificate = "certs/billing.pem"
verify = { url = "ORIGIN", ca = "certs/origin.pem" }

[certificates.billing.renew]
issuer = "internal"
sink = { sops = "secrets" }
subject = "CN=billing"
names = ["DNS:billing.example"]
lifetime = "10m"

[workers.checkout]
config = "wrangler.toml"

[workers.checkout.bindings]
MY_CERT = "billing"
"""

PROVISIONER = provisioner(rounds=600_000, more={"claims": {"minTLSCertDuration": "1m"}})


@dataclass
class Circle:
    """Everything that takes part. `keys`: every private key that there was, as PEM."""

    project: Project
    bench: Bench
    edge: Edge
    load: Load
    seen: Seen
    keys: list[bytes] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    def mtlsctl(self, *arguments: str) -> Result:
        """`mtlsctl`, which succeeds."""
        result = self.project.run(*arguments, "--verbose")
        assert result.code == 0, result.out + result.err
        self.results.append(result)
        return result

    def renew(self) -> str:
        """The serial number of the new certificate, as nginx tells it; the edge could serve with it."""
        self.mtlsctl("renew", "--due")
        leaf, *above = x509.load_pem_x509_certificates(self.project.read("certs/billing.pem").encode())
        newest = f"secrets/payments_billing/{self.slots[-1]}"
        command = [str(find_tool("sops")), "--decrypt", "--input-type", "binary", "--output-type", "binary", newest]
        environ = {"SOPS_AGE_KEY": self.project.environ["SOPS_AGE_KEY"]}
        key = subprocess.run(command, env=environ, check=True, capture_output=True, cwd=self.project.folder).stdout
        self.keys.append(key)
        private = load_pem_private_key(key, None)
        assert private.public_key() == leaf.public_key()
        issued = Issued(leaf, private, tuple(above))  # type: ignore[arg-type]
        self.edge.pairs[issued.bundle.fingerprint] = issued
        return serial_text(leaf)

    @property
    def slots(self) -> list[str]:
        """The names of the slots, those of older keys first."""
        return sorted(path.name for path in (self.project.folder / "secrets/payments_billing").iterdir())

    @property
    def stored(self) -> list[str]:
        """The serial numbers in the account."""
        entries = self.bench.state.account().entries()
        return [serial_text(entry.bundle.leaf) for entry in entries if entry.bundle is not None]


@pytest.fixture
def circle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Circle]:
    """A project without a certificate yet."""
    find_node()
    workerd()
    folder, step, temporary = tmp_path / "project", tmp_path / "step", tmp_path / "tmp"
    for one in (folder, step, temporary):
        one.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    install_wrangler(folder)
    state = new_state(SystemClock())
    with contextlib.ExitStack() as stack:
        pki().write(tmp_path)
        (tmp_path / "clients.pem").write_bytes(authority()[0].certificate_pem)
        told = 'error_log nginx.log warn; location = /serial { return 200 "$ssl_client_serial"; }'
        origin = f"https://localhost:{stack.enter_context(nginx(tmp_path, 'on', more=told))}/serial"
        ca = stack.enter_context(step_ca(step, PROVISIONER))
        url = stack.enter_context(running(state))
        switch = stack.enter_context(Switch().running())
        made = subprocess.run([find_age() / "age-keygen"], check=True, capture_output=True, text=True)
        recipient = made.stderr.split(":")[1].strip()
        environ = {
            "PATH": os.pathsep.join((str(find_tool("sops").parent), node_path())),
            "HOME": str(folder),
            "TMPDIR": str(temporary),
            **account_environ(url),
            "STEP_PASSWORD": PASSWORD.decode(),
            "SOPS_AGE_KEY": made.stdout.splitlines()[-1],
        }
        project = Project(folder, environ)
        files: dict[str, str | bytes] = {
            "certs/origin.pem": pki().server_root.certificate_pem,
            "certs/step.pem": authority()[0].certificate_pem,
            ".sops.yaml": f"creation_rules: [{{path_regex: ^secrets/, age: {recipient}}}]\n",
            "mtls.toml": MTLS.replace("ORIGIN", origin).replace("STEP", ca, 1),
            "wrangler.toml": WRANGLER.format(origin=origin),
            "index.js": WORKER,
        }
        for path, content in files.items():
            project.write(path, content)
        trusted = (pki().server_root.certificate_pem.decode(),)
        edge = Edge(state.account(), folder / "wrangler.toml", switch, {}, trusted)
        stack.callback(edge.close)
        seen = stack.enter_context(watched(temporary, folder / ".wrangler", folder / ".mtlsctl"))
        load = Load(switch.port, most=100_000)
        yield Circle(project, Bench(folder, url, state), edge, load, seen)


def test_a_certificate_of_minutes_renews_itself_without_a_failed_request(circle: Circle) -> None:
    """Issued, kept, proved, uploaded, bound, deployed, retired, three times; and nothing shows a secret meanwhile."""
    serials = [circle.renew()]
    circle.mtlsctl("apply", "--yes")
    circle.bench.passes("deploy")  # for the first time
    circle.edge.roll_out()
    with circle.load.running():
        assert set(circle.load.next(10)) == {(200, serials[0])}
        for _ in range(3):
            serials.append(circle.renew())
            circle.mtlsctl("apply", "--yes", "--deploy")
            assert circle.stored == serials[-2:]
            assert set(circle.load.next(5)) == {(200, serials[-2])}
            circle.edge.roll_out()
            assert set(circle.load.next(10)) == {(200, serials[-1])}
            circle.mtlsctl("apply", "--yes", "--deploy")
            assert circle.stored == serials[-1:]
    assert len(set(serials)) == 4
    assert [name[:5] for name in circle.slots] == ["0003-", "0004-"]
    assert set(circle.load.answers) == {(200, serial) for serial in serials}
    demand_no_secret(circle)


def demand_no_secret(circle: Circle) -> None:
    """Neither keys nor the password in an output, a file, arguments or an environment; sops alone has its own key."""
    seen, folder = circle.seen, circle.project.folder
    assert {"sops", "node", "workerd"} <= seen.programs()
    seen.look([folder])
    for number, result in enumerate(circle.results):
        seen.files[Path(f"output {number}")] = {(result.out + result.err).encode()}
    private = str(PROVISIONER.key.as_dict(private=True)["d"])
    secrets = [PASSWORD.decode(), private, *(one for key in circle.keys for one in sorted(windows_of(key)))]
    assert [(secret[:6], place) for secret in secrets for place in seen.places(secret)] == []
    own = set(seen.places(circle.project.environ["SOPS_AGE_KEY"])) - {f"environment of {BEGINNING}"}
    assert own
    assert [place for place in own if not re.match(r"environment of .*\bsops --(en|de)crypt ", place)] == []


def test_what_is_leaked_is_seen(tmp_path: Path) -> None:
    """The watch itself can fail: an argument, a variable and a file that are there for a moment are found."""
    script = 'printf "ca\\nnary" > file; echo; read line; rm file'
    command, variables = ["sh", "-c", script, "canary-1"], {"A": "canary-2"}
    pipe = subprocess.PIPE
    with (
        watched(tmp_path) as seen,
        subprocess.Popen(command, cwd=tmp_path, env=variables, stdin=pipe, stdout=pipe) as child,
    ):
        assert child.stdout is not None
        child.stdout.readline()  # the file is written
        seen.look([tmp_path])
        child.communicate(b"\n")
    assert not (tmp_path / "file").exists()
    assert {place[:20] for place in seen.places("canary-1")} == {"arguments of sh -c p"}
    assert "environment of sh -c " in {place[:21] for place in seen.places("canary-2")}
    assert str(tmp_path / "file") in set(seen.places("canary"))
