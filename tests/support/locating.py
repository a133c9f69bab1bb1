"""Where a path of keys is in a text: line and column, from 1 and in characters."""

from __future__ import annotations

from reconciler.findings.diagnostics import Place, Pointer
from reconciler.syntax import jsonc, toml
from reconciler.syntax.places import Places
from reconciler.syntax.text import line_and_column, split_bom


def locate_json(text: str, keys: tuple[str | int, ...], *, at_key: bool) -> tuple[int, int]:
    """The place in a text of JSON."""
    _, text = split_bom(text)
    return line_and_column(text, jsonc.find_offset(jsonc.parse(text), keys, at_key=at_key))


def locate_toml(text: str, keys: tuple[toml.Key, ...], *, at_key: bool) -> tuple[int, int]:
    """The place in a text of TOML."""
    tree = toml.read_tree(text)
    return line_and_column(tree.text, toml.find_offset(tree, keys, at_key=at_key))


def resolve(pointer: Pointer, data: bytes) -> Place:
    """The place of one pointer in the bytes of its file."""
    return Places(pointer.path, data).find(pointer)
