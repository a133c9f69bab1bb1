"""A pull request of a fork that tries everything at once: what a pipeline runs on it does nothing of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState, new_state
from reconciler.findings.escape import toml_text
from reconciler.system.clock import SystemClock
from tests.cli.test_effects import watched
from tests.support.cli import MTLS, Project, make_project
from tests.support.emulated import TOKEN
from tests.support.hostile import NAMES, check_texts
from tests.support.worlds import issued

SECRET = "a secret of the runner, beside the checkout"
READING = ("plan", "plan --format markdown", "plan --format json", "status", "drift --unused", "validate", "guard")
"""Each is a run of a job that has the token; `test_hostile*` have files and names of every kind, one by one."""


@dataclass
class Fork:
    """The checkout of a pull request in a pipeline with a token that may read, and the server of the attacker."""

    project: Project
    state: EmulatorState
    ears: socket.socket

    @property
    def heard(self) -> bool:
        """Whether anything called the attacker."""
        try:
            self.ears.accept()[0].close()
        except BlockingIOError:
            return False
        return True


def git(folder: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@mtls.example", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def attack(project: Project, url: str) -> None:
    """Everything that a commit can bring, next to a renewed certificate."""
    project.write("certs/billing.pem", issued(2).certificate_pem)
    names = "".join(
        f"\n[[mtls_certificates]]\nbinding = {toml_text(name)}\ncertificate_id = {toml_text(name)}\n"
        for name in NAMES.values()
    )
    project.write("wrangler.toml", project.read("wrangler.toml") + names + '\n[build]\ncommand = "touch ran-build"\n')
    weak = 'former_stacks = ["other"]\npolicy = { grace = "0s", prune = true, max_deletes = 1000 }\n'
    text = project.read("mtls.toml").replace('stack = "payments"\n', f'stack = "payments"\n{weak}')
    text = text.replace('config = "wrangler.toml"', 'config = "wrangler.toml"\ndeploy = "wrangler"')
    text = text.replace("private_key =", f'verify = "{url}"\nverify_before = ["upload", "retire"]\nprivate_key =')
    for number, path in enumerate(("certs/link.pem", "../secret.pem", "certs/zero.pem", "mtls.toml")):
        text += f'\n[certificates.x{number}]\ncertificate = "{path}"\nprivate_key = {{ env = "CLOUDFLARE_API" }}\n'
    project.write("mtls.toml", text)
    (project.folder / "certs/link.pem").symlink_to(project.folder.parent / "secret.pem")
    (project.folder / "certs/zero.pem").symlink_to("/dev/zero")
    elsewhere = url.replace("https", "http")
    project.write(
        ".env",
        f"CLOUDFLARE_API_BASE_URL={elsewhere}\nCLOUDFLARE_API_TOKEN=theirs\nMTLSCTL_PRUNE=1\nMTLSCTL_DEPLOY=1\n"
        f"MTLSCTL_SKIP_GUARD=because\nHTTPS_PROXY={elsewhere}\n",
    )
    for program in ("git", "wrangler", "node_modules/.bin/wrangler", "node_modules/.bin/workerd"):
        project.write(program, "#!/bin/sh\ntouch ran-program\n").chmod(0o755)
    for module in ("reconciler", "sitecustomize", "typer", "pydantic"):
        project.write(f"{module}.py", 'open("ran-module", "w")\n')
    for name, data in (
        ("journal.jsonl", "\x1b[2J::error::x\n"),
        ("recent.json", "{}"),
        ("lock", "x"),
        ("store.db", "x"),
    ):
        project.write(f".mtlsctl/{name}", data)


@pytest.fixture
def fork(tmp_path: Path) -> Iterator[Fork]:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (tmp_path / "secret.pem").write_text(SECRET)
    state = new_state(SystemClock())
    with running(state) as url, socket.create_server(("127.0.0.1", 0)) as ears:
        ears.setblocking(False)
        mtls = MTLS.replace('stack = "payments"\n', 'stack = "payments"\nstore = { kind = "cloudflare" }\n')
        project = make_project(folder, mtls)
        project.environ |= {"CLOUDFLARE_API_BASE_URL": url, "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID}
        project.environ |= {"CLOUDFLARE_API_TOKEN": TOKEN}
        git(folder, "init")
        assert project.run("apply", "--yes").code == 0
        del project.environ["BILLING_KEY"]
        shutil.rmtree(folder / ".mtlsctl")
        attack(project, f"https://127.0.0.1:{ears.getsockname()[1]}/client/v4")
        git(folder, "add", "--force", ".")
        git(folder, "commit", "-m", "A harmless change")
        state.calls.clear()
        yield Fork(project, state, ears)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file but git's own, and what the guard may keep."""
    paths = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path): path.read_bytes() for path in paths if path.name not in {"recent.json", ".gitignore"}}


@pytest.mark.parametrize("command", READING)
def test_what_a_reviewer_runs_on_a_fork_does_nothing_of_it(fork: Fork, command: str) -> None:
    """No program of it, no module of it, no file outside, no other address than the account; nothing is changed."""
    folder, address = fork.project.folder, fork.project.environ["CLOUDFLARE_API_BASE_URL"]
    before = files_of(folder)
    with watched() as seen:
        result = fork.project.run(*command.split())
    check_texts(result.out, result.err)
    assert result.code in {1, 2, 3, 5}, "what is wrong with it is told"
    assert command != "plan" or "+ upload" in result.out, "and what is good in it is planned"
    assert not any(text in result.out + result.err for text in (SECRET, TOKEN, "theirs"))
    assert seen.programs <= {"git"}
    assert not any("secret.pem" in path or path.endswith("/.env") for path in seen.opened)
    port = address.split(":")[2].partition("/")[0]
    assert all(f", {port})" in place for place in seen.connections), seen.connections
    assert not fork.heard
    assert {call.method for call in fork.state.calls} <= {"GET"}
    assert files_of(folder) == before


def test_the_program_itself_runs_nothing_of_a_fork(fork: Fork) -> None:
    """As a process in the folder of the checkout, where its modules and programs have the names of others."""
    folder = fork.project.folder
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environ = {**fork.project.environ, "PATH": path, "HOME": str(folder.parent)}
    for command in ("plan", "validate"):
        program = str(Path(sys.executable).parent / "mtlsctl")
        done = subprocess.run([program, command], cwd=folder, env=environ, capture_output=True, text=True, check=False)
        check_texts(done.stdout, done.stderr)
        assert done.returncode in {1, 5}, done.stderr
    assert [path.name for path in folder.rglob("ran-*")] == []
    assert not fork.heard
