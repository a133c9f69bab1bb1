"""Bytes of a JSON file with comments to plain values, or one error that says where and what to do.

Everything is read twice: by the span parser, which the editor leans on, and by the standard library's reader from the
same text with comments and trailing commas blanked out, which shares no code with it. So an edit is proved by a reader
that knows nothing of spans, and a fault in either is a refusal, never a wrong edit. Reads no file itself.
"""

from __future__ import annotations

import json
import re

from reconciler.findings.diagnostics import Place
from reconciler.syntax.jsonc import MAX_DIGITS, JsoncError, parse
from reconciler.syntax.reading import ReadFault, UnreadableError, read_text
from reconciler.syntax.text import line_and_column

_STRING = r'"(?:[^"\\]|\\.)*+"'
_COMMENTS = re.compile(rf"({_STRING})|//[^\r\n]*+|/\*(?:.*?\*/|.*)", re.DOTALL)
_TRAILING_COMMAS = re.compile(rf"({_STRING})|,(?=[ \t\r\n]*+[\]}}])", re.DOTALL)


def load(path: str, data: bytes, *, max_bytes: int) -> dict[str, object]:
    """What the object of a JSON file says, as plain values: dict, list, str, int, float, bool, None.

    UnreadableError for a file that is too large, no UTF-8, no object, or nothing that `parse` reads.
    """
    text = read_text(path, data, max_bytes=max_bytes)
    try:
        values = parse(text).plain()
    except JsoncError as error:
        where = Place(path, *line_and_column(text, error.offset))
        raise UnreadableError(ReadFault.SYNTAX, f"no valid JSON: {error.message}", where, error.hint) from error
    if not isinstance(values, dict):
        where, hint = Place(path, 1, 1), "put { and } around what it says"
        raise UnreadableError(ReadFault.SYNTAX, "the file should hold an object", where, hint)
    if repr(values) != repr(_read_plainly(text)):
        raise UnreadableError(ReadFault.SYNTAX, "two readers differ about this file", Place(path), "write plainer JSON")
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
