"""A run over several stacks, in every format: failures first, within its size, and no name acts."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from reconciler.findings.exits import ExitCode
from reconciler.model import Change
from reconciler.reports.stacks import StackResult, Stacks, join
from reconciler.views.json.schemas import is_document
from reconciler.views.table import MOST_CHARACTERS, Display, render
from tests.support.hostile import NAMES, check_texts
from tests.support.reports import APPLIED, DRIFT, FAILURE, FORECAST, PLAN, STACKS, STATUS, VALIDATION
from tests.views.test_markdown import ALL, renamed, tokens

OK, FAILED, STALE, PARTIAL, BLOCKED, CHANGES = (
    *(ExitCode.OK, ExitCode.FAILED, ExitCode.STALE_PLAN),
    *(ExitCode.PARTIAL, ExitCode.BLOCKED, ExitCode.CHANGES),
)


def run_of(command: str, *codes: ExitCode) -> Stacks:
    """A run whose stacks ended so."""
    results = [StackResult(f"{number}/mtls.toml", "a", PLAN, code) for number, code in enumerate(codes)]
    return join(command, results)


@pytest.mark.parametrize(
    ("command", "codes", "code"),
    [
        ("plan", (OK, OK), OK),
        ("plan", (OK, FAILED), PARTIAL),
        ("apply", (BLOCKED, FAILED), PARTIAL),
        ("apply", (FAILED, FAILED), FAILED),
        ("apply", (FAILED, PARTIAL), PARTIAL),
        ("apply", (FAILED, STALE, OK), STALE),
        ("apply", (OK, ExitCode.INTERRUPTED, ExitCode.LOCKED), ExitCode.INTERRUPTED),
        ("drift", (CHANGES, FAILED), FAILED),
        ("status", (CHANGES, OK), CHANGES),
        ("status", (CHANGES, BLOCKED), BLOCKED),
        ("plan", (ExitCode.USAGE, OK), PARTIAL),
        ("plan", (ExitCode.USAGE, ExitCode.USAGE), ExitCode.USAGE),
        ("validate", (), OK),
    ],
)
def test_the_exit_code_of_a_run(command: str, codes: tuple[ExitCode, ...], code: ExitCode) -> None:
    """The strongest; where some failed and others did not, 5 of what can do something in part."""
    assert run_of(command, *codes).exit_code is code


def test_what_is_about_the_whole_run_is_no_stack_that_did_not_fail() -> None:
    """If all stacks failed, the run did, and not a part of it."""
    whole = StackResult("fleet.toml", None, PLAN, BLOCKED, is_stack=False)
    for codes, code in (((FAILED, FAILED), FAILED), ((FAILED, OK), PARTIAL), ((OK,), BLOCKED), ((), BLOCKED)):
        assert join("fleet run", [whole, *run_of("fleet run", *codes).results]).exit_code is code
    failed = replace(whole, exit_code=FAILED)
    assert join("fleet run", [failed, *run_of("fleet run", OK).results]).exit_code is PARTIAL


def test_failures_come_first_in_text_and_in_the_page() -> None:
    """Then what is blocked, then changes, then what is well."""
    plain = replace(PLAN, changes=())
    results = [
        StackResult("ok", "a", plain, OK),
        StackResult("changes", "b", PLAN, OK),
        StackResult("blocked", "c", plain, BLOCKED),
        StackResult("failed", None, FAILURE, FAILED),
    ]
    found = join("plan", results)
    order = ["failed", "blocked", "changes", "ok"]
    text = render(found, "text", Display())
    assert [line.split()[1] for line in text.splitlines()[-4:]] == order
    page = render(found, "markdown", Display())
    assert page.startswith("### mtlsctl plan: 4 stacks: 1 failed, 1 blocked, 1 with changes, 1 ok\n")
    assert [row.split("|")[3].strip(" `") for row in re.findall(r"(?m)^\| .*\|$", page)[2:6]] == order
    assert [one["file"] for one in json.loads(render(found, "json", Display()))["stacks"]] == [
        one.file for one in results
    ]


@pytest.mark.parametrize("changes", [(), PLAN.changes])
@pytest.mark.parametrize("code", [OK, CHANGES, FAILED])
def test_a_stack_that_could_not_be_checked_as_a_whole_is_not_ok(changes: tuple[Change, ...], code: ExitCode) -> None:
    """Whatever the exit code of the command says."""
    plan = replace(PLAN, changes=changes, diagnostics=())
    assert plan.failed_checks
    text = render(join("plan", [StackResult("a", "a", plan, code)]), "text", Display())
    assert "1 stack: 1 incomplete." in text
    assert text.splitlines()[-1].endswith("; not everything could be checked")
    assert replace(plan, offline=True).failed_checks == ()


@pytest.mark.parametrize("report", [PLAN, APPLIED, STATUS, DRIFT, FORECAST, VALIDATION, FAILURE])
def test_each_report_is_told_in_a_line(report: object) -> None:
    """With its counts, or its error."""
    text = render(join("plan", [StackResult("a/mtls.toml", "a", report, OK)]), "text", Display())
    assert re.search(r"(?m)^  \S+(?: \S+)?  a/mtls\.toml  \S.*$", text)


@pytest.mark.parametrize("name", ALL.values(), ids=ALL)
@pytest.mark.parametrize(
    "report", [PLAN, APPLIED, DRIFT, STATUS, FORECAST, FAILURE], ids=lambda one: type(one).__name__
)
def test_no_name_of_a_file_or_a_stack_acts(name: str, report: object) -> None:
    """In the page they are in code, in the text and the document they are escaped."""
    results = [StackResult(f"{name}/mtls.toml", name, renamed(report, name), FAILED) for _ in range(2)]
    found = join("plan", results)
    page = render(found, "markdown", Display())
    kinds = {token.type for token in tokens(page)}
    assert not kinds & {"link_open", "image", "em_open"}
    html = [token.content.strip() for token in tokens(page) if token.type in ("html_inline", "html_block")]
    folded = r"<details><summary>(Details|<code>(\w|&#\d+;| )*</code>: failed)</summary>|</details>|</?code>"
    assert all(re.fullmatch(folded, one) for one in html)
    assert sum(one.startswith("<details>") for one in html) == sum(one == "</details>" for one in html)
    if name != NAMES["the end of a block"]:
        check_texts(page, render(found, "text", Display()))
    check_texts(render(found, "json", Display()))


def test_a_page_of_many_stacks_fits_a_comment() -> None:
    """The first ones are kept, failures first; how many are left out is said."""
    long = "\n".join(f"line {number}" for number in range(100))
    found = replace(PLAN, stack=long)
    results = [StackResult(f"apps/{number}/mtls.toml", "a", found, OK) for number in range(400)]
    results.append(StackResult("last/mtls.toml", None, FAILURE, FAILED))
    page = render(join("plan", results), "markdown", Display())
    assert len(page) <= MOST_CHARACTERS
    assert "last&#47;mtls&#46;toml" in page
    shown = page.count("<summary><code>")
    assert f"\n{401 - shown} stacks too long to show here" in page


def test_only_a_document_with_true_reports_is_one_of_ours() -> None:
    """A search for IDs leaves out such documents, so nothing else may hide in one."""
    text = render(STACKS, "json", Display())
    assert is_document(text.encode())
    document = json.loads(text)
    document["stacks"][0]["report"]["mtls_certificates"] = []
    assert not is_document(json.dumps(document).encode())
    document["stacks"][0]["report"] = {"format": "mtlsctl.plan/1"}
    document["stacks"][0]["other"] = 1
    assert not is_document(json.dumps(document).encode())


def test_stacks_of_one_name_in_two_accounts_have_keys_of_their_own() -> None:
    """By which the comments and issues of each are found again."""
    keys = [StackResult("f", "a", PLAN, OK, account=account).key for account in ("1" * 32, "2" * 32, None)]
    assert keys == ["11111111-a", "22222222-a", "a"]
    assert StackResult("f", None, PLAN, FAILED, account="1" * 32).key is None
