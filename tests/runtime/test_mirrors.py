"""Copies of git repositories: one commit each, complete or absent, whatever the remote does. With the real git."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from reconciler.runtime.mirrors import KEPT, MirrorFailed, Mirrors
from tests.support.pki import NOW
from tests.support.trees import git


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A repository with two commits on `main`, the first with the tag `v1`."""
    root = tmp_path / "remote"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root, "mtls.toml", "first")
    git(root, "tag", "-a", "-m", "first", "v1")
    commit(root, "mtls.toml", "second")
    return root


def commit(root: Path, name: str, text: str) -> str:
    (root / name).write_text(text)
    git(root, "add", name)
    git(root, "commit", "--quiet", "-m", text)
    return git(root, "rev-parse", "HEAD").strip()


@pytest.fixture
def mirrors(tmp_path: Path) -> Mirrors:
    root = tmp_path / "fleet"
    root.mkdir()
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "GIT_CONFIG_NOSYSTEM": "1"}
    return Mirrors(root, environ)


def copies(mirrors: Mirrors) -> list[str]:
    return sorted(path.name for path in (mirrors.root / ".mtlsctl/mirrors").glob("*/*"))


@pytest.mark.parametrize(
    ("ref", "text"), [("main", "second"), ("refs/heads/main", "second"), ("v1", "first"), ("refs/tags/v1", "first")]
)
def test_the_files_are_those_of_the_ref(mirrors: Mirrors, remote: Path, ref: str, text: str) -> None:
    assert (mirrors.read(remote.as_uri(), ref, NOW) / "mtls.toml").read_text() == text


def test_what_git_said_a_while_ago_serves_where_that_is_enough(mirrors: Mirrors, remote: Path) -> None:
    """Both a copy and a failure; and only for so long."""
    first = mirrors.read(remote.as_uri(), "main", NOW)
    second = commit(remote, "mtls.toml", "third")
    later, enough = NOW + timedelta(minutes=9), timedelta(minutes=10)
    assert mirrors.read(remote.as_uri(), "main", later, enough) == first
    assert mirrors.read(remote.as_uri(), "main", NOW + enough, enough).name == second
    remote.rename(remote.with_name("away"))
    with pytest.raises(MirrorFailed) as asked:
        mirrors.read(remote.as_uri(), "main", NOW + enough + timedelta(seconds=1))
    remote.with_name("away").rename(remote)
    with pytest.raises(MirrorFailed) as kept:
        mirrors.read(remote.as_uri(), "main", NOW + enough + timedelta(minutes=1), enough)
    assert (kept.value.message, kept.value.hint) == (asked.value.message, asked.value.hint)
    assert mirrors.read(remote.as_uri(), "main", NOW + 2 * enough).name == second
    assert mirrors.read(remote.as_uri(), "main", NOW + 2 * enough, enough).name == second


def test_only_one_commit_is_fetched(mirrors: Mirrors, remote: Path) -> None:
    tree = mirrors.read(remote.as_uri(), "main", NOW)
    assert git(tree, "rev-list", "--count", "HEAD") == "1\n"
    assert git(tree, "status", "--porcelain") == ""


def test_a_commit_that_is_there_is_not_fetched_again(mirrors: Mirrors, remote: Path) -> None:
    tree = mirrors.read(remote.as_uri(), "main", NOW)
    before = (tree / "mtls.toml").stat().st_ino
    assert mirrors.read(remote.as_uri(), "main", NOW) == tree
    assert (tree / "mtls.toml").stat().st_ino == before


def test_a_whole_commit_hash_that_is_there_needs_no_remote(mirrors: Mirrors, remote: Path, tmp_path: Path) -> None:
    head = git(remote, "rev-parse", "HEAD").strip()
    tree = mirrors.read(remote.as_uri(), head, NOW)
    url = remote.as_uri()
    remote.rename(tmp_path / "away")
    assert mirrors.read(url, head, NOW) == tree


def test_a_copy_does_not_change_when_the_branch_moves(mirrors: Mirrors, remote: Path) -> None:
    """A run that reads it goes on with what it has."""
    old = mirrors.read(remote.as_uri(), "main", NOW)
    commit(remote, "mtls.toml", "third")
    new = mirrors.read(remote.as_uri(), "main", NOW + timedelta(hours=1))
    assert [(tree / "mtls.toml").read_text() for tree in (old, new)] == ["second", "third"]


def test_a_copy_that_was_not_asked_for_within_a_day_is_deleted(mirrors: Mirrors, remote: Path) -> None:
    """Also what a killed call left."""
    old = mirrors.read(remote.as_uri(), "main", NOW)
    left = old.parent / "new-left"
    left.mkdir()
    os.utime(left, times=(NOW.timestamp(), NOW.timestamp()))
    commit(remote, "mtls.toml", "third")
    new = mirrors.read(remote.as_uri(), "main", NOW + KEPT + timedelta(seconds=1))
    assert copies(mirrors) == [new.name]


def test_a_ref_that_is_not_there_is_an_error_that_names_it(mirrors: Mirrors, remote: Path) -> None:
    with pytest.raises(MirrorFailed, match="no branch or tag 'mian'"):
        mirrors.read(remote.as_uri(), "mian", NOW)


def test_a_repository_that_is_not_there_is_an_error_with_the_reason_of_git(mirrors: Mirrors, tmp_path: Path) -> None:
    with pytest.raises(MirrorFailed, match="does not appear to be a git repository"):
        mirrors.read((tmp_path / "none").as_uri(), "main", NOW)
    assert copies(mirrors) == []


def test_a_remote_that_does_not_answer_is_given_up(mirrors: Mirrors) -> None:
    """It accepts the connection, and is silent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}/payments.git"
        with pytest.raises(MirrorFailed, match="within 1 s and was stopped"):
            replace(mirrors, longest_s=1.0).read(url, "main", NOW)
    assert copies(mirrors) == []


def test_all_calls_of_git_for_a_repository_share_its_time(
    mirrors: Mirrors, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that makes each of them 50 s long, the third is one too many."""
    monkeypatch.setattr("reconciler.runtime.mirrors.time", SimpleNamespace(monotonic=count(0, 50).__next__))
    with pytest.raises(MirrorFailed, match="within 120 s and was stopped"):
        mirrors.read(remote.as_uri(), "main", NOW)
    assert copies(mirrors) == []


def test_a_failed_fetch_leaves_the_copy_before_it(mirrors: Mirrors, remote: Path) -> None:
    url, old = remote.as_uri(), mirrors.read(remote.as_uri(), "main", NOW)
    head = commit(remote, "mtls.toml", "third")
    blob = git(remote, "rev-parse", "HEAD:mtls.toml").strip()
    (remote / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(MirrorFailed):
        mirrors.read(url, "main", NOW)
    assert copies(mirrors) == [old.name] != [head]


@pytest.mark.parametrize("protocol", ["http://127.0.0.1:9/x.git", "git://127.0.0.1:9/x.git", "ext::sh -c true"])
def test_protocols_without_encryption_or_with_commands_are_refused(mirrors: Mirrors, protocol: str) -> None:
    with pytest.raises(MirrorFailed, match="not allowed"):
        mirrors.read(protocol, "main", NOW)


def test_nothing_of_the_repository_is_run(mirrors: Mirrors, remote: Path, tmp_path: Path) -> None:
    """Neither hooks, nor the filter for large files, nor a submodule."""
    ran = tmp_path / "ran"
    (remote / ".gitattributes").write_text("*.bin filter=lfs\n")
    (remote / ".gitmodules").write_text(f'[submodule "x"]\n\tpath = x\n\turl = {tmp_path}\n')
    (remote / ".lfsconfig").write_text("[lfs]\n\turl = https://127.0.0.1:9/\n")
    (remote / "large.bin").write_text("version https://git-lfs.github.com/spec/v1\n")
    git(remote, "add", ".")
    git(remote, "commit", "--quiet", "-m", "large")
    config = tmp_path / "config"
    config.write_text(f'[filter "lfs"]\n\tsmudge = touch {ran}\n\tprocess = touch {ran}\n\trequired = true\n')
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (hooks / "post-checkout").chmod(0o755)
    with config.open("a") as file:
        file.write(f"[core]\n\thooksPath = {hooks}\n")
    tree = replace(mirrors, environ={**mirrors.environ, "GIT_CONFIG_GLOBAL": str(config)}).read(
        remote.as_uri(), "main", NOW
    )
    assert (tree / "large.bin").read_text().startswith("version ")
    assert not ran.exists()
    assert not (tree / "x").exists()


def test_git_gets_what_its_helpers_need_and_no_key_or_token_of_ours(mirrors: Mirrors, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\nenv > {seen}\nexit 1\n")
    ssh.chmod(0o755)
    environ = {
        **mirrors.environ,
        "GIT_SSH": str(ssh),
        "SSH_AUTH_SOCK": "/agent",
        "GH_TOKEN": "for-gh",
        "CLOUDFLARE_API_TOKEN": "canary",
        "BILLING_KEY": "-----BEGIN PRIVATE KEY-----",
    }
    with pytest.raises(MirrorFailed):
        replace(mirrors, environ=environ).read("ssh://git.example/payments.git", "main", NOW)
    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert {"SSH_AUTH_SOCK", "GH_TOKEN", "HOME"} <= names
    assert not {"CLOUDFLARE_API_TOKEN", "BILLING_KEY"} & names


def test_a_password_in_an_address_is_not_shown(mirrors: Mirrors, tmp_path: Path) -> None:
    """An address of the user's configuration: `insteadOf`."""
    config = tmp_path / "config"
    config.write_text('[url "https://me:hunter2@127.0.0.1:9/"]\n\tinsteadOf = https://git.example/\n')
    environ = {**mirrors.environ, "GIT_CONFIG_GLOBAL": str(config)}
    with pytest.raises(MirrorFailed) as caught:
        replace(mirrors, environ=environ).read("https://git.example/payments.git", "main", NOW)
    assert "hunter2" not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize(("url", "ref"), [("--upload-pack=touch x", "main"), ("https://git.example/x", "--exec=x")])
def test_an_option_of_git_is_no_address_and_no_ref(mirrors: Mirrors, url: str, ref: str) -> None:
    with pytest.raises(ValueError, match="an option"):
        mirrors.read(url, ref, NOW)
