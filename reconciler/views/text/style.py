"""Colour for people. What it says is always said in words and signs as well."""

from __future__ import annotations

from reconciler.findings.values import dataclass


@dataclass(frozen=True, slots=True)
class Style:
    """Wraps text in ANSI colours, or leaves it alone."""

    colour: bool = False

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def bold(self, text: str) -> str:
        return self._wrap("1", text)

    def dim(self, text: str) -> str:
        return self._wrap("2", text)

    def good(self, text: str) -> str:
        return self._wrap("32", text)

    def change(self, text: str) -> str:
        return self._wrap("33", text)

    def bad(self, text: str) -> str:
        return self._wrap("31", text)

    def warn(self, text: str) -> str:
        return self._wrap("33;1", text)


PLAIN = Style()
