"""Reads a TOML file from its bytes to plain values, or to the first error. Opens no file.

Size and depth are checked before the text is parsed: a parser builds one table for each part of each key, and 40 kB of
dots cost tomli 1.5 GB of memory. The check agrees with the parser on every text that the parser accepts, and on every
text that it refuses, up to the position where it stops.
"""

from __future__ import annotations

import re

import tomli

from reconciler.findings.diagnostics import Place
from reconciler.findings.values import dataclass
from reconciler.syntax.reading import ReadFault, UnreadableError, read_text, syntax_error
from reconciler.syntax.text import line_and_column

MAX_PARTS = 32
MAX_NESTING = 32
MAX_MARKS = 30_000
"""Maximum number of characters that begin a key, a value, a header or a line. A declaration of 1,000 certificates has
8,000 of them; parsing, and reporting what is wrong, takes up to a kilobyte and 20 microseconds for each."""

# Strings and comments can contain any character, so each is one token. One that is not closed extends to where a
# parser would stop. All repeats are possessive, so that no text causes backtracking. The token of a line break includes
# the simple and empty lines after it, because they change nothing: most lines of a file are `key = "text"`.
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

# A text of such lines alone is not nested: headers, and keys with one value or an inline table of one.
_PAIR = r"""[A-Za-z0-9_-]++[ \t]*+=[ \t]*+(?:"[^"\\\n]*+"|'[^'\n]*+'|[a-z0-9]++)"""
_HEADER = r"\[{1,2}[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]++){0,8}\]{1,2}"
_TABLE = rf"[A-Za-z0-9_-]++[ \t]*+=[ \t]*+\{{[ \t]*+{_PAIR}[ \t]*+\}}"
_PLAIN_LINES = re.compile(rf"(?:[ \t]*+(?:{_HEADER}|{_PAIR}|{_TABLE})?[ \t\r]*+(?:\#[^\n]*+)?(?:\n|\Z))*+")

_MARKS = frozenset("\n.[{=,")
_DEEPER = frozenset(".[{")
"""The only ones after which a value is deeper than before."""


@dataclass(frozen=True, slots=True)
class Excess:
    """A limit that a text exceeds, with the offset. `message` completes "the file ..."."""

    message: str
    offset: int


def check_caps(text: str) -> Excess | None:
    """The first position where a key has too many parts, values are nested too deep, or there are too many of either.

    None if the text is within the limits. Nesting counts brackets. Key parts and brackets together can be as many as
    both limits allow, so that dotted keys in inline tables can't build a value much deeper than either.
    """
    # Most files are far below every limit: then it is enough to count characters, in keys or not, or to see that all
    # lines are plain.
    points, brackets = text.count("."), text.count("[") + text.count("{")
    is_small = points + brackets + text.count("=") + text.count(",") + text.count("\n") <= MAX_MARKS
    if is_small and ((points < MAX_PARTS and brackets <= MAX_NESTING) or _PLAIN_LINES.fullmatch(text)):
        return None
    key = dots = enclosing = marks = 0
    outer: list[int] = []
    for token in _TOKENS.finditer(text):
        char = text[token.start()]
        if char in _MARKS:
            marks += token.group().count("=") if char == "\n" else 1
            if marks > MAX_MARKS:
                return Excess(f"has more than {MAX_MARKS:,} keys and values", token.start())
        match char:
            case ".":
                dots += 1
                if dots >= MAX_PARTS:
                    return Excess(f"has a key with more than {MAX_PARTS} parts", token.start())
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
        is_deeper = char in _DEEPER
        if is_deeper and (
            len(outer) > MAX_NESTING or enclosing + max(key, dots) + len(outer) > MAX_PARTS + MAX_NESTING
        ):
            return Excess(f"has values nested more than {MAX_NESTING} deep", token.start())
    return None


# The most frequent errors of tomli, in plain words and with a hint.
_PLAIN_MESSAGES = (
    ("Cannot overwrite a value", "this key is defined a second time here", "remove one of the two"),
    ("Cannot declare", "this table is defined a second time here", "move the keys of both under one header"),
    ("Duplicate inline table key", "an inline table has the same key twice", "remove one of the two"),
    ("Invalid value", "expected a valid value", 'put strings in quotes: key = "value"'),
    ("Expected '='", "expected `=` after a key", 'write key = "value"'),
    ("Expected newline", "expected the end of the line", "write one key per line, and put strings in quotes"),
    ("Unescaped", "invalid escape sequence in a string", "use `/` in paths, or put the string in single quotes"),
    ("Unterminated string", "a string is not closed", None),
    ("Illegal character '\\n'", "a string is not closed on its line", 'use """ for a string of several lines'),
    ("Unclosed array", "a list is not closed", None),
    ("Unclosed inline table", "an inline table is not closed", None),
)


def load(path: str, data: bytes, *, max_bytes: int) -> dict[str, object]:
    """The content of a TOML 1.1 file as plain values: dict, list, str, int, float, bool, dates and times.

    UnreadableError if the file is too large, is not UTF-8, exceeds the limits of `check_caps`, or is not TOML.
    """
    text = read_text(path, data, max_bytes=max_bytes)
    excess = check_caps(text)
    if excess is not None:
        where = Place(path, *line_and_column(text, excess.offset))
        raise UnreadableError(ReadFault.TOO_DEEP, f"the file {excess.message}", where)
    try:
        return dict[str, object](tomli.loads(text))
    except tomli.TOMLDecodeError as error:
        message, hint = _message_and_hint(error.msg)
        raise syntax_error(path, text, message, Place(path, error.lineno, error.colno), hint) from error
    except (ValueError, RecursionError) as error:
        # By default, Python converts at most 4,300 digits; tomli passes that error on, without a place.
        digits = re.search("(?<![0-9_])[0-9_]{4300}", text)
        where = Place(path, *line_and_column(text, digits.start())) if digits else Place(path)
        raise UnreadableError(ReadFault.SYNTAX, "a number has too many digits", where, "fix the value") from error


def _message_and_hint(original: str) -> tuple[str, str | None]:
    for start, message, hint in _PLAIN_MESSAGES:
        if original.startswith(start):
            return f"invalid TOML: {message}", hint
    return f"invalid TOML: {original[:1].lower()}{original[1:]}", None
