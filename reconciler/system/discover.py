"""Finding mtls.toml where the command line names none, and where a repository begins. Looks at names only.

Imports nothing else: the completion of names in a shell needs it at once.
"""

from __future__ import annotations

import os
from pathlib import Path

FILE_NAME = "mtls.toml"


def find_file(start: Path) -> Path | None:
    """The absolute path of the nearest mtls.toml, in `start` or in a parent up to the git root; None without one.

    Never above the git root. Outside of a git repository only `start` itself is looked at: a file that some parent
    of a temporary folder happens to have must not steer a run. A dangling link counts, so that reading it says so.
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
