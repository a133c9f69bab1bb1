"""Adds sections to an array of tables, `[[mtls_certificates]]`, and removes them, by whole lines.

A new section comes after the last line of the previous section, and before a comment block directly above the next
header, because that block belongs to that header. One empty line is added before it, unless the sections around it are
not separated by empty lines. Removing is the exact inverse, to the byte: it removes the lines from the header to the
last pair with their comments, and the empty line before it if another one follows. Comments above the header stay.
"""

from __future__ import annotations

from reconciler.syntax.text import line_end, line_start
from reconciler.syntax.toml import Key, TomlTree
from reconciler.syntax.toml_spans import Header
from reconciler.wrangler.splices import Splice
from reconciler.wrangler.toml_style import newline_near


def insert_after(tree: TomlTree, index: int, lines: list[str], *, tight: bool = False) -> Splice:
    """The insertion of a section with these lines after the section with this index."""
    text = tree.text
    at = _anchor(tree, index)
    newline = newline_near(text, at)
    closed = at == 0 or text[at - 1] == "\n"
    block = newline.join(lines) + (newline if closed else "")
    follows_blank = at == len(text) or _is_blank(text, at)
    if at and follows_blank and not tight:
        block = newline + block
    return Splice(at, at, block if closed else newline + block)


def is_tight(tree: TomlTree, header: Header) -> bool:
    """Whether a header is directly below a line of another section."""
    start = line_start(tree.text, header.start)
    previous = tree.text[line_start(tree.text, start - 1) : start].strip() if start else ""
    return bool(previous) and not previous.startswith("#")


def remove_sections(tree: TomlTree, path: tuple[Key, ...]) -> list[Splice]:
    """The deletions that remove every section at or below a path."""
    text = tree.text
    ranges: list[tuple[int, int]] = []
    for index in sections_below(tree, path):
        start, end = _lines_of(tree, index)
        if start and (end == len(text) or _is_blank(text, end)):
            before = line_start(text, start - 1)
            start = before if _is_blank(text, before) else start
        if ranges and ranges[-1][1] == start:
            start = ranges.pop()[0]
        ranges.append((start, end))
    return _without_newline_left(text, ranges)


def replace_section(tree: TomlTree, path: tuple[Key, ...], header: str) -> list[Splice]:
    """The splices that remove every section at or below a path, and put another header in place of the first."""
    first, *_ = sections_below(tree, path)
    old = tree.sections[first].header
    if old is None:
        return []
    start, end = line_end(tree.text, old.start), _lines_of(tree, first)[1]
    others = [Splice(*_lines_of(tree, index)) for index in sections_below(tree, path) if index != first]
    kept = _without_newline_left(tree.text, [(start, end)]) if start < end else []
    return [Splice(old.start, old.end, header), *kept, *others]


def sections_below(tree: TomlTree, path: tuple[Key, ...]) -> list[int]:
    """The indexes of the sections at or below a path, in text order."""
    return [index for index, found in enumerate(tree.paths) if found[: len(path)] == path and found]


def _anchor(tree: TomlTree, index: int) -> int:
    """The end of a section with the comments that belong to it: the offset after the newline of its last line."""
    text = tree.text
    first = _lines_of(tree, index)[1]
    end = line_start(text, tree.region_end(index))
    if index + 1 == len(tree.sections):
        end = len(text)
    else:
        while end > first and text.startswith("#", _first_character(text, line_start(text, end - 1))):
            end = line_start(text, end - 1)
    while end > first and _is_blank(text, line_start(text, end - 1)):
        end = line_start(text, end - 1)
    return end


def _lines_of(tree: TomlTree, index: int) -> tuple[int, int]:
    """The offsets from the line of a section's header to the end of the line of its last pair."""
    section = tree.sections[index]
    start = line_start(tree.text, section.header.start) if section.header else 0
    ends = [section.header.end] if section.header else []
    ends += [section.pairs[-1].end] if section.pairs else []
    return start, line_end(tree.text, ends[-1]) if ends else 0


def _without_newline_left(text: str, ranges: list[tuple[int, int]]) -> list[Splice]:
    """The ranges as deletions. If the text ends without a newline, it also does after the deletion of its end."""
    if ranges and ranges[-1][1] == len(text) and not text.endswith("\n"):
        start, end = ranges.pop()
        for newline in ("\r\n", "\n"):
            if text.endswith(newline, 0, start):
                start -= len(newline)
                break
        ranges.append((start, end))
    return [Splice(start, end) for start, end in ranges]


def _first_character(text: str, start: int) -> int:
    while text.startswith((" ", "\t"), start):
        start += 1
    return start


def _is_blank(text: str, start: int) -> bool:
    """Whether the line that begins here is empty; the end of the text is not a line."""
    return start < len(text) and not text[start : line_end(text, start)].strip(" \t\r\n")
