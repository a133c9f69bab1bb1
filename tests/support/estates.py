"""A fleet over Cloudflare's emulator: 12 stacks in 3 accounts, each with a token of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState
from reconciler.system.clock import SystemClock
from tests.support.cli import MTLS, WRANGLER, Project, Result
from tests.support.emulated import make_state
from tests.support.worlds import issued_now

ACCOUNTS = (ACCOUNT_ID, "b" * 32, "c" * 32)
TOKENS = tuple(f"canary-token-of-account-{number}" for number in range(3))
FLEET = f"""\
version = 1
fleet = "acme"

[defaults]
act = "retire"

[accounts]
shop = "{ACCOUNT_ID}"

[credentials.one]
token = {{ env = "TOKEN_0" }}
accounts = ["shop"]

[credentials.two]
token = {{ env = "TOKEN_1" }}
accounts = ["{ACCOUNTS[1]}"]

[credentials.three]
token = {{ env = "TOKEN_2" }}
accounts = ["{ACCOUNTS[2]}"]

[[stacks]]
files = ["one/*/mtls.toml"]
credential = "one"
tags = ["first"]

[[stacks]]
files = ["two/*/mtls.toml"]
credential = "two"

[[stacks]]
files = ["three/*/mtls.toml"]
credential = "three"
"""


class Estate(Project):
    """The checkout with its fleet.toml, and the Cloudflare that it is of."""

    state: EmulatorState

    def stack(self, account: int, number: int) -> str:
        """A stack with one certificate and one binding that was never deployed; its folder."""
        folder = f"{('one', 'two', 'three')[account]}/s{number}"
        store = f'[store]\nkind = "cloudflare"\naccount_id = "{ACCOUNTS[account]}"\n\n[policy]\ngrace = "0s"\n\n'
        text = MTLS.replace('"payments"', f'"s{number}"').replace("[certificates", f"{store}[certificates", 1)
        text = text.replace('config = "wrangler.toml"', 'config = "wrangler.toml"\ndeployed = false')
        self.write(f"{folder}/mtls.toml", text.replace("BILLING_KEY", f"KEY_{number}"))
        self.write(f"{folder}/wrangler.toml", WRANGLER)
        self.put(folder, number, number)
        return folder

    def put(self, folder: str, number: int, certificate: int) -> None:
        """Give a stack another certificate."""
        self.write(f"{folder}/certs/billing.pem", issued_now(certificate).certificate_pem)
        self.environ[f"KEY_{number}"] = issued_now(certificate).key_pem.decode()

    def apply(self, folder: str, account: int) -> None:
        """Apply one stack by hand."""
        self.environ["CLOUDFLARE_API_TOKEN"] = TOKENS[account]
        assert self.run("apply", "-f", f"{folder}/mtls.toml", "--yes").code == 0
        del self.environ["CLOUDFLARE_API_TOKEN"]

    def outdate(self, folder: str, account: int, number: int) -> None:
        """Apply a stack, and then its renewal: the old certificate can be deleted."""
        self.apply(folder, account)
        self.put(folder, number, 500 + number)
        self.apply(folder, account)

    def codes(self, result: Result) -> dict[str, int]:
        """The exit code of each stack, by the name of its folder."""
        return {Path(one["file"]).parent.name or one["file"]: one["exit_code"] for one in result.json["stacks"]}

    def calls(self, method: str, end: str = "/mtls_certificates") -> int:
        """How many such calls there were since the last time."""
        count = sum(call.method == method and call.path.endswith(end) for call in self.state.calls)
        self.state.calls.clear()
        return count

    def entries(self, account: int) -> int:
        """How many certificates an account has."""
        return len(list(self.state.accounts[ACCOUNTS[account]].store.list_entries().entries))

    def git(self, *words: str) -> str:
        """Run git there, as someone."""
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.com")
        done = subprocess.run(("git", *identity, *words), cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()


@contextmanager
def make_estate(folder: Path, *, stacks: int = 12) -> Iterator[Estate]:
    """The fleet, as long as its Cloudflare answers."""
    estate = Estate(folder)
    folder.mkdir()
    estate.state = make_state()
    estate.state.clock = SystemClock()
    for account in ACCOUNTS:
        estate.state.add_account(account)
    estate.git("init", "-q", "-b", "main")
    estate.write("fleet.toml", FLEET if stacks > 1 else FLEET[: FLEET.index('[[stacks]]\nfiles = ["two')])
    for number in range(stacks):
        estate.stack(number % 3, number + 1)
    estate.git("add", ".")
    estate.git("commit", "-q", "-m", "x")
    with running(estate.state) as url:
        estate.environ["CLOUDFLARE_API_BASE_URL"] = url
        estate.environ |= {f"TOKEN_{number}": token for number, token in enumerate(TOKENS)}
        yield estate
