"""A round over a large fleet costs one list for each account and one parse for each certificate, whatever its size."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import EmulatorState
from reconciler.model import CertificateName
from reconciler.model.calls import PER_PAGE
from reconciler.model.ownership import mark_name
from reconciler.model.ports import NewEntry, PrivateKey
from reconciler.system.clock import SystemClock
from reconciler.x509 import certificates
from tests.support.cli import Project
from tests.support.emulated import make_state
from tests.support.pki import DAY, make_ca
from tests.support.sizes import size

STACKS, IN_STACK = size(3, full=25), size(5, full=40)


def make_fleet(folder: Path, accounts: int) -> tuple[Project, EmulatorState]:
    """A fleet whose stacks are as declared, and its Cloudflare."""
    project, state = Project(folder), make_state()
    folder.mkdir()
    state.clock = SystemClock()
    now = state.clock.now()
    ca = make_ca(not_before=now - 60 * DAY, not_after=now + 3650 * DAY)
    fleet = 'version = 1\nfleet = "large"\n'
    for account in range(accounts):
        name = f"{account + 1:032x}"
        state.add_account(name)
        fleet += f'[credentials.c{account}]\ntoken = {{ env = "TOKEN" }}\naccounts = ["{name}"]\n'
        fleet += f'[[stacks]]\nfiles = ["{name}/*/mtls.toml"]\ncredential = "c{account}"\n'
        for stack in range(STACKS):
            text = f'version = 1\nstack = "s{stack}"\n[store]\nkind = "cloudflare"\naccount_id = "{name}"\n'
            for number in range(IN_STACK):
                name_of_leaf = f"client-{account}-{stack}-{number}"
                issued = ca.issue(name_of_leaf, not_before=now - 30 * DAY, not_after=now + 335 * DAY)
                path = f"certs/c{number}.pem"
                text += f'[certificates.c{number}]\ncertificate = "{path}"\nprivate_key = {{ env = "KEY" }}\n'
                project.write(f"{name}/s{stack}/{path}", issued.certificate_pem)
                mark = mark_name(f"s{stack}", CertificateName(f"c{number}"), issued.bundle.digest)
                state.accounts[name].store.upload(NewEntry(mark, False, issued.bundle, PrivateKey(issued.key_pem)))
            project.write(f"{name}/s{stack}/mtls.toml", text)
    project.write("fleet.toml", fleet)
    project.environ["TOKEN"] = "a-token"
    return project, state


@pytest.mark.parametrize("accounts", [2, size(4, full=20)])
def test_a_round_reads_and_parses_everything_once(accounts: int, tmp_path: Path) -> None:
    """From 50 to 500 stacks at full size, with 20,000 certificates."""
    project, state = make_fleet(tmp_path / "fleet", accounts)
    count = accounts * STACKS * IN_STACK
    with running(state) as url:
        project.environ["CLOUDFLARE_API_BASE_URL"] = url
        state.calls.clear()
        certificates._KNOWN.clear()
        certificates._parse_stored.cache_clear()
        result = project.run("fleet", "run", "--format", "json")
    assert (result.code, len(result.json["stacks"])) == (0, accounts * STACKS), result.err[-1000:]
    pages = -(-STACKS * IN_STACK // PER_PAGE)
    lists = [call for call in state.calls if call.path.endswith("/mtls_certificates")]
    assert len(lists) == len(state.calls) == accounts * pages
    # What is in a file and in the store is parsed for the file alone.
    assert certificates._parse_stored.cache_info().misses <= count
    assert certificates._parse_stored.cache_info().currsize == certificates._parse_stored.cache_info().misses
