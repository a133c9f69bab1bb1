"""Renewals from end to end into each sink, and by Cloudflare's managed CA: real programs, and no key seen anywhere."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from reconciler.emulator.faults import Fault, FaultKind
from reconciler.emulator.server import running
from reconciler.emulator.state import EmulatorState, new_state
from reconciler.system.clock import SystemClock
from tests.keys.test_sinks import with_sops
from tests.keys.test_sinks_in_runs import SINKS, WATCHED, sink_of
from tests.support import vault
from tests.support.cli import WRANGLER, Project, make_project
from tests.support.emulated import TOKEN
from tests.support.pki import make_ca
from tests.support.watching import watched

NOW = datetime.now(UTC).replace(microsecond=0)
CA = make_ca("Internal CA", not_before=NOW - timedelta(days=400))
SIGN = """\
#!/bin/sh
openssl x509 -req -in /dev/stdin -CA "$CA/ca.pem" -CAkey "$CA/ca.key" -days 30 -copy_extensions copyall
"""
MTLS = """\
version = 1
stack = "payments"

[issuers.internal]
ISSUER

[certificates.billing]
certificate = "certs/billing.pem"
private_key = { env = "BILLING_KEY" }

[certificates.billing.renew]
issuer = "internal"
sink = SINK

[workers.checkout]
config = "wrangler.toml"

[workers.checkout.bindings]
BILLING = "billing"
"""
BY_COMMAND = 'kind = "command"\ncommand = ["./sign.sh"]'
BY_CLOUDFLARE = 'kind = "cloudflare"\nzone = "023e105f4ecef8ad9ca31a8372d0c353"'


def make(folder: Path, sink: str, issuer: str = BY_COMMAND) -> Project:
    """A repository with a certificate that ends in three days."""
    text = MTLS.replace("SINK", sink).replace("ISSUER", issuer)
    project = make_project(folder / "project", text, WRANGLER)
    subprocess.run(["git", "init", "--quiet", str(project.folder)], check=True)
    project.write(".gitignore", "/keys/\n/.mtlsctl/\n")
    project.write("keep.sh", WATCHED).chmod(0o755)
    project.write("sign.sh", SIGN).chmod(0o755)
    present = CA.issue("billing", not_before=NOW - timedelta(days=87), not_after=NOW + timedelta(days=3))
    project.write("certs/billing.pem", present.certificate_pem)
    (folder / "kept").mkdir()
    (folder / "ca").mkdir()
    (folder / "ca/ca.pem").write_bytes(CA.certificate.public_bytes(Encoding.PEM))
    key = CA.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "ca/ca.key").write_bytes(key)
    project.environ = {
        "PATH": os.environ["PATH"],
        "BILLING_KEY": present.key_pem.decode(),
        "CA": str(folder / "ca"),
        "KEPT": str(folder / "kept"),
        "SEEN": str(folder / "seen"),
        "TMPDIR": str(folder),
    }
    return project


def secret_of(pem: bytes) -> str:
    """A part of the secret number of an EC key."""
    return "".join(line for line in pem.decode().splitlines() if not line.startswith("-"))[48:80]


def run(project: Project, *words: str) -> str:
    """The whole output of a run that succeeds."""
    done = project.run(*words)
    assert done.code == 0, done.out + done.err
    return done.out + done.err


@contextmanager
def kept_by(project: Project, kind: str) -> Iterator[None]:
    """What a sink needs, while it is used."""
    if kind == "sops":
        project.environ |= with_sops(project.folder)
    if kind != "vault":
        yield
        return
    policy = {"secret/data/mtls/*": ("create", "read"), "secret/metadata/mtls/*": ("list", "delete")}
    with vault.Vault(tokens={vault.TOKEN: policy}).running() as url:
        project.environ |= {"VAULT_ADDR": url, "VAULT_TOKEN": vault.TOKEN}
        yield


@pytest.mark.parametrize("kind", [*SINKS, "vault"])
def test_three_renewals_into_a_sink_are_applied_and_no_key_is_seen(tmp_path: Path, kind: str) -> None:
    """The slot before the one in use stays; no new key is in an argument, an environment, a log, or another file."""
    project = make(tmp_path, SINKS.get(kind, '{ vault = "mtls" }'))
    secrets: set[str] = set()
    output = ""
    with kept_by(project, kind), watched(tmp_path) as seen:
        run(project, "apply", "--yes", "--allow-commands")
        for number in range(1, 4):
            output += run(project, "renew", "billing", "--allow-commands", "--verbose")
            keys = {slot: sink_of(project).read(slot) for slot in sink_of(project).slots()}
            secrets |= {secret_of(key) for key in keys.values()}
            assert sorted(slot.number for slot in keys) == list(range(max(1, number - 1), number + 1))
            output += run(project, "apply", "--yes", "--allow-commands", "--log-format", "json")
            assert output.count('"action": "upload"') == 0
    assert len(secrets) == 3
    for secret in secrets:
        assert secret not in output.replace("\n", "")
        assert [place for place in seen.places(secret) if not _is_own(place, tmp_path, kind)] == []


def _is_own(place: str, folder: Path, kind: str) -> bool:
    """Whether a key may be at a place: in its slot, or where the program of the test keeps it."""
    own = {"file": folder / "project/keys", "command": folder / "kept"}.get(kind)
    return own is not None and place.startswith(str(own))


@contextmanager
def emulated(project: Project) -> Iterator[EmulatorState]:
    """An emulator at the address in the environment of the project."""
    state = new_state(SystemClock())
    with running(state) as url:
        project.environ |= {"CLOUDFLARE_API_BASE_URL": url, "CLOUDFLARE_API_TOKEN": TOKEN}
        yield state


def signed_in(state: EmulatorState) -> int:
    return sum(len(zone) for account in state.accounts.values() for zone in account.holders.signed.values())


def test_cloudflares_ca_signs_and_a_lost_answer_is_found_again(tmp_path: Path) -> None:
    """Also for the local store; the new key is seen nowhere, and nothing is signed twice."""
    project = make(tmp_path, SINKS["file"], BY_CLOUDFLARE)
    with emulated(project) as state, watched(tmp_path) as seen:
        run(project, "apply", "--yes")
        state.faults.add(Fault(FaultKind.LOST_REPLY, method="POST"))
        before = project.read("certs/billing.pem")
        lost = project.run("renew", "billing")
        assert (lost.code, project.read("certs/billing.pem")) == (1, before)
        found = run(project, "renew", "billing")
        assert "issued-twice" not in found
        assert (signed_in(state), project.read("certs/billing.pem") != before) == (1, True)
        run(project, "apply", "--yes")
        (slot,) = sink_of(project).slots()
        secret = secret_of(sink_of(project).read(slot))
    assert [place for place in seen.places(secret) if not _is_own(place, tmp_path, "file")] == []
    assert secret not in (lost.out + lost.err + found).replace("\n", "")
