"""Walking the tree for files by name. Reads only names, and enters no folder that is a link."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

SKIPPED = frozenset({".git", "node_modules", ".mtlsctl"})


def walk(
    root: Path, wanted: Callable[[str], bool], *, skipped: frozenset[str] = SKIPPED
) -> Iterator[tuple[Path, bool]]:
    """Every file below `root` with a wanted name, with True; and each folder that can't be listed, with False."""
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError:
            yield folder, False
            continue
        for entry in entries:
            if is_folder(entry):
                if entry.name not in skipped:
                    folders.append(folder / entry.name)
            elif wanted(entry.name):
                yield folder / entry.name, True


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether this is a folder, and no link to one."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False
