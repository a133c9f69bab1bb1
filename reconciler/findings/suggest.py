"""Finding what somebody meant by a name that does not exist. Compares names; knows nothing of what they stand for."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 100
_MOST_LISTED = 20


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `word`, None where none is close. Upper and lower case count as the same."""
    by_lower = {name.lower(): name for name in sorted(set(known), reverse=True)}
    near = get_close_matches(word.lower(), list(by_lower), n=1) if len(word) <= _LONGEST else []
    return by_lower[near[0]] if near else None


def suggest(word: str, known: Iterable[str]) -> str:
    """A hint with the closest known name, else with all of them, or how many there are."""
    names = sorted(set(known))
    near = nearest(word, names)
    if near is not None:
        return f"did you mean `{near}`?"
    if len(names) > _MOST_LISTED:
        return f"there are {len(names)} names that would do, none of them like this one"
    return f"there are: {', '.join(names) or 'none'}"
