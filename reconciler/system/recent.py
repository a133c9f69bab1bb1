"""A file in `.mtlsctl/` that may be lost at any time: what can't be read or written is as if it were not there."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from reconciler.findings.errors import FileError
from reconciler.private.folder import make_folder, open_file
from reconciler.system.atomic import write_atomic
from reconciler.system.confine import opened_folder

_MODE = 0o600


def read_recent_file(root: Path, name: str, *, limit: int) -> bytes | None:
    """The content of `.mtlsctl/NAME` in `root`, as `write_recent_file` left it; None for any other file, and if it
    can't be read. A commit can bring one, but not one that is closed to other users."""
    try:
        with os.fdopen(open_file(root, name, os.O_RDONLY), "rb") as file:
            facts = os.fstat(file.fileno())
            is_own = facts.st_uid == os.geteuid() and stat.S_IMODE(facts.st_mode) == _MODE
            data = file.read(limit + 1) if is_own else None
    except (OSError, FileError):
        return None
    return data if data is not None and len(data) <= limit else None


def write_recent_file(root: Path, name: str, data: bytes) -> None:
    """Replace `.mtlsctl/NAME` in `root`, for this user only. Raises nothing."""
    with contextlib.suppress(OSError, FileError):
        folder = make_folder(root)
        with opened_folder(root, folder) as descriptor:
            write_atomic(folder / name, data, _MODE, folder=descriptor)
