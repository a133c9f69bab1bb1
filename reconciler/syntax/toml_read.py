"""Bytes of a TOML file to plain values, or the first thing that keeps it from being read. Reads no file itself.

How large and how deep a text is gets checked before a parser sees it: a parser builds one table for each part of each
key, and 40 kB of dots cost tomli 1.5 GB of memory. The check agrees with the parser on every text that the parser
accepts, and on every text that it refuses up to the place where it stops.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import tomli

from reconciler.findings.diagnostics import Place
from reconciler.syntax.reading import ReadFault, UnreadableError, read_text
from reconciler.syntax.text import line_and_column

MAX_PARTS = 32
MAX_NESTING = 32
MAX_MARKS = 30_000
"""Signs that a key, a value, a header or a line makes. A declaration of 1,000 certificates has 8,000 of them; a
parser, and whoever reports what is wrong, needs up to a kilobyte and 20 microseconds for each."""

# Strings and comments may hold any sign, so each is one token. One that is not closed runs on to where a parser would
# give up. All repeats are possessive: no text makes the look go back. A line break takes the plain lines behind it
# and the empty ones along, for they change nothing: most of a file are lines that say `key = "text"`.
_TOKENS = re.compile(
    r"""
      "{3}(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5}|\Z)
    | '{3}(?:[^']|'(?!''))*+(?:'{3,5}|\Z)
    | "(?:[^"\\\n]|\\.)*+"?
    | '[^'\n]*+'?
    | \#[^\n]*+
    | \n(?:
        [ \t]*+[A-Za-z0-9_-]++[ \t]*+=[ \t]*+(?:"[^"\\\n]*+"|'[^'\n]*+'|[a-z0-9]++)[ \t\r]*+(?:\n|\Z)
        | [ \t\r]*+\n
      )*+
    | [.\[\]{}=,]
    """,
    re.VERBOSE | re.DOTALL,
)

_MARKS = frozenset("\n.[{=,")


@dataclass(frozen=True, slots=True)
class Excess:
    """What is over a cap, at which offset of the text. `message` completes "the file ..."."""

    message: str
    offset: int


def check_caps(
    text: str, *, max_parts: int = MAX_PARTS, max_nesting: int = MAX_NESTING, max_marks: int = MAX_MARKS
) -> Excess | None:
    """The first place where a key has too many parts, values lie too deep in each other, or there are too many of
    either; None where all is well.

    Nesting counts brackets; key parts and brackets together may be as many as both caps allow, so that dotted keys
    inside inline tables can't build a value much deeper than either.
    """
    # Most files are far from every cap: then counting characters, in keys or not, is proof enough.
    points, brackets = text.count("."), text.count("[") + text.count("{")
    is_small = points + brackets + text.count("=") + text.count(",") + text.count("\n") <= max_marks
    if is_small and points < max_parts and brackets <= max_nesting:
        return None
    key = dots = enclosing = marks = 0
    outer: list[int] = []
    for token in _TOKENS.finditer(text):
        sign = token.group()[0]
        if sign in _MARKS:
            marks += token.group().count("=") if sign == "\n" else 1
            if marks > max_marks:
                return Excess(f"has more than {max_marks:,} keys and values", token.start())
        match sign:
            case ".":
                dots += 1
                if dots >= max_parts:
                    return Excess(f"has a key of more than {max_parts} parts", token.start())
            case "=":
                key, dots = dots, 0
            case "[" | "{":
                outer.append(key)
                enclosing += key
                key = dots = 0
            case "]" | "}":
                enclosing -= outer.pop() if outer else 0
                key = dots = 0
            case "," | "\n":
                key = dots = 0
        if len(outer) > max_nesting or enclosing + max(key, dots) + len(outer) > max_parts + max_nesting:
            return Excess(f"has values nested more than {max_nesting} deep", token.start())
    return None


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
