"""Finding mtls.toml if the command line does not name one, and the root of a repository. Reads names only.

Imports nothing else, because completion in a shell needs it at once.
"""

from __future__ import annotations

import os
from pathlib import Path

FILE_NAME = "mtls.toml"


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
