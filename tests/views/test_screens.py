"""Screens: what a terminal shows fits it, at every width, and is as in the files of `tests/views/screens`."""

from __future__ import annotations

import pytest

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.reports.checks import Validation
from reconciler.views.table import Display, render
from reconciler.views.text.layout import cells
from tests.support.reports import place
from tests.support.screens import COMMAND, FOLDER, SCREENS, WIDTHS, screens


def test_screens_are_as_they_were_looked_at() -> None:
    """After a change, run the command and look at the difference."""
    assert {path.name: path.read_text() for path in FOLDER.iterdir()} == screens(), f"run `{COMMAND}`"


@pytest.mark.parametrize("width", [*WIDTHS, 61, 73, 99])
@pytest.mark.parametrize("name", SCREENS)
def test_no_line_is_wider_than_the_terminal_unless_it_is_one_word(name: str, width: int) -> None:
    """A path or a URL is never cut."""
    for line in render(SCREENS[name], "text", Display(place, width=width)).splitlines():
        is_word = len(line.rstrip("\\").split()) <= 2
        assert cells(line) <= width or is_word, line


@pytest.mark.parametrize("name", SCREENS)
def test_a_file_gets_every_id_whole(name: str) -> None:
    """As `--wide` and a pipe do: nothing is shortened."""
    assert "..." not in render(SCREENS[name], "text", Display(place))


@pytest.mark.parametrize(("severity", "most"), [(Severity.ERROR, 20), (Severity.WARNING, 5)])
def test_many_findings_of_one_code_are_counted_at_a_terminal(severity: Severity, most: int) -> None:
    """The first ones are shown, the others with `--wide`, and in a pipe."""
    found = tuple(Diagnostic(severity, Code.KEY_UNAVAILABLE, f"the key of 'c{number:03}'") for number in range(30))
    text = render(Validation(found), "text", Display(width=80))
    assert text.count("the key of") == most
    assert f"and {30 - most} more {severity}s [key-unavailable]; --wide shows each\n" in text
    assert render(Validation(found), "text", Display()).count("the key of") == 30
