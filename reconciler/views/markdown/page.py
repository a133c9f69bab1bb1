"""Markdown for pull requests and job summaries: a heading to judge by, tables, and all details folded.

Texts of others are in code: there a forge finds no markup, mention, reference or link.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.escape import printable
from reconciler.model.words import names_text
from reconciler.plan.coverage import NotChecked
from reconciler.views.table import MOST_CHARACTERS, Display
from reconciler.views.text.findings import OF_GUARDS, count_findings, to_act_on
from reconciler.views.text.lines import counted, finding_lines
from reconciler.views.text.plan import not_checked_lines
from reconciler.views.text.style import PLAIN

_MOST_ROWS = 40
_MOST_FINDINGS = 10
_SIMPLE = r"[A-Za-z0-9_./:,;()=+%?!'\"$-]+"
_PLAIN = re.compile(f"{_SIMPLE}(?: {_SIMPLE})*")
_WORDS = re.compile(r"(?:[A-Za-z0-9,;() -]|[.:](?= |$))*")
_TICKS = re.compile("`+")


def code(text: str) -> str:
    """A text of others as code, on one line; also in a cell of a table.

    What is more than a simple name is written in character references, which are never markup.
    """
    shown = printable(text)
    if _PLAIN.fullmatch(shown):
        return f"`{shown}`"
    return f"<code>{charred(text)}</code>"


def charred(text: str) -> str:
    """A text of others in character references, which are never markup; also inside of HTML."""
    return "".join(sign if sign == " " or sign.isalnum() else f"&#{ord(sign)};" for sign in printable(text))


def words(text: str) -> str:
    """A phrase of ours as it is; as code if there is anything in it that could be of others."""
    return text if _WORDS.fullmatch(text) else code(text)


def fence(text: str) -> str:
    """Lines as they are, in a block of code that none of them can end."""
    ticks = "`" * max(3, *(len(run) + 1 for run in _TICKS.findall(text)), 3)
    return f"{ticks}text\n{text.strip(chr(10))}\n{ticks}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table, and how many rows it leaves out; nothing without rows. The cells are Markdown already."""
    if rows:
        lines = [heads, ["---"] * len(heads), *rows[:_MOST_ROWS]]
        yield "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    if len(rows) > _MOST_ROWS:
        yield f"and {len(rows) - _MOST_ROWS} more, see below"


def listed(names: Iterable[str], most: int = 5) -> str:
    """The names as code; of many the first ones, and how many more there are."""
    return names_text(list(map(code, dict.fromkeys(names))), most)


def whole(display: Display) -> Display:
    """The same, without colour and width."""
    return replace(display, style=PLAIN, width=None)


def findings(found: Iterable[Diagnostic], display: Display) -> Iterator[str]:
    """The errors and warnings, weakened guards and then errors first; of many the first ones."""
    known = sorted(dict.fromkeys(to_act_on(found)), key=lambda one: (one.code not in OF_GUARDS, not one.is_error))
    if known:
        most = max(_MOST_FINDINGS, sum(one.code in OF_GUARDS for one in known))
        more = f"; the first {most}" if len(known) > most else ""
        yield f"**{count_findings(known)}**{more}:"
        yield fence("\n".join(finding_lines(known[:most], whole(display))))


def not_checked(found: Sequence[NotChecked], command: str) -> Iterator[str]:
    """What was not checked, in sight: a page must not look complete where it is not."""
    yield from map(words, not_checked_lines(found, command, PLAIN))


def page(
    command: str, stack: str | None, title: str, parts: Iterable[str], details: str, most: int = MOST_CHARACTERS
) -> str:
    """A page below its title: the parts, then `details` folded, as much of it as fits. `stack`: that it is of."""
    return fold(f"mtlsctl {command}{'' if stack is None else f' {code(stack)}'}: {title}", parts, details, most)


def fold(title: str, parts: Iterable[str], details: str, most: int = MOST_CHARACTERS) -> str:
    """A page below its title, which is Markdown: the parts, then `details` folded, as much of it as fits."""
    body = "\n\n".join((f"### {title}", *parts))
    if len(body) > most:
        body = f"### {title}\n\nToo long to show here: see the log of this run."
    room = most - len(body) - 200
    lines = details.strip("\n").split("\n")
    kept = 0
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept += 1
    shown = lines[:kept]
    if kept < len(lines):
        shown.append(f"... {counted(len(lines) - kept, 'more line')}: see the log of this run")
    return f"{body}\n\n<details><summary>Details</summary>\n\n{fence(chr(10).join(shown))}\n\n</details>\n"
