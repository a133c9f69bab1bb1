"""Where an offset is for a person, and which bytes are text. Knows no format, reads no file."""

from __future__ import annotations

BOM = "\ufeff"


def split_bom(text: str) -> tuple[str, str]:
    """The byte order mark, or nothing, and the text behind it. Offsets and columns count from behind the mark."""
    return (BOM, text[1:]) if text.startswith(BOM) else ("", text)


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, both from 1, columns in characters.

    A line ends with `\\n` alone, so CRLF counts once. An offset behind the end is the place just behind the last
    character.
    """
    offset = max(0, min(offset, len(text)))
    line = text.count("\n", 0, offset) + 1
    return line, offset - text.rfind("\n", 0, offset)


def line_start(text: str, offset: int) -> int:
    """Where the line that holds this offset begins."""
    return text.rfind("\n", 0, offset) + 1


def line_end(text: str, offset: int) -> int:
    """Where the line that holds this offset ends, behind its newline if it has one."""
    return text.find("\n", offset) + 1 or len(text)
