"""Layout: lines and tables fit the width, and no ID, date or word is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.views.text.layout import Cell, ShortIds, cells, labelled, shortened, spread, table, wrapped

ID = "28b52d48-33a1-4f7e-9f5c-3d2b1a0c9e8d"
LOCAL = "10ca1000-3f2a-4f7e-9f5c-3d2b1a0c9e8d"
ROWS = [
    [Cell("a" * 48, shrinks=True), Cell("in 24 d  12-23"), Cell("2026-12-15"), Cell("team-partners", shrinks=True)],
    [Cell("warehouse", shrinks=True), Cell("in 89 d  02-26"), Cell("2027-01-27"), Cell("-", shrinks=True)],
]


def test_an_id_is_shown_by_eight_characters() -> None:
    """As git does."""
    assert ShortIds([ID], 80)(ID) == "28b52d48"


def test_ids_that_begin_alike_are_shown_longer() -> None:
    """Until they differ."""
    short = ShortIds([ID, "28b52d48-34" + ID[11:]], 80)
    assert short(ID) == "28b52d48-33"


def test_an_id_of_the_local_store_shows_more_than_its_fixed_part() -> None:
    """All of them begin alike."""
    assert ShortIds([LOCAL], 80)(LOCAL) == "10ca1000-3f2a"


def test_without_a_width_an_id_is_whole() -> None:
    """A file and a pipe get everything."""
    assert ShortIds([ID], None)(ID) == ID


def test_a_hostile_id_is_escaped() -> None:
    """It comes from a file or a server."""
    assert ShortIds(["\x1b[2J-evil"], 80)("\x1b[2J-evil") == "\\x1b[2J-evi"


@given(st.lists(st.text("abc-", min_size=1, max_size=70), max_size=20), st.integers(60, 200))
def test_wrapped_lines_have_every_word_whole(words: list[str], width: int) -> None:
    """A word longer than the line has a line of its own."""
    lines = list(wrapped(" ".join(words), width, first="  ! ", then="    "))
    assert " ".join(lines).split() == ["!", *words]
    assert all(len(line) <= width or len(line.split()) == 1 for line in lines)


def test_a_word_that_does_not_fit_behind_its_label_is_moved_to_the_left() -> None:
    """A path can be copied only if it is in one piece."""
    lines = list(labelled("+ upload", f"needs {'k' * 52}", 60, indent="    "))
    assert lines == ["    + upload  needs", " " * 8 + "k" * 52]


@given(st.text("abc ", max_size=60), st.text("xyz ", max_size=60), st.integers(60, 200))
def test_two_texts_at_both_ends_of_a_line_fit_or_are_two_lines(left: str, right: str, width: int) -> None:
    """Nothing is lost."""
    lines = list(spread(Cell(left), Cell(right), width))
    assert all(len(line) <= width for line in lines)
    assert " ".join(lines).split() == [*left.split(), *right.split()]


@given(
    st.lists(st.tuples(*[st.text("ab-", min_size=1, max_size=48)] * 3), min_size=1, max_size=5), st.integers(60, 200)
)
def test_any_table_fits(rows: list[tuple[str, ...]], width: int) -> None:
    """Names are shortened; the last cell is whole, on its row or below it."""
    made = [[Cell(first, shrinks=True), Cell(second, shrinks=True), Cell(third)] for first, second, third in rows]
    lines = list(table(made, width))
    assert all(cells(line) <= width for line in lines)
    assert all(any(line.endswith(third) for line in lines) for _, _, third in rows)


def test_a_cell_that_is_not_to_be_cut_keeps_its_column_wide() -> None:
    """An ID between names."""
    rows = [[Cell("n" * 48, shrinks=True), Cell("x" * 30)], [Cell("28b52d48-33a1 (by ID)"), Cell("x" * 30)]]
    assert "  28b52d48-33a1 (by ID)" in "\n".join(table(rows, 60))


def test_without_a_width_a_text_is_one_line() -> None:
    """What reads a pipe finds it by one pattern."""
    assert list(wrapped("word " * 50 + "end", None)) == ["word " * 50 + "end"]


def test_a_long_name_is_shortened_in_the_middle() -> None:
    """Its begin and its end tell it from others."""
    assert shortened("partner-gateway-production", 15) == "partne...uction"


def test_wide_characters_count_twice() -> None:
    """As a terminal shows them."""
    assert cells("倉庫") == 4
    assert cells(shortened("倉庫" * 10, 15)) <= 15


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_table_fits_and_keeps_dates_whole(width: int) -> None:
    """Names give way; what still does not fit goes to the next line."""
    lines = list(table(ROWS, width))
    assert all(cells(line) <= width for line in lines)
    text = " ".join(lines)
    assert all(cell.text in text for row in ROWS for cell in row if not cell.shrinks)


def test_columns_are_aligned() -> None:
    """Each begins where its longest cell lets it."""
    lines = list(table(ROWS, 120))
    assert lines[0].index("in 24 d") == lines[1].index("in 89 d")


def test_without_a_width_a_table_has_whole_names() -> None:
    """A pipe gets everything."""
    assert "a" * 48 in "".join(table(ROWS, None))
