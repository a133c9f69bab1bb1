"""The reference page of findings: made from the table of codes, complete, and as it is checked in."""

from __future__ import annotations

import re

from reconciler.findings.codes import Code
from reconciler.views.markdown.findings import findings_page
from tests.support.paths import REPOSITORY

PAGE = findings_page()


def test_the_checked_in_page_is_fresh() -> None:
    """`make docs` writes it again."""
    checked_in = (REPOSITORY / "docs/reference/findings.md").read_text()
    assert checked_in == PAGE, "run `make docs` and commit the result"


def test_every_code_has_a_heading_of_its_own_in_the_order_of_the_table() -> None:
    """A heading is an anchor: `findings.md#quota`."""
    assert re.findall(r"(?m)^### `(.+)`$", PAGE) == [str(code) for code in Code]


def test_no_anchor_is_there_twice() -> None:
    """Else a renderer gives the second a number, and a link leads to the first."""
    headings = [re.sub(r"[^\w\- ]", "", text.lower()) for text in re.findall(r"(?m)^#+ (.+)$", PAGE)]
    assert [one for one in headings if headings.count(one) > 1] == []


def test_every_section_is_in_the_list_at_the_top() -> None:
    """In the same order; the first code is in a section, too."""
    sections = re.findall(r"(?m)^## (.+)$", PAGE)
    assert re.findall(r"(?m)^- \[(.+)\]\(#", PAGE) == sections
    assert PAGE.index("\n## ") < PAGE.index("\n### ")


def test_a_code_says_how_bad_it_is_what_it_means_and_how_to_fix_it() -> None:
    """An error with the exit code of a run that it stops."""
    assert (
        "### `quota`\n\n"
        "Error (exit 3). The account has no room for another certificate of this kind.\n\n"
        "**Fix:** Delete certificates that nothing uses"
    ) in PAGE
    assert "### `previews-unmanaged`\n\nWarning or info. " in PAGE
    assert "### `unknown-finding`\n\nError (exit 1), warning or info. " in PAGE
