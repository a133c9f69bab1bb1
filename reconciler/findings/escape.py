"""Escapes texts of others, such as names of files and uploads, so that they can't control a terminal or a CI job.

A CI runner obeys some of the output of a job: a line that begins with `::` (GitHub Actions), and `##[` or `##vso[`
anywhere in a line (GitHub's older form, Azure Pipelines; TeamCity's is similar).
"""

from __future__ import annotations

import re

_COMMAND = re.compile(r"\A( *):(?=:)|(#)#(?=\w*\[)")


def printable(text: str) -> str:
    """The text as one line of visible characters, with everything else as its escape (`\\x1b`, `\\u202e`).

    Visible is what Python calls printable: no control or direction characters, no space except the plain one, nothing
    unassigned. In a command for a runner, one character is escaped: `\\x3a:error::`, `#\\x23[error]`.
    """
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)
    if "::" in text or "##" in text:
        text = _COMMAND.sub(lambda found: f"#{_escaped('#')}" if found[2] else f"{found[1]}{_escaped(':')}", text)
    return text


def _escaped(sign: str) -> str:
    return f"\\x{ord(sign):02x}" if ord(sign) < 128 else sign.encode("unicode_escape").decode()
