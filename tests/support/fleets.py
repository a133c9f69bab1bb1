"""A large fleet whose stacks are as declared, with an emulated Cloudflare."""

from __future__ import annotations

from pathlib import Path

from reconciler.emulator.state import EmulatorState
from reconciler.model import CertificateName
from reconciler.model.ownership import mark_name
from reconciler.model.ports import NewEntry, PrivateKey
from reconciler.system.clock import SystemClock
from tests.support.cli import Project
from tests.support.emulated import make_state
from tests.support.pki import DAY, make_ca


def make_fleet(folder: Path, accounts: int, *, stacks: int, certificates: int) -> tuple[Project, EmulatorState]:
    """The fleet and its Cloudflare. `stacks`: of each account; `certificates`: of each stack."""
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
        for stack in range(stacks):
            text = f'version = 1\nstack = "s{stack}"\n[store]\nkind = "cloudflare"\naccount_id = "{name}"\n'
            for number in range(certificates):
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
