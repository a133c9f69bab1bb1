"""Finding mtls.toml if the command line does not name one, and the root of a repository. Reads names only.

Imports nothing else, because completion in a shell needs it at once.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

FILE_NAME = "mtls.toml"
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_MOST = 10_000_000


def find_file(start: Path) -> Path | None:
    """The absolute path of the nearest mtls.toml, in `start` or in a parent up to the git root, or None.

    Never above the git root. Outside a git repository only `start` itself is checked: an mtls.toml in a parent of some
    temporary folder must not control a run. A broken link counts, so that reading it reports the error.
    """
    start = Path(os.path.realpath(start))
    top = git_root(start) or start
    for folder in (start, *start.parents):
        if os.path.lexists(folder / FILE_NAME):
            return folder / FILE_NAME
        if folder == top:
            break
    return None


def git_root(folder: Path) -> Path | None:
    """The nearest of `folder` and its parents that has a `.git`, links resolved; None outside of any repository.

    A `.git` file counts like a folder: worktrees and submodules have one. Runs no command.
    """
    start = Path(os.path.realpath(folder))
    return next((place for place in (start, *start.parents) if os.path.lexists(place / ".git")), None)


def head_commit(folder: Path) -> str | None:
    """The id of the commit that is checked out, in hex; None outside of git, before the first commit, or if unreadable.

    Read from git's files, because a plan runs no command.
    """
    root = git_root(folder)
    if root is None:
        return None
    try:
        place = root / ".git"
        if place.is_file():  # of a worktree or a submodule
            place = root / _text(place).removeprefix("gitdir:").strip()
        head = _text(place / "HEAD").strip()
        name = head.removeprefix("ref:").strip()
        if name == head:
            found = head
        else:
            common = place / _text(place / "commondir").strip() if (place / "commondir").is_file() else place
            found = _reference(common, name)
    except (OSError, ValueError):
        return None
    return found if _COMMIT.fullmatch(found) else None


def _reference(folder: Path, name: str) -> str:
    if (folder / name).is_file():
        return _text(folder / name).strip()
    lines = _text(folder / "packed-refs").splitlines()
    return next((line.split(" ")[0] for line in lines if line.endswith(f" {name}")), "")


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MOST).decode()
