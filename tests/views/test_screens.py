"""What a terminal shows fits any width from 60 columns, cuts no word, ID or date, and loses nothing without colour.

`tests/views/screens` has each report at each width, to be read.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import CertificateName
from reconciler.reports.checks import Validation
from reconciler.views.table import Display, render
from reconciler.views.text.layout import NARROWEST, cells
from reconciler.views.text.style import Style
from tests.support.reports import place
from tests.support.screens import COMMAND, FOLDER, SCREENS, WIDTHS, screen, screens
from tests.support.screens_of_plans import (
    ACCOUNT,
    DIFFERENCES,
    LATER,
    OLD,
    PLAN,
    PLANS,
    STATUS,
    at,
    bound,
    rebind,
    upload,
)

ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]+)*")
TO_COPY = ("    | ", "Next: ", "digest: ")
"""How a line begins that is to be copied, so it is never wrapped."""
OF_COLUMNS = frozenset(["Left", "out:", "RENEW", "FROM,", "FROM", "OWNER,", "OWNER", "USED", "BY", "(--wide)."])
"""What is there only where columns are left out."""
every = pytest.mark.parametrize("name", SCREENS)


def test_screens_are_as_they_were_looked_at() -> None:
    """After a change, run the command and look at the difference."""
    found = {path.relative_to(FOLDER).as_posix(): path.read_text() for path in FOLDER.glob("*/*")}
    assert found == screens(), f"run `{COMMAND}`"


@every
def test_no_line_is_wider_than_the_terminal_unless_it_is_one_word(name: str) -> None:
    """A label or a sign may be before that word."""
    for width in (*range(NARROWEST, 81), *range(83, 201, 9)):
        lines = screen(name, width).splitlines()
        wide = [line for line in lines if cells(line) > width and not line.startswith(TO_COPY)]
        assert [line for line in wide if not is_one_word(line)] == []


WORD = st.text("abcdefgh-_0123", min_size=1, max_size=48)


@given(name=WORD, label=WORD, environment=WORD, binding=WORD, width=st.integers(NARROWEST, 200))
def test_no_name_makes_a_line_too_wide(name: str, label: str, environment: str, binding: str, width: int) -> None:
    """Whatever certificates, Workers, environments and bindings are called."""
    where, certificate = at(label, environment, binding), CertificateName(name)
    changes = (upload(certificate, *DIFFERENCES), rebind(where, certificate, OLD))
    plan = replace(PLAN, changes=changes, waiting=(replace(LATER, change=changes[1]),))
    row = replace(STATUS.certificates[1], certificate=certificate, owner=label, places=(bound(where, OLD),))
    for report in (plan, replace(STATUS, certificates=(row,), diagnostics=())):
        lines = render(report, "text", Display(width=width)).splitlines()
        assert [
            one for one in lines if cells(one) > width and not one.startswith(TO_COPY) and not is_one_word(one)
        ] == []


def is_one_word(line: str) -> bool:
    """Whether all that is too wide is one word behind its label."""
    *before, word = line.split()
    return cells(word) > 20 and cells(" ".join(before)) <= 24


@pytest.mark.parametrize("name", PLANS)
def test_no_word_no_id_and_no_date_is_cut(name: str) -> None:
    """A name is shortened with dots in its middle, an ID to 8 characters or more; every other word is whole.

    Reports of work fold what is alike into a count, with words of its own.
    """
    whole = screen(name, None)
    words, ids = set(whole.split()), {ACCOUNT, *ID.findall(whole)}
    for width in (60, 61, 67, 72, 80, 100, 120, 200):
        for word in screen(name, width).replace("\n", " ").split():
            plain = word.strip("().,:+-")
            is_short_id = len(plain) >= 8 and any(one.startswith(plain) for one in ids)
            assert word in words or "..." in word or is_short_id or word in OF_COLUMNS, (width, word)


@pytest.mark.parametrize("width", WIDTHS.values())
@every
def test_without_colour_nothing_is_lost(name: str, width: int | None) -> None:
    """Signs and words say the same."""
    coloured = render(SCREENS[name], "text", Display(place, style=Style(colour=True), width=width))
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == screen(name, width)


@pytest.mark.parametrize(("severity", "most"), [(Severity.ERROR, 20), (Severity.WARNING, 5)])
def test_many_findings_of_one_code_are_counted_at_a_terminal(severity: Severity, most: int) -> None:
    """The first ones are shown, the others with `--wide`, and in a pipe."""
    found = tuple(Diagnostic(severity, Code.KEY_UNAVAILABLE, f"the key of 'c{number:03}'") for number in range(30))
    text = render(Validation(found), "text", Display(width=80))
    assert text.count("the key of") == most
    assert f"and {30 - most} more {severity}s [key-unavailable]; --wide shows each\n" in text
    assert render(Validation(found), "text", Display()).count("the key of") == 30
