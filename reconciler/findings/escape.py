"""Escapes texts of others, such as names of files and uploads, so that they can't control a terminal or a CI job.

A CI runner obeys some of the output of a job: a line that begins with `::` (GitHub Actions), and `##[` or `##vso[`
anywhere in a line (GitHub's older form, Azure Pipelines; TeamCity's is similar).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

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


def toml_text(text: str) -> str:
    """The text as a basic string of TOML, on one line of visible characters."""
    return '"' + "".join(_in_toml(sign) for sign in text) + '"'


def _in_toml(sign: str) -> str:
    if sign in '"\\':
        return f"\\{sign}"
    return sign if sign.isprintable() else f"\\u{ord(sign):04X}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08X}"


def to_paste(what: str, lines: Iterable[str], *, names: Iterable[str | None]) -> str:
    """A hint with lines to paste below it; `what` is what to do with them. `names` are those in the lines.

    No lines if a name is more than visible characters: it may have lines of its own, and mtls.toml allows no such name.
    """
    if all(name is None or name.isprintable() for name in names):
        return f"{what}:\n" + "\n".join(lines)
    return f"{what} (not shown: a name in them has control characters, rename that first)"


def shell_command(words: Iterable[str]) -> str:
    """A command to copy into a shell, on one line: each word is quoted, and its control characters are escaped."""
    return " ".join(map(shell_word, words))


def shell_word(word: str) -> str:
    """A word quoted for a shell; as `$'a\\x0ab'`, which bash, zsh and ksh read, if it can't be shown as it is."""
    quoted = shlex.quote(word)
    if printable(quoted) == quoted:
        return quoted
    return "$'" + "".join(_in_shell(sign) for sign in word) + "'"


def _in_shell(sign: str) -> str:
    if sign in "'\\":
        return f"\\{sign}"
    return sign if sign.isprintable() and sign not in ":#" else "".join(f"\\x{byte:02x}" for byte in _bytes(sign))


def _bytes(sign: str) -> bytes:
    return sign.encode("utf-8", "surrogateescape")


def _escaped(sign: str) -> str:
    return f"\\x{ord(sign):02x}" if ord(sign) < 128 else sign.encode("unicode_escape").decode()
