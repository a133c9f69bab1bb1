"""Parses JSON with comments and trailing commas to values and their positions in the text.

Accepts what wrangler's parser accepts (Microsoft's jsonc-parser, with trailing commas, for .json and .jsonc alike),
except for texts that parsers read differently: those with a duplicate key in one object, the key `__proto__`, half of
a surrogate pair, or more than 200 levels. Must not change text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import field
from typing import Literal

from reconciler.findings.values import dataclass

MAX_NESTING = 200
MAX_DIGITS = 4000
"""Longer integers are read as floats, as in JavaScript; Python refuses integers that are only a little longer."""

Kind = Literal["object", "array", "string", "number", "word"]
Scalar = str | int | float | bool | None


class JsoncError(ValueError):
    """The text is not valid JSON, or not accepted here: the message, the offset, and a hint for the fix."""

    def __init__(self, message: str, offset: int, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


@dataclass(slots=True)
class Key:
    """The key of a member. The span includes its quotes."""

    name: str
    start: int
    end: int


@dataclass(slots=True)
class JsonNode:
    """One value; the span includes quotes or brackets. `value` is set for scalars, `key` for members of an object."""

    kind: Kind
    start: int
    end: int
    key: Key | None = None
    value: Scalar = None
    children: list[JsonNode] = field(default_factory=list)

    @property
    def first(self) -> int:
        """The offset where it begins, including its key."""
        return self.start if self.key is None else self.key.start

    def child(self, key: str | int) -> JsonNode | None:
        """The element of an array or the member of an object, or None."""
        if isinstance(key, int):
            return self.children[key] if self.kind == "array" and 0 <= key < len(self.children) else None
        return next((node for node in self.children if node.key is not None and node.key.name == key), None)

    def find(self, keys: Iterable[str | int]) -> JsonNode | None:
        """The node at a path, or None."""
        node: JsonNode | None = self
        for key in keys:
            node = node.child(key) if node is not None else None
        return node

    def plain(self) -> object:
        """The value as plain dicts, lists and scalars."""
        match self.kind:
            case "object":
                return {node.key.name: node.plain() for node in self.children if node.key is not None}
            case "array":
                return [node.plain() for node in self.children]
        return self.value


# All repeats are possessive, so that no text causes backtracking.
_TRIVIA = re.compile(r"(?:[ \t\r\n]++|//[^\r\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/)*+")
_STRING_BODY = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+')
_NUMBER = re.compile(r"-?+(?:0|[1-9][0-9]*+)(?P<fraction>(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+)")
_WORD = re.compile(r"true|false|null")
_WORDS = {"true": True, "false": False, "null": None}
_SURROGATE = re.compile("[\ud800-\udfff]")
_CLOSING: dict[Kind, str] = {"object": "}", "array": "]"}
_FIX_LINE = "fix this line"


def parse(text: str) -> JsonNode:
    """The value of a text without byte order mark. JsoncError with the offset if it can't be parsed.

    Linear time, no recursion.
    """
    stack: list[JsonNode] = []
    key: Key | None = None
    position = skip_trivia(text, 0)
    while True:
        node = _read_value(text, position, key)
        done: JsonNode | None = node
        position = node.end
        if node.kind in _CLOSING:
            if len(stack) == MAX_NESTING:
                message = f"values are nested more than {MAX_NESTING} deep"
                raise JsoncError(message, node.start, "use fewer levels")
            stack.append(node)
            position = skip_trivia(text, position)
            done = None
        position, done = _close_finished(text, position, stack, done)
        if done is not None:
            if position < len(text):
                raise _unexpected(text, position, "unexpected content after the last bracket")
            return done
        key = None
        if stack[-1].kind == "object":
            key = _read_key(text, position)
            position = skip_trivia(text, key.end)
            if not text.startswith(":", position):
                raise _unexpected(text, position, "expected a colon after the key")
            position = skip_trivia(text, position + 1)


def find_offset(root: JsonNode, keys: tuple[str | int, ...], *, at_key: bool) -> int:
    """The offset of the value at a path, or of its key; of the longest part of the path that exists.

    A byte order mark does not count.
    """
    node, found = root, 0
    for key in keys:
        child = node.child(key)
        if child is None:
            break
        node, found = child, found + 1
    return node.first if at_key and found == len(keys) else node.start


def skip_trivia(text: str, position: int) -> int:
    """The offset of the next character that is not white space or part of a comment."""
    if position < len(text) and text[position] not in " \t\r\n/":
        return position
    found = _TRIVIA.match(text, position)
    return found.end() if found else position


def _close_finished(
    text: str, position: int, stack: list[JsonNode], done: JsonNode | None
) -> tuple[int, JsonNode | None]:
    """Add a finished value to its container, and close containers that end here. Returns the value if none is open."""
    while True:
        if done is not None:
            position = skip_trivia(text, position)
            if not stack:
                return position, done
            stack[-1].children.append(done)
        closing = _CLOSING[stack[-1].kind]
        char = text[position : position + 1]
        if done is not None:
            if char == ",":
                position = skip_trivia(text, position + 1)
                char = text[position : position + 1]
            elif char != closing:
                raise _unexpected(text, position, f"expected a comma or {closing}")
        if char != closing:
            return position, None
        position += 1
        done = stack.pop()
        done.end = position
        if closing == "}":
            _check_keys(done)


def _read_value(text: str, start: int, key: Key | None) -> JsonNode:
    """A scalar, or a container, of which only the opening bracket is read."""
    char = text[start : start + 1]
    if char == '"':
        value, end = _read_string(text, start)
        return JsonNode("string", start, end, key, value)
    if char == "{" or char == "[":
        return JsonNode("object" if char == "{" else "array", start, start + 1, key)
    number = _NUMBER.match(text, start)
    if number is not None:
        digits = number.group()
        whole = not number["fraction"] and len(digits) <= MAX_DIGITS
        return JsonNode("number", start, number.end(), key, int(digits) if whole else float(digits))
    word = _WORD.match(text, start)
    if word is not None:
        return JsonNode("word", start, word.end(), key, _WORDS[word.group()])
    raise _unexpected(text, start, "expected a value")


def _read_key(text: str, start: int) -> Key:
    if not text.startswith('"', start):
        raise _unexpected(text, start, "expected a key in double quotes")
    name, end = _read_string(text, start)
    return Key(name, start, end)


def _read_string(text: str, start: int) -> tuple[str, int]:
    """The value of a string, and the offset after it."""
    body = _STRING_BODY.match(text, start)
    end = body.end() if body is not None else start
    if not text.startswith('"', end):
        if text.startswith("\\", end):
            raise JsoncError("invalid escape sequence in a string", end, "write a literal backslash as \\\\")
        if end == len(text) or text[end] in "\r\n":
            raise JsoncError("a string is not closed on its line", start, "close it with a double quote")
        raise JsoncError("a string contains a control character", end, f"write it as \\u{ord(text[end]):04x}")
    raw = text[start : end + 1]
    if "\\" not in raw:
        return raw[1:-1], end + 1
    value = str(json.loads(raw))
    if _SURROGATE.search(value):
        raise JsoncError("a string contains half a surrogate pair", start, "write both halves, or the character itself")
    return value, end + 1


def _check_keys(node: JsonNode) -> None:
    names: set[str] = set()
    for key in (child.key for child in node.children if child.key is not None):
        if key.name in names:
            message = f"duplicate key {json.dumps(key.name)} in an object"
            raise JsoncError(message, key.start, "remove one of them: parsers differ in which one they use")
        if key.name == "__proto__":
            message = "the key __proto__ has a special meaning for wrangler's parser"
            raise JsoncError(message, key.start, "rename the key")
        names.add(key.name)


def _unexpected(text: str, position: int, message: str) -> JsoncError:
    """The error for this position, with another message if the file ends here or a comment is not closed."""
    if position >= len(text):
        return JsoncError(f"{message}, but the file ends here", position, "complete the file")
    if text.startswith("/*", position):
        return JsoncError("a comment is not closed", position, "close it with */")
    return JsoncError(message, position, _FIX_LINE)
