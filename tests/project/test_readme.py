"""The README's way to take over what exists works as it stands, to the first empty plan."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import new_state
from reconciler.system.clock import SystemClock
from tests.project.test_docs import ROOT, arguments_of, fenced
from tests.runs.test_init import LEAVES, Account, wrangler
from tests.support.cli import run


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    state = new_state(SystemClock())
    with running(state) as url:
        yield Account(tmp_path, url, state)


def test_the_commands_for_what_you_have_end_in_an_empty_plan(account: Account) -> None:
    """In their order, with the exit codes that they promise; what is in their comments holds."""
    (block,) = [block for block in fenced(ROOT / "README.md", "sh") if "mtlsctl init --from ." in block]
    lines = [line for line in block.splitlines() if "mtlsctl" in shlex.split(line, comments=True)]
    project = account.project
    project.write("certs/billing.pem", LEAVES[0].certificate_pem)
    ids = {"BILLING": account.upload(LEAVES[0], "billing"), "LEDGER": account.upload(LEAVES[1], "ledger")}
    project.write("apps/shop/wrangler.toml", wrangler(**ids, LATER="TODO"))
    results = {line.partition("#")[0].strip(): project.run(*arguments_of(line)) for line in lines}
    assert list(results) == ["mtlsctl init --from .", "mtlsctl plan", "mtlsctl drift --unused"]
    assert [result.code for result in results.values()] == [0, 0, 2]
    assert "`mtlsctl plan` has no changes." in results["mtlsctl init --from ."].out
    assert "\nNo changes; 1 in place" in results["mtlsctl plan"].out
    drift = results["mtlsctl drift --unused"].out
    assert "  apps/shop/wrangler.toml\n    + LATER (top level) has the placeholder" in drift
    assert project.run("drift").code == 0


def test_whoever_has_no_mtls_toml_yet_is_told_how_to_make_one(tmp_path: Path) -> None:
    """By the first command that a newcomer tries."""
    result = run(tmp_path, {}, "plan")
    assert result.code == 64
    assert "run `mtlsctl init --from .` to create one" in result.err
    assert "Set up and adopt:\n  init " in run(tmp_path, {}, "--help").out
