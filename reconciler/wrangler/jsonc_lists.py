"""Adds elements to JSON arrays and objects, and removes them, on one line or several.

Adding follows the layout of the last element: on its line or on a separate line, with or without a trailing comma.
Removing is the exact inverse, to the byte, so each kind of empty brackets is filled in its own way. Comments inside an
element, and comments after it if it has its own lines, are removed with it; every other comment stays.
"""

from __future__ import annotations

import re

from reconciler.findings.values import dataclass
from reconciler.syntax.jsonc import JsonNode, skip_trivia
from reconciler.wrangler.jsonc_style import Line, has_trailing_comma, line_at
from reconciler.wrangler.splices import ListElement, Splice

_COMMENT = r"(?://[^\r\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/)"
_BLOCKS = re.compile(r"(?:[ \t]*+/\*(?:[^*]++|\*(?!/))*+\*/)*+")
_REST_OF_LINE = re.compile(rf"(?:[ \t]++|{_COMMENT})*+(?=[\r\n])")
_COMMENTS = re.compile(_COMMENT)
_COMMA = re.compile(r"[ \t]*,([ \t]*)")
_BLANKS = " \t"
_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Room:
    """The position for a new element, and the text around it.

    `own_line`: the element begins a new line. `line` is that line, or the existing line that the element is added to.
    """

    at: int
    line: Line
    own_line: bool
    prefix: str = ""
    suffix: str = ""
    comma: int | None = None
    """The offset where the previous element needs a comma."""

    def put(self, item: str) -> list[Splice]:
        """The insertions that add this element."""
        comma = [] if self.comma is None else [Splice(self.comma, self.comma, ",")]
        return [*comma, Splice(self.at, self.at, f"{self.prefix}{item}{self.suffix}")]


def find_room(text: str, root: JsonNode, box: JsonNode) -> Room:
    """The position for a new element of an array, or member of an object: after the last."""
    if not box.children:
        return _room_in_empty(text, root, box)
    last = _element(text, box.children[-1])
    line = line_at(text, last.start, root)
    has_comment = last.line_end is not None and _COMMENTS.search(text, last.after, last.line_end) is not None
    suffix = "" if last.comma is None else ","
    own_line = last.lead is not None or has_comment
    if last.lead is None and has_comment:
        line = line.deeper()
    if own_line and last.line_end is not None:
        comma = last.end if last.comma is None else None
        return Room(last.line_end, line, own_line=True, prefix=line.begin(), suffix=suffix, comma=comma)
    # Block comments after the last element on its line stay there, and the comma follows them.
    blocks = _BLOCKS.match(text, last.after)
    at = blocks.end() if blocks else last.after
    gap = line.begin() if own_line else _gap(text, box)
    return Room(at, line, own_line, prefix=gap if suffix else f",{gap}", suffix=suffix)


def remove(text: str, box: JsonNode, index: int) -> list[Splice]:
    """The deletions that remove one element or member."""
    spot = _element(text, box.children[index])
    if len(box.children) == 1:
        return [_remove_only(text, box, spot)]
    last = index == len(box.children) - 1
    before = _element(text, box.children[index - 1]) if index else None
    comma = before.comma if before is not None and last and spot.comma is None else None
    splices = [] if comma is None else [Splice(comma, comma + 1)]
    if spot.lead is not None and spot.line_end is not None:
        return [*splices, Splice(spot.lead, spot.line_end)]
    if not last and spot.line_end is None:
        return [Splice(spot.start, _skip_blanks(text, spot.after))]
    start = _before(text, spot.start, _BLANKS)
    if last and before is not None:
        wide = _before(text, spot.start, _SPACE)
        start = start if _ends_in_line_comment(text[before.after : wide]) else wide
    return [*splices, Splice(start, spot.after)]


def is_alone(text: str, box: JsonNode) -> bool:
    """Whether there is one element, with white space after the opening bracket and no comment around it."""
    if len(box.children) != 1:
        return False
    before = text[box.start + 1 : box.children[0].first]
    after = text[box.children[0].end : box.end - 1]
    return bool(before) and not before.strip(_SPACE) and not after.strip(_SPACE + ",")


def _room_in_empty(text: str, root: JsonNode, box: JsonNode) -> Room:
    start, inner = box.start + 1, text[box.start + 1 : box.end - 1]
    line = line_at(text, box.start, root)
    suffix = "," if has_trailing_comma(text, root) else ""
    comments = list(_COMMENTS.finditer(text, start, box.end - 1))
    if comments:
        rest = _REST_OF_LINE.match(text, comments[-1].end())
        if rest is None:
            return Room(comments[-1].end(), line, own_line=False, prefix=" ")
        first_line = not re.search(r"[\r\n]", text[start : comments[-1].start()])
        line = line.deeper() if first_line else line_at(text, comments[-1].start(), root)
        return Room(rest.end(), line, own_line=True, prefix=line.begin(), suffix=suffix)
    if box.kind == "object" and not inner and _may_unfold(text, box):
        return Room(start, line.deeper(), own_line=True, prefix=line.begin(1), suffix=line.begin())
    rest = _REST_OF_LINE.match(text, start, box.end - 1) if box.kind == "object" else None
    if rest is not None:
        # The comma distinguishes it from an element that was added to {}, when it is removed again.
        return Room(rest.end(), line.deeper(), own_line=True, prefix=line.begin(1), suffix=",")
    return Room(start, line, own_line=False)


def _may_unfold(text: str, box: JsonNode) -> bool:
    """Whether an object with its key begins a line, so that it can become several lines."""
    before = _before(text, box.first, _BLANKS)
    return not before or text[before - 1] in "\r\n"


def _remove_only(text: str, box: JsonNode, spot: ListElement) -> Splice:
    inside = Splice(box.start + 1, box.end - 1)
    if spot.lead is not None and spot.line_end is not None:
        around = text[inside.start : spot.start] + text[spot.end : inside.end]
        return Splice(spot.lead, spot.line_end) if around.strip(_SPACE) else inside
    start = _before(text, spot.start, _BLANKS)
    if text[start - 1] == "/":
        return Splice(start, spot.after)
    return Splice(spot.start, _skip_blanks(text, spot.after) if start < spot.start else spot.after)


def _element(text: str, node: JsonNode) -> ListElement:
    comma = skip_trivia(text, node.end)
    found = comma if text.startswith(",", comma) else None
    rest = _REST_OF_LINE.match(text, node.end if found is None else found + 1)
    before = _before(text, node.first, _BLANKS)
    lead = None
    if before and text[before - 1] in "\r\n":
        lead = before - (2 if text.endswith("\r\n", 0, before) else 1)
    return ListElement(node.first, node.end, found, lead, rest.end() if rest else None)


def _gap(text: str, box: JsonNode) -> str:
    """The text between the comma and the last element if two are on a line; else one space, or nothing."""
    if len(box.children) > 1:
        between = _COMMA.fullmatch(text, box.children[-2].end, box.children[-1].first)
        return between[1] if between else " "
    only = box.children[0]
    if only.key is not None:
        return "" if text[only.key.end : only.start] == ":" else " "
    return _gap(text, only) if only.kind == "object" and only.children else " "


def _before(text: str, position: int, skipped: str) -> int:
    while position and text[position - 1] in skipped:
        position -= 1
    return position


def _skip_blanks(text: str, position: int) -> int:
    while text.startswith((" ", "\t"), position):
        position += 1
    return position


def _ends_in_line_comment(trivia: str) -> bool:
    comments = _COMMENTS.findall(trivia)
    return bool(comments) and comments[-1].startswith("//") and trivia.endswith(comments[-1])
