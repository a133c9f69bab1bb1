"""Resolves a path of keys to a line and column. Done only when a finding is shown."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from reconciler.findings.diagnostics import Place, Pointer
from reconciler.syntax.text import split_bom

FindOffset = Callable[[tuple[str | int, ...], bool], int]


# A run without findings imports no scanner.
def _in_toml(text: str) -> FindOffset:
    from reconciler.syntax import toml

    tree = toml.read_tree(text)
    return lambda keys, at_key: toml.find_offset(tree, keys, at_key=at_key)


def _in_jsonc(text: str) -> FindOffset:
    from reconciler.syntax import jsonc

    root = jsonc.parse(text)
    return lambda keys, at_key: jsonc.find_offset(root, keys, at_key=at_key)


_FORMATS: Mapping[str, Callable[[str], FindOffset]] = {
    ".toml": _in_toml,
    ".json": _in_jsonc,
    ".jsonc": _in_jsonc,
}


class Places:
    """The places in one file. The file is parsed once, so a thousand findings cost little more than one."""

    def __init__(self, path: str, data: bytes) -> None:
        """The suffix of `path` selects the format."""
        self.data = data
        self._find: FindOffset | None = None
        self._line_ends: list[int] = []
        read = _FORMATS.get(PurePosixPath(path).suffix.lower())
        if read is not None:
            try:
                _, text = split_bom(data.decode())
                self._find = read(text)
            except ValueError:
                return
            self._line_ends = [found.start() for found in re.finditer("\n", text)]

    def find(self, pointer: Pointer) -> Place:
        """The place of a pointer; only the path if the bytes can't be parsed in the file's format."""
        if self._find is None:
            return Place(pointer.path)
        offset = self._find(pointer.keys, pointer.at_key)
        line = bisect_left(self._line_ends, offset)
        before = self._line_ends[line - 1] if line else -1
        return Place(pointer.path, line + 1, offset - before)
