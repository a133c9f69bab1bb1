"""What must hold of every output, whatever was put in; and hostile texts to put in."""

from __future__ import annotations

import json
import re
import unicodedata

from tests.support.measured import Measured

MAX_MB = 200.0
MAX_CALLS = 1_000_000
"""Of functions, where little was given: three times what a plan of one certificate takes, imports included."""
MAX_CALLS_A_BYTE = 30.0
"""Of what was given beside that: a finding of 15 bytes takes some 300 calls to be found, placed and told."""

DOCUMENTED = frozenset({0, 1, 2, 3, 4, 5, 6, 64, 130})
"""Every exit code that a user was promised a meaning for."""

_OWN_COLOUR = re.compile(r"\x1b\[(?:0|1|2|31|32|33|33;1)m")
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_RUNNER = re.compile(r"^\s*::|##\w*\[", re.MULTILINE)
_FENCE = re.compile(r"^ {0,3}~{3,}[ \t]*$", re.MULTILINE)

NAMES = {
    "a terminal's escape": "\x1b[31mred\x1b[0m\x9b31m\x07\x08\x7f",
    "a line with a command": "a\n::error::injected\r::error::injected\u2028::error::injected\x85::error::injected",
    "a command": "::error file=a::injected",
    "an indented command": "   ::error::injected",
    "a command anywhere": "a ##[error]injected ##vso[task.complete]injected ###[error]injected",
    "another direction": "a\u202egnp.exe\u2066b\u2069\u200f\u200e\u061c",
    "nothing to see": "\u200b\u2060\ufeff\u00ad\U000e0041\U000e0042",
    "an emoji": "🦊👩\u200d👩\u200d👧",
    "quotes": "'\"`$(id)\\",
    "the end of a block": "~~~",
}
"""Texts that somebody calls a thing, to make its name act on who reads it."""

LONG = "n" * 900_000

FEW = {
    "everything": " ".join(NAMES.values()),
    "a command first": NAMES["a command"],
    "a command in a line": NAMES["a line with a command"],
    "the end of a block": NAMES["the end of a block"],
}
"""The same in fewer runs, for the many places that a name can be in."""


def find_harm(text: str) -> str | None:
    """What an output must not have, in words; None where it is harmless."""
    plain = _OWN_COLOUR.sub("", text)
    hidden = {sign for sign in set(plain) if sign != "\n" and unicodedata.category(sign) in _HIDDEN}
    if hidden:
        return f"hidden signs {sorted(map(ascii, hidden))}"
    if _RUNNER.search(plain):
        return "a command for a CI runner"
    if _FENCE.search(plain):
        return "the end of the Markdown block in which a pipeline shows it"
    if "Traceback (most recent call last)" in plain or "error[bug]" in plain:
        return "a bug"
    return None


def check_texts(*texts: str) -> None:
    """Fail where one of the outputs could do harm."""
    for text in texts:
        harm = find_harm(text)
        assert harm is None, f"{harm} in:\n{text[:3000]!a}"


def check_run(result: Measured, *, codes: frozenset[int] = DOCUMENTED, given: int = 0) -> None:
    """Fail where a run ended or cost otherwise than it may, or its output could do harm.

    Calls are judged where they were counted. `given`: how many bytes of hostile input there were.
    """
    out, err = result.out.decode(), result.err.decode()
    check_texts(out, err)
    assert result.code in codes, f"it ended with {result.code}: {err[-2000:]}"
    assert result.peak_mb < MAX_MB, f"it took {result.peak_mb:.0f} MB"
    if result.calls is not None:
        assert result.calls < MAX_CALLS + MAX_CALLS_A_BYTE * given, f"{result.calls:,} calls for {given:,} bytes"
    if out.startswith("{"):
        json.loads(out)
