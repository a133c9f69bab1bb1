"""The real wrangler works with the emulator as with Cloudflare, in every command that involves certificates."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.emulator.account import Worker
from reconciler.emulator.faults import Fault, FaultKind
from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState, new_state
from reconciler.emulator.tokens import ALL, Permission, Token
from reconciler.system.clock import SystemClock
from tests.support.emulated import TOKEN
from tests.support.store_contract import CA, CAS, LEAVES
from tests.support.wrangler_readers import MODULES, find_node

UNKNOWN = "deadbeef-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Bench:
    """A folder with wrangler in it, and the emulator that it calls."""

    folder: Path
    url: str
    state: EmulatorState
    account: str = ACCOUNT_ID

    def wrangler(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run wrangler with nothing of this machine but Node."""
        command = [find_node(), str(MODULES / "wrangler" / "bin" / "wrangler.js"), *arguments]
        variables = {
            "PATH": os.defpath,
            "HOME": str(self.folder),
            "CI": "true",
            "NO_COLOR": "1",
            "WRANGLER_SEND_METRICS": "false",
            "WRANGLER_LOG_PATH": str(self.folder / "logs"),
            "CLOUDFLARE_API_BASE_URL": self.url,
            "CLOUDFLARE_ACCOUNT_ID": self.account,
            "CLOUDFLARE_API_TOKEN": TOKEN,
        }
        return subprocess.run(
            command, cwd=self.folder, env=variables, capture_output=True, text=True, check=False, timeout=120
        )

    def passes(self, *arguments: str) -> str:
        """The output of a command that must succeed."""
        done = self.wrangler(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def fails(self, *arguments: str) -> str:
        """The whole output of a command that must fail."""
        done = self.wrangler(*arguments)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stdout + done.stderr

    def upload(self, number: int, name: str, *command: str) -> str:
        """The id of a leaf that wrangler uploaded."""
        (self.folder / "cert.pem").write_bytes(LEAVES[number].certificate_pem)
        (self.folder / "key.pem").write_bytes(LEAVES[number].key_pem)
        told = self.passes(*command, "--cert", "cert.pem", "--key", "key.pem", "--name", name)
        return str(re.findall(r"ID: (\S+)", told)[0])

    def bind(self, certificate_id: str) -> None:
        """Write the Worker's files, with this certificate."""
        (self.folder / "index.js").write_text("export default { fetch: () => new Response() };\n")
        (self.folder / "wrangler.toml").write_text(
            'name = "tiny"\nmain = "index.js"\ncompatibility_date = "2026-01-01"\n'
            f'mtls_certificates = [{{ binding = "MY_CERT", certificate_id = "{certificate_id}" }}]\n'
        )

    @property
    def worker(self) -> Worker:
        """The current state of the Worker in the emulator."""
        return self.state.account().holders.workers["tiny"]

    def serving(self) -> set[str]:
        """The ids of the certificates that live versions use."""
        return self.state.account().held()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    find_node()
    state = new_state(SystemClock())
    with running(state) as url:
        yield Bench(tmp_path, url, state)


UPLOAD = ("mtls-certificate", "upload")


def test_wrangler_keeps_certificates(bench: Bench) -> None:
    """Upload, list and delete, for leaves and CAs, by name and by id, in the old and the new commands."""
    one, two = bench.upload(0, "one", *UPLOAD), bench.upload(1, "two", "cert", "upload", "mtls-certificate")
    (bench.folder / "ca.pem").write_bytes(CA.certificate_pem)
    told = bench.passes("cert", "upload", "certificate-authority", "--ca-cert", "ca.pem", "--name", "ca")
    assert "Uploaded CA Certificate ca" in told
    leaves, everything = bench.passes("mtls-certificate", "list"), bench.passes("cert", "list")
    assert re.findall("Name: (.*)", leaves) == ["one", "two"]
    assert re.findall("Name: (.*)", everything) == ["one", "two", "ca"]
    assert f"ID: {one}" in leaves
    assert f"Deleted certificate {one} (one) successfully" in bench.passes(
        "mtls-certificate", "delete", "--name", "one"
    )
    assert "successfully" in bench.passes("mtls-certificate", "delete", "--id", two)
    assert "successfully" in bench.passes("cert", "delete", "--name", "ca")
    assert bench.state.account().entries() == ()


def test_wrangler_hears_refusals(bench: Bench) -> None:
    """With their codes: stored content, a key sent as a certificate, no such entry, a busy service."""
    bench.upload(0, "one", *UPLOAD)
    files = ("--cert", "cert.pem", "--key", "key.pem")
    assert "[code: 1471]" in bench.fails(*UPLOAD, *files, "--name", "other")
    assert "Unable to parse certificate" in bench.fails(*UPLOAD, "--cert", "key.pem", "--key", "key.pem")
    assert "[code: 1472]" in bench.fails("mtls-certificate", "delete", "--id", UNKNOWN)
    bench.state.faults.add(Fault(FaultKind.RATE_LIMITED, retry_after=1))
    assert 'a "Retry-After" header' in bench.fails("mtls-certificate", "list")


def test_wrangler_hears_that_its_token_may_not(bench: Bench) -> None:
    """10000, after which it asks for its identity."""
    bench.state.access.tokens[TOKEN] = Token(ALL - {Permission.CERTIFICATES_READ, Permission.CERTIFICATES_WRITE})
    told = bench.fails("mtls-certificate", "list")
    assert "[code: 10000]" in told
    assert "dev@example.com" in told


def test_wrangler_deploys_a_worker_with_a_certificate(bench: Bench) -> None:
    """The first time and again; an id that the account lacks is refused with 100143, and a bound one can't be
    deleted."""
    bench.bind(UNKNOWN)
    assert f"mTLS certificate '{UNKNOWN}' not found. [code: 100143]" in bench.fails("deploy")
    one, two = bench.upload(0, "one", *UPLOAD), bench.upload(1, "two", *UPLOAD)
    bench.bind(one)
    assert "tiny" in bench.passes("deploy")
    assert bench.serving() == {one}
    assert "Certificate cannot be deleted while in use." in bench.fails("mtls-certificate", "delete", "--id", one)
    bench.bind(two)
    assert f"Current Version ID: {bench.worker.versions[0]['id']}" not in bench.passes("deploy")
    assert bench.serving() == {two}
    bench.passes("mtls-certificate", "delete", "--id", one)
    bench.bind(UNKNOWN)
    assert "[code: 100143]" in bench.fails("versions", "upload")
    assert len(bench.worker.versions) == 2


def test_wrangler_rolls_out_in_steps_and_back(bench: Bench) -> None:
    """versions upload, deploy, list and view; deployments list and status; rollback."""
    one, two = bench.upload(0, "one", *UPLOAD), bench.upload(1, "two", *UPLOAD)
    bench.bind(one)
    bench.passes("deploy")
    bench.bind(two)
    assert "Worker Version ID" in bench.passes("versions", "upload")
    assert bench.serving() == {one}
    old, new = (str(version["id"]) for version in bench.worker.versions)
    bench.passes("versions", "deploy", f"{new}@10%", f"{old}@90%", "-y", "--name", "tiny")
    assert bench.serving() == {one, two}
    bench.passes("versions", "deploy", f"{new}@100%", "-y", "--name", "tiny")
    assert bench.serving() == {two}
    assert bench.passes("deployments", "list", "--name", "tiny").count(f"(100%) {new}") == 1
    assert new in bench.passes("deployments", "status", "--name", "tiny")
    assert new in bench.passes("versions", "list", "--name", "tiny")
    assert two in bench.passes("versions", "view", new, "--name", "tiny")
    bench.passes("rollback", old, "--name", "tiny", "-y", "-m", "back")
    assert bench.serving() == {one}


def test_wrangler_tells_who_changed_a_worker(bench: Bench) -> None:
    """After an edit over the API it warns, and stops with the strict option."""
    one = bench.upload(0, "one", *UPLOAD)
    bench.bind(one)
    bench.passes("deploy")
    bench.worker.last_deployed_from = "api"
    assert "last updated via the script API" in bench.fails("deploy", "--strict")
    bench.passes("deploy")
    bench.worker.last_deployed_from = "dash"
    bench.passes("deploy")


def test_wrangler_deletes_a_worker_and_with_it_the_use(bench: Bench) -> None:
    """Then the certificate can be deleted, too."""
    one = bench.upload(0, "one", *UPLOAD)
    bench.bind(one)
    bench.passes("deploy")
    bench.passes("delete", "--name", "tiny", "--force")
    assert bench.serving() == set()
    bench.passes("mtls-certificate", "delete", "--id", one)


def test_wrangler_deploys_a_pages_project(bench: Bench) -> None:
    """Its Functions use the certificate; with a known token, and one for assets that is not known."""
    bench.state.access.tokens[TOKEN] = Token()
    one = bench.upload(0, "one", *UPLOAD)
    bench.bind(one)
    config = bench.folder / "wrangler.toml"
    config.write_text(config.read_text().replace('main = "index.js"', 'pages_build_output_dir = "out"'))
    for name, text in {"out/index.html": "x", "functions/index.js": "export const onRequest = () => null;"}.items():
        (bench.folder / name).parent.mkdir()
        (bench.folder / name).write_text(text)
    assert "Deployment complete" in bench.passes("pages", "deploy", "--branch", "main", "--commit-dirty=true")
    assert bench.serving() == {one}


def test_wrangler_fills_the_ca_quota(bench: Bench) -> None:
    """1489 at the sixth; Hyperdrive accepts a leaf and a CA that exist."""
    one = bench.upload(0, "one", *UPLOAD)
    for number, issued in enumerate(CAS[:5]):
        bench.state.account().added(
            bench.state.account().store.seed(
                type_="custom", name=f"ca-{number}", ca=True, certificates=issued.certificate_pem.decode()
            )
        )
    (bench.folder / "ca.pem").write_bytes(CAS[5].certificate_pem)
    upload = ("cert", "upload", "certificate-authority", "--ca-cert", "ca.pem", "--name", "ca6")
    assert "Hit maximum CA cert allocation. [code: 1489]" in bench.fails(*upload)
    authority = bench.state.account().entries()[1].id
    database = ("--connection-string", "postgres://u:p@db.example.com:5432/d", "--sslmode", "verify-full")
    certificates = ("--ca-certificate-id", authority, "--mtls-certificate-id", one)
    bench.passes("hyperdrive", "create", "hd1", *database, *certificates)
    assert bench.serving() == {one, authority}


def test_wrangler_changes_hyperdrive_configurations(bench: Bench) -> None:
    """It lists, shows, updates and deletes them; an update is a PATCH, and the password is never shown again."""
    one, two = bench.upload(0, "one", *UPLOAD), bench.upload(1, "two", *UPLOAD)
    database = ("--connection-string", "postgres://u:secret@db.example.com:5432/d")
    bench.passes("hyperdrive", "create", "hd1", *database, "--mtls-certificate-id", one, "--sslmode", "require")
    assert "hd1" in bench.passes("hyperdrive", "list")
    (config,) = bench.state.account().holders.hyperdrive
    shown = bench.passes("hyperdrive", "get", config)
    assert one in shown
    assert "secret" not in shown
    bench.passes("hyperdrive", "update", config, "--mtls-certificate-id", two, "--sslmode", "require")
    assert bench.serving() == {two}
    assert [call.method for call in bench.state.calls if call.path.endswith(config)][-1] == "PATCH"
    bench.passes("hyperdrive", "delete", config)
    assert bench.serving() == set()
