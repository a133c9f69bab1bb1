"""Hides texts from servers and programs that contain a secret."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

HIDDEN = "(its text is not shown, because it contains a secret)"

_WINDOW = 12
"""A text contains a secret if it has this many consecutive characters of it; fewer can be chance."""
_MAX_TEXT = 1000
_MARKERS = re.compile(r"-----(?:BEGIN|END)[^-]*-----")
_GAPS = re.compile(r"\s|\\[nrt]|[\\\"']")


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
