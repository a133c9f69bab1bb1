"""Hints for a name that does not exist, from the names that do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from reconciler.findings.escape import printable

_LONGEST = 100
_MOST_LISTED = 20


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The closest known name, or None if none is close. Upper and lower case are the same.

    Of names that differ in case alone, one in the case of `word`.
    """
    names = sorted(set(known), key=lambda name: (name.islower() != word.islower(), name))
    near = get_close_matches(word.lower(), {name.lower() for name in names}, n=1) if len(word) <= _LONGEST else []
    return next((name for name in names if name.lower() == near[0]), None) if near else None


def suggest(word: str, known: Iterable[str]) -> str:
    """A hint: the closest known name, else the list of known names, or their number if there are many."""
    names = sorted(set(known))
    near = nearest(word, names)
    if near is not None:
        return f"did you mean `{printable(near)}`?"
    if len(names) > _MOST_LISTED:
        return f"check the spelling; none of the {len(names)} known names is similar"
    return f"use one of these: {', '.join(map(printable, names))}" if names else "mtls.toml declares none yet"
