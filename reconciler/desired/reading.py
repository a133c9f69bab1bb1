"""From the bytes of mtls.toml to its tables: size and depth limits, UTF-8, TOML syntax. Knows nothing of the format."""

from __future__ import annotations

import re

import tomli

from reconciler.core.errors import Diagnostic, InputError, Place, Severity
from reconciler.desired.codes import Code
from reconciler.desired.findings import Raw
from reconciler.syntax.caps import check_caps
from reconciler.syntax.text import line_and_column, split_bom

MAX_BYTES = 1_000_000

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


def read_document(data: bytes, path: str) -> Raw:
    """The tables of the file; InputError with the first thing that keeps it from being read."""
    if len(data) > MAX_BYTES:
        raise _refusal(Code.TOO_LARGE, Place(path), f"the file is larger than {MAX_BYTES // 1_000_000} MB")
    _, text = split_bom(_decoded(data, path))
    excess = check_caps(text)
    if excess is not None:
        raise _refusal(Code.TOO_DEEP, Place(path, *line_and_column(text, excess.offset)), f"the file {excess.message}")
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        message, hint = _in_words(error.msg)
        raise _refusal(Code.TOML_SYNTAX, Place(path, error.lineno, error.colno), message, hint) from error
    except ValueError as error:
        # Python converts at most 4,300 digits by default; tomli lets its error through, without a place.
        digits = re.search("(?<![0-9_])[0-9_]{4300}", text)
        place = Place(path, *line_and_column(text, digits.start())) if digits else Place(path)
        raise _refusal(Code.TOML_SYNTAX, place, "a number has too many digits") from error


def _decoded(data: bytes, path: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        place = Place(path, *line_and_column(split_bom(before)[1], len(before)))
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        message = "the file is UTF-16, not UTF-8" if wide else "the file is not UTF-8"
        raise _refusal(Code.NOT_UTF8, place, message, "save it as UTF-8") from error


def _in_words(said: str) -> tuple[str, str | None]:
    for start, message, hint in _WORDS:
        if said.startswith(start):
            return f"no valid TOML: {message}", hint
    return f"no valid TOML: {said[:1].lower()}{said[1:]}", None


def _refusal(code: Code, place: Place, message: str, hint: str | None = None) -> InputError:
    return InputError([Diagnostic(Severity.ERROR, code.value, message, place, hint)])
