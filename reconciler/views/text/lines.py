"""Lines that several reports have: a sign before a wrapped text, a command to copy, a count with its noun."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Literal

from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.escape import printable, shell_command, shell_word
from reconciler.model import Action, Condition, Waiting
from reconciler.model.words import names_text
from reconciler.views.table import Display
from reconciler.views.text.findings import OF_GUARDS, show_findings
from reconciler.views.text.layout import wrapped

_MOST_ALIKE = {Severity.ERROR: 20, Severity.WARNING: 5, Severity.INFO: 5}
"""Findings with the same code that are shown at a terminal."""
PROSE = 100
"""Columns. Longer lines of prose are hard to read."""

_DONE: dict[str, tuple[str, str]] = {
    Action.UPLOAD: ("certificate", "uploaded"),
    Action.BIND: ("binding", "written"),
    Action.REBIND: ("binding", "written"),
    Action.UNBIND: ("binding", "removed"),
    Action.DEPLOY: ("Worker", "deployed"),
    Action.UPDATE: ("setting", "updated"),
    Action.VERIFY: ("certificate", "proved"),
    Action.RETIRE: ("old certificate", "deleted"),
    "renew": ("certificate", "renewed"),
}
_JOBS = {
    Action.UPLOAD: "upload",
    Action.BIND: "config change",
    Action.REBIND: "config change",
    Action.UNBIND: "config change",
    Action.DEPLOY: "deploy",
    Action.UPDATE: "update",
    Action.VERIFY: "proof",
    Action.RETIRE: "deletion",
}


def job_of(action: Action) -> str:
    """A word for something that is still to be done."""
    return _JOBS[action]


def noun_of(action: Action | Literal["renew"]) -> tuple[str, str]:
    """What an action is about, and what has happened to it when the action is done."""
    return _DONE[action]


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def until_text(wait: Waiting) -> str:
    """The end of the sentence on what waits: the time, if there is one. Other conditions may keep it longer."""
    if wait.until is None:
        return ""
    if wait.condition is Condition.GRACE:
        return _deletion_text(wait.until, wait.once)
    time = f", until {wait.until:%Y-%m-%d %H:%M} UTC"
    if wait.not_before is not None:
        return f"{time}{_deletion_text(wait.not_before, wait.once)}"
    return f"{time}, then for its grace period" if wait.condition is Condition.SUCCESSOR_NOT_VALID else time


def _deletion_text(time: datetime, once: str | None) -> str:
    return f"; deleted from {time:%Y-%m-%d %H:%M} UTC on, once {printable(once or 'nothing uses it')}"


def prose(width: int | None) -> int | None:
    """The width of a paragraph."""
    return None if width is None else min(width, PROSE)


def led(
    sign: str, text: str, width: int | None, *, paint: Callable[[str], str] = str, then: str = "    "
) -> Iterator[str]:
    """The lines of a text after a sign, which alone is painted. `then` begins the other lines."""
    first, *others = wrapped(text, width, first=f"  {sign} ", then=then)
    yield f"  {paint(sign)}{first[2 + len(sign) :]}"
    yield from others


def command_lines(words: Sequence[str], width: int | None, *, indent: str = "  ") -> Iterator[str]:
    """A command to copy into a shell, continued on the next line where it does not fit."""
    line, later = indent, f"{indent}  "
    for word in map(shell_word, words):
        if width is not None and line.strip() and len(line) + len(word) + len(" \\") >= width:
            yield f"{line} \\"
            line = later
        line = f"{line} {word}" if line.strip() else f"{line}{word}"
    yield line


ONCE_FIXED = "fix what is listed, then run: "
"""Before the command to run once errors are fixed."""


def next_lines(words: Sequence[str], width: int | None, *, before: str = "") -> Iterator[str]:
    """What to run next; the command on lines of its own where it does not fit."""
    text = f"Next: {before}{shell_command(words)}"
    if width is None or len(text) <= width:
        yield text
        return
    yield from wrapped(f"Next: {before}".rstrip(), width)
    yield from command_lines(words, width)


def finding_lines(found: Iterable[Diagnostic], display: Display) -> Iterator[str]:
    """The blocks of these findings; at a terminal only the first ones of each code, and how many more there are."""
    unique = list(dict.fromkeys(found))
    kinds: dict[tuple[str, Severity], list[Diagnostic]] = {}
    for one in unique:
        kinds.setdefault((one.code, one.severity), []).append(one)
    is_whole = {kind for kind in kinds if display.width is None or kind[0] in OF_GUARDS}  # one for each guard at most
    most = {kind: len(same) if kind in is_whole else _MOST_ALIKE[kind[1]] for kind, same in kinds.items()}
    shown = {id(one) for kind, same in kinds.items() for one in same[: most[kind]]}
    if unique:
        yield show_findings([one for one in unique if id(one) in shown], display)
    for (code, severity), same in kinds.items():
        left = len(same) - most[code, severity]
        if left > 0:
            yield f"and {counted(left, f'more {severity}')} {printable(f'[{code}]')}; --wide shows each"


def listed(names: Iterable[str], most: int) -> str:
    """The names, escaped; of many the first ones, and how many more there are."""
    return names_text(list(map(printable, names)), most)
