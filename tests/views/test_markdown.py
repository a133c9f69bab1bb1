"""Pages for pull requests: they are read in seconds, fit a comment, and names of others do nothing in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import BaseModel

from reconciler.findings.escape import printable
from reconciler.reports.checks import Validation
from reconciler.views.markdown.page import code, fence, page, table, words
from reconciler.views.table import MOST_CHARACTERS, VIEWS, Display, render
from tests.support.hostile import NAMES, check_texts
from tests.support.reports import (
    APPLIED,
    DRIFT,
    FLEET_STATUS,
    FORECAST,
    HISTORY,
    PLAN,
    RENEWALS,
    SAVED_PLAN,
    STACKS,
    STALE,
    STATUS,
)

PARSER = MarkdownIt("commonmark").enable("table")
MARKUP = {
    "a mention": "@octocat and @org/team",
    "a reference": "#12 GH-12 !3 ~bug owner/repo#1",
    "a commit": "deadbeef00112233445566778899aabbccddeeff",
    "a link": "[here](https://evil.example) <https://evil.example> www.evil.example",
    "an image": "![x](https://evil.example/x.png)",
    "html": "<img src=x onerror=alert(1)></code></details><script>x</script>",
    "a comment of ours": "<!-- mtlsctl:plan:payments -->",
    "code": "a`b``c```d",
    "a fence": "~~~ ```",
    "cells": "a|b\\|c\\\\|d | e",
    "emphasis": "**a** _b_ ~~c~~ `d`",
    "references of characters": "&lt;b&gt; &#64;x",
    "an emoji by its name": ":rocket: $`x`$",
    "blanks": "  a  b  ",
    "nothing": "",
}
ALL = {**MARKUP, **NAMES}
VALIDATION = Validation(PLAN.diagnostics)
JUDGED = (PLAN, SAVED_PLAN, APPLIED, DRIFT, STATUS, FORECAST)
REPORTS = (*JUDGED, HISTORY, RENEWALS, FLEET_STATUS, STALE)
NAMED = "billing|payments|ledger|checkout|BILLING|octocat|refs/heads/main|anna|laptop"
HTML = re.compile(r"</?(?:code|details|summary)>|<details><summary>Details</summary>")


def tokens(text: str) -> Iterator[Token]:
    """Everything that a forge finds in it."""
    for token in PARSER.parse(text):
        yield from (token, *(token.children or ()))


def shown(text: str) -> str:
    """What a reader sees of a text in a row."""
    return "".join(token.content for token in tokens(text) if token.type in ("text", "code_inline"))


def renamed(value: Any, name: str) -> Any:
    """A report in which others chose all names."""
    if is_dataclass(value) and not isinstance(value, type):
        found = {one.name: renamed(getattr(value, one.name), name) for one in fields(value) if one.init}
        return replace(value, **found)
    if isinstance(value, BaseModel):
        return value.model_copy(update={key: renamed(one, name) for key, one in value})
    if isinstance(value, tuple):
        return tuple(renamed(one, name) for one in value)
    if type(value) is str:
        return re.sub(
            "billing|payments|ledger|checkout|BILLING|octocat|refs/heads/main|anna|laptop", lambda _: name, value
        )
    return value


@pytest.mark.parametrize("name", ALL.values(), ids=ALL)
def test_a_name_is_shown_and_does_nothing(name: str) -> None:
    """In a sentence and in a cell, alone in its own; hidden signs are escaped."""
    for text in (code(name), words(name)):
        found = list(tokens(f"| a | b |\n| --- | --- |\n| {text} | z |"))
        assert sum(token.type == "td_open" for token in found) == 2
        assert not {token.type for token in found} & {"link_open", "image", "strong_open", "em_open"}
        assert all(HTML.fullmatch(token.content) for token in found if token.type == "html_inline")
    assert shown(code(name)).split() == printable(name).split()


@pytest.mark.parametrize("name", MARKUP.values(), ids=MARKUP)
def test_outside_of_code_there_is_nothing_that_a_forge_links(name: str) -> None:
    """A mention, a number or an address in a text is a link even without markup."""
    is_code = False
    for token in tokens(words(name)):
        is_code = token.content == "<code>" or (is_code and token.content != "</code>")
        if token.type == "text" and not is_code:
            assert not re.search(r"[@#!~:]\w|://|www\.|[<>\[\]*_`|\\]", token.content)


@pytest.mark.parametrize("name", ALL.values(), ids=ALL)
def test_no_line_ends_a_block(name: str) -> None:
    """What is in it is one block, whatever it looks like."""
    found = PARSER.parse(fence(f"a\n{name.replace(chr(10), ' ')}\n```` x\n~~~\n</details>"))
    assert [token.type for token in found] == ["fence"]
    assert found[0].content.endswith("```` x\n~~~\n</details>\n")


@pytest.mark.parametrize("name", ALL.values(), ids=ALL)
@pytest.mark.parametrize("report", [*REPORTS, VALIDATION], ids=lambda report: type(report).__name__)
def test_no_name_acts_in_a_page(report: object, name: str) -> None:
    """The page has the markup that it has for any other name, and no name outside of code."""
    text = render(renamed(report, name), "markdown", Display())
    if name != NAMES["the end of a block"]:  # which the longer fence around every text keeps from ending one
        check_texts(text)
    found = list(tokens(text))
    assert not {token.type for token in found} & {"link_open", "image", "em_open"}
    for token in found:
        if token.type in ("html_inline", "html_block"):
            assert HTML.fullmatch(token.content.strip())
    assert [token.type for token in found].count("html_block") == 2
    assert text.endswith("\n\n</details>\n")


@pytest.mark.parametrize("report", JUDGED, ids=lambda report: type(report).__name__)
def test_a_page_is_judged_by_its_heading(report: object) -> None:
    """The stack and the counts; the errors stand before any table."""
    text = render(report, "markdown", Display())
    command = next(iter(re.findall(r"\A### mtlsctl (\w+) `payments`: .*\d", text)))
    assert command in {"plan", "apply", "drift", "status", "forecast"}
    assert 0 < text.index("**1 error") < text.index("<details>")
    assert "\n| " not in text[: text.index("**1 error")]


def test_a_plan_says_what_is_uploaded_written_and_deleted() -> None:
    """For each certificate in one row."""
    text = render(PLAN, "markdown", Display())
    assert "| `billing` | **upload**: renewed, same key; proved at its origins first | 2 written: " in text
    assert "| **1 deleted**, 1 kept |" in text
    assert "1 **removed**: `checkout (top level)`" in text
    assert "**Deploys** `checkout-live`" in text
    assert "Next: `mtlsctl apply plan.json`" in text


def test_a_saved_plan_has_its_digest_and_its_time() -> None:
    """So that it can be compared with what is applied."""
    text = render(SAVED_PLAN, "markdown", Display())
    assert "Made 2026-11-23 12:00 UTC" in text
    assert SAVED_PLAN.digest in text


@pytest.mark.parametrize("report", JUDGED[:2] + JUDGED[3:], ids=lambda report: type(report).__name__)
def test_what_was_not_checked_is_not_folded(report: object) -> None:
    """A page must not look complete where it is not."""
    text = render(report, "markdown", Display())
    assert "Not checked" in text[: text.index("<details>")]


def test_a_page_fits_a_comment() -> None:
    """Of long details the first lines are kept, with how many are left out; a head that is too long is not shown."""
    long = "\n".join(f"line {number} {'x' * 90}" for number in range(2000))
    cut = page("plan", "payments", "1 upload", ["short"], long)
    assert len(cut) <= MOST_CHARACTERS
    kept, left = cut.count("line "), re.search(r"\.\.\. ([\d,]+) more lines: see the log of this run\n```", cut)
    assert left is not None
    assert kept + int(left[1].replace(",", "")) == 2000
    bare = page("plan", "payments", "1 upload", ["y" * MOST_CHARACTERS], "details")
    assert len(bare) <= MOST_CHARACTERS
    assert "see the log of this run" in bare
    assert "yy" not in bare


def test_a_long_table_says_how_much_it_leaves_out() -> None:
    """The details have the rest."""
    lines = "\n\n".join(table(("a",), [[str(number)] for number in range(100)]))
    assert "| 39 |" in lines
    assert "| 40 |" not in lines
    assert lines.endswith("and 60 more, see below")


def test_every_page_is_tried_here() -> None:
    """Each report that has this format."""
    known = {f"{type(report).__module__}:{type(report).__qualname__}" for report in (*REPORTS, STACKS, VALIDATION)}
    assert known == {report for report, shown in VIEWS if shown == "markdown"}


def test_a_page_is_the_same_each_time() -> None:
    """So a comment that is updated in place changes only with the plan."""
    assert all(one == other for one, other in pairwise(render(PLAN, "markdown", Display()) for _ in range(3)))
