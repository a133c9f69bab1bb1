"""Scans a TOML 1.1 text for the offsets of its headers, keys, values and elements.

For text that a parser has accepted. The scanner does not validate: it ignores types, duplicates and dates. It must not
change text, and only the parser knows the values.
"""

from __future__ import annotations

import re
from dataclasses import field
from typing import Literal

import tomli

from reconciler.findings.values import dataclass
from reconciler.syntax.text import BOM

Kind = Literal["table", "array", "string", "bare"]


class ScanError(ValueError):
    """The text is not TOML, or the scanner does not understand it."""


@dataclass(frozen=True, slots=True)
class KeyPart:
    """One part of a key. `name` is the unquoted name; the span includes its quotes."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class KeyValue:
    """`a.b = value`, in a section or in an inline table."""

    keys: tuple[KeyPart, ...]
    value: Value

    @property
    def start(self) -> int:
        return self.keys[0].start

    @property
    def end(self) -> int:
        return self.value.end


@dataclass(frozen=True, slots=True)
class Value:
    """One value; the span includes quotes or brackets. `pairs` is set for an inline table, `items` for an array."""

    kind: Kind
    start: int
    end: int
    items: tuple[Value, ...] = ()
    pairs: tuple[KeyValue, ...] = ()


@dataclass(frozen=True, slots=True)
class Header:
    """`[a.b]`, or `[[a.b]]` if `array` is true. The span includes the brackets."""

    keys: tuple[KeyPart, ...]
    array: bool
    start: int
    end: int


@dataclass(slots=True)
class Section:
    """A header and the pairs under it, in text order. `header` is None for the pairs before the first header."""

    header: Header | None
    pairs: list[KeyValue] = field(default_factory=list)


@dataclass(slots=True)
class _Open:
    """An array or inline table that is still open. `keys` are those of the value that comes next."""

    table: bool
    start: int
    items: list[Value] = field(default_factory=list)
    pairs: list[KeyValue] = field(default_factory=list)
    keys: tuple[KeyPart, ...] = ()

    def add(self, value: Value) -> None:
        if self.table:
            self.pairs.append(KeyValue(self.keys, value))
        else:
            self.items.append(value)

    def close(self, end: int) -> Value:
        return Value("table" if self.table else "array", self.start, end, tuple(self.items), tuple(self.pairs))


_BLANKS = re.compile(r"[ \t]*+")
_TRIVIA = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_KEY_PART = re.compile(r"""[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+'""")
_STRING = re.compile(
    r"""
      "{3}(?:[^"\\]|\\.|"(?!""))*+"{3,5}
    | '{3}(?:[^']|'(?!''))*+'{3,5}
    | "(?:[^"\\\n]|\\.)*+"
    | '[^'\n]*+'
    """,
    re.VERBOSE | re.DOTALL,
)
_BARE = re.compile(r"""[^\s,\[\]{}#"'=](?:[^,\[\]{}#"'=\r\n]*[^\s,\[\]{}#"'=])?""")


def scan(text: str) -> list[Section]:
    """The sections of a text, in order; the first has no header. A byte order mark is skipped.

    ScanError for invalid TOML, as far as the scanner detects it. Linear time, no recursion.
    """
    sections = [Section(None)]
    position = skip_trivia(text, len(BOM) if text.startswith(BOM) else 0)
    while position < len(text):
        if text[position] == "[":
            header = _scan_header(text, position)
            sections.append(Section(header))
            position = header.end
        else:
            pair = _scan_pair(text, position)
            sections[-1].pairs.append(pair)
            position = pair.end
        position = skip_trivia(text, position)
    return sections


def skip_trivia(text: str, position: int) -> int:
    """The offset of the next character that is not white space or part of a comment."""
    found = _TRIVIA.match(text, position)
    return found.end() if found else position


def skip_blanks(text: str, position: int) -> int:
    """The offset of the next character that is not a space or tab."""
    found = _BLANKS.match(text, position)
    return found.end() if found else position


def _scan_header(text: str, start: int) -> Header:
    closing = "]]" if text.startswith("[[", start) else "]"
    keys = _scan_keys(text, skip_blanks(text, start + len(closing)))
    end = skip_blanks(text, keys[-1].end)
    if not text.startswith(closing, end):
        raise ScanError(f"expected {closing} at offset {end}")
    return Header(keys, len(closing) > 1, start, end + len(closing))


def _scan_pair(text: str, start: int) -> KeyValue:
    keys = _scan_keys(text, start)
    return KeyValue(keys, _scan_value(text, _after_equals(text, keys[-1].end)))


def _after_equals(text: str, position: int) -> int:
    position = skip_blanks(text, position)
    if not text.startswith("=", position):
        raise ScanError(f"expected = at offset {position}")
    return skip_blanks(text, position + 1)


def _scan_keys(text: str, position: int) -> tuple[KeyPart, ...]:
    keys: list[KeyPart] = []
    while True:
        part = _KEY_PART.match(text, position)
        if part is None:
            raise ScanError(f"expected a key at offset {position}")
        keys.append(KeyPart(_key_name(part.group()), part.start(), part.end()))
        position = skip_blanks(text, part.end())
        if not text.startswith(".", position):
            return tuple(keys)
        position = skip_blanks(text, position + 1)


def _key_name(raw: str) -> str:
    if raw[0] not in "\"'":
        return raw
    if raw[0] == "'" or "\\" not in raw:
        return raw[1:-1]
    try:
        return str(tomli.loads(f"key = {raw}")["key"])
    except tomli.TOMLDecodeError as error:
        raise ScanError(f"invalid key: {raw}") from error


def _scan_value(text: str, position: int) -> Value:
    """A value with its content. The stack is a list, so nested values need no recursion."""
    stack: list[_Open] = []
    while True:
        done: Value | None = None
        if text.startswith(("[", "{"), position):
            stack.append(_Open(text[position] == "{", position))
            position = skip_trivia(text, position + 1)
        else:
            done = _scan_scalar(text, position)
            position = done.end
        position, done = _close_finished(text, position, stack, done)
        if done is not None:
            return done
        if stack[-1].table:
            stack[-1].keys = _scan_keys(text, position)
            position = _after_equals(text, stack[-1].keys[-1].end)


def _close_finished(text: str, position: int, stack: list[_Open], done: Value | None) -> tuple[int, Value | None]:
    """Add a finished value to its container, and close containers that end here. Returns the value if none is open."""
    while True:
        if done is not None:
            if not stack:
                return position, done
            stack[-1].add(done)
            position = skip_trivia(text, position)
            if text.startswith(",", position):
                position = skip_trivia(text, position + 1)
        if not text.startswith("}" if stack[-1].table else "]", position):
            return position, None
        position += 1
        done = stack.pop().close(position)


def _scan_scalar(text: str, position: int) -> Value:
    kind: Kind = "string" if text.startswith(('"', "'"), position) else "bare"
    found = (_STRING if kind == "string" else _BARE).match(text, position)
    if found is None:
        raise ScanError(f"expected a value at offset {position}")
    return Value(kind, position, found.end())
