"""What a terminal shows fits any width from 60 columns, cuts no word, ID or date, and loses nothing without colour.

`tests/views/screens_of_plans` has each report at each width, to be read.
`python -m tests.support.screens_of_plans` writes them again.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import CertificateName
from reconciler.views.table import Display, render
from reconciler.views.text.layout import NARROWEST, cells
from reconciler.views.text.style import Style
from tests.support.screens_of_plans import (
    ACCOUNT,
    DIFFERENCES,
    FOLDER,
    LATER,
    OLD,
    PLAN,
    REPORTS,
    STATUS,
    WIDTHS,
    at,
    bound,
    path_of,
    rebind,
    screen,
    upload,
)

ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]+)*")
TO_COPY = ("    | ", "Next: ", "digest: ")
"""How a line begins that is to be copied, so it is never wrapped."""
OF_COLUMNS = frozenset(["Left", "out:", "RENEW", "FROM,", "FROM", "OWNER,", "OWNER", "USED", "BY", "(--wide)."])
"""What is there only where columns are left out."""
every = pytest.mark.parametrize("name", REPORTS)


@pytest.mark.parametrize("width", WIDTHS)
@every
def test_a_report_is_shown_as_it_is_in_its_file(name: str, width: str) -> None:
    """Read the difference; where it is meant, run `python -m tests.support.screens_of_plans`."""
    assert screen(name, width) == path_of(name, width).read_text()


def test_there_is_no_file_that_is_of_no_report() -> None:
    """Else nobody would see that it is out of date."""
    assert set(FOLDER.glob("*/*")) == {path_of(name, width) for name in REPORTS for width in WIDTHS}


@every
def test_no_line_is_wider_than_the_terminal_unless_it_is_one_word(name: str) -> None:
    """At any width; a label or a sign may be before that word."""
    for width in range(NARROWEST, 201):
        lines = render(REPORTS[name], "text", Display(width=width)).splitlines()
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


@every
def test_no_word_no_id_and_no_date_is_cut(name: str) -> None:
    """A name is shortened with dots in its middle, an ID to 8 characters or more; every other word is whole."""
    whole = screen(name, "wide")
    words, ids = set(whole.split()), {ACCOUNT, *ID.findall(whole)}
    for width in (60, 61, 67, 72, 80, 100, 120, 200):
        text = render(REPORTS[name], "text", Display(width=width))
        for word in text.replace("\n", " ").split():
            plain = word.strip("().,:+-")
            is_short_id = len(plain) >= 8 and any(one.startswith(plain) for one in ids)
            assert word in words or "..." in word or is_short_id or word in OF_COLUMNS, (width, word)


@pytest.mark.parametrize("width", WIDTHS)
@every
def test_without_colour_nothing_is_lost(name: str, width: str) -> None:
    """Signs and words say the same."""
    coloured = render(REPORTS[name], "text", Display(style=Style(colour=True), width=WIDTHS[width]))
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == screen(name, width)
