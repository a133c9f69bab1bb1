"""The table of codes: each row is complete, and the package raises what the table has, and nothing else."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

import reconciler
from reconciler.findings.codes import Code, Severity, find_code
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import InputError, ReconcilerError
from reconciler.findings.exits import ExitCode
from reconciler.model.web import WebError
from tests.support.paths import REPOSITORY
from tests.support.source import Source, nodes, sources

pytestmark = pytest.mark.xdist_group("source")  # one worker parses the package

# --- the rows -------------------------------------------------------------------------------------------------------


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
    policy = {f"policy-{rule}" for rule in ("lifetime", "key-type", "issuer", "extension", "key-reuse", "name")}
    guard = {code for code in blocked if code.startswith("guard-")}  # tests/reports/test_guard.py has a row for each
    rails = {"fleet-shrunk", "freeze", "nothing-declared", "protect", "too-many-unbinds"}
    assert blocked - guard == {*plan, *policy, *rails, "blocked", "stack-taken", "key-tracking-unknown"}


def test_a_code_is_found_by_its_text_and_anything_else_is_none() -> None:
    """Text comes from outside: a command line, a saved plan of another version."""
    assert find_code("quota") is Code.QUOTA
    assert [find_code(text) for text in ("", "QUOTA", "quota ", "no-such-code")] == [None] * 4


# --- their use ------------------------------------------------------------------------------------------------------

TABLE = REPOSITORY / "reconciler/findings/codes.py"
RAISING = tuple(source for source in sources() if source.path != TABLE and "views" not in source.path.parts)
"""Everything that may make a finding: a view only shows one."""


def test_no_code_is_left_that_nothing_raises() -> None:
    """A finding that is gone takes its row along."""
    used = {code for source in RAISING for code in source.codes()}
    assert [code for code in Code if code not in used] == []


OTHER_WORDS = {
    ("runs/doctor/examine.py", "desired-state"),
    ("runs/doctor/machine.py", "global-key"),
    ("runs/doctor/machine.py", "key-folders"),
}
"""Names of checks, which happen to be codes, too."""


def spelled_out(source: Source) -> Iterator[str]:
    """Texts that are codes, but for members of other closed lists; and words in the brackets of a printed finding."""
    path = source.path.relative_to(REPOSITORY / "reconciler").as_posix()
    members = {id(node) for enum in source.enums() for node in ast.walk(enum)}
    for node in nodes(source.path):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in members:
            continue
        text = node.value
        if "-" in text and find_code(text) is not None and (path, text) not in OTHER_WORDS:
            yield f"{path}:{node.lineno}: {text}"
        yield from (f"{path}:{node.lineno}: {found}" for found in re.findall(r"\b(?:error|warning|info)\[\S+\]", text))


def test_no_code_is_spelled_out_outside_of_the_table() -> None:
    """So none is misspelled, and a search for its member finds every place."""
    assert [place for source in sources() if source.path != TABLE for place in spelled_out(source)] == []


def compared(source: Source) -> Iterator[str]:
    """Codes that are compared with texts, or taken to pieces."""
    for node in nodes(source.path):
        match node:
            case ast.Compare():
                sides = [node.left, *node.comparators]
                texts = [one for side in sides for one in ast.walk(side) if isinstance(one, ast.Constant)]
                if any(isinstance(one.value, str) for one in texts) and any(map(is_code, sides)):
                    yield ast.unparse(node)
            case ast.Attribute(value=value) if is_code(value) and node.attr not in Code.__annotations__:
                yield ast.unparse(node)
            case _:
                pass


def is_code(node: ast.expr) -> bool:
    """Whether it reads as the code of a finding or an error."""
    return isinstance(node, ast.Attribute) and node.attr == "code" and "self" not in ast.unparse(node)


def test_nothing_follows_from_how_a_code_is_written() -> None:
    """No `startswith`, and no comparison with a text."""
    raising = [source for source in RAISING if "emulator" not in source.path.parts]  # which has Cloudflare's numbers
    assert [place for source in raising for place in compared(source)] == []


def subclasses(kind: type[ReconcilerError]) -> Iterator[type[ReconcilerError]]:
    """A class of errors and all below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from subclasses(below)


def test_every_kind_of_error_has_a_code_that_can_be_an_error() -> None:
    """Its own, or those of the findings that it holds; the root of the family, and that of servers, are given one."""
    for module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    kinds = [kind for kind in subclasses(ReconcilerError) if kind.__module__.startswith("reconciler.")]
    without = [kind for kind in kinds if not issubclass(kind, InputError) and not hasattr(kind, "code")]
    assert without == [ReconcilerError, WebError]
    never = [kind for kind in kinds if hasattr(kind, "code") and Severity.ERROR not in kind.code.severities]
    assert never == []


def said(source: Source) -> Iterator[tuple[Severity, Code, int]]:
    """Every severity that stands beside a code in one call, and the codes that errors are given.

    A finding of drift has a code and no severity.
    """
    calls = (node for node in nodes(source.path) if isinstance(node, ast.Call))
    for call in (node for node in calls if ast.unparse(node.func) != "DriftFinding"):
        given = [one for one in call.args if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name)]
        severities = [Severity[one.attr] for one in given if ast.unparse(one.value) == "Severity"]
        codes = [Code[one.attr] for one in given if ast.unparse(one.value) == "Code"]
        yield from ((severity, code, call.lineno) for severity in severities for code in codes)
        for keyword in call.keywords:
            if keyword.arg == "code" and ast.unparse(keyword.value).startswith("Code."):
                yield Severity.ERROR, Code[ast.unparse(keyword.value).removeprefix("Code.")], call.lineno


def test_a_severity_that_is_raised_is_one_of_its_code() -> None:
    """Where the source says both; what is made of variables is checked in every test that makes it."""
    found = [(source.path.name, *one) for source in RAISING for one in said(source)]
    assert len(found) > len(Code) / 2, "the reader of the source has gone blind"
    assert [one for one in found if one[1] not in one[2].severities] == []


def test_the_tests_refuse_a_finding_of_a_severity_that_its_code_does_not_have() -> None:
    """The check that all tests run under is on."""
    with pytest.raises(AssertionError, match="quota is never an info"):
        Diagnostic(Severity.INFO, Code.QUOTA, "there is room")
