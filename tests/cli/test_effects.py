"""What commands run, connect to, open and write: no more than the page about security says of each."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from tests.support.cli import MTLS, Project, make_project
from tests.support.paths import REPOSITORY
from tests.support.trees import git
from tests.support.worlds import issued

KEY = "certs/billing.key"
ARGUMENTS = {
    "plan": "",
    "plan --offline": "",
    "plan --base": "HEAD",
    "status": "",
    "drift": "",
    "explain": "billing",
    "forecast": "",
    "forecast --offline": "",
    "output": "billing",
    "guard": "",
    "guard --offline": "",
    "export": "",
    "show": "../plan.json",
    "replay": "../recording.json",
    "history": "",
    "schema": "",
    "completion": "bash",
    "validate": "",
    "doctor": "",
    "init": "--update",
}
"""Commands that change nothing here, with what they need; none that runs a Worker or asks an origin."""


@dataclass
class Effects:
    """What a run did to the world outside of its process."""

    programs: set[str] = field(default_factory=set)
    connections: list[str] = field(default_factory=list)
    opened: set[str] = field(default_factory=set)


_watching: list[Effects] = []
"""At most one."""


def _see(event: str, arguments: tuple[object, ...], watching: list[Effects] = _watching) -> None:
    for seen in watching:  # a default, because a module has no names any more when Python ends
        match event:
            case "subprocess.Popen":
                seen.programs.add(Path(str(arguments[0])).name)
            case "socket.connect":
                seen.connections.append(str(arguments[1]))
            case "open":
                seen.opened.add(str(arguments[0]))


@cache
def _install() -> None:
    """An audit hook can't be removed; this one does nothing while nobody watches."""
    sys.addaudithook(_see)


@contextmanager
def watched() -> Iterator[Effects]:
    """What this process does meanwhile."""
    _install()
    seen = Effects()
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.clear()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A repository with a key file that git ignores, a plan that was saved, and one that was applied."""
    folder = tmp_path_factory.mktemp("effects") / "checkout"
    folder.mkdir()
    project = make_project(folder, MTLS.replace('{ env = "BILLING_KEY" }', f'"{KEY}"'))
    project.write(KEY, issued(1).key_pem).chmod(0o600)
    project.write(".gitignore", "*.key\n")
    make_repository(folder)
    assert project.run("plan", "--out", "../plan.json", "--record-inputs", "../recording.json").code == 0
    assert project.run("apply", "--yes").code == 0
    return project


def make_repository(folder: Path) -> None:
    """A repository whose one commit has mtls.toml."""
    git(folder, "init", "--quiet")
    git(folder, "add", "mtls.toml")
    git(folder, "commit", "--quiet", "--message", "begin")


def snapshot(folder: Path) -> dict[str, str]:
    """Every file of the checkout, but git's own."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def told(command: str) -> list[str]:
    """The row of the page: what a command runs, connects to, opens and writes."""
    page = (REPOSITORY / "docs/explanation/security.md").read_text()
    for line in page.splitlines():
        first, *rest = [cell.strip() for cell in line.split("|")[1:-1]] or [""]
        if f"`{command}`" in first and len(rest) == 4:
            return rest
    pytest.fail(f"the page does not have {command}")


@pytest.mark.parametrize("command", ARGUMENTS)
def test_a_reading_command_does_only_what_the_page_says(command: str, checkout: Project) -> None:
    """With the local store: no connection, no file changed."""
    runs, _, opens, _ = told(command)
    before = snapshot(checkout.folder)
    with watched() as seen:
        result = checkout.run(*command.split(), *ARGUMENTS[command].split())
    assert result.code == 0, result.err
    assert seen.programs == set(re.findall(r"^(git|wrangler|workerd)\b", runs))
    assert seen.connections == []
    assert any(KEY in path for path in seen.opened) is (opens != "no")
    assert snapshot(checkout.folder) == before


def test_an_upload_opens_its_key_and_runs_nothing(tmp_path: Path) -> None:
    """And what has no upload opens none."""
    project = make_project(tmp_path, MTLS.replace('{ env = "BILLING_KEY" }', f'"{KEY}"'))
    project.write(KEY, issued(1).key_pem).chmod(0o600)
    with watched() as first:
        assert project.run("apply", "--yes").code == 0
    with watched() as second:
        assert project.run("apply", "--yes").code == 0
    assert (first.programs, first.connections) == (set(), [])
    assert any(KEY in path for path in first.opened)
    assert not any(KEY in path for path in second.opened)


def test_every_kind_of_effect_is_seen(tmp_path: Path) -> None:
    """Else the tests before this one would have nothing to say."""
    with watched() as seen:
        subprocess.run(["git", "--version"], capture_output=True, check=True)
        (tmp_path / "x.key").write_text("")
    assert seen.programs == {"git"}
    assert any(path.endswith("x.key") for path in seen.opened)


def test_what_a_run_writes_is_for_its_user_alone_whatever_the_umask(tmp_path: Path) -> None:
    """Only a report that was asked for is public: it says nothing that a plan would not."""
    before = os.umask(0)
    try:
        project = make_project(tmp_path)
        assert project.run("apply", "--yes", "--out", "outcome.json").code == 0
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / ".mtlsctl").iterdir()}
    assert stat.S_IMODE((tmp_path / ".mtlsctl").stat().st_mode) == 0o700
    assert {mode for name, mode in modes.items() if name != ".gitignore"} == {0o600}
    assert modes.keys() >= {"store.db", "journal.jsonl", "lock"}
    assert stat.S_IMODE((tmp_path / "outcome.json").stat().st_mode) == 0o644
