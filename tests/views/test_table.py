"""The table of views: every row works, and a row is all that a new format needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli import commands
from reconciler.plan.plan import Plan, SavedPlan
from reconciler.reports.metrics import Metrics
from reconciler.reports.status import Status
from reconciler.views.table import VIEWS, Display, formats_of, render
from tests.support.cli import make_project
from tests.support.hostile import FEW, check_texts
from tests.support.reports import REPORTS, place
from tests.views.test_markdown import renamed

ROWS = [(report, shown) for report in REPORTS for shown in formats_of(type(report))]


@pytest.mark.parametrize(("report", "shown"), ROWS, ids=lambda value: value if isinstance(value, str) else type(value))
def test_a_report_is_shown_in_each_of_its_formats(report: object, shown: str) -> None:
    """In whole lines."""
    assert render(report, shown, Display(place)).endswith("\n")


@pytest.mark.parametrize(
    ("report", "shown"),
    [row for row in ROWS if row[1] != "toml"],
    ids=lambda value: value if isinstance(value, str) else type(value),
)
def test_no_name_acts_in_any_format(report: object, shown: str) -> None:
    """A view escapes the names of others; a calendar ends its lines by two signs.

    A proposal has only names that mtls.toml allows.
    """
    check_texts(render(renamed(report, FEW["everything"]), shown, Display(place)).replace("\r\n", "\n"))


def test_every_row_of_the_table_was_shown() -> None:
    """There is a report for each."""
    assert {(f"{type(report).__module__}:{type(report).__qualname__}", shown) for report, shown in ROWS} == set(VIEWS)


def test_text_needs_no_json_document_and_json_no_text() -> None:
    """What is not asked for is not imported."""
    for shown, other in (("text", "json"), ("json", "text.plan"), ("text", "html"), ("json", "html")):
        code = (
            "import sys; from tests.support.reports import PLAN\n"
            "from reconciler.views.table import Display, render\n"
            f"render(PLAN, {shown!r}, Display())\n"
            f"print([name for name in sys.modules if name.startswith('reconciler.views.{other}')])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"


def test_a_plan_has_the_same_formats_before_and_after_it_was_saved() -> None:
    """They are two reports; `show` refuses a format that only a fresh plan has."""
    assert formats_of(SavedPlan) == formats_of(Plan)


def show_toy(status: Status, _display: Display) -> str:
    """A format that nothing knows."""
    return f"{len(status.certificates)} toys\n"


def test_a_new_format_is_one_function_and_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command shows it, writes it, lists it in its help, and names it where another is asked for."""
    monkeypatch.setitem(VIEWS, ("reconciler.reports.status:Status", "toy"), "tests.views.test_table:show_toy")
    monkeypatch.setattr(commands, "load_command", commands.load_command.__wrapped__)
    project = make_project(tmp_path)
    assert project.run("status", "--format", "toy", "--out", "toys").out == project.read("toys") == "1 toys\n"
    told = " ".join(project.run("status", "--help").out.split())
    *others, last = formats_of(Status, Metrics)
    assert "toy" in others
    assert f"Choose the output format: {', '.join(others)} or {last}." in told
    assert "'toy'" in project.run("status", "--format", "yaml").err
    assert "toy" not in project.run("plan", "--help").out
