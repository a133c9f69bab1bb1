"""One word for one thing: what a user reads has no other word for it than the one that is agreed."""

from __future__ import annotations

import ast

import pytest

from tests.support.words import (
    TO_DO,
    WORDS,
    found_in,
    problems,
    read_literals,
    read_page,
    read_schema,
    read_texts,
    to_do,
    words_in_use,
    written,
)

pytestmark = pytest.mark.xdist_group("source")  # one worker parses the package

MODULE = '''
"""The module is beside."""
import re

PATTERN = re.compile("it goes beside")
QUERY = "SELECT foreign FROM doubt"
CODES = {"a key beside": "beside"}
CODES["x"] == "a word beside"


@command(example="x")
def plan() -> None:
    """Show what shall be done.

    An internal name stands elsewhere.
    """


def helper(name: str) -> str:
    """Whoever reads this reads code."""
    hint = "mend it " if name else f"let {name} lie, for it is {'gone to' + name} anew"
    return hint
'''


def test_no_word_that_is_not_agreed_is_used_more_often_than_the_list_allows() -> None:
    """And no less: what is done leaves the list."""
    assert problems(words_in_use(), to_do()) == []


def test_the_list_is_in_order_and_names_known_words() -> None:
    """So that two changes to it rarely meet, and a misspelled line is noticed."""
    assert {word for _, word in to_do()} <= {word.name for word in WORDS}
    assert TO_DO.read_text() == written(to_do())


def test_messages_hints_and_the_help_of_commands_are_read() -> None:
    """Docstrings of the code, patterns, SQL, keys, what is compared and single words are not."""
    assert {word for _, word in found_in({"x.py": read_literals(ast.parse(MODULE))})} == {
        *("shall", "stands", "mends", "anew", "for (because)"),
    }


def test_prose_of_a_page_is_read_and_its_code_is_not() -> None:
    """Neither a fenced block, nor what is in backticks, nor where a link leads."""
    page = "Nobody\nis here.\n\n```sh\nmend it\n```\n\nA `stand` of [a page](shall.md).<!-- anew -->\n"
    assert {word for _, word in found_in({"x.md": read_page(page)})} == {"whoever"}
    assert {word for _, word in found_in({"x.md": read_page("It is\ntold.")})} == {"is told"}


def test_descriptions_of_a_schema_are_read_and_names_are_not() -> None:
    """Titles and keys are the names in the code and in JSON."""
    schema = {"title": "Entry", "$defs": {"Entry": {"description": "It is told.", "enum": ["`entry`"]}}}
    assert {word for _, word in found_in({"x.json": read_schema(schema)})} == {"is told"}


def test_schemas_and_demos_are_read() -> None:
    """Each of them: one sentence that is not agreed is found."""
    paths = {path for path, _ in found_in(dict.fromkeys(read_texts(), "Nobody is here."))}
    assert {"schemas/plan.schema.json", "schemas/fleet.schema.json", "examples/demo.py", "tests/fleet_demo.py"} <= paths


@pytest.mark.parametrize(
    ("now", "allowed", "sentence"),
    [
        (2, 1, "x.md: `anew` is there 2 times, 1 allowed: write 'again' instead"),
        (1, 0, "x.md: `anew` is there 1 times, 0 allowed: write 'again' instead"),
        (0, 1, "x.md: `anew` is no longer used: remove it from the list (python -m tests.support.words)"),
        (1, 2, "x.md: `anew` is there 1 times, no longer 2: shorten the list (python -m tests.support.words)"),
    ],
    ids=["more", "new", "done", "less"],
)
def test_a_word_that_is_new_or_done_is_reported(now: int, allowed: int, sentence: str) -> None:
    """With the word to use, or with what makes the list shorter."""
    place = ("x.md", "anew")
    assert problems({place: now} if now else {}, {place: allowed} if allowed else {}) == [sentence]
