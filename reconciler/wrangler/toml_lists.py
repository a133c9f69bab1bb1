"""Adds elements to TOML arrays and inline tables, and removes them, on one line or several.

Adding follows the layout of the last element: on its line or on a separate line, with or without a trailing comma.
Removing is the exact inverse, to the byte. Comments inside an element, and comments after it if it has its own lines,
are removed with it; every other comment stays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reconciler.syntax.toml_spans import Value, skip_blanks, skip_trivia
from reconciler.wrangler.splices import ListElement, Splice
from reconciler.wrangler.toml_style import deeper, indent_of

_REST_OF_LINE = re.compile(r"[ \t]*+(?:#[^\r\n]*+)?(?=\r?\n)")


def append(text: str, box: Value, item: str) -> list[Splice]:
    """The insertions that add one element after the last."""
    spans = _spans(box)
    if not spans:
        return [_first(text, box, item)]
    last = _element(text, *spans[-1])
    has_comment = last.line_end is not None and "#" in text[last.after : last.line_end]
    if last.lead is None and not has_comment:
        gap = _gap(text, spans)
        piece = f",{gap}{item}" if last.comma is None else f"{gap}{item},"
        return [Splice(last.after, last.after, piece)]
    indent = indent_of(text, last.start)
    if last.lead is None:
        indent = deeper(indent)
    at = last.after if last.line_end is None else last.line_end
    newline = _newline(text, last.lead if last.line_end is None else at)
    if last.comma is None:
        return [Splice(last.end, last.end, ","), Splice(at, at, f"{newline}{indent}{item}")]
    return [Splice(at, at, f"{newline}{indent}{item},")]


def remove(text: str, box: Value, index: int) -> list[Splice]:
    """The deletions that remove one element."""
    spans = _spans(box)
    spot = _element(text, *spans[index])
    last = index == len(spans) - 1
    before = _element(text, *spans[index - 1]) if index else None
    comma = [] if before is None or before.comma is None else [Splice(before.comma, before.comma + 1)]
    splices = comma if last and spot.comma is None else []
    if spot.lead is not None and spot.line_end is not None:
        return [*splices, Splice(spot.lead, spot.line_end)]
    if not last and spot.line_end is None:
        return [Splice(spot.start, skip_blanks(text, spot.after))]
    start = _before_blanks(text, spot.start)
    if last and before is not None and "#" not in text[before.after : spot.start]:
        start = before.after
    return [*splices, Splice(start, spot.after)]


def _first(text: str, box: Value, item: str) -> Splice:
    inner = text[box.start + 1 : box.end - 1]
    at = box.start + 1
    if "\n" not in inner:
        return Splice(at, at, item)
    filled = at + len(inner.rstrip(" \t\r\n"))
    rest = _REST_OF_LINE.match(text, filled)
    at = rest.end() if rest else filled
    own_line = "\n" in text[box.start : filled]
    indent = indent_of(text, filled) if own_line else deeper(indent_of(text, box.start))
    return Splice(at, at, f"{_newline(text, at)}{indent}{item},")


def _spans(box: Value) -> list[tuple[int, int]]:
    """The spans of the elements of an array, or of the pairs of a table."""
    return [(item.start, item.end) for item in box.items] + [(pair.start, pair.end) for pair in box.pairs]


def _element(text: str, start: int, end: int) -> ListElement:
    comma = skip_trivia(text, end)
    found = comma if text.startswith(",", comma) else None
    rest = _REST_OF_LINE.match(text, end if found is None else found + 1)
    lead = _before_blanks(text, start)
    newline = "\r\n" if text.endswith("\r\n", 0, lead) else "\n"
    on_its_line = text.endswith("\n", 0, lead)
    return ListElement(start, end, found, lead - len(newline) if on_its_line else None, rest.end() if rest else None)


def _before_blanks(text: str, position: int) -> int:
    while position and text[position - 1] in " \t":
        position -= 1
    return position


def _gap(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text between the comma and the last element if two are on a line; else one space."""
    if len(spans) < 2:
        return " "
    between = text[spans[-2][1] : spans[-1][0]]
    blanks = between.partition(",")[2]
    return blanks if not blanks.strip(" \t") and between.strip(" \t") == "," else " "


def _newline(text: str, at: int | None) -> str:
    return "\r\n" if at is not None and text.startswith("\r\n", at) else "\n"
