"""The tree of a TOML text: for each path of keys and indexes, what makes it and where that stands.

Built from the spans alone, for a text that a parser has accepted. Says where things are, never what they are worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from reconciler.syntax.text import line_and_column, split_bom
from reconciler.syntax.toml_spans import Header, KeyPart, KeyValue, Section, Value, scan

Key = str | int


@dataclass(slots=True)
class TomlNode:
    """What stands at one path.

    `key` is its name where it is first written and `start` the header, pair or value that makes it first. `value` is
    there for what a pair gives, `section` for what has a header of its own, `elements` for an array of tables.
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
        """The node below this one, or None. What a value holds is looked at only when asked for."""
        self._unfold()
        if isinstance(key, str):
            return self.children.get(key)
        return self.elements[key] if 0 <= key < len(self.elements) else None

    def enter(self, part: KeyPart, start: int) -> TomlNode:
        """The node of a table below this one, made if new; of an array of tables its last element."""
        node = self.children.get(part.name)
        if node is None:
            node = self.children[part.name] = TomlNode(part, start)
        return node.elements[-1] if node.elements else node

    def add(self, pair: KeyValue) -> None:
        """Put a pair where its dotted key says."""
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
    """A whole text: its sections in order, the path of each, and the root of the nodes."""

    text: str
    sections: list[Section]
    paths: list[tuple[Key, ...]]
    root: TomlNode

    def find(self, keys: Iterable[Key]) -> TomlNode | None:
        """The node at a path, or None."""
        *_, (_, node) = self.walk(keys)
        return node

    def walk(self, keys: Iterable[Key]) -> Iterator[tuple[int, TomlNode | None]]:
        """The root and each node on the way to a path, with its depth; None at the end if the path stops before."""
        node: TomlNode | None = self.root
        yield 0, node
        for depth, key in enumerate(keys, start=1):
            node = node.child(key) if node is not None else None
            yield depth, node
            if node is None:
                return

    def region_end(self, index: int) -> int:
        """Where the next section begins, or the text ends."""
        following = self.sections[index + 1].header if index + 1 < len(self.sections) else None
        return following.start if following else len(self.text)


def read_tree(text: str) -> TomlTree:
    """The tree of a text; ScanError for what is no TOML. Offsets count from behind a byte order mark."""
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


def locate(text: str, keys: tuple[Key, ...], *, at_key: bool) -> tuple[int, int]:
    """Line and column, from 1 and in characters, of the value at a path, or of its key.

    A table's place is its header, or the first header or dotted key that makes it. Where the last keys do not exist,
    the place of the longest existing part. ScanError for what is no TOML.
    """
    tree = read_tree(text)
    return line_and_column(tree.text, find_offset(tree, keys, at_key=at_key))


def find_offset(tree: TomlTree, keys: tuple[Key, ...], *, at_key: bool) -> int:
    """As `locate`, in a tree that is there: the offset, which counts from behind a byte order mark."""
    offset = 0
    for depth, node in tree.walk(keys):
        if node is not None:
            wanted = at_key and depth == len(keys) and node.key is not None
            offset = node.key.start if wanted and node.key is not None else node.start
    return offset


def _open_table(root: TomlNode, section: Section, header: Header) -> tuple[TomlNode, tuple[Key, ...]]:
    """The node that a header opens, and its path with the indexes of the arrays of tables on the way."""
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
