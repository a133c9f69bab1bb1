"""The pre-commit hooks: what they run works without store, token and keys; errors fail a commit, warnings do not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.cli import MTLS, WRANGLER, Project, make_project
from tests.support.paths import REPOSITORY

HOOKS = (REPOSITORY / ".pre-commit-hooks.yaml").read_text()
ENTRIES = re.findall(r"^  entry: mtlsctl (.+)$", HOOKS, re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A checkout as a developer has it: no keys."""
    project = make_project(tmp_path)
    project.environ.clear()
    return project


def test_there_are_two_hooks() -> None:
    """Each a command of the tool."""
    assert ENTRIES == ["validate", "plan --offline"]


@pytest.mark.parametrize("entry", ENTRIES)
def test_warnings_do_not_fail_a_commit(project: Project, entry: str) -> None:
    """An environment that nothing declares is a warning."""
    project.write("wrangler.toml", WRANGLER + "[env.staging.vars]\nX = 1\n")
    result = project.run(*entry.split())
    assert result.code == 0
    assert "warning[undeclared-environment]" in result.out


@pytest.mark.parametrize("entry", ENTRIES)
def test_errors_fail_a_commit_with_their_place(project: Project, entry: str) -> None:
    """file:line:column, so that an editor opens it."""
    project.write("mtls.toml", MTLS.replace("private_key", "privat_key"))
    result = project.run(*entry.split())
    assert result.code == 1
    assert "at   mtls.toml:6:1" in result.out + result.err


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_hook_changes_nothing(project: Project, entry: str) -> None:
    """Not even a folder is made."""
    before = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    project.run(*entry.split())
    assert {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("mtls.toml", True),
        ("apps/a/wrangler.jsonc", True),
        ("apps/a/wrangler.live.toml", True),
        ("certs/a.pem", True),
        ("src/index.js", False),
        ("apps/a/notwrangler.toml", False),
    ],
)
def test_the_hooks_run_for_files_that_matter(path: str, counts: bool) -> None:
    """A commit without such a file is not slowed down."""
    found = re.search(r"files: &files '(.+)'", HOOKS)
    assert found is not None
    assert bool(re.search(found[1], path)) is counts
