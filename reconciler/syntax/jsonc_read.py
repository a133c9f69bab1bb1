"""Bytes of a JSON file with comments to plain values, or one error that says where and what to do.

Everything is read twice: by the span parser, which the editor leans on, and by the standard library's reader from the
same text with comments and trailing commas blanked out, which shares no code with it. So an edit is proved by a reader
that knows nothing of spans, and a fault in either is a refusal, never a wrong edit. Reads no file itself.
"""

from __future__ import annotations

import json
import re

from reconciler.core.errors import Diagnostic, InputError, Place, Severity
from reconciler.syntax.jsonc import MAX_DIGITS, JsoncError, parse
from reconciler.syntax.text import line_and_column, split_bom

_STRING = r'"(?:[^"\\]|\\.)*+"'
_COMMENTS = re.compile(rf"({_STRING})|//[^\r\n]*+|/\*(?:.*?\*/|.*)", re.DOTALL)
_TRAILING_COMMAS = re.compile(rf"({_STRING})|,(?=[ \t\r\n]*+[\]}}])", re.DOTALL)


def load_jsonc(path: str, data: bytes, *, max_bytes: int, code: str) -> dict[str, object]:
    """What the object of a JSON file says, as plain values: dict, list, str, int, float, bool, None.

    A byte order mark is passed over. InputError with one diagnostic of this code, with its place, for a file that is
    too large, no UTF-8, no object, or nothing that `parse` reads.
    """
    if len(data) > max_bytes:
        hint = "move what is not needed out of it"
        raise _error(code, f"the file is larger than {max_bytes:,} bytes", Place(path), hint)
    try:
        _, text = split_bom(data.decode())
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        raise _error(code, "the file is not UTF-8", _place(path, before, len(before)), "save it as UTF-8") from error
    try:
        values = parse(text).plain()
    except JsoncError as error:
        where = Place(path, *line_and_column(text, error.offset))
        raise _error(code, f"not valid JSON: {error.message}", where, error.hint) from error
    if not isinstance(values, dict):
        raise _error(code, "the file should hold an object", Place(path, 1, 1), "put { and } around what it says")
    if repr(values) != repr(_read_plainly(text)):
        raise _error(code, "two readers differ about this file", Place(path), "write it in plainer JSON")
    return values


def _blank_out(text: str) -> str:
    """The text without comments and trailing commas: JSON as the standard library reads it."""
    return _TRAILING_COMMAS.sub(_keep_strings, _COMMENTS.sub(_keep_strings, text))


def _keep_strings(found: re.Match[str]) -> str:
    return found[1] or " "


def _read_plainly(text: str) -> object:
    try:
        values: object = json.loads(_blank_out(text), parse_int=_read_integer)
    except (ValueError, RecursionError):
        return None
    return values


def _read_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def _place(path: str, text: str, offset: int) -> Place:
    return Place(path, *line_and_column(split_bom(text)[1], offset))


def _error(code: str, message: str, where: Place, hint: str) -> InputError:
    return InputError([Diagnostic(Severity.ERROR, code, message, where, hint)])
