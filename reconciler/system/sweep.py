"""The search of the whole tree for files that still contain an id, before an entry is deleted.

It must be right in one direction only: a file that can't be checked makes the result incomplete, and an incomplete
result keeps every entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from pathlib import Path

from reconciler.findings.codes import Code
from reconciler.findings.errors import FileError
from reconciler.findings.values import dataclass
from reconciler.model import EntryId, Sweep
from reconciler.model.found import has_needle, needle_of
from reconciler.model.progress import Done, uncounted
from reconciler.model.templates import template_of
from reconciler.system.confine import ConfinedTree, read_regular, real_path
from reconciler.system.walk import walk

_LIMIT = 20_000_000
_SUFFIXES = (".toml", ".json", ".jsonc")
_HARMLESS = frozenset({Code.FILE_MISSING, Code.FILE_TOO_LARGE, Code.FILE_NOT_REGULAR})
"""A missing file contains nothing, and such a large one is data; unless its name is one of wrangler's."""

IsDocument = Callable[[bytes], bool]
"""Whether a text is a document that mtlsctl writes: a saved plan names what it retires, and deploys nothing."""


def sweep_tree(
    tree: ConfinedTree, ids: Iterable[EntryId], *, leave_out: str, is_document: IsDocument, done: Done = uncounted
) -> Sweep:
    """The configuration files in the tree that contain these ids, in any letter case, anywhere in their text.

    Any .toml, .json or .jsonc file can be one, because wrangler accepts any file name with `-c`, a build writes its
    own, and another mtls.toml may bind by id; so can a `cloudflare.config` in code, and a template of any of these,
    such as `wrangler.toml.j2`, from which a pipeline makes the file again. `leave_out` is the mtls.toml of
    this run, whose own ids are declared. In a text with escapes, the last group of an id is enough. Folders that are
    links are not entered; `.git`, `node_modules` and what `is_document` are left out. A file with many names is read
    once. Files are named relative to the folder of mtls.toml, sorted. Unread is what can't be listed or read, or is a
    link out of the tree; and a `wrangler*` file that is not a regular file, is a broken link, or is larger than 20 MB.
    """
    needles = {entry_id: needle_of(entry_id) for entry_id in ids}
    if not needles:
        return Sweep()
    reader = _Reader(tree, needles, is_document)
    found: dict[EntryId, list[str]] = {}
    unread: list[str] = []
    own = tree.folder / leave_out
    for place, is_listed in walk(tree.root, _may_configure):
        done()
        if _is_same(place, own):
            continue
        mentioned = reader.mentioned(place) if is_listed else None
        if mentioned is None:
            unread.append(tree.relative(place))
        for entry_id in mentioned or ():
            found.setdefault(entry_id, []).append(tree.relative(place))
    return Sweep({entry_id: tuple(sorted(places)) for entry_id, places in found.items()}, tuple(sorted(unread)))


@dataclass(frozen=True, slots=True)
class _Content:
    """What one file says: the ids in its text, whether it is a document of mtlsctl, or why it can't be read."""

    mentioned: tuple[EntryId, ...] = ()
    document: bool = False
    problem: Code | None = None


@dataclass(slots=True)
class _Reader:
    """Reads each file once, however many links and names lead to it."""

    tree: ConfinedTree
    needles: Mapping[EntryId, bytes]
    is_document: IsDocument
    read: dict[tuple[int, ...], _Content] = field(default_factory=dict)

    def mentioned(self, place: Path) -> tuple[EntryId, ...] | None:
        """The ids in a file, () if it can't be a configuration, None if it can't be read."""
        try:
            real = real_path(place, str(place))
            content = self._content(real) if real.is_relative_to(self.tree.root) else None
        except FileError as error:
            content = _Content(problem=error.code)
        if content is None:
            return None
        if content.problem is not None:
            return () if content.problem in _HARMLESS and not _is_wrangler(place.name) else None
        return () if content.document and not _is_wrangler(place.name) else content.mentioned

    def _content(self, real: Path) -> _Content:
        try:
            facts = real.lstat()
        except OSError:
            return self._look(real)
        # Size and time too, because some file systems give two files one number.
        key = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
        if key not in self.read:
            self.read[key] = self._look(real)
        return self.read[key]

    def _look(self, real: Path) -> _Content:
        try:
            text = read_regular(real, str(real), limit=_LIMIT)[0]
        except FileError as error:
            return _Content(problem=error.code)
        lower = text.lower()
        mentioned = tuple(entry_id for entry_id, needle in self.needles.items() if has_needle(lower, needle))
        return _Content(mentioned, bool(mentioned) and self.is_document(text))


def _is_same(place: Path, own: Path) -> bool:
    """True if both are the same file, through any links."""
    try:
        return place.samefile(own)
    except OSError:
        return False


def _may_configure(name: str) -> bool:
    name = template_of(name) or name
    return name.lower().endswith(_SUFFIXES) or name.lower().startswith("cloudflare.config.")


def _is_wrangler(name: str) -> bool:
    """True if the name is one of wrangler's. Such a file must be readable; other files are often large data."""
    name = (template_of(name) or name).lower()
    return name.startswith("wrangler") and name.endswith(_SUFFIXES)
