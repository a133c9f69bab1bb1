"""The folders of sinks in files, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.findings.codes import Code
from reconciler.findings.errors import FileError


@dataclass
class MemoryKeyFolders:
    """The port `KeyFolders` over a mapping of paths."""

    tree: dict[str, bytes] = field(default_factory=dict, repr=False)

    def names(self, folder: str, within: str) -> frozenset[str]:
        place = f"{folder}/{within}/"
        return frozenset(path.removeprefix(place) for path in self.tree if path.startswith(place))

    def read(self, folder: str, within: str, name: str, *, limit: int) -> bytes:
        path = f"{folder}/{within}/{name}"
        if path not in self.tree or len(self.tree[path]) > limit:
            raise FileError(f"{path} can't be read", code=Code.FILE_MISSING)
        return self.tree[path]

    def create(self, folder: str, within: str, name: str, data: bytes, *, in_clear: bool) -> None:
        del in_clear
        path = f"{folder}/{within}/{name}"
        if path in self.tree:
            raise FileError(f"{path} is there", code=Code.FILE_EXISTS)
        self.tree[path] = data

    def remove(self, folder: str, within: str, name: str) -> None:
        self.tree.pop(f"{folder}/{within}/{name}", None)
