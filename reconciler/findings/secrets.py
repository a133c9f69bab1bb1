"""What must never be shown, and how a text of others, such as a server's, is kept from quoting it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

HIDDEN = "(its text is not shown, for it quotes a secret)"

_WINDOW = 12
"""So many characters in a row of a secret are a part of it, fewer are chance."""
_MAX_TEXT = 1000
_MARKERS = re.compile(r"-----(?:BEGIN|END)[^-]*-----")
_GAPS = re.compile(r"\s|\\[nrt]|[\\\"']")


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one call, or of one program that is run."""

    values: tuple[str, ...] = field(default=(), repr=False)

    def with_(self, value: str) -> Secrets:
        """These and one more."""
        return Secrets((*self.values, value))

    def show(self, text: str) -> str:
        """A text, unchanged as long as it is of a sane length and has no part of a secret."""
        flat = _flatten(text)
        for value in self.values:
            secret = _flatten(value)
            width = min(_WINDOW, len(secret))
            if width and any(secret[at : at + width] in flat for at in range(len(secret) - width + 1)):
                return HIDDEN
        return HIDDEN if "PRIVATE KEY-----" in text else text[:_MAX_TEXT]


def _flatten(text: str) -> str:
    """Without line ends, written out or not, and without PEM's own lines, which are no secret."""
    return _GAPS.sub("", _MARKERS.sub("", text))
