"""The look through the whole tree for files that still name an id, before an entry is deleted.

It only ever has to be right in one direction: whatever could not be looked at makes the answer incomplete, and an
incomplete answer keeps every entry.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from reconciler.core.errors import FileError
from reconciler.core.model import EntryId, Sweep
from reconciler.system.confine import Tree, read_regular, real_path

_LIMIT = 1_000_000
_SUFFIXES = (".toml", ".json", ".jsonc")
_SKIPPED = frozenset({".git", "node_modules"})


def sweep_tree(tree: Tree, ids: Iterable[EntryId]) -> Sweep:
    """Which wrangler files below the root contain these ids, in any case of letters, anywhere in their text.

    A wrangler file is one whose name begins with `wrangler` and ends in .toml, .json or .jsonc. Folders that are
    links are not entered; `.git` and `node_modules` are left out. Files are named relative to the folder of
    mtls.toml, sorted. Not `complete` where a file or folder could not be read, a file is larger than 1 MB, no regular
    file, or a link that leads nowhere or out of the tree.
    """
    needles = {entry_id: entry_id.lower().encode(errors="surrogatepass") for entry_id in ids}
    if not needles:
        return Sweep()
    found: dict[EntryId, list[str]] = {}
    complete = True
    for place in _wrangler_files(tree.root):
        text = _text_of(tree, place) if place is not None else None
        if place is None or text is None:
            complete = False
            continue
        for entry_id, needle in needles.items():
            if needle in text:
                found.setdefault(entry_id, []).append(tree.relative(place))
    return Sweep({entry_id: tuple(sorted(places)) for entry_id, places in found.items()}, complete)


def _wrangler_files(root: Path) -> Iterator[Path | None]:
    """Every wrangler file below `root`; None for each folder that can't be listed."""
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError:
            yield None
            continue
        for entry in entries:
            if _is_folder(entry):
                if entry.name not in _SKIPPED:
                    folders.append(folder / entry.name)
            elif _is_wrangler(entry.name):
                yield folder / entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _is_wrangler(name: str) -> bool:
    return name.lower().startswith("wrangler") and name.lower().endswith(_SUFFIXES)


def _text_of(tree: Tree, place: Path) -> bytes | None:
    """The file in lower case, None where it can't be looked at."""
    name = str(place)
    try:
        real = real_path(place, name)
        return read_regular(real, name, limit=_LIMIT)[0].lower() if real.is_relative_to(tree.root) else None
    except FileError:
        return None
