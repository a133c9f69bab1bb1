"""Shows keys and values of mtls.toml in messages: short, on one line, and never a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from difflib import get_close_matches

from reconciler.findings.secrets import looks_secret

Keys = tuple[str | int, ...]
"""The path of keys and indexes to a value."""

_LONGEST_SHOWN = 80
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# Key material and API tokens are long runs of base64; names that people choose have dashes, dots and slashes.
_TOKEN = re.compile(r"[A-Za-z0-9+=_]{36,}")
_BASE64_KEY = re.compile(r"\s*MI[A-Za-z0-9+/=\s]{60,}")
_LONG_RUN = re.compile(r"[A-Za-z0-9+/=]{60,}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_HIDDEN = "`(not shown)`"
_ARMOURED_KEY = re.compile(r"PRIVATE KEY(?: BLOCK)?-----")
_MOST_COMPARED = 20_000


def holds_private_key(text: str) -> bool:
    """Whether the text contains a PEM private key."""
    return "PRIVATE KEY" in text and _ARMOURED_KEY.search(text) is not None


def looks_like_key(text: str) -> bool:
    """Whether a text that should be a path may be a key instead: PEM, or the base64 of a PEM block."""
    return "-----BEGIN" in text or _BASE64_KEY.fullmatch(text) is not None


def quoted(text: str) -> str:
    """A key in backticks, cut to one short line. Hidden if it may be a pasted private key or token."""
    if "-----" in text or "PRIVATE KEY" in text or _LONG_RUN.search(text) or looks_secret(text):
        return _HIDDEN
    cut = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
    return "`" + "".join(char if char.isprintable() else f"\\u{ord(char):04X}" for char in cut) + "`"


def quoted_value(text: str) -> str:
    """A value in backticks, like `quoted`. Also hidden if it may be a token."""
    return _HIDDEN if _TOKEN.search(text) and not _UUID.fullmatch(text) else quoted(text)


def dotted(keys: Keys) -> str:
    """Keys in TOML notation, `workers."my site".bindings`; in a list, `[1]` is the first."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key + 1}]"
        else:
            part = key if _BARE_KEY.fullmatch(key) else '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
            text += f".{part}" if text else part
    return text


def table(keys: Keys) -> str:
    """The header of the table at `keys`, for a sentence: "`[policy]`", or "`[[stacks]] 2`" for the second of a list."""
    if not keys:
        return "the top level"
    at = max((at for at, key in enumerate(keys) if isinstance(key, int)), default=None)
    if at is None:
        return quoted(f"[{dotted(keys)}]")
    one = quoted(f"[[{dotted(keys[:at])}]] {int(keys[at]) + 1}")
    return f"{quoted(dotted(keys[at + 1 :]))} of {one}" if keys[at + 1 :] else one


def named(keys: Keys) -> str:
    """The value at `keys`, for a sentence: "`grace` in `[policy]`", "item 1 of `protect` in `[policy]`"."""
    if not keys:
        return "the file"
    start = len(keys) - 1
    while start > 0 and isinstance(keys[start], int):
        start -= 1
    items = "".join(f"item {int(key) + 1} of " for key in reversed(keys[start + 1 :]))
    name = items + quoted(dotted(keys[start : start + 1]))
    return f"{name} in {table(keys[:start])}" if start else name


def type_of(value: object) -> str:
    """TOML's name for the type of a value, with an article."""
    names: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (str, "a string"),
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
    """Finds similar words. The number of comparisons is limited: a hostile file must not cost hours."""

    def __init__(self) -> None:
        self._left = _MOST_COMPARED

    def closest(self, word: str, known: Sequence[str]) -> str | None:
        """The most similar known word, or None."""
        if len(known) > self._left or len(word) > _LONGEST_SHOWN:
            return None
        self._left -= len(known)
        by_lower = {name.lower(): name for name in reversed(known)}
        found = get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
        return by_lower[found[0]] if found else None

    def did_you_mean(self, word: str, known: Sequence[str]) -> str | None:
        """The most similar known word as a hint, or None."""
        found = self.closest(word, known)
        return None if found is None else f"did you mean {quoted(found)}?"
