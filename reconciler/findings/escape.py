"""Output of others is data: what files and stores are called never acts on the terminal, or the CI job, that shows it.

A CI runner reads what a job prints and obeys some of it: a line that begins with `::` (GitHub Actions), and `##[` or
`##vso[` anywhere in a line (GitHub's older form, Azure Pipelines; TeamCity's is alike).
"""

from __future__ import annotations

import re

_COMMAND = re.compile(r"\A( *):(?=:)|(#)#(?=\w*\[)")


def printable(text: str) -> str:
    """One line of visible characters that commands nothing: everything else as its escape (`\\x1b`, `\\u202e`).

    Visible is what Python calls printable: no control or direction character, no space but the plain one, nothing
    unassigned. Of what a runner would obey, one sign is written as its escape: `\\x3a:error::`, `#\\x23[error]`.
    """
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)
    if "::" in text or "##" in text:
        text = _COMMAND.sub(lambda found: f"#{_escaped('#')}" if found[2] else f"{found[1]}{_escaped(':')}", text)
    return text


def _escaped(sign: str) -> str:
    return f"\\x{ord(sign):02x}" if ord(sign) < 128 else sign.encode("unicode_escape").decode()
