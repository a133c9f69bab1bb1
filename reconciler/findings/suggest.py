"""Finding what somebody meant by a name that does not exist. Compares names; knows nothing of what they stand for."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 100
_MOST_LISTED = 20


def suggest(word: str, known: Iterable[str]) -> str:
    """A hint: the known name that is most like `word`, else all of them, or how many there are."""
    names = sorted(set(known))
    by_lower = {name.lower(): name for name in reversed(names)}
    near = get_close_matches(word.lower(), list(by_lower), n=1) if len(word) <= _LONGEST else []
    if near:
        return f"did you mean `{by_lower[near[0]]}`?"
    if len(names) > _MOST_LISTED:
        return f"there are {len(names)} names that would do, none of them like this one"
    return f"there are: {', '.join(names) or 'none'}"
