"""What commands run, connect to, open and write, as strace sees it: no more than the page about security says.

`test_effects` holds the same table with an audit hook, which sees what Python does; this sees every system call, also
those of children.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID
from tests.cli.test_effects import ARGUMENTS, KEY, make_repository, told
from tests.servers import find_program, missing
from tests.support.cli import MTLS, Project, make_project
from tests.support.emulated import make_state
from tests.support.origins import client, origin, server_ca
from tests.support.paths import REPOSITORY
from tests.support.store_contract import SetClock
from tests.support.worlds import issued

pytestmark = pytest.mark.slow

_WRITES = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC")
_CHANGES = ("unlink", "rename", "mkdir", "rmdir", "link", "symlink", "chmod", "chown", "truncate", "mknod")
_CALLS = ",".join(
    ("execve", "execveat", "connect", "open", "openat", "openat2", "creat", "/^(" + "|".join(_CHANGES) + ")")
)
_LINE = re.compile(r"^\d+ +(?:<\.\.\. )?(?P<call>\w+)\(?(?P<rest>.*)$")
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass
class Trace:
    """The system calls of a run and its children: programs by name, places as `address:port`, paths as given."""

    programs: set[str] = field(default_factory=set)
    connections: set[str] = field(default_factory=set)
    opened: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    code: int = 0
    output: str = ""


def read(text: str) -> Trace:
    """What strace wrote; a call that was interrupted stands in the line in which it begins."""
    seen = Trace()
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        call, rest = found["call"], found["rest"]
        paths = _PATH.findall(rest)
        if call in ("execve", "execveat") and " = -1 " not in rest and paths:
            seen.programs.add(Path(paths[0]).name)
        elif call == "connect" and (place := re.search(r"htons\((\d+)\).*?\"([0-9a-f.:]+)\"", rest)):
            seen.connections.add(f"{place[2]}:{place[1]}")
        elif call.startswith(("open", "creat")) and paths:
            is_change = call == "creat" or any(flag in rest for flag in _WRITES)
            (seen.changed if is_change else seen.opened).add(paths[0])
        elif call.startswith(_CHANGES) and " = -1 " not in rest:
            seen.changed.update(paths)
    return seen


@pytest.fixture(scope="module")
def strace(tmp_path_factory: pytest.TempPathFactory) -> str:
    """strace, where it may trace; some containers forbid that."""
    program = find_program("strace")
    out = tmp_path_factory.mktemp("strace") / "out"
    tried = subprocess.run(
        [program, "-f", "--seccomp-bpf", "-o", str(out), "true"], check=False, capture_output=True, text=True
    )
    if tried.returncode:
        missing(f"strace can't trace here: {tried.stderr.strip()[-200:]}")
    return program


def traced(strace: str, project: Project, *arguments: str) -> Trace:
    """`mtlsctl ARGUMENTS`, from its start to the end of its last child."""
    out = project.folder.parent / "trace.txt"
    options = ["-f", "-qq", "--seccomp-bpf", "-s", "4096", "-e", f"trace={_CALLS}", "-e", "signal=none", "-o", str(out)]
    environ = {"PATH": os.environ["PATH"], "HOME": str(project.folder.parent), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [strace, *options, sys.executable, "-B", "-m", "reconciler", *arguments],
        check=False,
        cwd=project.folder,
        env={**environ, **project.environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    seen = read(out.read_text())
    seen.programs -= {Path(sys.executable).name}
    seen.changed -= {"/dev/null", "/dev/tty"}
    seen.code, seen.output = done.returncode, done.stdout + done.stderr
    return seen


def prepare(project: Project) -> None:
    """A repository with a key file that git ignores, and programs that a pull request may bring."""
    project.write(KEY, issued(1).key_pem).chmod(0o600)
    project.write(".gitignore", "*.key\nnode_modules\n.mtlsctl\n")
    project.write("node_modules/.bin/wrangler", "#!/bin/sh\nexit 1\n").chmod(0o700)
    make_repository(project.folder)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A checkout with the local store, a plan that was saved, and one that was applied."""
    folder = tmp_path_factory.mktemp("traced") / "checkout"
    folder.mkdir()
    project = make_project(folder, MTLS.replace('{ env = "BILLING_KEY" }', f'"{KEY}"'))
    prepare(project)
    assert project.run("plan", "--out", "../plan.json", "--record-inputs", "../recording.json").code == 0
    assert project.run("apply", "--yes").code == 0
    return project


@pytest.mark.parametrize("command", ARGUMENTS)
def test_a_reading_command_does_only_what_the_page_says(strace: str, checkout: Project, command: str) -> None:
    """With the local store: no connection, and nothing is opened for writing."""
    runs, _, opens, _ = told(command)
    seen = traced(strace, checkout, *command.split(), *ARGUMENTS[command].split())
    assert seen.code == 0, seen.output
    assert seen.programs == set(re.findall(r"^(git|wrangler|workerd)\b", runs))
    assert seen.connections == set()
    assert any(KEY in path for path in seen.opened) is (opens != "no")
    assert seen.changed == set()


def use_account(project: Project, url: str) -> None:
    """Let the project use the account of an emulator."""
    text = project.read("mtls.toml").replace('stack = "payments"', 'stack = "payments"\n[store]\nkind = "cloudflare"')
    project.write("mtls.toml", text)
    project.environ |= {"CLOUDFLARE_API_BASE_URL": url, "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID}
    project.environ |= {"CLOUDFLARE_API_TOKEN": "x" * 40}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A checkout with an account, in which everything was applied."""
    folder = tmp_path_factory.mktemp("account") / "checkout"
    folder.mkdir()
    made = make_project(folder, MTLS.replace('{ env = "BILLING_KEY" }', f'"{KEY}"'))
    prepare(made)
    with running(make_state(SetClock())) as url:
        use_account(made, url)
        assert made.run("plan", "--out", "../plan.json", "--record-inputs", "../recording.json").code == 0
        assert made.run("apply", "--yes").code == 0
        yield made


@pytest.mark.parametrize("command", [*ARGUMENTS, "apply", "verify", "verify --offline"])
def test_only_the_account_is_asked(strace: str, project: Project, command: str) -> None:
    """And by none of those that the page says connect to nothing."""
    _, connects, _, _ = told(command)
    place = project.environ["CLOUDFLARE_API_BASE_URL"].removeprefix("http://").partition("/")[0]
    more = ["--yes"] if command == "apply" else ARGUMENTS.get(command, "").split()
    seen = traced(strace, project, *command.split(), *more)
    assert seen.code == 0, seen.output
    assert seen.connections <= ({place} if connects.startswith("Cloudflare") else set())
    assert bool(seen.connections) is connects.startswith("Cloudflare")


def temporary(names: set[str]) -> set[str]:
    """New files that replace the wrangler file."""
    return {name for name in names if name.startswith(".wrangler.toml.") or name.endswith(".tmp")}


def test_apply_and_retire_write_the_wrangler_file_and_their_own_folder(strace: str, project: Project) -> None:
    """`apply` opens the key of its upload; a deploy would run wrangler."""
    project.write("certs/billing.pem", issued(2).certificate_pem)
    project.write(KEY, issued(2).key_pem)
    seen = traced(strace, project, "apply", "--yes")
    assert (seen.code, seen.programs) == (0, set()), seen.output
    assert any(KEY in path for path in seen.opened)
    assert "wrangler.toml" in {Path(path).name for path in seen.changed}
    again = traced(strace, project, "apply", "--yes")
    assert not any(KEY in path for path in again.opened)
    retire = traced(strace, project, "retire", "billing", "--yes")
    for one in (seen, again, retire):
        names = {Path(path).name for path in one.changed}
        assert names <= {"wrangler.toml", ".mtlsctl", ".gitignore", "lock", "journal.jsonl", *temporary(names)}


def test_guard_writes_a_list_into_its_own_folder(strace: str, project: Project) -> None:
    """And nothing else; the list that it finds there is enough for the next."""
    (project.folder / ".mtlsctl/recent.json").unlink(missing_ok=True)
    seen, again = traced(strace, project, "guard"), traced(strace, project, "guard")
    names = {Path(path).name for path in seen.changed}
    assert "recent.json" in names
    assert names <= {"recent.json", ".mtlsctl", ".gitignore", *temporary(names)}
    assert (again.connections, again.changed) == (set(), set())


def test_verify_runs_the_project_only_where_it_is_told_to(strace: str, tmp_path: Path) -> None:
    """It connects to the declared origin; the rest of the page's rows are those of its options."""
    (tmp_path / "checkout").mkdir()
    with origin() as there:
        verify = f'verify = {{ url = "{there.url}", ca = "origin.pem" }}\nprivate_key = "{KEY}"'
        project = make_project(tmp_path / "checkout", MTLS.replace('private_key = { env = "BILLING_KEY" }', verify))
        prepare(project)
        project.write("origin.pem", server_ca().certificate_pem)
        project.write("certs/billing.pem", client("billing").chain_pem)
        project.write(KEY, client("billing").key_pem).chmod(0o600)
        assert project.run("apply", "--yes").code == 0
        seen, run = traced(strace, project, "verify"), traced(strace, project, "verify", "--run-project")
    assert (seen.code, seen.programs, seen.changed) == (0, set(), set()), seen.output
    ports = {place.rpartition(":")[2] for place in seen.connections}
    assert ports - {"0"} == {str(there.port)}  # 0: the resolver tries which way an address has, and sends nothing
    assert any(KEY in path for path in seen.opened)
    assert "wrangler" in run.programs
    assert "what the build calls" in told("verify --run-project")[1]


def test_dev_runs_wrangler(strace: str, checkout: Project) -> None:
    """And connects to nothing itself."""
    checkout.environ["MTLSCTL_WORKERD"] = "/bin/true"
    seen = traced(strace, checkout, "dev", "checkout", "--port", "0")
    assert seen.code == 1
    assert "wrangler" in seen.programs
    assert seen.connections == set()
    assert "wrangler" in told("dev")[0]


def test_strace_sees_every_kind_of_effect(strace: str, tmp_path: Path) -> None:
    """Else the tests before this one would have nothing to say."""
    code = (
        "import os, socket, subprocess, sys; subprocess.run(['git', '--version']); open('x').read(); open('y', 'w');"
        "os.rename('y', 'z'); os.mkdir('m'); socket.socket().connect_ex(('127.0.0.1', int(sys.argv[1])))"
    )
    (tmp_path / "x").write_text("")
    out = tmp_path / "trace.txt"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        options = ["-f", "-qq", "--seccomp-bpf", "-s", "4096", "-e", f"trace={_CALLS}", "-o", str(out)]
        subprocess.run([strace, *options, sys.executable, "-c", code, str(port)], cwd=tmp_path, check=True)
    seen = read(out.read_text())
    assert "git" in seen.programs
    assert seen.connections == {f"127.0.0.1:{port}"}
    assert "x" in seen.opened
    assert {"y", "z", "m"} <= seen.changed
