"""Collects the findings about one file: each finding once, in file order. Judges nothing itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from reconciler.desired.rules import (
    KEY_IN_FILE,
    KEY_IN_FILE_HINT,
    NAME_PATTERN,
    SHAPE,
    SHAPE_HINT,
)
from reconciler.desired.wording import Keys, holds_private_key, named
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer, shorten
from reconciler.findings.secrets import looks_like_token, looks_secret

Raw = Mapping[str, object]
"""A table of the file as parsed from TOML."""


def value_at(raw: object, keys: Keys) -> object:
    """The value at a path, or None if there is no value."""
    for key in keys:
        if isinstance(raw, dict):
            raw = raw.get(key)
        elif isinstance(raw, list) and isinstance(key, int) and key < len(raw):
            raw = raw[key]
        else:
            return None
    return raw


def tables(raw: object, key: str) -> Iterator[tuple[str, Raw]]:
    """The tables under one key, with their names. Other values are skipped: their type is reported elsewhere."""
    held = raw.get(key) if isinstance(raw, dict) else None
    if isinstance(held, dict):
        yield from ((name, value) for name, value in held.items() if isinstance(value, dict))


def texts(raw: Raw, key: str) -> Iterator[tuple[int, str]]:
    """The strings in the list under one key, with their indexes. Other values are skipped."""
    held = raw.get(key)
    if isinstance(held, list):
        yield from ((index, value) for index, value in enumerate(held) if isinstance(value, str))


def _is_secret(keys: Keys, value: str) -> bool:
    """Whether a value has the shape of a secret. A URL may have a random part; an account ID has a rule of its own."""
    return looks_like_token(value) if "verify" in keys else looks_secret(value) and "account_id" not in keys


def walk(raw: object) -> Iterator[tuple[Keys, object]]:
    """Every value with its path, in file order."""
    left: list[tuple[Keys, object]] = [((), raw)]
    while left:
        keys, value = left.pop()
        yield keys, value
        if isinstance(value, dict):
            left.extend([((*keys, key), inner) for key, inner in value.items()][::-1])
        elif isinstance(value, list):
            left.extend([((*keys, at), inner) for at, inner in enumerate(value)][::-1])


class Findings:
    """The diagnostics of one file."""

    def __init__(self, path: str, *, key_hint: str = KEY_IN_FILE_HINT, shape_hint: str = SHAPE_HINT) -> None:
        """`key_hint`, `shape_hint`: what to do about a private key in the file, and about another secret."""
        self._path, self._key_hint, self._shape_hint = path, key_hint, shape_hint
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
        """Add a finding at the value of `keys`; with `at_key`, at the last key itself."""
        if keys in self._leaks:
            return
        owner = keys[1] if len(keys) > 1 and keys[0] == "certificates" else None
        # Only a valid name: anything else may be a pasted key, which is never shown.
        certificate = owner if isinstance(owner, str) and re.fullmatch(NAME_PATTERN, owner) else None
        where = Pointer(self._path, keys, at_key=at_key)
        self._found.append((keys, Diagnostic(severity, code, message, where, hint, certificate)))

    def add_leaks(self, raw: Raw) -> None:
        """Add a finding for each secret in the file. Call this first: it suppresses later findings there."""
        for keys, value in walk(raw):
            key = keys[-1] if keys and isinstance(keys[-1], str) else ""
            if holds_private_key(key) or (isinstance(value, str) and holds_private_key(value)):
                code, what, hint = Code.PRIVATE_KEY_IN_FILE, KEY_IN_FILE, self._key_hint
            elif looks_secret(key) or (isinstance(value, str) and _is_secret(keys, value)):
                code, what, hint = Code.SECRET_IN_FILE, SHAPE, self._shape_hint
            else:
                continue
            in_key = holds_private_key(key) or looks_secret(key)
            self.add(code, keys, f"{named(keys)} {what}", hint=hint, at_key=in_key)
            # The table around the string of a key source is the same leak.
            self._leaks |= {keys, keys[:-1]} if "private_key" in keys[:-1] else {keys}

    def in_order(self, raw: Raw) -> tuple[Diagnostic, ...]:
        """All findings, in file order."""
        if not self._found:
            return ()
        ranks = {keys: rank for rank, (keys, _) in enumerate(walk(raw))}

        def rank(keys: Keys) -> int:
            while keys not in ranks:
                keys = keys[:-1]
            return ranks[keys]

        found = [found for _, found in sorted(self._found, key=lambda item: rank(item[0]))]
        return shorten(found, Pointer(self._path))
