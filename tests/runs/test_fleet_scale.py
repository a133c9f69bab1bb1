"""A round over a large fleet costs one list for each account and one parse for each certificate, whatever its size."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.emulator.server import running
from reconciler.model.calls import PER_PAGE
from reconciler.x509 import certificates, chains
from tests.support.fleets import make_fleet
from tests.support.sizes import size

STACKS, IN_STACK = size(3, full=25), size(5, full=40)


@pytest.mark.parametrize("accounts", [2, size(4, full=20)])
def test_a_round_reads_and_parses_everything_once(accounts: int, tmp_path: Path) -> None:
    """From 50 to 500 stacks at full size, with 20,000 certificates."""
    project, state = make_fleet(tmp_path / "fleet", accounts, stacks=STACKS, certificates=IN_STACK)
    count = accounts * STACKS * IN_STACK
    with running(state) as url:
        project.environ["CLOUDFLARE_API_BASE_URL"] = url
        state.calls.clear()
        certificates._KNOWN.clear()
        certificates._parse_stored.cache_clear()
        chains.window_of.cache_clear()
        result = project.run("fleet", "run", "--format", "json")
    assert (result.code, len(result.json["stacks"])) == (0, accounts * STACKS), result.err[-1000:]
    pages = -(-STACKS * IN_STACK // PER_PAGE)
    lists = [call for call in state.calls if call.path.endswith("/mtls_certificates")]
    assert len(lists) == len(state.calls) == accounts * pages
    # What is in a file and in the store is parsed for the file alone.
    assert certificates._parse_stored.cache_info().misses <= count
    assert certificates._parse_stored.cache_info().currsize == certificates._parse_stored.cache_info().misses
    # All of a round are judged at one moment, so the dates of each are found once, too.
    assert chains.window_of.cache_info().misses <= count
    assert chains.window_of.cache_info().maxsize == certificates._parse_stored.cache_info().maxsize
