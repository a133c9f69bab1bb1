"""The output of a wrangler run: the version that it deployed, and its error. It may be any text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from reconciler.findings.secrets import Secrets

_MOST_OUTPUT = 1_000_000
_SHOWN_LINES = 4
_LONGEST_LINE = 400
_NOISE = ("Logs were written", "If you think this is a bug")
_UNSEEN = "[code: 100143]"
"""Workers don't know the bound certificate: it does not exist, or was uploaded a moment ago."""


def deployed_version(path: Path) -> str | None:
    """The version in wrangler's output file; None if it has none, as with an older wrangler."""
    try:
        with path.open("rb") as file:
            lines = file.read(_MOST_OUTPUT).splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and event.get("type") == "deploy" and isinstance(event.get("version_id"), str):
            return str(event["version_id"])
    return None


def is_unseen(lines: Sequence[str]) -> bool:
    """True if the error may only mean that Workers don't see an upload yet (a lag of a few seconds)."""
    return any(_UNSEEN in line for line in lines)


def last_words(lines: Sequence[str], secrets: Secrets) -> str:
    """The error in one line: from the first error on, else the last lines. No secret is quoted."""
    spoken = [line.strip() for line in lines if line.strip() and not any(noise in line for noise in _NOISE)]
    start = next((number for number, line in enumerate(spoken) if "ERROR" in line), max(len(spoken) - _SHOWN_LINES, 0))
    worth = (line.replace("\u2718 ", "").replace("[ERROR] ", "") for line in spoken[start : start + _SHOWN_LINES])
    return " / ".join(_short(secrets.show(line)) for line in worth) or "no output"


def _short(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}..."
