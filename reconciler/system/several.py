"""Finding several mtls.toml for one run: by name, by pattern, or all below the git root. Reads names only.

Runs no command, because `plan` runs none: what git ignores is not known here. No folder is entered that is a link, that
is hidden, or that is a repository of its own, unless the pattern names it before its first wildcard.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileError, UsageError
from reconciler.system.discover import FILE_NAME, git_root
from reconciler.system.walk import SKIPPED, is_folder

MOST_STACKS = 500
"""Of one run: more are more likely a pattern that is too wide."""

_WILD = frozenset("*?[")
_ANY = "**"


def is_pattern(path: Path) -> bool:
    """Whether this is a pattern, and not the name of a file that exists."""
    return any(map(_is_wild, path.parts)) and not os.path.lexists(path)


def find_named(files: Sequence[Path], cwd: Path) -> tuple[Path, ...]:
    """The absolute path of each file, those of a pattern sorted, each file once. UsageError if a file or every match of
    a pattern is missing, FileError for a folder that can't be searched.

    `*` and `?` match in one name, `**` any folders; a pattern that ends with `**` finds every mtls.toml.
    """
    found: list[Path] = []
    for file in files:
        if is_pattern(cwd / file):
            matches = sorted(_matching(cwd / file))
            if not matches:
                raise UsageError(f"`--file {file}` matches no file", hint="check the pattern; quote it in a shell")
            found += matches
        elif os.path.lexists(cwd / file):
            found.append(cwd / file)
        else:
            raise UsageError(f"{file} does not exist", hint="check the path of `--file`, which must be an mtls.toml")
    return _limited(found)


def find_matches(pattern: str, folder: Path) -> tuple[Path, ...]:
    """The absolute path of each file that a path or pattern matches, sorted; empty if there is none. FileError for a
    folder that can't be searched."""
    path = folder / pattern
    if is_pattern(path):
        return tuple(sorted(_matching(path)))
    return (path,) if os.path.lexists(path) else ()


def find_all(cwd: Path) -> tuple[Path, ...]:
    """The absolute path of every mtls.toml below the git root, sorted. UsageError outside of git, or without any."""
    root = git_root(cwd)
    if root is None:
        raise UsageError(
            "`--all` searches below the git root, but there is no .git here or in a parent folder",
            hint="name the files with `--file`, such as `--file 'apps/*/mtls.toml'`",
        )
    found = sorted(_matching(root / _ANY / FILE_NAME))
    if not found:
        raise UsageError(
            f"`--all` found no {FILE_NAME} below {root}", hint="run `mtlsctl init --from FOLDER` to create one"
        )
    return _limited(found)


def _limited(found: Sequence[Path]) -> tuple[Path, ...]:
    """Each file once, in this order."""
    once: dict[Path, Path] = {}
    for path in found:
        once.setdefault(Path(os.path.realpath(path.parent)) / path.name, path)
    files = tuple(once.values())
    if len(files) > MOST_STACKS:
        raise UsageError(
            f"{len(files):,} files were found, and one run can have at most {MOST_STACKS}",
            hint="name fewer, such as those of one folder",
        )
    return files


def _matching(pattern: Path) -> Iterator[Path]:
    """Every file that a pattern matches."""
    parts = list(pattern.parts)
    first = next(index for index, part in enumerate(parts) if _is_wild(part))
    tail = [*parts[first:], *([FILE_NAME] if parts[-1] == _ANY else [])]
    pending = [(Path(*parts[:first]), tuple(tail))]
    seen = set(pending)
    while pending:
        folder, (part, *rest) = pending.pop()
        following: list[tuple[Path, tuple[str, ...]]] = []
        if part == _ANY:
            following.append((folder, tuple(rest)))
        for entry in _entries(folder):
            inner = folder / entry.name
            if is_folder(entry):
                if part == _ANY and not entry.name.startswith(".") and _is_own(inner):
                    following.append((inner, (part, *rest)))
                elif part != _ANY and rest and _matches(entry.name, part):
                    following.append((inner, tuple(rest)))
            elif not rest and _matches(entry.name, part):
                yield inner
        new = [one for one in following if one not in seen]
        seen.update(new)
        pending += new


def _is_wild(part: str) -> bool:
    return not _WILD.isdisjoint(part)


def _matches(name: str, part: str) -> bool:
    if not _is_wild(part):
        return name == part
    return fnmatchcase(name, part) and (part.startswith(".") or not name.startswith("."))


def _is_own(folder: Path) -> bool:
    """Whether a folder may belong to this checkout: not one of packages, nor a repository of its own."""
    return folder.name not in SKIPPED and not os.path.lexists(folder / ".git")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder; nothing where there is none."""
    try:
        with os.scandir(folder) as listing:
            return list(listing)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise FileError(
            f"this folder can't be searched for {FILE_NAME}: {os.strerror(error.errno or 0)}",
            hint="let this user read it, or name the files with `--file`",
            where=Place(os.path.relpath(folder)),
        ) from error
