"""Hides texts from servers and programs that contain a secret, and recognizes secrets by their shape."""

from __future__ import annotations

import re
from dataclasses import field

from reconciler.findings.values import dataclass

HIDDEN = "(its text is not shown, because it contains a secret)"

_WINDOW = 12
"""A text contains a secret if it has this many consecutive characters of it; fewer can be chance."""
_MAX_TEXT = 1000
_MARKERS = re.compile(r"-----(?:BEGIN|END)[^-]*-----")
_GAPS = re.compile(r"\s|\\[nrt]|[\\\"']")
_PREFIXED = re.compile(r"\bcf[a-z]{0,4}_[A-Za-z0-9_-]{30,}")
_RUN = re.compile(r"[A-Za-z0-9+/=_-]{40,}")
_SHORTEST = 40
"""A Cloudflare token has 40 characters, newer ones more after a prefix; a line of a key's base64 has 64."""
_SHORTEST_PREFIXED = 33
_WORD = re.compile(r"[A-Z]?[a-z]{4,}|[A-Z]{5,}")
_MOST_IN_WORDS = 22
"""Of 40 characters, how many may belong to words: 7 in what is random (more than 22 in one of 500), 28 in names."""
_FEWEST_OF_A_CASE = 4


def looks_secret(text: str) -> bool:
    """Whether the text contains what has the shape of a token of Cloudflare, or of base64 as in a private key.

    Names that people choose have words; UUIDs and fingerprints have letters of one case.
    """
    if len(text) < _SHORTEST_PREFIXED:  # as most of thousands of names and values
        return False
    return looks_like_token(text) or any(_is_random(run[0]) for run in _RUN.finditer(text))


def looks_like_token(text: str) -> bool:
    """Whether the text contains a token of Cloudflare with one of its prefixes."""
    return len(text) >= _SHORTEST_PREFIXED and _PREFIXED.search(text) is not None


def _is_random(run: str) -> bool:
    """Whether some 40 consecutive characters of a run have digits and both cases, and hardly any words."""
    in_word = bytearray(len(run))
    for word in _WORD.finditer(run):
        in_word[word.start() : word.end()] = b"\1" * len(word[0])
    count = sum(in_word[:_SHORTEST])
    for at in range(len(run) - _SHORTEST + 1):
        if at:
            count += in_word[at + _SHORTEST - 1] - in_word[at - 1]
        if count <= _MOST_IN_WORDS and _is_mixed(run[at : at + _SHORTEST]):
            return True
    return False


def _is_mixed(window: str) -> bool:
    upper, lower = sum(sign.isupper() for sign in window), sum(sign.islower() for sign in window)
    return min(upper, lower) >= _FEWEST_OF_A_CASE and any(sign.isdigit() for sign in window)


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one call, or of one program run."""

    values: tuple[str, ...] = field(default=(), repr=False)

    def with_(self, value: str) -> Secrets:
        """These secrets and one more."""
        return Secrets((*self.values, value))

    def show(self, text: str) -> str:
        """The text, cut to a reasonable length; `HIDDEN` if it contains a part of a secret."""
        flat = _flatten(text)
        for value in self.values:
            secret = _flatten(value)
            width = min(_WINDOW, len(secret))
            if width and any(secret[at : at + width] in flat for at in range(len(secret) - width + 1)):
                return HIDDEN
        return HIDDEN if "PRIVATE KEY-----" in text else text[:_MAX_TEXT]


def _flatten(text: str) -> str:
    """The text without line ends (also escaped ones), and without the BEGIN and END lines of PEM, which are public."""
    return _GAPS.sub("", _MARKERS.sub("", text))
