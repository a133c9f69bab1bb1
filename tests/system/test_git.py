"""What git knows, and where mtls.toml is found. Uses the real git, on repositories made here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.system.clock import SystemClock
from reconciler.system.discover import find_file, git_root
from reconciler.system.git import tracked


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "core.hooksPath=/dev/null", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a tracked and an untracked file; `*.key` is a file's own name."""
    root = tmp_path / "repo"
    (root / "certs").mkdir(parents=True)
    for name in ("certs/tracked.key", "certs/untracked.key", "certs/*.key"):
        (root / name).write_text("key")
    git(root, "init", "--quiet")
    git(root, "--literal-pathspecs", "add", "certs/tracked.key")
    return root


def test_tracked_tells_which_files_git_has(repository: Path) -> None:
    """Names are taken literally: a file called `*.key` is not every key."""
    certs = repository / "certs"
    paths = [certs / "tracked.key", certs / "untracked.key", certs / "*.key", certs / "missing.key"]
    assert tracked(paths) == {certs / "tracked.key"}
    assert tracked([]) == set()


def test_tracked_looks_behind_links(repository: Path) -> None:
    """What counts is the file with the key in it; the answer is in the names that were asked for."""
    (repository / "link.key").symlink_to("certs/tracked.key")
    assert tracked([repository / "link.key"]) == {repository / "link.key"}


def test_tracked_is_not_misled_by_a_hook(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside of a hook git's variables name another repository and index; they are not passed on."""
    git(tmp_path, "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other/.git/no-index"))
    path = repository / "certs/tracked.key"
    assert tracked([path]) == {path}


def test_tracked_runs_no_command_of_the_repository(repository: Path, tmp_path: Path) -> None:
    """A file watcher that the repository's configuration names is not started."""
    watcher = tmp_path / "watcher"
    watcher.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    watcher.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(watcher))
    tracked([repository / "certs/tracked.key"])
    assert not (tmp_path / "ran").exists()


def test_tracked_cannot_tell_outside_of_git(repository: Path, tmp_path: Path) -> None:
    """One path outside of any repository, and there is no answer; None is not the same as nothing tracked."""
    (tmp_path / "lone.key").write_text("key")
    assert tracked([tmp_path / "lone.key", repository / "certs/tracked.key"]) is None


def test_tracked_cannot_tell_without_git(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no git is installed."""
    monkeypatch.setenv("PATH", str(repository))
    assert tracked([repository / "certs/tracked.key"]) is None


def test_tracked_cannot_tell_where_git_refuses(tmp_path: Path) -> None:
    """A folder called `.git` makes no repository."""
    (tmp_path / ".git").mkdir()
    assert tracked([tmp_path / "x.key"]) is None


def test_the_git_root_is_the_nearest(repository: Path) -> None:
    """A submodule or worktree, whose `.git` is a file, is a root of its own."""
    sub = repository / "modules/sub/deep"
    sub.mkdir(parents=True)
    assert git_root(sub) == repository
    (repository / "modules/sub/.git").write_text("gitdir: ../../.git/modules/sub")
    assert git_root(sub) == repository / "modules/sub"


def test_mtls_toml_is_found_up_to_the_git_root(repository: Path) -> None:
    """The nearest one counts; the one above the repository never does."""
    deep = repository / "a/b"
    deep.mkdir(parents=True)
    (repository.parent / "mtls.toml").touch()
    assert find_file(deep) is None
    (repository / "mtls.toml").touch()
    assert find_file(deep) == repository / "mtls.toml"
    (repository / "a/mtls.toml").symlink_to("no-such-file")
    assert find_file(deep) == repository / "a/mtls.toml"


def test_without_git_only_the_folder_itself_is_looked_at(tmp_path: Path) -> None:
    """Some parent's mtls.toml must not steer a run in a temporary folder."""
    (tmp_path / "mtls.toml").touch()
    (tmp_path / "project").mkdir()
    assert find_file(tmp_path / "project") is None
    assert find_file(tmp_path) == tmp_path / "mtls.toml"


def test_the_clock_is_in_utc() -> None:
    """Times have a zone everywhere."""
    offset = SystemClock().now().utcoffset()
    assert offset is not None
    assert not offset
