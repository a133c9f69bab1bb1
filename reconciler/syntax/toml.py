"""The tree of a TOML text: for each path of keys and indexes, the positions of the text that defines it.

Built only from the spans of a text that a parser has accepted. It has positions, not values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field

from reconciler.findings.values import dataclass
from reconciler.syntax.text import line_and_column, split_bom
from reconciler.syntax.toml_spans import Header, KeyPart, KeyValue, Section, Value, scan

Key = str | int


@dataclass(slots=True)
class TomlNode:
    """The text at one path.

    `key` is its first occurrence as a key, `start` the first header, pair or value that defines it. `value` is set if a
    pair defines it, `section` if it has its own header, `elements` for an array of tables.
    """

    key: KeyPart | None
    start: int
    value: Value | None = None
    pair: KeyValue | None = None
    section: Section | None = None
    elements: list[TomlNode] = field(default_factory=list)
    children: dict[str, TomlNode] = field(default_factory=dict)
    unfolded: bool = False

    def child(self, key: Key) -> TomlNode | None:
        """The child node, or None. The content of a value is expanded only on demand."""
        self._unfold()
        if isinstance(key, str):
            return self.children.get(key)
        return self.elements[key] if 0 <= key < len(self.elements) else None

    def enter(self, part: KeyPart, start: int) -> TomlNode:
        """The node of a table in this one, created if it is new; for an array of tables, its last element."""
        node = self.children.get(part.name)
        if node is None:
            node = self.children[part.name] = TomlNode(part, start)
        return node.elements[-1] if node.elements else node

    def add(self, pair: KeyValue) -> None:
        """Add a pair at the path of its dotted key."""
        table = self
        for part in pair.keys[:-1]:
            table = table.enter(part, pair.start)
        last = pair.keys[-1]
        table.children[last.name] = TomlNode(last, pair.value.start, pair.value, pair)

    def _unfold(self) -> None:
        if self.value is not None and not self.unfolded:
            self.unfolded = True
            self.elements = [TomlNode(None, item.start, item) for item in self.value.items]
            for pair in self.value.pairs:
                self.add(pair)


@dataclass(slots=True)
class TomlTree:
    """A parsed text: its sections in order, the path of each, and the root node."""

    text: str
    sections: list[Section]
    paths: list[tuple[Key, ...]]
    root: TomlNode

    def find(self, keys: Iterable[Key]) -> TomlNode | None:
        """The node at a path, or None."""
        *_, (_, node) = self.walk(keys)
        return node

    def walk(self, keys: Iterable[Key]) -> Iterator[tuple[int, TomlNode | None]]:
        """The root and each node on the way to a path, with its depth; None at the end if the path does not exist."""
        node: TomlNode | None = self.root
        yield 0, node
        for depth, key in enumerate(keys, start=1):
            node = node.child(key) if node is not None else None
            yield depth, node
            if node is None:
                return

    def region_end(self, index: int) -> int:
        """The offset where the next section begins, or the text ends."""
        following = self.sections[index + 1].header if index + 1 < len(self.sections) else None
        return following.start if following else len(self.text)


def read_tree(text: str) -> TomlTree:
    """The tree of a text. ScanError if it is not TOML. Offsets do not count a byte order mark."""
    _, text = split_bom(text)
    tree = TomlTree(text, scan(text), [], TomlNode(None, 0))
    for section in tree.sections:
        table, path = tree.root, tuple[Key, ...]()
        if section.header is not None:
            table, path = _open_table(tree.root, section, section.header)
        tree.paths.append(path)
        for pair in section.pairs:
            table.add(pair)
    return tree


def lines_below(text: str, path: tuple[Key, ...]) -> list[tuple[int, int]]:
    """The first and last line, from 1, of each block of tables at or below a path. ScanError if the text is not TOML.

    A table goes from its header to its last pair; tables that follow each other are one block.
    """
    tree = read_tree(text)
    blocks: list[tuple[int, int]] = []
    last = -1
    for index, (section, found) in enumerate(zip(tree.sections, tree.paths, strict=True)):
        if section.header is None or found[: len(path)] != path:
            continue
        end = section.pairs[-1].end if section.pairs else section.header.end
        first = blocks.pop()[0] if last == index - 1 else line_and_column(tree.text, section.header.start)[0]
        blocks.append((first, line_and_column(tree.text, end)[0]))
        last = index
    return blocks


def find_offset(tree: TomlTree, keys: tuple[Key, ...], *, at_key: bool) -> int:
    """The offset of the value at a path, or of its key; of the longest part of the path that exists.

    The place of a table is its header, or the first header or dotted key that defines it. A byte order mark does not
    count.
    """
    offset = 0
    for depth, node in tree.walk(keys):
        if node is not None:
            wanted = at_key and depth == len(keys) and node.key is not None
            offset = node.key.start if wanted and node.key is not None else node.start
    return offset


def _open_table(root: TomlNode, section: Section, header: Header) -> tuple[TomlNode, tuple[Key, ...]]:
    """The node of a header, and its path with the indexes of the arrays of tables in it."""
    table = root
    path: list[Key] = []
    *outer, last = header.keys
    for part in outer:
        path.append(part.name)
        known = table.children.get(part.name)
        if known is not None and known.elements:
            path.append(len(known.elements) - 1)
        table = table.enter(part, header.start)
    path.append(last.name)
    node = table.children.setdefault(last.name, TomlNode(last, header.start))
    if header.array:
        path.append(len(node.elements))
        node.elements.append(TomlNode(None, header.start, section=section))
        return node.elements[-1], tuple(path)
    node.key, node.start, node.section = last, header.start, section
    return node, tuple(path)
