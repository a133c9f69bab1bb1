"""From a path of keys to a place that a person can open. Looked up only when something is to be reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from reconciler.core.errors import Place, Pointer

Locate = Callable[[str, tuple[str | int, ...], bool], tuple[int, int]]


def _locate_toml(text: str, keys: tuple[str | int, ...], at_key: bool) -> tuple[int, int]:
    from reconciler.syntax import toml

    return toml.locate(text, keys, at_key=at_key)


def _locate_jsonc(text: str, keys: tuple[str | int, ...], at_key: bool) -> tuple[int, int]:
    from reconciler.syntax import jsonc

    return jsonc.locate(text, keys, at_key=at_key)


_LOCATE: Mapping[str, Locate] = {
    ".toml": _locate_toml,
    ".json": _locate_jsonc,
    ".jsonc": _locate_jsonc,
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
