"""Finding mtls.toml where the command line names none. Looks at names only, reads nothing."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.system.git import git_root

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
