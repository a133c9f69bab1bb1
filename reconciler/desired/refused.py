"""What a rule about one value says when the value breaks it."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.findings.codes import Code


class Refused(ValueError):
    """A value breaks a rule. `says` goes after the value's name: "must be ..."; it quotes nothing secret.

    `of_key`: the rule is about the key, not about its value. Never leaves this room: it becomes a diagnostic.
    """

    def __init__(self, code: Code, says: str, *, hint: str | None = None, of_key: bool = False) -> None:
        super().__init__(says)
        self.code = code
        self.says = says
        self.hint = hint
        self.of_key = of_key


def accepts(rule: Callable[[str], str], text: str) -> bool:
    """Whether a rule about one value takes a text, for those who would write it."""
    try:
        rule(text)
    except Refused:
        return False
    return True
