"""Offsets, lines and columns of a text, and its byte order mark. Knows no file format, opens no file."""

from __future__ import annotations

BOM = "\ufeff"


def split_bom(text: str) -> tuple[str, str]:
    """The byte order mark, if any, and the text after it. Offsets and columns do not count the mark."""
    return (BOM, text[1:]) if text.startswith(BOM) else ("", text)


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, both from 1, columns in characters.

    Only `\\n` ends a line, so CRLF counts once. An offset past the end is the place after the last character.
    """
    offset = max(0, min(offset, len(text)))
    line = text.count("\n", 0, offset) + 1
    return line, offset - text.rfind("\n", 0, offset)


def line_start(text: str, offset: int) -> int:
    """The offset where the line with this offset begins."""
    return text.rfind("\n", 0, offset) + 1


def line_end(text: str, offset: int) -> int:
    """The offset where the line with this offset ends, after its newline if it has one."""
    return text.find("\n", offset) + 1 or len(text)
