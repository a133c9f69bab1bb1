"""The way by hand next to ours: what wrangler uploaded and a person pasted is adopted, with no upload and no key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import new_state
from reconciler.system.clock import SystemClock
from tests.emulator.test_wrangler import UPLOAD, Bench
from tests.support.cli import Project
from tests.support.emulated import account_environ
from tests.support.store_contract import LEAVES
from tests.support.wrangler_readers import find_node

MTLS = """\
version = 1
stack = "payments"

[store]
kind = "cloudflare"

[certificates.billing]
certificate = "certs/billing.pem"
private_key = { env = "BILLING_KEY" }

[workers.tiny]
config = "wrangler.toml"

[workers.tiny.bindings]
MY_CERT = "billing"
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    find_node()
    state = new_state(SystemClock())
    with running(state) as url:
        yield Bench(tmp_path, url, state)


def project_of(bench: Bench) -> Project:
    """The same folder, seen by mtlsctl; no private key is at hand."""
    environ = account_environ(bench.url)
    return Project(bench.folder, environ)


def test_what_was_done_by_hand_is_adopted_and_then_rotated(bench: Bench) -> None:
    """Upload, paste, deploy by wrangler; the first plan has no changes; then a rotation by mtlsctl, deployed again."""
    by_hand = bench.upload(0, "billing 2026", *UPLOAD)
    bench.bind(by_hand)
    bench.passes("deploy")
    pasted = (bench.folder / "wrangler.toml").read_bytes()

    project = project_of(bench)
    project.write("mtls.toml", MTLS)
    project.write("certs/billing.pem", LEAVES[0].certificate_pem)
    plan = project.run("plan", "--format", "json").json
    assert plan["changes"] == []
    assert [(item["certificate"], item["entry"], item["ours"]) for item in plan["adopted"]] == [
        ("billing", by_hand, False)
    ]
    assert (bench.folder / "wrangler.toml").read_bytes() == pasted

    project.write("certs/billing.pem", LEAVES[1].certificate_pem)
    project.environ["BILLING_KEY"] = LEAVES[1].key_pem.decode()
    result = project.run("apply", "--yes")
    assert result.code == 0, result.out + result.err
    bench.passes("deploy")
    (renewed,) = bench.serving()
    assert renewed != by_hand
    assert (bench.folder / "wrangler.toml").read_bytes() == pasted.replace(by_hand.encode(), renewed.encode())
    assert project.run("plan", "--detailed-exitcode").code == 0
    assert {entry.id for entry in bench.state.account().entries()} == {by_hand, renewed}
