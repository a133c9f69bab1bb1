"""Bytes of a TOML file to plain values, or the first thing that keeps it from being read. Reads no file itself."""

from __future__ import annotations

import re

import tomli

from reconciler.findings.diagnostics import Place
from reconciler.syntax.caps import check_caps
from reconciler.syntax.reading import ReadFault, UnreadableError, read_text
from reconciler.syntax.text import line_and_column

# tomli's words for what happens most often, in ours and with what to do about it.
_WORDS = (
    ("Cannot overwrite a value", "this key stands here a second time", "keep one of the two"),
    ("Cannot declare", "this table stands here a second time", "put the keys of both under one header"),
    ("Duplicate inline table key", "an inline table has the same key twice", "keep one of the two"),
    ("Invalid value", "there is no valid value here", 'a text stands in quotes: key = "value"'),
    ("Expected '='", "a key without `=`", 'write key = "value"'),
    ("Expected newline", "a line goes on where it should end", "one key for each line; texts stand in quotes"),
    ("Unescaped", "a backslash that stands for nothing", "write paths with `/`, or the text in single quotes"),
    ("Unterminated string", "a text is not closed", None),
    ("Illegal character '\\n'", "a text is not closed on its line", 'texts of several lines stand in """'),
    ("Unclosed array", "a list is not closed", None),
    ("Unclosed inline table", "an inline table is not closed", None),
)


def load(path: str, data: bytes, *, max_bytes: int) -> dict[str, object]:
    """What a TOML 1.1 file says, as plain values: dict, list, str, int, float, bool, dates and times.

    UnreadableError for a file that is too large, no UTF-8, over the caps of `check_caps`, or no TOML.
    """
    text = read_text(path, data, max_bytes=max_bytes)
    excess = check_caps(text)
    if excess is not None:
        where = Place(path, *line_and_column(text, excess.offset))
        raise UnreadableError(ReadFault.TOO_DEEP, f"the file {excess.message}", where)
    try:
        return dict[str, object](tomli.loads(text))
    except tomli.TOMLDecodeError as error:
        message, hint = _in_words(error.msg)
        raise UnreadableError(ReadFault.SYNTAX, message, Place(path, error.lineno, error.colno), hint) from error
    except (ValueError, RecursionError) as error:
        # Python converts at most 4,300 digits by default; tomli lets its error through, without a place.
        digits = re.search("(?<![0-9_])[0-9_]{4300}", text)
        where = Place(path, *line_and_column(text, digits.start())) if digits else Place(path)
        raise UnreadableError(ReadFault.SYNTAX, "a number has too many digits", where, "correct the value") from error


def _in_words(said: str) -> tuple[str, str | None]:
    for start, message, hint in _WORDS:
        if said.startswith(start):
            return f"no valid TOML: {message}", hint
    return f"no valid TOML: {said[:1].lower()}{said[1:]}", None
