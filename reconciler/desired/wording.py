"""How keys and values of mtls.toml are named in messages: short, on one line, and never a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from difflib import get_close_matches

Keys = tuple[str | int, ...]
"""The path of keys and indexes to a value."""

_LONGEST_SHOWN = 80
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# Key material and API tokens are long runs of base64; the names that people choose have dashes, dots and slashes.
_TOKEN = re.compile(r"[A-Za-z0-9+=_]{36,}")
_BASE64_KEY = re.compile(r"\s*MI[A-Za-z0-9+/=\s]{60,}")
_LONG_RUN = re.compile(r"[A-Za-z0-9+/=]{60,}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_HIDDEN = "`(not shown)`"
_ARMOURED_KEY = re.compile(r"PRIVATE KEY(?: BLOCK)?-----")
_MOST_COMPARED = 20_000


def holds_private_key(text: str) -> bool:
    """Whether a PEM private key stands in the text."""
    return _ARMOURED_KEY.search(text) is not None


def looks_like_key(text: str) -> bool:
    """Whether a text that should say where a key is may be the key: PEM, or the base64 inside of it."""
    return "-----BEGIN" in text or _BASE64_KEY.fullmatch(text) is not None


def quoted(text: str) -> str:
    """A key in backticks, cut to one short line; what may be a pasted private key is not shown at all."""
    if "-----" in text or "PRIVATE KEY" in text or _LONG_RUN.search(text):
        return _HIDDEN
    cut = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
    return "`" + "".join(sign if sign.isprintable() else f"\\u{ord(sign):04X}" for sign in cut) + "`"


def quoted_value(text: str) -> str:
    """A value in backticks; as `quoted`, and nothing is shown that may be a token either."""
    return _HIDDEN if _TOKEN.search(text) and not _UUID.fullmatch(text) else quoted(text)


def dotted(keys: Keys) -> str:
    """Keys as TOML writes them, `workers."my site".bindings`; an index as `[0]`."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            part = key if _BARE_KEY.fullmatch(key) else '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
            text += f".{part}" if text else part
    return text


def table(keys: Keys) -> str:
    """The header of the table at `keys`, for a sentence."""
    return quoted(f"[{dotted(keys)}]") if keys else "the top level"


def named(keys: Keys) -> str:
    """The value at `keys` as the subject of a sentence: "`grace` in `[policy]`"; an index stays with its list."""
    if not keys:
        return "the file"
    start = len(keys) - 1
    while start > 0 and isinstance(keys[start], int):
        start -= 1
    name = quoted(dotted(keys[start:]))
    return f"{name} in {table(keys[:start])}" if start else name


def type_of(value: object) -> str:
    """What TOML calls the type of a value, with its article."""
    names: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (str, "text"),
        (bool, "a boolean"),
        (int, "a number"),
        (float, "a number with a fraction"),
        ((datetime, date, time), "a date or time"),
        (list, "a list"),
        (dict, "a table"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "something else")


def listed(words: Iterable[str]) -> str:
    """Words in backticks, for a sentence."""
    return ", ".join(quoted(word) for word in words)


class Suggestions:
    """Finds what somebody meant. Looks only so often: a hostile file must not buy hours of comparing."""

    def __init__(self) -> None:
        self._left = _MOST_COMPARED

    def closest(self, word: str, known: Sequence[str]) -> str | None:
        """The known word that is most like it, or None."""
        if len(known) > self._left or len(word) > _LONGEST_SHOWN:
            return None
        self._left -= len(known)
        by_lower = {name.lower(): name for name in reversed(known)}
        found = get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
        return by_lower[found[0]] if found else None

    def did_you_mean(self, word: str, known: Sequence[str]) -> str | None:
        """The same as a hint."""
        found = self.closest(word, known)
        return None if found is None else f"did you mean {quoted(found)}?"
