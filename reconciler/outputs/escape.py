"""Output of others is data: what files and stores are called never acts on the terminal that shows it."""

from __future__ import annotations

import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Control, format (bidirectional marks among them), surrogate, private, unassigned, line and paragraph separators."""


def printable(text: str) -> str:
    """One line of visible characters: everything else is written as its escape (`\\x1b`, `\\u202e`)."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character != " " and (unicodedata.category(character) in _HIDDEN or character.isspace()):
        return character.encode("unicode_escape").decode() if ord(character) > 31 else f"\\x{ord(character):02x}"
    return character
