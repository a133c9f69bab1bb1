"""Collects what is wrong with one file: each finding once, in the order of the file. Judges nothing itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from reconciler.desired.rules import KEY_IN_FILE, KEY_IN_FILE_HINT, NAME_PATTERN
from reconciler.desired.wording import Keys, holds_private_key, named
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer, shorten

Raw = Mapping[str, object]
"""A table of the file as TOML gives it."""


def value_at(raw: object, keys: Keys) -> object:
    """The value at a path, or None where there is none."""
    for key in keys:
        if isinstance(raw, dict):
            raw = raw.get(key)
        elif isinstance(raw, list) and isinstance(key, int) and key < len(raw):
            raw = raw[key]
        else:
            return None
    return raw


def tables(raw: object, key: str) -> Iterator[tuple[str, Raw]]:
    """The tables below one key, with their names; what is no table is left out: its type is reported elsewhere."""
    held = raw.get(key) if isinstance(raw, dict) else None
    if isinstance(held, dict):
        yield from ((name, value) for name, value in held.items() if isinstance(value, dict))


def texts(raw: Raw, key: str) -> Iterator[tuple[int, str]]:
    """The texts of a list, with their indexes; what is no text is left out."""
    held = raw.get(key)
    if isinstance(held, list):
        yield from ((index, value) for index, value in enumerate(held) if isinstance(value, str))


def walk(raw: object, keys: Keys = ()) -> Iterator[tuple[Keys, object]]:
    """Every value below, with its path, in the order of the file. As deep as the reading limits allow."""
    yield keys, raw
    items: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(raw, dict):
        items = iter(raw.items())
    elif isinstance(raw, list):
        items = iter(enumerate(raw))
    for key, value in items:
        yield from walk(value, (*keys, key))


class Findings:
    """The diagnostics of one file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._found: list[tuple[Keys, Diagnostic]] = []
        self._leaks: set[Keys] = set()

    def add(
        self,
        code: Code,
        keys: Keys,
        message: str,
        *,
        hint: str | None = None,
        at_key: bool = False,
        severity: Severity = Severity.ERROR,
    ) -> None:
        """One more. `keys` is its place; `at_key`: the place of the last key, not of its value."""
        if keys in self._leaks:
            return
        owner = keys[1] if len(keys) > 1 and keys[0] == "certificates" else None
        # Only what is a name: anything else may be a pasted key, which is never shown.
        certificate = owner if isinstance(owner, str) and re.fullmatch(NAME_PATTERN, owner) else None
        where = Pointer(self._path, keys, at_key=at_key)
        self._found.append((keys, Diagnostic(severity, code, message, where, hint, certificate)))

    def add_leaks(self, raw: Raw) -> None:
        """Private keys that stand in the file, wherever. Nothing else is said of those values: call this first."""
        for keys, value in walk(raw):
            in_key = bool(keys) and isinstance(keys[-1], str) and holds_private_key(keys[-1])
            if in_key or (isinstance(value, str) and holds_private_key(value)):
                self.add(
                    Code.PRIVATE_KEY_IN_FILE, keys, f"{named(keys)} {KEY_IN_FILE}", hint=KEY_IN_FILE_HINT, at_key=in_key
                )
                # The table around a key source's text is the same leak.
                self._leaks |= {keys, keys[:-1]} if "private_key" in keys[:-1] else {keys}

    def in_order(self, raw: Raw) -> tuple[Diagnostic, ...]:
        """All of them, from the top of the file to its end."""
        if not self._found:
            return ()
        ranks = {keys: rank for rank, (keys, _) in enumerate(walk(raw))}

        def rank(keys: Keys) -> int:
            while keys not in ranks:
                keys = keys[:-1]
            return ranks[keys]

        found = [found for _, found in sorted(self._found, key=lambda item: rank(item[0]))]
        return shorten(found, Pointer(self._path))
