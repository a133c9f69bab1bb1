"""What git knows, and how mtls.toml is found. Uses the real git, on temporary repositories."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.system.clock import SystemClock
from reconciler.system.discover import find_file, git_root, head_commit
from reconciler.system.git import GitAnswer, GitProblem, NotThere, ask_ignored, ask_tracked, is_revision, read_at
from tests.support.gits import no_git, refusing_git
from tests.support.trees import git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a tracked and an untracked file; `*.key` is the name of a file."""
    root = tmp_path / "repo"
    (root / "certs").mkdir(parents=True)
    for name in ("certs/tracked.key", "certs/untracked.key", "certs/*.key"):
        (root / name).write_text("key")
    git(root, "init", "--quiet")
    git(root, "--literal-pathspecs", "add", "certs/tracked.key")
    return root


def test_tracked_tells_which_files_git_has(repository: Path) -> None:
    """Names are literal: a file called `*.key` does not match every key."""
    certs = repository / "certs"
    paths = [certs / "tracked.key", certs / "untracked.key", certs / "*.key", certs / "missing.key"]
    assert ask_tracked(paths) == GitAnswer(frozenset({certs / "tracked.key"}))
    assert ask_tracked([]) == GitAnswer()


def test_tracked_looks_behind_links(repository: Path) -> None:
    """The file that contains the key counts; the result has the paths as given."""
    (repository / "link.key").symlink_to("certs/tracked.key")
    assert ask_tracked([repository / "link.key"]).yes == {repository / "link.key"}


def test_tracked_is_not_misled_by_a_hook(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a hook, git's variables name another repository and index; they are not passed on."""
    git(tmp_path, "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other/.git/no-index"))
    path = repository / "certs/tracked.key"
    assert ask_tracked([path]).yes == {path}


COMMANDS = {
    "core.fsmonitor": "RUN",
    "core.pager": "RUN",
    "pager.ls-files": "RUN",
    "pager.check-ignore": "RUN",
    "core.editor": "RUN",
    "core.sshCommand": "RUN",
    "core.askPass": "RUN",
    "core.gitProxy": "RUN",
    "core.alternateRefsCommand": "RUN",
    "credential.helper": "RUN",
    "diff.external": "RUN",
    "filter.keys.clean": "RUN",
    "filter.keys.smudge": "RUN",
    "filter.keys.process": "RUN",
    "alias.ls-files": "!RUN",
    "alias.check-ignore": "!RUN",
    **{f"pager.{name}": "RUN" for name in ("rev-parse", "ls-tree", "cat-file")},
    **{f"alias.{name}": "!RUN" for name in ("rev-parse", "ls-tree", "cat-file")},
    "diff.keys.textconv": "RUN",
}
"""Configuration whose value is a command; RUN is a program that leaves a file."""


def read_head(paths: list[Path]) -> GitAnswer:
    """The first file as HEAD has it, as an answer."""
    found = read_at(paths[0], "HEAD", limit=100)
    return GitAnswer(problem=found) if isinstance(found, GitProblem) else GitAnswer()


@pytest.mark.parametrize("question", [ask_tracked, ask_ignored, read_head])
def test_no_command_of_the_repository_is_run(
    question: Callable[[list[Path]], GitAnswer], repository: Path, tmp_path: Path
) -> None:
    """A file watcher, pagers, filters, aliases, helpers and hooks of an unpacked archive are not started."""
    git(repository, "commit", "--quiet", "--message", "keys")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    for hook in ("post-index-change", "fsmonitor-watchman", "pre-commit", "post-checkout"):
        (repository / ".git/hooks").mkdir(exist_ok=True)
        (repository / ".git/hooks" / hook).symlink_to(program)
    (tmp_path / "hooks").symlink_to(repository / ".git/hooks")
    git(repository, "config", "core.hooksPath", str(tmp_path / "hooks"))
    (repository / ".gitattributes").write_text("*.key filter=keys diff=keys\n")
    for key, value in COMMANDS.items():
        git(repository, "config", key, value.replace("RUN", str(program)))
    (tmp_path / "ran").unlink(missing_ok=True)  # `git config` itself may start a pager
    assert question([repository / "certs/tracked.key"]).problem is None
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def fetching(repository: Path, tmp_path: Path) -> Path:
    """The repository as a partial clone that lacks the content of a .gitignore; to fetch it leaves the file `ran`."""
    (repository / ".gitignore").write_text("*.key\n")
    git(repository, "add", ".gitignore")
    blob = git(repository, "rev-parse", ":.gitignore").strip()
    git(repository, "update-index", "--skip-worktree", ".gitignore")
    (repository / ".gitignore").unlink()
    (repository / ".git/objects" / blob[:2] / blob[2:]).unlink()
    for key, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": ".",
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": f"touch {tmp_path}/ran; false",
    }.items():
        git(repository, "config", key, value)
    return repository


@pytest.mark.parametrize("question", [ask_tracked, ask_ignored])
def test_a_file_that_git_lacks_is_not_fetched(
    question: Callable[[list[Path]], GitAnswer], fetching: Path, tmp_path: Path
) -> None:
    """What fetches it is a command that the repository configures."""
    question([fetching / "certs/untracked.key"])
    assert not (tmp_path / "ran").exists()


def test_without_a_file_that_git_lacks_nothing_is_called_not_ignored(fetching: Path) -> None:
    """git itself goes on without the .gitignore. It is not needed to know what git tracks."""
    path = fetching / "certs/untracked.key"
    answer = ask_ignored([path])
    assert not answer.yes
    assert answer.unknown == {path}
    assert answer.problem is not None
    assert "could not read a file that it needs" in answer.problem.message
    assert "if you trust this repository" in answer.problem.hint
    assert ask_tracked([path]) == GitAnswer()


def test_ignored_tells_which_files_git_ignores(repository: Path) -> None:
    """Of files that need not exist; a tracked one is not ignored."""
    (repository / ".gitignore").write_text("*.key\n")
    certs = repository / "certs"
    paths = [certs / "tracked.key", certs / "untracked.key", certs / "none.key", certs / "-x*[", repository / "a.toml"]
    assert ask_ignored(paths) == GitAnswer(frozenset({certs / "untracked.key", certs / "none.key"}))
    assert ask_ignored([repository / "a.toml"]) == ask_ignored([]) == GitAnswer()


def test_of_what_is_outside_of_git_nothing_is_known(repository: Path, tmp_path: Path) -> None:
    """It is named, and the others get their answer."""
    (tmp_path / "lone.key").write_text("key")
    answer = ask_tracked([tmp_path / "lone.key", repository / "certs/tracked.key"])
    assert answer == GitAnswer(frozenset({repository / "certs/tracked.key"}), frozenset({tmp_path / "lone.key"}))


@pytest.mark.parametrize("question", [ask_tracked, ask_ignored])
def test_git_that_is_missing_or_refuses_is_a_problem_and_no_answer(
    question: Callable[[list[Path]], GitAnswer], repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its cause and its cure; nothing is then called untracked."""
    path = repository / "certs/tracked.key"
    (tmp_path / "broken/.git").mkdir(parents=True)
    for place, git_path, message, hint in (
        (path, no_git(tmp_path), "git is not installed", "install git"),
        (path, refusing_git(tmp_path), "because another user owns it", f"safe.directory {repository}"),
        (tmp_path / "broken/x.key", "/usr/bin:/bin", "git finds no valid repository", "status"),
    ):
        monkeypatch.setenv("PATH", git_path)
        answer = question([place])
        assert not answer.yes
        assert answer.unknown == {place}
        assert answer.problem is not None
        assert message in answer.problem.message
        assert hint in answer.problem.hint


def test_the_users_configuration_of_git_is_passed_on(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the cure for a checkout of another owner works, as a file and as variables of a container."""
    path = repository / "certs/tracked.key"
    monkeypatch.setenv("PATH", refusing_git(tmp_path))
    (tmp_path / "config").write_text("[safe]\n\tdirectory = *\n")
    for variables in (
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": str(repository)},
        {"GIT_CONFIG_GLOBAL": str(tmp_path / "config")},
    ):
        assert ask_tracked([path]).problem is not None
        with monkeypatch.context() as patched:
            for name, value in variables.items():
                patched.setenv(name, value)
            assert ask_tracked([path]) == GitAnswer(frozenset({path}))


def test_the_git_root_is_the_nearest(repository: Path) -> None:
    """A submodule or worktree, whose `.git` is a file, is a root of its own."""
    sub = repository / "modules/sub/deep"
    sub.mkdir(parents=True)
    assert git_root(sub) == repository
    (repository / "modules/sub/.git").write_text("gitdir: ../../.git/modules/sub")
    assert git_root(sub) == repository / "modules/sub"


def test_mtls_toml_is_found_up_to_the_git_root(repository: Path) -> None:
    """The nearest one counts; one above the repository never does."""
    deep = repository / "a/b"
    deep.mkdir(parents=True)
    (repository.parent / "mtls.toml").touch()
    assert find_file(deep) is None
    (repository / "mtls.toml").touch()
    assert find_file(deep) == repository / "mtls.toml"
    (repository / "a/mtls.toml").symlink_to("no-such-file")
    assert find_file(deep) == repository / "a/mtls.toml"


def test_without_git_only_the_folder_itself_is_looked_at(tmp_path: Path) -> None:
    """A parent's mtls.toml must not control a run in a temporary folder."""
    (tmp_path / "mtls.toml").touch()
    (tmp_path / "project").mkdir()
    assert find_file(tmp_path / "project") is None
    assert find_file(tmp_path) == tmp_path / "mtls.toml"


def test_the_clock_is_in_utc() -> None:
    """Every time has a zone."""
    offset = SystemClock().now().utcoffset()
    assert offset is not None
    assert not offset


def test_the_commit_is_read_from_the_files_of_git(repository: Path, tmp_path: Path) -> None:
    """On a branch, packed or not, detached, in a worktree, and in a subfolder; as git itself says."""
    assert head_commit(repository) is None
    git(repository, "commit", "--quiet", "--message", "first")
    first = git(repository, "rev-parse", "HEAD").strip()
    assert head_commit(repository / "certs") == first
    git(repository, "pack-refs", "--all")
    assert head_commit(repository) == first
    git(repository, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "other"))
    git(tmp_path / "other", "commit", "--quiet", "--allow-empty", "--message", "second")
    assert head_commit(tmp_path / "other") == git(tmp_path / "other", "rev-parse", "HEAD").strip() != first
    git(repository, "checkout", "--quiet", "--detach")
    assert head_commit(repository) == first


@pytest.mark.parametrize("head", ["", "ref: refs/heads/none", "ref: ../../secret", "not a commit", "\xff"])
def test_a_commit_that_can_not_be_read_is_none(tmp_path: Path, head: str) -> None:
    """Nothing but a commit id is ever taken from there."""
    (tmp_path / "secret").write_text("a secret")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/HEAD").write_bytes(head.encode("latin-1"))
    assert head_commit(tmp_path) is None


def test_outside_of_git_there_is_no_commit(tmp_path: Path) -> None:
    """Nor is one looked for."""
    assert head_commit(tmp_path) is None


# --- a file at a revision ---------------------------------------------------------------------------------------------


def commit(folder: Path, name: str, text: str) -> str:
    """A commit with this file, and its ID."""
    (folder / name).write_text(text)
    git(folder, "--literal-pathspecs", "add", "--force", name)
    git(folder, "commit", "--quiet", "--message", "file")
    return git(folder, "rev-parse", "HEAD").strip()


def test_a_file_is_read_as_it_was(repository: Path) -> None:
    """By any name of a commit; its own name is literal."""
    first = commit(repository, "certs/*.key", "one")
    commit(repository, "certs/*.key", "two")
    (repository / "certs/*.key").write_text("three")
    path = repository / "certs/*.key"
    for revision, text in (("HEAD", b"two"), ("HEAD^1", b"one"), (first, b"one"), (first[:12], b"one")):
        assert read_at(path, revision, limit=3) == text


def test_no_link_of_now_leads_to_another_file_of_then(repository: Path, tmp_path: Path) -> None:
    """A change could replace what it loosens by a link to what was loose before; above the root a link is fine."""
    commit(repository, "certs/mtls.toml", "strict")
    commit(repository, "mtls.toml", "loose")
    (repository / "certs/mtls.toml").unlink()
    (repository / "certs/mtls.toml").symlink_to("../mtls.toml")
    assert read_at(repository / "certs/mtls.toml", "HEAD", limit=9) == b"strict"
    shutil.rmtree(repository / "certs")
    (repository / "certs").symlink_to(".")
    assert read_at(repository / "certs/mtls.toml", "HEAD", limit=9) == b"strict"
    (tmp_path / "here").symlink_to(repository)
    assert read_at(tmp_path / "here/mtls.toml", "HEAD", limit=9) == b"loose"
    (tmp_path / "other").mkdir()
    git(tmp_path / "other", "init", "--quiet")
    (repository / "elsewhere").symlink_to(tmp_path / "other/x")
    (tmp_path / "other/x").mkdir()
    assert isinstance(read_at(repository / "elsewhere/mtls.toml", "HEAD", limit=9), GitProblem)


def test_what_is_not_there_is_told_apart(repository: Path, tmp_path: Path) -> None:
    """No repository, no such revision, no such file in it."""
    commit(repository, "mtls.toml", "one")
    path = repository / "mtls.toml"
    assert read_at(tmp_path / "mtls.toml", "HEAD", limit=9) is NotThere.REPOSITORY
    for revision in ("nope", "1" * 40, "HEAD^1", "HEAD..HEAD", "^HEAD", "HEAD:mtls.toml"):
        assert read_at(path, revision, limit=9) is NotThere.REVISION
    assert read_at(repository / "other.toml", "HEAD", limit=9) is NotThere.FILE


def test_a_shallow_clone_has_no_earlier_revision(repository: Path, tmp_path: Path) -> None:
    """And with one more commit it has."""
    commit(repository, "mtls.toml", "one")
    commit(repository, "mtls.toml", "two")
    for depth, found in (("1", NotThere.REVISION), ("2", b"one")):
        git(tmp_path, "clone", "--quiet", "--depth", depth, repository.as_uri(), depth)
        assert read_at(tmp_path / depth / "mtls.toml", "HEAD^1", limit=9) == found


@pytest.mark.parametrize("revision", ["", "-x", "--output=x", "a\nb", "a\0b", "x" * 201])
def test_nothing_that_git_could_take_for_an_option_is_a_revision(revision: str, repository: Path) -> None:
    """Such a text is never handed to git."""
    assert not is_revision(revision)
    with pytest.raises(ValueError, match="revision"):
        read_at(repository / "mtls.toml", revision, limit=9)


def test_only_a_regular_file_of_the_usual_size_is_read(repository: Path) -> None:
    """Not the text of a link, nor a file that fills the memory."""
    commit(repository, "large", "12345")
    (repository / "was-a-link").symlink_to("large")
    git(repository, "add", "was-a-link")
    git(repository, "commit", "--quiet", "--message", "link")
    (repository / "was-a-link").unlink()
    for name, limit, message in (("large", 4, "had 5 bytes"), ("was-a-link", 9, "was no regular file")):
        found = read_at(repository / name, "HEAD", limit=limit)
        assert isinstance(found, GitProblem)
        assert message in found.message
        assert f"show {git(repository, 'rev-parse', 'HEAD').strip()}:{name}" in found.hint


def test_a_file_that_a_partial_clone_lacks_is_not_fetched(fetching: Path, tmp_path: Path) -> None:
    """The problem says which command does."""
    git(fetching, "commit", "--quiet", "--message", "ignored")
    (tmp_path / "ran").unlink(missing_ok=True)
    found = read_at(fetching / ".gitignore", "HEAD", limit=9)
    assert isinstance(found, GitProblem)
    assert "a partial clone fetches the file then" in found.hint
    assert not (tmp_path / "ran").exists()


def test_git_that_refuses_is_a_problem_of_a_revision_too(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not called unknown."""
    commit(repository, "mtls.toml", "one")
    for path, message in ((no_git(tmp_path), "git is not installed"), (refusing_git(tmp_path), "another user owns it")):
        monkeypatch.setenv("PATH", path)
        found = read_at(repository / "mtls.toml", "HEAD", limit=9)
        assert isinstance(found, GitProblem)
        assert message in found.message


def test_an_object_that_replaces_another_one_is_not_read(repository: Path) -> None:
    """An unpacked archive could bring it."""
    first = commit(repository, "mtls.toml", "one")
    second = commit(repository, "mtls.toml", "two")
    git(repository, "replace", first, second)
    assert read_at(repository / "mtls.toml", first, limit=9) == b"one"
