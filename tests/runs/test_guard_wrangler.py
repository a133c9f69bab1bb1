"""`guard` as the build of the real wrangler: it stops `wrangler deploy`, and nothing else of wrangler."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import new_state
from reconciler.system.clock import SystemClock
from tests.emulator.test_wrangler import Bench
from tests.support.cli import Project
from tests.support.emulated import account_environ
from tests.support.store_contract import LEAVES
from tests.support.wrangler_readers import MODULES, find_node

MTLS = """\
version = 1
stack = "payments"
store = { kind = "cloudflare" }

[certificates.billing]
certificate = "certs/billing.pem"
private_key = { env = "BILLING_KEY" }

[workers.tiny]
config = "apps/tiny/wrangler.toml"

[workers.tiny.bindings]
MY_CERT = "billing"

[workers.tiny.env.staging.bindings]
MY_CERT = "billing"
"""
WRANGLER = """\
name = "tiny"
main = "index.js"
compatibility_date = "2026-01-01"
mtls_certificates = [{ binding = "MY_CERT", certificate_id = "<CERTIFICATE_ID>" }]

[env.staging]
mtls_certificates = [{ binding = "MY_CERT", certificate_id = "<CERTIFICATE_ID>" }]

[build]
command = "mtlsctl guard tiny"
"""


@dataclass
class Checkout:
    """A repository whose Worker is deployed by wrangler, with the guard as its build."""

    bench: Bench
    project: Project

    def wrangler(
        self, *arguments: str, folder: str = "apps/tiny", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run wrangler as a person or a pipeline does."""
        command = [find_node(), str(MODULES / "wrangler" / "bin" / "wrangler.js"), *arguments]
        own = {
            "PATH": os.pathsep.join((str(self.bench.folder / "bin"), os.defpath)),
            "HOME": str(self.bench.folder),
            "CI": "true",
            "NO_COLOR": "1",
            "WRANGLER_SEND_METRICS": "false",
            "WRANGLER_LOG_PATH": str(self.bench.folder / "logs"),
        }
        api = {name: value for name, value in self.project.environ.items() if name.startswith("CLOUDFLARE_")}
        return subprocess.run(
            command,
            cwd=self.project.folder / folder,
            env={**own, **api, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def renew(self, number: int) -> None:
        """A renewed certificate, applied; nothing is deployed."""
        self.project.write("certs/billing.pem", LEAVES[number].certificate_pem)
        self.project.environ["BILLING_KEY"] = LEAVES[number].key_pem.decode()
        result = self.project.run("apply", "--yes")
        assert result.code == 0, result.out + result.err


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    find_node()
    state = new_state(SystemClock())
    with running(state) as url:
        environ = account_environ(url)
        folder = tmp_path / "repository"
        project = Project(folder, environ)
        project.write("mtls.toml", MTLS)
        project.write("apps/tiny/wrangler.toml", WRANGLER)
        project.write("apps/tiny/index.js", "export default { fetch: () => new Response() };\n")
        (folder / ".git").mkdir()
        program = tmp_path / "bin/mtlsctl"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m reconciler "$@"\n')
        program.chmod(0o755)
        yield Checkout(Bench(tmp_path, url, state), project)


def test_a_stale_branch_is_not_deployed_and_an_updated_one_is(checkout: Checkout) -> None:
    """Before the first apply, after it, from an old commit, and from there with a reason."""
    early = checkout.wrangler("deploy", "--env=")
    assert (early.returncode, "error[guard-placeholder]" in early.stdout) == (1, True), early.stdout + early.stderr
    checkout.renew(0)
    done = checkout.wrangler("deploy", "--env=")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Checked: 2 bindings of apps/tiny/wrangler.toml (all environments)." in " ".join(done.stdout.split())
    old = {path: checkout.project.read(path) for path in ("apps/tiny/wrangler.toml", "certs/billing.pem")}
    (before,) = checkout.bench.serving()
    checkout.renew(1)
    new = {path: checkout.project.read(path) for path in old}
    assert checkout.wrangler("deploy", "--env=").returncode == 0
    (now,) = checkout.bench.serving()
    assert now != before
    for path, text in old.items():
        checkout.project.write(path, text)
    for command in (("deploy", "--env="), ("deploy", "--dry-run", "--env="), ("versions", "upload", "--env=")):
        stopped = checkout.wrangler(*command)
        assert (stopped.returncode, "error[guard-older]" in stopped.stdout) == (1, True), command
    assert checkout.bench.serving() == {now}
    excused = checkout.wrangler("deploy", "--env=", MTLSCTL_SKIP_GUARD="INC-4711")
    assert (excused.returncode, "warning[guard-skipped]" in excused.stdout) == (0, True)
    assert checkout.bench.serving() == {before}
    assert "of wrangler deploy: INC-4711" in checkout.project.run("history").out
    for path, text in new.items():
        checkout.project.write(path, text)
    assert checkout.wrangler("deploy", "--env=").returncode == 0
    assert checkout.bench.serving() == {now}


def test_a_label_names_the_worker_wherever_wrangler_is_run(checkout: Checkout) -> None:
    """wrangler runs a build in its own working folder, not in that of the file."""
    checkout.renew(0)
    done = checkout.wrangler("deploy", "--env=", "-c", "apps/tiny/wrangler.toml", folder=".")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "apps/tiny/wrangler.toml (all environments)" in done.stdout


def test_without_a_token_wrangler_stops_too(checkout: Checkout) -> None:
    """A dry run needs none, so only the guard can stop it; a build for types and the like is not stopped."""
    checkout.renew(0)
    del checkout.project.environ["CLOUDFLARE_API_TOKEN"]
    stopped = checkout.wrangler("deploy", "--dry-run", "--env=")
    assert (stopped.returncode, "error[guard-not-checked]" in stopped.stdout) == (1, True)
    assert checkout.wrangler("types").returncode == 0


def test_what_wrangler_knows_of_the_environment_reaches_the_guard(checkout: Checkout) -> None:
    """CLOUDFLARE_ENV does, and a build of an environment has its own `--env`; an `.env` file may excuse a deploy."""
    checkout.renew(0)
    text = checkout.project.read("apps/tiny/wrangler.toml")
    head, found, tail = text.partition("[env.staging]")
    stale = head + found + re.sub("[0-9a-f-]{36}", "<CERTIFICATE_ID>", tail)
    checkout.project.write("apps/tiny/wrangler.toml", stale)
    by_variable = checkout.wrangler("deploy", "--dry-run", CLOUDFLARE_ENV="staging")
    assert (by_variable.returncode, "1 of 1 binding" in by_variable.stdout) == (1, True)
    own = '\n[env.staging.build]\ncommand = "mtlsctl guard tiny --env staging"\n'
    checkout.project.write("apps/tiny/wrangler.toml", stale.replace("guard tiny", "guard tiny --env=") + own)
    assert checkout.wrangler("deploy", "--dry-run", "--env=").returncode == 0
    assert checkout.wrangler("deploy", "--dry-run", "--env=staging").returncode == 1
    checkout.project.write("apps/tiny/.env", "MTLSCTL_SKIP_GUARD=because\n")
    assert checkout.wrangler("deploy", "--dry-run", "--env=staging").returncode == 0


def test_a_build_that_mtlsctl_runs_is_not_guarded(checkout: Checkout) -> None:
    """`verify` builds without a token, and `apply --deploy` deploys what it planned."""
    checkout.renew(0)
    environ = checkout.project.environ
    environ |= {
        "MTLSCTL_WRANGLER": str(MODULES / ".bin" / "wrangler"),
        "PATH": os.pathsep.join((str(checkout.bench.folder / "bin"), str(Path(find_node()).parent), os.defpath)),
    }
    checkout.wrangler("deploy", "--env=")
    checkout.project.write("certs/billing.pem", LEAVES[1].certificate_pem)
    environ["BILLING_KEY"] = LEAVES[1].key_pem.decode()
    (before,) = checkout.bench.serving()
    done = checkout.project.run("apply", "--yes", "--deploy")
    assert done.code == 0, done.out + done.err
    assert before not in checkout.bench.serving()
    environ.pop("CLOUDFLARE_API_TOKEN")
    proved = checkout.project.run("verify", "--offline", "--level", "wrangler", "--run-project")
    assert "guard" not in proved.out + proved.err
    assert proved.code == 0, proved.out + proved.err
