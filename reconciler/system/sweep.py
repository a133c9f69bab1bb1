"""The look through the whole tree for files that still name an id, before an entry is deleted.

It only ever has to be right in one direction: whatever could not be looked at makes the answer incomplete, and an
incomplete answer keeps every entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from reconciler.findings.codes import Code
from reconciler.findings.errors import FileError
from reconciler.model import EntryId, Sweep
from reconciler.system.confine import ConfinedTree, read_regular, real_path
from reconciler.system.walk import walk

_LIMIT = 20_000_000
_SUFFIXES = (".toml", ".json", ".jsonc")
_OURS = re.compile(rb'"format"\s*:\s*"mtlsctl\.[a-z]+/[0-9]')
"""What every document says that this tool writes: a saved plan names what it retires, and deploys nothing."""


def sweep_tree(tree: ConfinedTree, ids: Iterable[EntryId], *, leave_out: str) -> Sweep:
    """Which configuration files below the root name these ids, in any case of letters, anywhere in their text.

    Any .toml, .json or .jsonc file may be one, for wrangler takes a file of any name with `-c`, a build writes its own,
    and another mtls.toml may bind by id; so may a `cloudflare.config` in code. `leave_out` is the mtls.toml of this
    run, whose own ids are declared. In a text with escapes the last group of an id is enough. Folders that are links
    are not entered; `.git`, `node_modules` and what this tool writes are left out. Files are named relative to the
    folder of mtls.toml, sorted. Unread is what can't be listed or read, or is a link out of the tree;
    and a `wrangler*` file that is no regular file, a link to nowhere, or larger than 20 MB.
    """
    needles = {entry_id: entry_id.lower().encode(errors="surrogatepass") for entry_id in ids}
    if not needles:
        return Sweep()
    found: dict[EntryId, list[str]] = {}
    unread: list[str] = []
    own = tree.folder / leave_out
    for place, is_listed in walk(tree.root, _may_configure):
        if _is_same(place, own):
            continue
        text = _text_of(tree, place) if is_listed else None
        if text is None:
            unread.append(tree.relative(place))
            continue
        for entry_id, needle in needles.items():
            if needle in text or (b"\\u" in text and needle.rpartition(b"-")[2] in text):
                found.setdefault(entry_id, []).append(tree.relative(place))
    return Sweep({entry_id: tuple(sorted(places)) for entry_id, places in found.items()}, tuple(sorted(unread)))


def _is_same(place: Path, own: Path) -> bool:
    """Whether both are one file, through whatever links."""
    try:
        return place.samefile(own)
    except OSError:
        return False


def _may_configure(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES) or name.lower().startswith("cloudflare.config.")


def _text_of(tree: ConfinedTree, place: Path) -> bytes | None:
    """The file in lower case, empty where it can't be a configuration, None where it can't be looked at."""
    name = str(place)
    try:
        real = real_path(place, name)
        if not real.is_relative_to(tree.root):
            return None
        text = read_regular(real, name, limit=_LIMIT)[0]
    except FileError as error:
        # What is not there names nothing, and what is so large is data; unless it is wrangler's by its name.
        harmless = error.code in {Code.FILE_MISSING, Code.FILE_TOO_LARGE, Code.FILE_NOT_REGULAR}
        return b"" if harmless and not _is_wrangler(place.name) else None
    ours = not _is_wrangler(place.name) and _OURS.search(text) is not None
    return b"" if ours else text.lower()


def _is_wrangler(name: str) -> bool:
    """Whether a file is wrangler's by its name: then what can't be looked at is a doubt. Data files are often large."""
    return name.lower().startswith("wrangler") and name.lower().endswith(_SUFFIXES)
