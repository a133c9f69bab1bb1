"""The style of new JSON text, which follows the text around it: spaces, newlines, indentation, commas."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

from reconciler.findings.values import dataclass
from reconciler.syntax.jsonc import JsonNode, skip_trivia
from reconciler.wrangler.splices import KEY

_COLON = re.compile(r"[ \t]*:[ \t]*")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_BLANKS = re.compile(r"[ \t]*")
_NEWLINE = re.compile(r"\r\n?|\n")
_STEP = "  "
"""One level of indentation in a file without any."""


@dataclass(frozen=True, slots=True)
class JsonEntryStyle:
    """The style of one element: the text around its keys, values and brackets.

    `lines`: each of its two members is on a separate line; `trailing`: with a comma after the last one.
    """

    colon: str = ": "
    comma: str = ", "
    opening: str = " "
    closing: str = " "
    lines: bool = False
    trailing: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """The form of a line: its newline, its indentation, and the step for one more level."""

    newline: str
    indent: str
    step: str

    def begin(self, depth: int = 0) -> str:
        """The text that begins a new line, `depth` levels deeper."""
        return self.newline + self.indent + self.step * depth

    def deeper(self) -> Line:
        """The form of lines that are one level deeper."""
        return replace(self, indent=self.indent + self.step)


def write_string(value: str) -> str:
    """The JSON string literal of `value`."""
    return json.dumps(value, ensure_ascii=False)


def write_entry(style: JsonEntryStyle, line: Line, binding: str, certificate_id: str) -> str:
    """The object of a binding; `line` is the line where it begins."""
    members = (
        f'"binding"{style.colon}{write_string(binding)}',
        f'"certificate_id"{style.colon}{write_string(certificate_id)}',
    )
    if not style.lines:
        return f"{{{style.opening}{style.comma.join(members)}{style.closing}}}"
    inner = line.begin(1)
    return f"{{{inner}{members[0]},{inner}{members[1]}{',' * style.trailing}{line.begin()}}}"


def style_of(text: str, table: JsonNode, default: JsonEntryStyle) -> JsonEntryStyle:
    """The style of an existing object, for the next one."""
    members = table.children
    if not members:
        return default
    before = text[table.start + 1 : members[0].first]
    lines = _NEWLINE.search(before) is not None
    colon = colon_of(text, members[0], default.colon)
    comma = default.comma if colon.endswith((" ", "\t")) else ","
    if len(members) > 1:
        comma = _if_like(_COMMA, text[members[0].end : members[1].first], comma)
    return JsonEntryStyle(
        colon=colon,
        comma=comma,
        opening=_if_like(_BLANKS, before, default.opening),
        closing=_if_like(_BLANKS, text[members[-1].end : table.end - 1], default.closing),
        lines=lines,
        trailing=lines and has_trailing_comma(text, table),
    )


def colon_of(text: str, member: JsonNode, default: str) -> str:
    """The text between the key and the value of a member."""
    return default if member.key is None else _if_like(_COLON, text[member.key.end : member.start], default)


def has_trailing_comma(text: str, box: JsonNode) -> bool:
    """Whether an array or object has a comma after its last element."""
    return bool(box.children) and text.startswith(",", skip_trivia(text, box.children[-1].end))


def find_sample(root: JsonNode, holder: JsonNode) -> JsonNode | None:
    """The array of objects that a new one should resemble, or None.

    One with the same key, else one of bindings, else any; first in the same object, then in the file.
    """
    found = [node for node in _boxes(root) if _is_sample(node)]
    same_key = [node for node in found if node.key is not None and node.key.name == KEY]
    nearest = [node for node in holder.children if _is_sample(node)] + found
    bindings = [node for node in nearest if node.children[-1].child("binding") is not None]
    return next(iter((*same_key, *bindings, *nearest)), None)


def line_start(text: str, offset: int) -> int:
    """The offset where the line with this offset begins; all three kinds of newline end a line."""
    return max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1


def line_at(text: str, offset: int, root: JsonNode) -> Line:
    """The form of the line with this offset."""
    start = line_start(text, offset)
    found = _BLANKS.match(text, start)
    before, after = text[:start], _NEWLINE.search(text, start)
    newline = "\r\n" if before.endswith("\r\n") else before[-1:]
    return Line(newline or (after.group() if after else "\n"), found.group() if found else "", _step_of(text, root))


def _step_of(text: str, root: JsonNode) -> str:
    """One level of indentation, taken from the file's first line inside an object or array."""
    for node in _boxes(root):
        inner, outer = node.children[0].first, node.start
        if _NEWLINE.search(text, outer, inner):
            inside, outside = _indent(text, inner), _indent(text, outer)
            return inside.removeprefix(outside) if inside.startswith(outside) else _STEP
    return _STEP


def _indent(text: str, offset: int) -> str:
    found = _BLANKS.match(text, line_start(text, offset))
    return found.group() if found else ""


def _boxes(node: JsonNode) -> Iterator[JsonNode]:
    """Every array and object that is not empty, in text order."""
    stack = [node]
    while stack:
        node = stack.pop()
        if node.children:
            yield node
            stack += reversed(node.children)


def _is_sample(node: JsonNode) -> bool:
    last = node.children[-1] if node.kind == "array" and node.children else None
    return last is not None and last.kind == "object" and bool(last.children)


def _if_like(form: re.Pattern[str], found: str, default: str) -> str:
    """The text that was found if it has this form, else the default: comments and line breaks are not copied."""
    return found if form.fullmatch(found) else default
