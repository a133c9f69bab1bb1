"""What GitHub's runner obeys, and what a job publishes as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.exits import ExitCode
from reconciler.model import BindingAddress, BindingName, ByCertificate, CertificateName, DeclaredBinding, WorkerLabel
from reconciler.plan.assessment import BindingRow, UpToDate
from reconciler.plan.plan import Plan
from reconciler.reports.checks import RunFailure
from reconciler.reports.stacks import StackResult, Stacks
from reconciler.views.github.commands import MOST_ANNOTATIONS, show_annotations, show_outputs
from reconciler.views.markdown.mermaid import MOST_EDGES, show_bindings
from reconciler.views.markdown.published import MOST_COMMENT, comment_text, page_of, short_text, summary_text
from reconciler.views.table import MOST_CHARACTERS, Display
from tests.support.hostile import NAMES
from tests.support.reports import PLAN

AT = Place("mtls.toml", 3, 7)


def finding(message: str, severity: Severity = Severity.ERROR, hint: str | None = None) -> Diagnostic:
    return Diagnostic(severity, Code.TOO_MANY_FINDINGS, message, AT, hint)


def test_an_annotation_has_its_place_its_code_and_its_fix() -> None:
    """The fix on a line of its own, as GitHub shows it."""
    text = show_annotations([(finding("a, b: 100%", hint="run `x`\nand more"), AT)], ())
    assert (
        text == "::error file=mtls.toml,line=3,col=7,title=too-many-findings::a, b: 100%25%0Afix: run `x`%0Aand more\n"
    )


def test_a_place_ends_no_property() -> None:
    """Nor the list of properties, nor the line."""
    text = show_annotations([(finding("x"), Place("a,title=b::c\r\n%.toml"))], ())
    assert text == "::error file=a%2Ctitle=b%3A%3Ac%0D%0A%25.toml,title=too-many-findings::x\n"


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_message_is_one_line_without_control_characters(name: str) -> None:
    """So that it ends no command and begins none."""
    text = show_annotations([(finding(name, hint=name), AT)], ())
    assert text.count("\n") == 1
    assert text.rstrip("\n").isprintable()


def test_only_the_ten_worst_are_annotations() -> None:
    """Errors before warnings, and of these those in changed files first; notes never."""
    other = Place("other.toml")
    found = [(finding(f"w{n}", Severity.WARNING), AT) for n in range(3)]
    found += [(replace(finding("note"), severity=Severity.INFO, code=Code.FORGE), AT)]
    found += [(finding(f"e{n}"), other if n < 6 else AT) for n in range(9)]
    lines = show_annotations(found, {"mtls.toml"}).splitlines()
    assert len(lines) == MOST_ANNOTATIONS
    messages = [line.rpartition("::")[2] for line in lines]
    assert messages == ["e6", "e7", "e8", "e0", "e1", "e2", "e3", "e4", "e5", "w0"]


def test_a_message_that_is_too_long_is_cut() -> None:
    """GitHub takes 64 KiB of a line."""
    assert len(show_annotations([(finding("x" * 900_000), AT)], ())) < 2000


def test_an_output_is_between_two_delimiters() -> None:
    """Whatever lines it has; but for the delimiter, which nobody can guess."""
    assert show_outputs({"plan": "a\nb<<c"}, "word") == "plan<<word\na\nb<<c\nword\n"
    with pytest.raises(ValueError, match="delimiter"):
        show_outputs({"plan": "a\nword\nb"}, "word")


# --- the picture ----------------------------------------------------------------------------------------------------


def bound(*names: str) -> Plan:
    """A plan with bindings of these names, of one certificate."""
    target = ByCertificate(CertificateName("billing"))
    rows = tuple(
        BindingRow(
            at=BindingAddress(WorkerLabel("checkout"), "wrangler.toml", None, BindingName(name)),
            table=(),
            declared=DeclaredBinding(BindingName(name), target),
            found=None,
            entry=None,
            owner=None,
            wanted=None,
            verdict=UpToDate(),
        )
        for name in names
    )
    return replace(PLAN, assessment=replace(PLAN.assessment, bindings=rows))


@pytest.mark.parametrize(
    "name", [*NAMES.values(), '"]; click n0 "https://evil.example"', "```\n# x", "end", "%%{init}%%"]
)
def test_a_name_in_a_picture_is_only_a_label(name: str) -> None:
    """The picture has the same lines for any name, and no character that means anything."""
    text = show_bindings([bound(name)])
    assert text.count("\n") == show_bindings([bound("B")]).count("\n")
    labels = [line.partition('["')[2].removesuffix('"]') for line in text.splitlines() if '["' in line]
    assert labels
    assert all(
        set(label) <= set("#;./- _") | {sign for sign in label if sign.isascii() and sign.isalnum()} for label in labels
    )


def test_a_picture_has_a_few_edges_and_counts_the_rest() -> None:
    """A drawing of hundreds helps no one."""
    text = show_bindings([bound(*(f"B{n}" for n in range(MOST_EDGES + 7)))])
    assert text.count("-->") == MOST_EDGES
    assert "7 more bindings not shown" in text


def test_without_bindings_there_is_no_picture() -> None:
    """An empty one would be an error on the page."""
    assert show_bindings([bound()]) == ""


# --- pages of several stacks ----------------------------------------------------------------------------------------

FAILED = StackResult("b/mtls.toml", "ledger", RunFailure((finding("broken"),)), ExitCode.FAILED)
PLANNED = StackResult("a/mtls.toml", "payments", PLAN, ExitCode.CHANGES)
WHEN = f"Commit `abc`, {datetime(2027, 1, 1, tzinfo=UTC):%Y-%m-%d}"


def stacks(results: Sequence[StackResult]) -> Stacks:
    return Stacks("plan", results, ExitCode.OK)


def page(*results: StackResult, most: int = MOST_CHARACTERS) -> str:
    return page_of(stacks(results), [Display()] * len(results), most)


def test_the_stack_that_failed_comes_first() -> None:
    """In the table, and below it; then the others."""
    text = page(PLANNED, FAILED)
    assert text.startswith("### mtlsctl plan: 2 stacks")
    assert text.index("b/mtls.toml") < text.index("a/mtls.toml")
    assert "broken" in text


@pytest.mark.parametrize("count", [1, 2, 40, 2000])
def test_a_comment_fits_whatever_the_number_of_stacks(count: int) -> None:
    """With the counts, as far as they fit."""
    whole = page(*[PLANNED] * count)
    for text in (comment_text(whole, WHEN), short_text(whole, WHEN)):
        assert len(text) <= MOST_COMMENT
        assert text.startswith("### mtlsctl plan")
        assert text.endswith(WHEN)


@pytest.mark.parametrize("most", [0, 300, 5_000, 100_000])
def test_a_summary_has_at_most_so_many_bytes(most: int) -> None:
    """The page, or its title; nothing where not even that fits."""
    results = [PLANNED] * 40
    text = summary_text(page(*results, most=max(most // 5, 1000)), results, "Zeit: é", most)
    assert len(text.encode()) <= most
    assert text.startswith("### mtlsctl plan: 40 stacks") == (most >= 300)


def test_a_page_can_have_more_than_a_comment() -> None:
    """A summary has room for the details of many certificates."""
    shown = [len(page(PLANNED, most=most)) for most in (2_000, 60_000)]
    assert shown[0] <= 2_000 < shown[1]
