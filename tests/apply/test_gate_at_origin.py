"""The gate with a real origin: a renewal by an issuer that the origin does not trust yet stops before any change."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.test_canaries import windows_of
from tests.servers.certificates import pki
from tests.servers.python_tls import ANSWER, serve, server_context
from tests.support.cli import Project
from tests.support.proving import folder_with_files

WRANGLER = """\
name = "checkout"
main = "index.js"

[[mtls_certificates]]
binding = "BILLING"
certificate_id = "<CERTIFICATE_ID>"
"""
MTLS = """\
version = 1
stack = "payments"

[policy]
verify_before = ["upload", "retire"]
grace = "0s"

[certificates.billing]
certificate = "certs/billing.pem"
private_key = { env = "BILLING_KEY" }
verify = { url = "https://localhost:PORT/health", ca = "certs/root.pem" }

[certificates.ledger]
certificate = "certs/ledger.pem"
private_key = { env = "LEDGER_KEY" }
verify_before = []

[workers.checkout]
config = "wrangler.toml"

[workers.checkout.bindings]
BILLING = "billing"
"""


def put(project: Project, name: str, client: str) -> None:
    """Use a client of `pki` as a certificate of the project."""
    project.write(f"certs/{name}.pem", pki().clients[client].chain)
    project.environ[f"{name.upper()}_KEY"] = pki().clients[client].key.decode()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project")
    made.write("wrangler.toml", WRANGLER)
    made.write("certs/root.pem", pki().server_root.certificate_pem)
    put(made, "billing", "right")
    put(made, "ledger", "not yet valid")
    return made


@contextmanager
def an_origin(project: Project, tmp_path: Path, trusted: bytes | None = None) -> Iterator[list[bytes]]:
    """An origin that requires certificates of a CA, and the requests to it."""
    folder = tmp_path / "origin"
    folder.mkdir(exist_ok=True)
    folder_with_files(folder)
    if trusted is not None:
        (folder / "clients.pem").write_bytes(trusted)
    requests: list[bytes] = []
    with serve(server_context(folder, ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_3), ANSWER, requests) as port:
        project.write("mtls.toml", MTLS.replace("PORT", str(port)))
        yield requests


BOTH_ROOTS = pki().client_root.certificate_pem + pki().other_root.certificate_pem


def test_a_rotation_stops_at_an_origin_that_does_not_trust_the_new_issuer(project: Project, tmp_path: Path) -> None:
    """Nothing of that certificate has changed; once the origin trusts both issuers, the next run completes."""
    with an_origin(project, tmp_path) as requests:
        assert project.run("plan").code == 0
        assert requests == []  # a plan sends nothing
        first = project.run("apply", "--yes")
        assert (first.code, len(requests)) == (0, 1)
        bound = project.read("wrangler.toml")

        put(project, "billing", "wrong CA")  # the renewal, by a new issuer
        stopped = project.run("apply", "--yes")
        assert stopped.code == 1
        assert "x verify billing at https://localhost" in stopped.out
        assert ": rejected (unknown_ca)" in stopped.out
        assert "error[verify-refuted]" in stopped.out
        assert project.read("wrangler.toml") == bound
        assert "FAILED: verify billing at https://localhost" in project.run("history").out

    with an_origin(project, tmp_path, BOTH_ROOTS) as requests:
        went = project.run("apply", "--yes")
        assert went.code == 0, went.out
        assert project.read("wrangler.toml") != bound
        retired = project.run("apply", "--yes")
        assert (retired.code, "1 old certificate deleted" in retired.out) == (0, True)


def test_an_origin_that_is_away_blocks_the_upload(project: Project, tmp_path: Path) -> None:
    """3, and the certificate without a gate is uploaded."""
    with an_origin(project, tmp_path):
        pass
    result = project.run("apply", "--yes", "--format", "json")
    assert result.code == 3
    document = result.json
    assert [step["change"]["certificate"] for step in document["done"]] == ["ledger"]
    (proof,) = document["unproved"]
    assert (proof["change"]["action"], proof["note"], proof["problem"]["code"]) == (
        "verify",
        "unreachable",
        "verify-inconclusive",
    )
    assert [step["change"]["action"] for step in document["not_started"]] == ["upload", "rebind"]


def test_a_saved_plan_is_proved_when_it_is_applied(project: Project, tmp_path: Path) -> None:
    """Its proofs are made then, and it is stale if the gate was removed."""
    with an_origin(project, tmp_path) as requests:
        assert project.run("plan", "--out", "plan.json").code == 0
        assert json.loads(project.read("plan.json"))["changes"][0]["action"] == "verify"
        gated = project.read("mtls.toml")
        project.write("mtls.toml", gated.replace('verify_before = ["upload", "retire"]\n', ""))
        stale = project.run("apply", "plan.json")
        assert (stale.code, requests) == (4, [])
        project.write("mtls.toml", gated)
        assert project.run("apply", "plan.json").code == 0
        assert len(requests) == 1


def test_the_gate_leaves_no_key_behind(project: Project, tmp_path: Path) -> None:
    """Neither in its files nor in its output, in any format."""
    with an_origin(project, tmp_path):
        results = [project.run("apply", "--yes", "--verbose", "--format", form) for form in ("text", "json")]
    texts = [result.out + result.err for result in results]
    texts += [path.read_bytes().decode("latin-1") for path in project.folder.rglob("*") if path.is_file()]
    for key in (pki().clients["right"].key, pki().clients["not yet valid"].key):
        assert not [text for text in texts for window in windows_of(key) if window in text]
