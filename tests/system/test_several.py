"""Which mtls.toml a run over several stacks is for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.findings.errors import FileError, UsageError
from reconciler.system import several
from reconciler.system.several import find_all, find_named, is_pattern


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A git tree with stacks, and folders that look like more."""
    for folder in (".git", "apps/a", "apps/b/deep", "other"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("apps/a", "apps/b", "apps/b/deep", "other"):
        (tmp_path / folder / "mtls.toml").touch()
    return tmp_path


def names(found: tuple[Path, ...], root: Path) -> list[str]:
    """The paths below the root."""
    return [path.relative_to(root).as_posix() for path in found]


EVERY = ["apps/a/mtls.toml", "apps/b/deep/mtls.toml", "apps/b/mtls.toml", "other/mtls.toml"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("apps/*/mtls.toml", ["apps/a/mtls.toml", "apps/b/mtls.toml"]),
        ("apps/[ab]/mtls.toml", ["apps/a/mtls.toml", "apps/b/mtls.toml"]),
        ("apps/?/*.toml", ["apps/a/mtls.toml", "apps/b/mtls.toml"]),
        ("**/mtls.toml", EVERY),
        ("**", EVERY),
        ("apps/**", EVERY[:3]),
        ("apps/**/deep/**/mtls.toml", ["apps/b/deep/mtls.toml"]),
    ],
)
def test_a_pattern_finds_its_files_sorted(root: Path, pattern: str, found: list[str]) -> None:
    """`*` in one name, `**` over folders."""
    assert is_pattern(root / pattern)
    assert names(find_named([Path(pattern)], root), root) == found


def test_files_keep_the_order_in_which_they_are_named_and_count_once(root: Path) -> None:
    """The order of -f is that in which stacks are applied."""
    named = [Path("other/mtls.toml"), Path("apps/*/mtls.toml"), Path("apps/../other/mtls.toml")]
    assert names(find_named(named, root), root) == ["other/mtls.toml", "apps/a/mtls.toml", "apps/b/mtls.toml"]


def test_all_is_every_file_below_the_git_root_from_any_folder(root: Path) -> None:
    """Not only below the working directory."""
    assert names(find_all(root / "apps/b"), root) == EVERY


def test_hidden_folders_packages_other_repositories_and_links_are_not_entered(root: Path, tmp_path: Path) -> None:
    """What they have is not of this checkout; a link could lead anywhere."""
    outside = tmp_path / "apps/a"
    for folder in (".cache/x", "node_modules/x", ".mtlsctl/x", "sub/inner"):
        (root / folder).mkdir(parents=True)
        (root / folder / "mtls.toml").touch()
    (root / "sub/.git").write_text("gitdir: elsewhere\n")
    (root / "link").symlink_to(outside)
    (root / "apps/loop").symlink_to(root)
    assert names(find_all(root), root) == EVERY
    assert names(find_named([Path("**")], root), root) == EVERY
    assert names(find_named([Path("*/mtls.toml")], root), root) == ["other/mtls.toml"]
    assert names(find_named([Path("sub/inner/mtls.toml")], root), root) == ["sub/inner/mtls.toml"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(root: Path) -> None:
    """As Next.js names folders."""
    (root / "apps/[slug]").mkdir()
    (root / "apps/[slug]/mtls.toml").touch()
    assert not is_pattern(root / "apps/[slug]/mtls.toml")
    assert names(find_named([Path("apps/[slug]/mtls.toml")], root), root) == ["apps/[slug]/mtls.toml"]


@pytest.mark.parametrize(
    ("named", "message"), [("nothing/*/mtls.toml", "matches no file"), ("missing.toml", "does not exist")]
)
def test_what_finds_nothing_is_an_error(root: Path, named: str, message: str) -> None:
    """A variable of a script may be wrong, and then nothing would be checked."""
    with pytest.raises(UsageError, match=message):
        find_named([Path("apps/a/mtls.toml"), Path(named)], root)


def test_all_needs_git_and_a_file(root: Path, tmp_path: Path) -> None:
    """Without a git root it would search the whole disk."""
    for path in root.rglob("mtls.toml"):
        path.unlink()
    with pytest.raises(UsageError, match=r"found no mtls\.toml"):
        find_all(root)
    (root / ".git").rmdir()
    with pytest.raises(UsageError, match=r"no \.git"):
        find_all(tmp_path)


def test_too_many_files_are_refused_with_their_number(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern that is too wide."""
    monkeypatch.setattr(several, "MOST_STACKS", 3)
    with pytest.raises(UsageError, match="4 files were found, and one run can have at most 3"):
        find_all(root)


def test_a_folder_that_can_not_be_read_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its stacks would silently be left out."""
    scan = os.scandir

    def refuse(folder: Path) -> object:
        if Path(folder).name == "deep":
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(FileError, match="can't be searched"):
        find_all(root)
