"""How large and how deep a TOML text may be, found by one cheap look before a parser sees it.

A parser builds one table for each part of each key: 40 kB of dots cost tomli 1.5 GB of memory. The look agrees with
the parser on every text the parser accepts, and on every text it refuses up to the place where it stops.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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
