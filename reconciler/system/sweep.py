"""The search of the whole tree for files that still contain an id, before an entry is deleted.

It must be right in one direction only: a file that can't be checked makes the result incomplete, and an incomplete
result keeps every entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from reconciler.findings.codes import Code
from reconciler.findings.errors import FileError
from reconciler.model import EntryId, Sweep
from reconciler.model.found import has_needle, needle_of
from reconciler.model.progress import Done, uncounted
from reconciler.model.templates import template_of
from reconciler.system.confine import ConfinedTree, read_regular, real_path
from reconciler.system.walk import walk

_LIMIT = 20_000_000
_SUFFIXES = (".toml", ".json", ".jsonc")
_OURS = re.compile(rb'"format"\s*:\s*"mtlsctl\.[a-z]+/[0-9]')
"""In every document that mtlsctl writes: a saved plan names what it retires, and deploys nothing."""


def sweep_tree(tree: ConfinedTree, ids: Iterable[EntryId], *, leave_out: str, done: Done = uncounted) -> Sweep:
    """The configuration files in the tree that contain these ids, in any letter case, anywhere in their text.

    Any .toml, .json or .jsonc file can be one, because wrangler accepts any file name with `-c`, a build writes its
    own, and another mtls.toml may bind by id; so can a `cloudflare.config` in code, and a template of any of these,
    such as `wrangler.toml.j2`, from which a pipeline makes the file again. `leave_out` is the mtls.toml of
    this run, whose own ids are declared. In a text with escapes, the last group of an id is enough. Folders that are
    links are not entered; `.git`, `node_modules` and files that mtlsctl writes are left out. Files are named relative
    to the folder of mtls.toml, sorted. Unread is what can't be listed or read, or is a link out of the tree; and a
    `wrangler*` file that is not a regular file, is a broken link, or is larger than 20 MB.
    """
    needles = {entry_id: needle_of(entry_id) for entry_id in ids}
    if not needles:
        return Sweep()
    found: dict[EntryId, list[str]] = {}
    unread: list[str] = []
    own = tree.folder / leave_out
    for place, is_listed in walk(tree.root, _may_configure):
        done()
        if _is_same(place, own):
            continue
        text = _text_of(tree, place) if is_listed else None
        if text is None:
            unread.append(tree.relative(place))
            continue
        for entry_id, needle in needles.items():
            if has_needle(text, needle):
                found.setdefault(entry_id, []).append(tree.relative(place))
    return Sweep({entry_id: tuple(sorted(places)) for entry_id, places in found.items()}, tuple(sorted(unread)))


def _is_same(place: Path, own: Path) -> bool:
    """True if both are the same file, through any links."""
    try:
        return place.samefile(own)
    except OSError:
        return False


def _may_configure(name: str) -> bool:
    name = template_of(name) or name
    return name.lower().endswith(_SUFFIXES) or name.lower().startswith("cloudflare.config.")


def _text_of(tree: ConfinedTree, place: Path) -> bytes | None:
    """The text of the file in lower case, empty if it can't be a configuration, None if it can't be read."""
    name = str(place)
    try:
        real = real_path(place, name)
        if not real.is_relative_to(tree.root):
            return None
        text = read_regular(real, name, limit=_LIMIT)[0]
    except FileError as error:
        # A missing file contains nothing, and such a large one is data; unless its name is one of wrangler's.
        harmless = error.code in {Code.FILE_MISSING, Code.FILE_TOO_LARGE, Code.FILE_NOT_REGULAR}
        return b"" if harmless and not _is_wrangler(place.name) else None
    ours = not _is_wrangler(place.name) and _OURS.search(text) is not None
    return b"" if ours else text.lower()


def _is_wrangler(name: str) -> bool:
    """True if the name is one of wrangler's. Such a file must be readable; other files are often large data."""
    name = (template_of(name) or name).lower()
    return name.startswith("wrangler") and name.endswith(_SUFFIXES)
