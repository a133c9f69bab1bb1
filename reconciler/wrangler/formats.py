"""The formats of wrangler files, by suffix. A new format needs a reader, a module with these functions, and its row.

Both are imported only when a file has their format, and the editing module only when a file is edited.
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
    """Edits files of a format. Offsets and texts exclude the byte order mark. ValueError for an unsupported layout."""

    def string_value(self, literal: str) -> str | None:
        """The value of one string literal, or None if the text is not exactly one string."""

    def snippet(self, environment: EnvironmentName, binding: str, certificate_id: str) -> str:
        """The lines to paste by hand for this binding."""

    def add(self, text: str, environment: EnvironmentName, binding: str, certificate_id: str) -> Sequence[Splice]:
        """The insertions that add a new binding to an existing environment."""

    def replace(self, text: str, environment: EnvironmentName, index: int, certificate_id: str) -> Sequence[Splice]:
        """One splice, over exactly the string with the ID of this binding."""

    def set_remote(self, text: str, environment: EnvironmentName, index: int, remote: bool) -> Sequence[Splice]:
        """The splices that set `remote` of this binding: one over its literal, or insertions that add it."""

    def remove(self, text: str, environment: EnvironmentName, index: int) -> Sequence[Splice]:
        """The deletions that remove this binding and keep the environment."""


class Reader(Protocol):
    """Parses files of a format."""

    def load(self, path: str, data: bytes, *, max_bytes: int) -> dict[str, object]:
        """The file as plain values. UnreadableError with the place if it can't be read."""


_JSONC = ("reconciler.wrangler.jsonc", "reconciler.syntax.jsonc_read")
_FORMATS: Mapping[str, tuple[str, str]] = {
    ".toml": ("reconciler.wrangler.toml", "reconciler.syntax.toml_read"),
    ".json": _JSONC,
    ".jsonc": _JSONC,
}
"""The modules that edit and read a format, imported on first use."""


def format_of(path: str) -> Format:
    """The editing module for a file, by its suffix. InputError `wrangler-format` for an unknown suffix."""
    return cast(Format, import_module(_modules(path)[0]))


def load(path: str, data: bytes) -> dict[str, object]:
    """A wrangler file of any known format as plain values. InputError if it can't be read."""
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
                    f"{path} is not a wrangler file",
                    Place(path),
                    f"set `config` to a file of one of these formats: {known}",
                )
            ]
        )
    return _FORMATS[suffix]
