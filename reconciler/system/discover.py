"""Finding mtls.toml if the command line does not name one. Checks names only and reads nothing."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.system.git import git_root

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
