"""Pages of HTML: what is on them as values, and the shell that shows these. One file without script, for a browser.

Texts of others get in as text only: Jinja escapes markup, and every text passes `printable`. What the style adds is
decoration: an artifact viewer that blocks it still shows headings, tables, signs and pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from itertools import accumulate
from typing import ClassVar

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.escape import printable
from reconciler.findings.values import dataclass
from reconciler.views.html.timeline import TimelinePicture
from reconciler.views.html.uses import UsesPicture
from reconciler.views.table import Display
from reconciler.views.text.findings import count_findings, explaining, place_text
from reconciler.views.text.lines import counted

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined, Template
except ModuleNotFoundError as error:
    raise ReconcilerError(
        "`--format html` needs Jinja2, which is not installed",
        hint="install mtlsctl again with it, in its checkout: pipx install --force '.[html]'",
        code=Code.EXTRA,
    ) from error

MOST_SHOWN = 10
"""Findings and rows in sight; the others are folded. Of a table five times as many."""

MOST_DETAILS = 150_000
"""Characters of a report as text; the findings and tables of the page have all of what needs attention."""


class Tone(StrEnum):
    """How much something asks for attention. It is a word of the style, and has a sign for who sees no colour."""

    GOOD = "good"
    LOOK = "look"
    BAD = "bad"
    PLAIN = "plain"


SIGNS: Mapping[Tone, str] = {Tone.GOOD: "✓", Tone.LOOK: "▲", Tone.BAD: "✕", Tone.PLAIN: "○"}
COLOURS: Mapping[str, tuple[str, str]] = {
    "paper": ("#f7f8f8", "#14181c"),
    "card": ("#ffffff", "#1c2127"),
    "ink": ("#1d242b", "#e3e7ea"),
    "quiet": ("#56616b", "#a3adb7"),
    "line": ("#d9dee2", "#353d45"),
    "good": ("#17694a", "#63c79a"),
    "look": ("#845100", "#e3b15c"),
    "bad": ("#ae2533", "#ff949b"),
}
"""Of text and its ground, for a light and a dark page."""
SHAPES: Mapping[str, str] = {"good": "#2f8f68", "look": "#b3791a", "bad": "#d4495a", "plain": "#7b8792"}
"""Of what is drawn: attributes of the pictures, which are seen on a light and on a dark page, with style or without."""


@dataclass(frozen=True, slots=True)
class Note:
    """A text of a table with a sign before it."""

    text: str
    tone: Tone = Tone.PLAIN

    @property
    def sign(self) -> str:
        """The sign, for who sees no colour."""
        return SIGNS[self.tone]


@dataclass(frozen=True, slots=True)
class PageTable:
    """Rows below their heads; the first cell of a row names it. `caption`: what it has, for who only hears it."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str | Note, ...], ...]
    kind: ClassVar[str] = "table"

    @property
    def parts(self) -> tuple[tuple[tuple[str | Note, ...], ...], ...]:
        """The rows in sight, and the folded ones."""
        most = MOST_SHOWN * 5
        return self.rows[:most], self.rows[most:]


@dataclass(frozen=True, slots=True)
class FindingItem:
    """One finding as it is shown."""

    label: Note
    message: str
    place: str | None
    fix: str | None
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindingList:
    """Findings, errors first: those in sight, the other errors and warnings, and notes."""

    shown: tuple[FindingItem, ...]
    more: tuple[FindingItem, ...]
    notes: tuple[FindingItem, ...]
    about: str | None
    kind: ClassVar[str] = "findings"


@dataclass(frozen=True, slots=True)
class Prose:
    """Paragraphs or, if there are several, a list."""

    texts: tuple[str, ...]
    kind: ClassVar[str] = "prose"


Block = PageTable | FindingList | Prose | TimelinePicture | UsesPicture


@dataclass(frozen=True, slots=True)
class PageSection:
    """A heading, and what is below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class PageReport:
    """What a page shows of one report. `leads`: what is read first. `facts`: of when and what it is, and what to run.

    `details`: the report as text, folded: what no table has is there.
    """

    command: str
    stack: str
    title: Note
    leads: tuple[Note, ...]
    facts: tuple[tuple[str, str], ...]
    sections: tuple[PageSection | None, ...]
    details: str

    @property
    def lines(self) -> list[str]:
        """The details, line by line; of long ones the first, and how many more there are."""
        lines = self.details.strip("\n").split("\n")
        ends = accumulate(len(line) + 1 for line in lines)
        kept = sum(end <= MOST_DETAILS for end in ends)
        left = [f"... {counted(len(lines) - kept, 'more line')}: see --format text"] if kept < len(lines) else []
        return lines[:kept] + left


def show_page(reports: Sequence[PageReport], command: str | None = None) -> str:
    """A page with these reports: with a heading of its own, of this command, unless it is one alone. `command` None:
    that of the first."""
    command = reports[0].command if command is None else command
    return _template().render(reports=reports, command=command, colours=COLOURS, shapes=SHAPES, counted=counted)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("reconciler.views.html"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html")


def _shown(value: object) -> object:
    """A text as one line of visible characters; what the template made itself is no plain `str`."""
    return printable(value) if type(value) is str else value


def section(title: str, *blocks: Block | None) -> PageSection | None:
    """A section of these blocks; None if there is nothing in it."""
    found = tuple(one for one in blocks if one is not None)
    return PageSection(title, found) if found else None


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str | Note]]) -> PageTable | None:
    """A table; None without rows."""
    found = tuple(map(tuple, rows))
    return PageTable(caption, tuple(heads), found) if found else None


def prose(texts: Iterable[str]) -> Prose | None:
    """Paragraphs; None without any."""
    found = tuple(texts)
    return Prose(found) if found else None


_TONES = {Severity.ERROR: Tone.BAD, Severity.WARNING: Tone.LOOK, Severity.INFO: Tone.PLAIN}


def findings(found: Iterable[Diagnostic], display: Display) -> PageSection | None:
    """Every finding once, errors first, with its place and its fix."""
    order = list(_TONES)
    known = sorted(dict.fromkeys(found), key=lambda one: order.index(one.severity))
    notes = tuple(_item(one, display) for one in known if one.severity is Severity.INFO)
    others = tuple(_item(one, display) for one in known if one.severity is not Severity.INFO)
    block = FindingList(others[:MOST_SHOWN], others[MOST_SHOWN:], notes, explaining(known))
    return PageSection(count_findings(known).capitalize() or "Notes", (block,)) if known else None


def tone_of(found: Iterable[Diagnostic], otherwise: Tone) -> Tone:
    """The tone of a report with these findings: BAD with an error."""
    return Tone.BAD if any(one.is_error for one in found) else otherwise


def _item(found: Diagnostic, display: Display) -> FindingItem:
    fix, *lines = (found.hint or "").splitlines() or ("",)
    label = Note(f"{found.severity}[{found.code}]", _TONES[found.severity])
    place = place_text(found.where, display.place, display.folder)
    return FindingItem(label, found.message, place, fix or None, tuple(lines))
