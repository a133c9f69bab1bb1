"""What `validate` and `doctor` found, as text: what is wrong, what was not checked, and how much is in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.escape import printable
from reconciler.reports.checks import Checkup, Validation
from reconciler.views.table import Display
from reconciler.views.text.findings import count_findings, to_act_on
from reconciler.views.text.layout import wrapped
from reconciler.views.text.lines import ONCE_FIXED, counted, finding_lines, led, next_lines, prose


def show_validation(validation: Validation, display: Display) -> str:
    """Every finding, and how many there are."""
    found, style = validation.diagnostics, display.style
    problems = count_findings(found)
    text = "\n".join((*finding_lines(found, display), "", "")) if found else ""
    if problems:
        return text + "\n".join((style.bold(f"{problems}."), *_next_lines(validation.again, found, display))) + "\n"
    return f"{text}{style.good('Everything checked is in order.')}\n"


def show_checkup(checkup: Checkup, display: Display) -> str:
    """The whole check-up: at a terminal what is in order is one paragraph."""
    return "\n".join(_checkup_lines(checkup, display)) + "\n"


def _checkup_lines(checkup: Checkup, display: Display) -> Iterator[str]:
    style, found = display.style, checkup.diagnostics
    notes = [item for item in found if item.severity is Severity.INFO]
    passed = [item for item in notes if item.hint is None]
    yield style.bold("mtlsctl checked this machine and checkout")
    if display.width is None:
        size = max((len(item.code) for item in notes), default=0)
        for item in notes:
            yield from _note_lines(item, display, size)
    else:
        unchecked = [item for item in notes if item.hint is not None]
        names = dict.fromkeys(item.code for item in passed if item.code not in {one.code for one in unchecked})
        text = f"{counted(len(names), 'check')}: {', '.join(names)} (--wide shows each)"
        yield from led("ok", text, prose(display.width))
        for item in unchecked:
            yield from _note_lines(item, display, max(len(item.code) for item in unchecked))
    problems = to_act_on(found)
    if problems:
        yield ""
        yield from finding_lines(problems, display)
    counts = count_findings(found)
    yield ""
    if counts:
        yield style.bold(f"{counts}.")
        yield from _next_lines(("mtlsctl", "doctor"), found, display)
    else:
        yield style.good("Everything checked is in order.")


def _note_lines(item: Diagnostic, display: Display, size: int) -> Iterator[str]:
    """A check that passed, or was not made, and how it can be made."""
    style, width, then = display.style, prose(display.width), f"      {'':{size}}  "
    sign, paint = ("ok", style.good) if item.hint is None else ("--", style.change)
    label = f"{sign}  {item.code:<{size}} "
    yield from led(label, printable(item.message), width, paint=lambda text: paint(sign) + text[len(sign) :], then=then)
    if item.hint is not None:
        yield from wrapped(printable(item.hint), width, first=f"{then}fix  ")


def _next_lines(again: Sequence[str], found: Iterable[Diagnostic], display: Display) -> Iterator[str]:
    """What to run once the errors are fixed; nothing where there is none."""
    if again and any(one.is_error for one in found):
        yield from next_lines(again, display.width, before=ONCE_FIXED)
