"""An error is shown in the format that was asked for, whatever stopped the run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from reconciler.reports.checks import RunFailure
from reconciler.views.table import formats_of
from tests.support.cli import MTLS, Project, Result
from tests.support.paths import REPOSITORY

SCHEMA = json.loads((REPOSITORY / "schemas/diagnostics.schema.json").read_text())


def problem_of(result: Result) -> dict[str, object]:
    """The one error on stdout, as JSON that fits the schema of findings; stderr has it for a person."""
    assert list(Draft202012Validator(SCHEMA).iter_errors(result.json)) == []
    (problem,) = result.json["diagnostics"]
    assert isinstance(problem, dict)
    assert problem["severity"] == "error"
    assert f"error[{problem['code']}]: " in result.err
    return problem


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "--nope"], "No such option"),
        (["nope"], "No such command"),
        (["plan", "--at", "tomorrow"], "tomorrow"),
        (["explain"], "Missing argument"),
        (["fleet"], "Choose from: validate, list, plan"),
        (["plan", "--max-wait", "long"], "--max-wait: 'long' is not a valid time"),
        (["apply", "--lock-timeout", "soon"], "--lock-timeout: 'soon' is not a valid time"),
        (["apply", "--wave", "1,al"], "--wave: '1,al' is not valid"),
        (["apply", "--digest", "sha256:abc"], "`--digest sha256:abc` is not a digest"),
        (["plan", "--only", "nope"], "matches no declared certificate"),
        (["plan", "--file", "nope.toml"], "does not exist"),
        (["apply"], "no terminal"),
        (["schema", "nope"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("asked", [["--format", "json"], ["--format=json"]], ids=" ".join)
def test_wrong_use_is_json_where_json_was_asked_for(
    project: Project, arguments: list[str], message: str, asked: list[str]
) -> None:
    """Whether or not the rest of the command line could be read; the exit code stays 64."""
    result = project.run(*arguments, *asked)
    assert result.code == 64
    problem = problem_of(result)
    assert problem["code"] == "usage"
    assert message in str(problem["message"])


@pytest.mark.parametrize(
    ("arguments", "way"),
    [
        (["apply", "plan.json", "--max-age", "1"], "write 12h or 7d"),
        (["apply", "--lock-timeout", "soon"], "write 30s, 5m or 1h"),
        (["apply", "--wave", "1,al"], "write sizes, such as 1,5,all"),
        (["plan", "--at", "tomorrow"], "write 2027-01-31, or"),
    ],
)
def test_the_fix_of_a_value_that_is_not_valid_is_what_to_write(
    project: Project, arguments: list[str], way: str
) -> None:
    """Not the help of the command, which says less."""
    project.run("plan", "--out", "plan.json")
    assert f"fix  {way}" in project.run(*arguments).err


@pytest.mark.parametrize("arguments", [["plan", "--nope"], ["plan", "--format", "yaml"], ["--", "--format", "json"]])
def test_wrong_use_is_text_alone_where_no_known_format_was_asked_for(project: Project, arguments: list[str]) -> None:
    """Nothing on stdout."""
    result = project.run(*arguments)
    assert (result.code, result.out) == (64, "")
    assert result.err.startswith("error[usage]: ")


def test_a_bug_is_json_where_json_was_asked_for(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the place of its report, and without a value."""
    monkeypatch.setattr("reconciler.cli.session.open_project", lambda *_, **__: 1 / 0)
    result = project.run("plan", "--format", "json")
    assert result.code == 1
    problem = problem_of(result)
    assert (problem["code"], "ZeroDivisionError" in str(problem["message"])) == ("bug", True)
    report = Path(str(problem["hint"]).partition("report it with ")[2].partition(";")[0])
    report.unlink()


@pytest.mark.parametrize(
    ("command", "where"),
    [
        ("plan", "runs.project.parse_declaration"),
        ("doctor", "runs.project.parse_declaration"),
        ("doctor", "runs.doctor.checkout.leftover_of"),
        ("validate", "runs.look.parse_file"),
        ("apply --yes", "apply.keys.check_pair"),
    ],
)
def test_too_little_memory_is_no_bug(
    command: str, where: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain error, with what to do, wherever it happens; also in a check after which others go on."""

    def full(*_: object, **__: object) -> object:
        raise MemoryError

    monkeypatch.setattr(f"reconciler.{where}", full)
    result = project.run(*command.split(), "--format", "json")
    assert result.code == 1
    problem = problem_of(result)
    assert problem["code"] == "out-of-memory"
    assert "next run continues" in str(problem["hint"])


def test_a_bug_in_what_shows_it_is_still_a_report(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback, whatever is broken."""
    monkeypatch.setattr("reconciler.cli.session.open_project", lambda *_, **__: 1 / 0)
    monkeypatch.setattr("reconciler.cli.terminal.render", lambda *_: 1 / 0)
    result = project.run("plan", "--format", "json")
    assert (result.code, result.out) == (1, "")
    assert "error[bug]: unexpected error in mtlsctl (ZeroDivisionError)" in result.err
    Path(result.err.partition("report it with ")[2].partition(";")[0]).unlink()


def test_a_failed_run_prints_no_metrics_and_leaves_the_last_good_ones(project: Project) -> None:
    """A date that is lost raises no alarm; what is old says so itself."""
    project.run("status", "--format", "prometheus", "--out", "x.prom")
    before = project.read("x.prom")
    project.write("mtls.toml", MTLS.replace("private_key", "privat_key"))
    for arguments in (["status"], ["status", "--nope"]):
        result = project.run(*arguments, "--format", "prometheus", "--out", "x.prom")
        assert result.out == ""
        assert "error[" in result.err
        assert project.read("x.prom") == before


def test_text_and_json_name_the_same_place_of_an_error(project: Project) -> None:
    """Where no project is open, too."""
    project.write("plan.json", "{}")
    result = project.run("show", "plan.json", "--format", "json")
    assert problem_of(result)["path"] == "plan.json"
    assert "at   plan.json" in result.err


COMMANDS = json.loads((REPOSITORY / "reconciler/cli/completion.json").read_text())["commands"]
FORMATS = [
    (name, shown)
    for name, command in COMMANDS.items()
    for option in command["options"]
    for shown in (option["values"] if "--format" in option["names"] else ())
]
GIVEN: dict[str, tuple[str, ...]] = dict.fromkeys(("explain", "output", "retire", "verify"), ("billing",))
GIVEN |= {"history": ("--file", "none.toml"), "show": ("none.json",), "replay": ("none.json",), "fleet": ("validate",)}
BEGINS = {"json": "{", "markdown": "### mtlsctl ", "html": "<!DOCTYPE html>", "codequality": "[", "junit": "<?xml"}
"""How the document of a failure begins. The other formats have no place for one, so stdout is empty."""


@pytest.mark.parametrize(("command", "shown"), FORMATS)
def test_every_command_shows_an_error_in_each_of_its_formats_that_can_have_one(
    project: Project, command: str, shown: str
) -> None:
    """And on stderr for a person, in all of them."""
    project.write("mtls.toml", MTLS.replace("private_key", "privat_key"))
    result = project.run(command, *GIVEN.get(command, ()), "--format", shown)
    assert result.code not in {0, 2}
    begins = BEGINS.get(shown)
    if command not in {"validate", "doctor"} or shown != "text":  # their reports say what is wrong
        assert result.out.startswith(begins) if begins else result.out == ""
    if command not in {"validate", "doctor"}:
        assert "error[" in result.err
        assert shown not in {"markdown", "html"} or f"mtlsctl {command}" in result.out


def test_the_formats_that_can_show_an_error_are_those_of_failures() -> None:
    """And the reference names those that can't."""
    assert set(formats_of(RunFailure)) == {"text", *BEGINS}
    others = {shown for _, shown in FORMATS} - {"text", *BEGINS}
    assert others == {"ics", "prometheus", "terraform", "toml"}
    page = (REPOSITORY / "docs/reference/commands.md").read_text().partition("## Global options")[0]
    assert [shown for shown in others if f"`{shown}`" not in page] == []


def test_a_format_that_is_not_installed_is_an_error_of_its_own(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not a second one, because it can't be shown in that format."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for name in [name for name in sys.modules if name.startswith("reconciler.views.html")]:
        monkeypatch.delitem(sys.modules, name)
    result = project.run("plan", "--format", "html")
    assert (result.code, result.out) == (1, "")
    assert "needs Jinja2, which is not installed" in result.err
    assert "unexpected" not in result.err
