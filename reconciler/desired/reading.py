"""From the bytes of mtls.toml to its tables; what keeps it from being read gets its code here."""

from __future__ import annotations

from reconciler.desired.codes import Code
from reconciler.desired.findings import Raw
from reconciler.syntax.reading import ReadFault, UnreadableError
from reconciler.syntax.toml_read import load

MAX_BYTES = 1_000_000

_CODES = {
    ReadFault.TOO_LARGE: Code.TOO_LARGE,
    ReadFault.NOT_UTF8: Code.NOT_UTF8,
    ReadFault.TOO_DEEP: Code.TOO_DEEP,
    ReadFault.SYNTAX: Code.TOML_SYNTAX,
}


def read_document(data: bytes, path: str) -> Raw:
    """The tables of the file; InputError with the first thing that keeps it from being read."""
    try:
        return load(path, data, max_bytes=MAX_BYTES)
    except UnreadableError as error:
        raise error.as_error(_CODES[error.fault].value) from error
