"""Reads a JSON file with comments from its bytes to plain values, or to one error with its place and a hint.

Every text is parsed twice: by the span parser, which the editor uses, and by the standard library's parser after
comments and trailing commas were blanked out. The two share no code. So an edit is proved by a parser that does not
use spans, and a bug in either leads to a refusal, never to a wrong edit. Opens no file.
"""

from __future__ import annotations

import json
import re

from reconciler.findings.diagnostics import Place
from reconciler.syntax.jsonc import MAX_DIGITS, JsoncError, parse
from reconciler.syntax.reading import ReadFault, UnreadableError, read_text, syntax_error
from reconciler.syntax.text import line_and_column

_STRING = r'"(?:[^"\\]|\\.)*+"'
_COMMENTS = re.compile(rf"({_STRING})|//[^\r\n]*+|/\*(?:.*?\*/|.*)", re.DOTALL)
_TRAILING_COMMAS = re.compile(rf"({_STRING})|,(?=[ \t\r\n]*+[\]}}])", re.DOTALL)


def load(path: str, data: bytes, *, max_bytes: int) -> dict[str, object]:
    """The object in a JSON file as plain values: dict, list, str, int, float, bool, None.

    UnreadableError if the file is too large, is not UTF-8, has no object, or can't be parsed by `parse`.
    """
    text = read_text(path, data, max_bytes=max_bytes)
    try:
        values = parse(text).plain()
    except JsoncError as error:
        where = Place(path, *line_and_column(text, error.offset))
        raise syntax_error(path, text, f"invalid JSON: {error.message}", where, error.hint) from error
    if not isinstance(values, dict):
        where, hint = Place(path, 1, 1), "put { and } around its content"
        raise UnreadableError(ReadFault.SYNTAX, "the file must contain an object", where, hint)
    if repr(values) != repr(_read_plainly(text)):
        message, hint = "two parsers read this file differently", "use simpler JSON"
        raise UnreadableError(ReadFault.SYNTAX, message, Place(path), hint)
    return values


def _blank_out(text: str) -> str:
    """The text without comments and trailing commas: JSON for the standard library."""
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
