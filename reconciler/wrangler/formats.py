"""The formats a wrangler file may have, by suffix. A new one is a reader, a module with these functions, and its lines.

Both are imported only where a file is of their format, and what edits only where something is to be edited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import PurePosixPath
from typing import Protocol, cast

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import InputError
from reconciler.model import EnvironmentName
from reconciler.syntax.reading import UnreadableError
from reconciler.wrangler.splices import Splice

MAX_BYTES = 256_000


class Format(Protocol):
    """How a format is edited. Texts and offsets are without byte order mark; ValueError where a layout has no place."""

    def string_value(self, literal: str) -> str | None:
        """What one string as written means; None where this is not exactly one string."""

    def snippet(self, environment: EnvironmentName, binding: str, certificate_id: str) -> str:
        """The lines that a person would paste for this binding."""

    def add(self, text: str, environment: EnvironmentName, binding: str, certificate_id: str) -> Sequence[Splice]:
        """Insertions that put a new binding into an environment that is there."""

    def replace(self, text: str, environment: EnvironmentName, index: int, certificate_id: str) -> Sequence[Splice]:
        """One splice, over exactly the string that is the id of this entry."""

    def set_remote(self, text: str, environment: EnvironmentName, index: int, remote: bool) -> Sequence[Splice]:
        """The `remote` of an entry: one splice over its literal, or insertions that put it in."""

    def remove(self, text: str, environment: EnvironmentName, index: int) -> Sequence[Splice]:
        """Cuts that take this entry out and leave the environment."""


class Reader(Protocol):
    """How a format is read."""

    def load(self, path: str, data: bytes, *, max_bytes: int) -> dict[str, object]:
        """The file as plain values; UnreadableError with its place for what can't be read."""


_JSONC = ("reconciler.wrangler.jsonc", "reconciler.syntax.jsonc_read")
_FORMATS: Mapping[str, tuple[str, str]] = {
    ".toml": ("reconciler.wrangler.toml", "reconciler.syntax.toml_read"),
    ".json": _JSONC,
    ".jsonc": _JSONC,
}
"""The modules that edit and read a format, imported when a file of it is there."""


def format_of(path: str) -> Format:
    """How a file is edited, by its suffix; InputError `wrangler-format` for one that is not known."""
    return cast(Format, import_module(_modules(path)[0]))


def load(path: str, data: bytes) -> dict[str, object]:
    """A wrangler file of any known format as plain values; InputError where it can't be read."""
    reader = cast(Reader, import_module(_modules(path)[1]))
    try:
        return reader.load(path, data, max_bytes=MAX_BYTES)
    except UnreadableError as error:
        raise error.as_error(Code.WRANGLER_SYNTAX) from error


def _modules(path: str) -> tuple[str, str]:
    suffix = PurePosixPath(path).suffix.lower()
    if suffix not in _FORMATS:
        known = ", ".join(f"wrangler{suffix}" for suffix in _FORMATS)
        raise InputError(
            [
                Diagnostic(
                    Severity.ERROR,
                    Code.WRANGLER_FORMAT,
                    f"{path} is no wrangler file",
                    Place(path),
                    f"point `config` at a file of this kind: {known}",
                )
            ]
        )
    return _FORMATS[suffix]
