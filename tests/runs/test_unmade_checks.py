"""Rule 12 as a table: what can keep a check from being made, and what each command then says.

A check that was not made is reported with its reason, and never as passed.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID
from reconciler.emulator.tokens import Permission, Token
from reconciler.system.clock import SystemClock
from reconciler.system.lock import checkout_lock
from tests.support.cli import MTLS, WRANGLER, Project, make_project
from tests.support.emulated import TOKEN, account_environ, make_state
from tests.support.gits import no_git, refusing_git
from tests.support.worlds import issued

KEY_FILE = MTLS.replace('{ env = "BILLING_KEY" }', '"certs/billing.key"')
CLOUDFLARE = MTLS.replace("[certificates", '[store]\nkind = "cloudflare"\n\n[policy]\ngrace = "0s"\n\n[certificates', 1)

Kept = Callable[[Project], object]
"""Prepares a project so that a check can't be made."""


def nothing(_: Project) -> None:
    """The project as it is."""


def both(*steps: Kept) -> Kept:
    """Several things together."""

    def prepare(project: Project) -> None:
        for step in steps:
            step(project)

    return prepare


def repository(project: Project) -> None:
    """In a repository, in which the key of a file is tracked."""
    project.write("mtls.toml", KEY_FILE)
    project.write("certs/billing.key", issued(1).key_pem).chmod(0o600)
    for command in (["init", "-q"], ["add", "-f", "certs/billing.key"]):
        subprocess.run(["git", *command], cwd=project.folder, check=True)


def lone(project: Project) -> None:
    """A key file, and no repository."""
    project.write("mtls.toml", KEY_FILE)
    project.write("certs/billing.key", issued(1).key_pem).chmod(0o600)


def missing_git(project: Project) -> None:
    project.environ["PATH"] = no_git(project.folder.parent)


def other_owner(project: Project) -> None:
    project.environ["PATH"] = refusing_git(project.folder.parent)


def no_mtls_toml(project: Project) -> None:
    (project.folder / "mtls.toml").unlink()


def no_key(project: Project) -> None:
    project.environ.clear()


def applied(project: Project) -> None:
    assert project.run("apply", "--yes").code == 0


def unreadable(name: str) -> Kept:
    """A file that the system refuses to read, to root, too."""
    return lambda project: project.write(".refused", name)


@dataclass(frozen=True)
class Row:
    """One cell of the table. `says` is in what the command prints; `never` is not."""

    kept: str
    command: str
    prepare: Kept
    code: int
    says: tuple[str, ...]
    never: tuple[str, ...] = ()


ORDER = "Everything checked is in order"
UNTRACKED = "not in git"

ROWS = (
    # git
    Row("git asked", "validate", repository, 1, ("error[key-in-git]",)),
    Row(
        "git missing", "validate", both(repository, missing_git), 3, ("key-tracking-unknown", "not installed"), (ORDER,)
    ),
    Row("git refuses", "validate", both(repository, other_owner), 3, ("key-tracking-unknown", "owns it"), (ORDER,)),
    Row("no repository", "validate", lone, 0, ("info[key-tracking-unknown]", "no git repository")),
    Row("git missing", "doctor", both(repository, missing_git), 0, ("warning[key-tracking-unknown]",), (UNTRACKED,)),
    Row("git refuses", "doctor", both(repository, other_owner), 0, ("warning[key-tracking-unknown]",), (UNTRACKED,)),
    Row("no repository", "doctor", lone, 0, ("did not check whether git tracks private keys",), (UNTRACKED,)),
    Row(
        "git refuses",
        "init --from . --stack x --store local",
        both(repository, no_mtls_toml, other_owner),
        0,
        ("could not leave out the files that git ignores", "safe.directory"),
    ),
    Row("git missing", "plan", both(repository, missing_git), 0, ("private keys",)),
    # permission
    Row("a key", "validate", both(lone, unreadable("billing.key")), 0, ("info[key-not-checked]", "Permission denied")),
    Row("a key", "doctor", both(lone, unreadable("billing.key")), 0, ("not available", "Permission denied")),
    Row("a key", "apply --yes", both(lone, unreadable("billing.key")), 1, ("error[key-unavailable]",)),
    Row("a certificate", "validate", unreadable("billing.pem"), 1, ("error[file-unreadable]",), (ORDER,)),
    Row("a wrangler file", "validate", unreadable("wrangler.toml"), 1, ("error[file-unreadable]",), (ORDER,)),
    # a key that is elsewhere
    Row("a key that is elsewhere", "validate", no_key, 0, ("info[key-not-checked]", "the pair was not checked")),
    Row("a key that is elsewhere", "verify", no_key, 0, ("its key was not checked",)),
    # programs
    Row("no wrangler", "verify --level wrangler", both(applied, missing_git), 3, ("skipped", "was not found")),
    Row("no wrangler", "dev checkout", missing_git, 1, ("error[program-missing]",)),
    # offline
    Row("offline", "plan --offline", nothing, 0, ("which certificates are uploaded",)),
    Row("offline", "verify --offline", nothing, 0, ("skipped",)),
    # the lock
    Row("another run", "apply --yes", nothing, 6, ("error[locked]",)),
    Row("another run", "retire billing --yes", applied, 6, ("error[locked]",)),
    Row("another run", "plan", nothing, 0, ("1 upload",)),
)


@contextmanager
def refusing(project: Project) -> Iterator[None]:
    """The system refuses to open the file that `unreadable` named."""
    marker = project.folder / ".refused"
    name = marker.read_text() if marker.exists() else None
    opened = os.open

    def open_or_refuse(path: os.PathLike[str] | str, flags: int, *more: int, **others: int) -> int:
        if name is not None and Path(path).name == name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, flags, *more, **others)

    with mock.patch("reconciler.system.confine.os.open", open_or_refuse):
        yield


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.kept}, {row.command.split()[0]}" for row in ROWS])
def test_a_check_that_was_not_made_is_reported(row: Row, tmp_path: Path) -> None:
    """With what kept it from being made; the command never says that it passed."""
    (tmp_path / "project").mkdir()
    project = make_project(tmp_path / "project")
    row.prepare(project)
    if row.kept == "another run":
        with checkout_lock(project.folder, command="apply", timeout_s=0, waiting=lambda _: None, clock=SystemClock()):
            result = project.run(*row.command.split())
    else:
        with refusing(project):
            result = project.run(*row.command.split())
    said = result.out + result.err
    assert result.code == row.code, said
    assert all(words in said for words in row.says), said
    assert not any(words in said for words in row.never), said


# --- an account -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Right:
    """A permission that the token lacks, and what a retire then waits for."""

    lacks: frozenset[Permission]
    waits: str | None


RIGHTS = {
    "nothing": Right(frozenset(), None),
    "live Workers": Right(frozenset({Permission.WORKERS_READ, Permission.WORKERS_WRITE}), "live-unchecked"),
    "Hyperdrive": Right(frozenset({Permission.HYPERDRIVE_READ, Permission.HYPERDRIVE_WRITE}), "live-unchecked"),
}


@pytest.mark.parametrize("name", RIGHTS)
def test_what_the_token_can_not_read_keeps_the_old_certificate(name: str, tmp_path: Path) -> None:
    """Whether something live uses it was not checked, and the plan says so."""
    right, state = RIGHTS[name], make_state()
    state.clock = SystemClock()
    project = make_project(
        tmp_path, CLOUDFLARE.replace('config = "wrangler.toml"', 'config = "wrangler.toml"\ndeployed = false')
    )
    with running(state) as url:
        project.environ |= account_environ(url)
        assert project.run("apply", "--yes").code == 0
        project.certificate("billing", 2)
        assert project.run("apply", "--yes", "--phase", "upload", "--phase", "bind").code == 0
        state.access.tokens[TOKEN] = Token(frozenset(set(Permission) - right.lacks))
        made = json.loads(project.run("plan", "--format", "json").out)
        doctor = project.run("doctor")
    conditions = [waiting["condition"] for waiting in made["waiting"]]
    assert conditions == ([right.waits] if right.waits else [])
    assert [change["action"] for change in made["changes"]] == ([] if right.waits else ["retire"])
    assert ("warning[token-lacks]" in doctor.out) == bool(right.lacks)


class Elsewhere(SystemClock):
    """The clock of another machine."""

    def __init__(self, behind: timedelta) -> None:
        self.behind = behind

    def now(self) -> datetime:
        return super().now() - self.behind


CLOCKS = {
    "the same": (timedelta(0), False),
    "4 minutes ahead": (timedelta(minutes=4), False),
    "8 days ahead": (timedelta(days=8), True),
    "6 minutes behind": (timedelta(minutes=-6), True),
}


@pytest.mark.parametrize("name", [*CLOCKS, "not told"])
def test_a_clock_that_is_wrong_or_unchecked_keeps_the_old_certificate(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grace period would be over too early. What no reply tells was not checked."""
    behind, waits = CLOCKS.get(name, (timedelta(0), True))
    state = make_state()
    state.clock = Elsewhere(behind)
    if name == "not told":
        monkeypatch.setattr("reconciler.emulator.app._http_date", lambda _: "")
    mtls = CLOUDFLARE.replace('config = "wrangler.toml"', 'config = "wrangler.toml"\ndeployed = false')
    project = make_project(tmp_path, mtls)
    with running(state) as url:
        project.environ |= account_environ(url)
        assert project.run("apply", "--yes").code == 0
        project.certificate("billing", 2)
        assert project.run("apply", "--yes", "--phase", "upload", "--phase", "bind").code == 0
        made = project.run("plan", "--format", "json").json
        applied = project.run("apply", "--yes")
    assert [one["condition"] for one in made["waiting"]] == (["clock-skew"] if waits else [])
    assert [change["action"] for change in made["changes"]] == ([] if waits else ["retire"])
    warned = [found["message"] for found in made["diagnostics"] if found["code"] == "clock-wrong"]
    assert warned == [] if not waits or name == "not told" else name.split(" ", 2)[2] in warned[0]
    assert ("Done: 1 " in applied.out) is not waits


def test_offline_doctor_says_that_the_account_was_not_checked(project: Project) -> None:
    """Instead of leaving it out."""
    project.write("mtls.toml", CLOUDFLARE)
    project.environ |= {"CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID, "CLOUDFLARE_API_TOKEN": TOKEN}
    assert "the account and the rights of the token were not checked" in project.run("doctor", "--offline").out


# --- keys that can be one nowhere -----------------------------------------------------------------------------------

NEVER_KEYS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder": (lambda path: path.mkdir(), "file-not-regular"),
    "a pipe": (os.mkfifo, "file-not-regular"),
    "a circle of links": (lambda path: path.symlink_to(path.name), "file-not-regular"),
    "a link to a device": (lambda path: path.symlink_to("/dev/zero"), "file-not-regular"),
    "a link to a pseudo file": (lambda path: path.symlink_to("/proc/self/environ"), "file-not-regular"),
    "a file of 2 MB": (lambda path: path.write_bytes(bytes(2_000_000)), "key-too-large"),
    "an empty file": (lambda path: path.touch(), "key-empty"),
}


@pytest.mark.parametrize("what", NEVER_KEYS)
def test_what_can_be_a_key_on_no_machine_is_an_error(what: str, project: Project) -> None:
    """Of `validate` and `doctor`, not only of `apply` after an approval."""
    make, code = NEVER_KEYS[what]
    make(project.folder / "some.key")
    project.write("mtls.toml", MTLS.replace('{ env = "BILLING_KEY" }', '"some.key"'))
    result = project.run("validate")
    assert result.code == 1
    assert f"error[{code}]" in result.out
    assert "Everything checked is in order" not in result.out
    assert project.run("verify").code == 1
    assert project.run("doctor").code == (0 if code == "key-empty" else 1)  # doctor does not parse keys


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/stdin", "/proc/self/environ", ".git/key"])
def test_places_without_keys_are_errors_by_their_names(path: str, project: Project) -> None:
    """Nothing is opened there."""
    project.write("mtls.toml", MTLS.replace('{ env = "BILLING_KEY" }', f'"{path}"'))
    result = project.run("validate")
    assert result.code == 1
    assert "info[key-not-checked]" not in result.out


def test_a_key_outside_the_project_is_refused_in_the_same_words_whether_it_exists_or_not(project: Project) -> None:
    """Otherwise a pull request could ask which files the machine has."""
    there, missing = project.folder.parent / "there.key", project.folder.parent / "none.key"
    there.write_text("a key")
    said = []
    for place in (there, missing):
        project.write("mtls.toml", MTLS.replace('{ env = "BILLING_KEY" }', f'"{place}"'))
        results = [project.run(*command) for command in (["validate"], ["apply", "--yes"], ["doctor"], ["verify"])]
        said.append([(one.code, (one.out + one.err).replace(place.name, "X")) for one in results])
    assert said[0] == said[1]
    assert all("outside the project" in text for _, text in said[0][:2])


@pytest.mark.parametrize("path", ["certs/none.key", "/run/secrets/none.key", "../none.key"])
def test_a_key_that_is_only_not_here_is_a_note(path: str, project: Project) -> None:
    """It may be on the machine that applies."""
    project.write("mtls.toml", MTLS.replace('{ env = "BILLING_KEY" }', f'"{path}"'))
    result = project.run("validate")
    assert result.code == 0
    assert "info[key-not-checked]" in result.out


def test_a_local_store_that_git_tracks_is_a_warning(project: Project) -> None:
    """Of validate and doctor, which ask git; others can write there what mtlsctl takes as uploaded."""
    subprocess.run(["git", "init", "-q"], cwd=project.folder, check=True)
    assert project.run("apply", "--yes").code == 0
    for command in ("validate", "doctor"):
        assert "store-in-git" not in project.run(command).out
    subprocess.run(["git", "add", "-f", ".mtlsctl/store.db"], cwd=project.folder, check=True)
    for command in ("validate", "doctor"):
        result = project.run(command)
        assert result.code == 0
        assert "warning[store-in-git]" in result.out
        assert "git rm --cached .mtlsctl/store.db" in result.out


def test_a_declared_wrangler_file_that_git_ignores_is_a_warning(project: Project) -> None:
    """Its IDs would be in no commit. A tracked file is not ignored."""
    project.write(".gitignore", "wrangler.toml\n")
    subprocess.run(["git", "init", "-q"], cwd=project.folder, check=True)
    result = project.run("validate")
    assert result.code == 0
    assert "warning[ignored-by-git]" in result.out
    assert "at   wrangler.toml" in result.out
    subprocess.run(["git", "add", "-f", "wrangler.toml"], cwd=project.folder, check=True)
    assert "ignored-by-git" not in project.run("validate").out


_KEY = 'private_key = { env = "LEDGER_KEY" }'


def test_keys_that_are_not_here_are_one_note(tmp_path: Path) -> None:
    """As on a pull request, whose job has none."""
    project = make_project(
        tmp_path, f'{MTLS}[certificates.ledger]\ncertificate = "certs/ledger.pem"\n{_KEY}\n', WRANGLER
    )
    project.certificate("ledger", 2)
    project.environ.clear()
    found = [one for one in project.run("validate", "--format", "json").json["diagnostics"] if "key" in one["code"]]
    assert [one["code"] for one in found] == ["key-not-checked"]
    assert "billing, ledger" in found[0]["message"]
    assert "normal on a pull request" in found[0]["hint"]
