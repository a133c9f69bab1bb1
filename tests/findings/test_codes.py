"""The table of codes: each row is complete and says it in plain sentences."""

from __future__ import annotations

import re

from reconciler.findings.codes import Code, Severity, find_code
from reconciler.findings.exits import ExitCode


def test_a_member_is_named_as_its_text() -> None:
    """So that a search for one finds the other."""
    assert [code for code in Code if code.name != code.value.upper().replace("-", "_")] == []
    assert [code for code in Code if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)] == []


def test_a_row_has_its_severities_in_order_and_each_once() -> None:
    """At least one; the worst comes first."""
    in_order = {code: tuple(one for one in Severity if one in code.severities) for code in Code}
    assert [code for code in Code if not code.severities or code.severities != in_order[code]] == []


def test_a_row_says_its_meaning_and_its_cure_in_whole_sentences() -> None:
    """On one line: a terminal, a page and JSON show them as they are."""
    texts = [text for code in Code for text in (code.meaning, code.cure)]
    assert [text for text in texts if not re.fullmatch(r"(?:[A-Z`]|mtls).*\.", text) or not text.isprintable()] == []


def test_no_two_codes_mean_the_same() -> None:
    """Else one of them would do."""
    meanings = [code.meaning for code in Code]
    assert [text for text in meanings if meanings.count(text) > 1] == []


def test_only_what_can_be_an_error_changes_the_exit_code() -> None:
    """Warnings and notes are no failure."""
    assert [code for code in Code if (code.exit_code is ExitCode.OK) == (Severity.ERROR in code.severities)] == []


def test_the_guard_rails_end_a_run_as_blocked() -> None:
    """What was not blocked is done; nothing that a user wrote is wrong."""
    blocked = {str(code) for code in Code if code.exit_code is ExitCode.BLOCKED}
    plan = {"account-id-declared", "account-id-in-file", "gradual-deployment", "quota", "verify-inconclusive"}
    assert blocked == {*plan, "blocked", "stack-taken"}


def test_a_code_is_found_by_its_text_and_anything_else_is_none() -> None:
    """Text comes from outside: a command line, a saved plan of another version."""
    assert find_code("quota") is Code.QUOTA
    assert [find_code(text) for text in ("", "QUOTA", "quota ", "no-such-code")] == [None] * 4
