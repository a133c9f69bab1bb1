"""From a path of keys to a place that a person can open. Looked up only when something is to be reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from reconciler.core.errors import Place, Pointer
from reconciler.syntax import toml

Locate = Callable[[str, tuple[str | int, ...], bool], tuple[int, int]]


def _locate_toml(text: str, keys: tuple[str | int, ...], at_key: bool) -> tuple[int, int]:
    return toml.locate(text, keys, at_key=at_key)


_LOCATE: Mapping[str, Locate] = {
    ".toml": _locate_toml,
}


def resolve(pointer: Pointer, data: bytes) -> Place:
    """The place of a pointer in the bytes of its file; the path alone where the bytes can't be read as its format."""
    locate = _LOCATE.get(PurePosixPath(pointer.path).suffix.lower())
    if locate is None:
        return Place(pointer.path)
    try:
        line, column = locate(data.decode(), pointer.keys, pointer.at_key)
    except ValueError:
        return Place(pointer.path)
    return Place(pointer.path, line, column)
