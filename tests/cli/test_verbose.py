"""`--verbose` and `--log-format`: what a run does, on stderr, as lines for people or for machines."""

from __future__ import annotations

import ast
import fcntl
import json
import logging
import re
from typing import Any

import pytest

from reconciler.cli.options import LogFormat
from reconciler.reports.log import LogLine
from reconciler.views.table import formats_of
from tests.project.test_house import ROOT
from tests.support.cli import Project, Result
from tests.support.source import nodes

LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3}Z \S.*")


def logged(result: Result) -> list[dict[str, Any]]:
    """The documents on stderr, one a line; nothing else is there."""
    return [json.loads(line) for line in result.err.splitlines()]


def messages(result: Result) -> list[str]:
    """What the documents say, without what differs from run to run."""
    return [re.sub(r"\d+ ms|10ca1000-[-0-9a-f]+", "#", document["message"]) for document in logged(result)]


def test_verbose_shows_each_step_and_each_file(project: Project) -> None:
    """In their order, each with its time; a step when it begins and when it ends."""
    result = project.run("apply", "--yes", "--verbose")
    lines = result.err.splitlines()
    assert result.code == 0
    assert all(LINE.fullmatch(line) for line in lines), lines
    folder = project.folder
    told = [re.sub(r"\d+ ms|10ca1000-[-0-9a-f]+|billing\.[0-9a-f]{12}", "#", line[14:]) for line in lines]
    assert told == [
        f"desired state: {folder}/mtls.toml",
        f"wrote {folder}/.mtlsctl/.gitignore (2 bytes)",
        f"opened {folder}/.mtlsctl/lock for writing",
        f"opened {folder}/.mtlsctl/journal.jsonl for writing",
        "upload billing as payments.#: started",
        f"wrote {folder}/.mtlsctl/store.db (0 bytes)",
        f"wrote {folder}/.mtlsctl/store.db",
        "upload billing as payments.#: done after # -> #",
        "rebind BILLING in wrangler.toml (top level) = billing: started",
        f"wrote {folder}/wrangler.toml (173 bytes)",
        "rebind BILLING in wrangler.toml (top level) = billing: done after # -> #",
    ]


def test_a_run_without_it_logs_nothing(project: Project) -> None:
    """Python would print by itself what is logged as more than an info."""
    assert project.run("apply", "--yes").err == ""


@pytest.mark.xdist_group("source")
def test_every_line_of_the_package_is_logged_as_an_info() -> None:
    """Only so does nothing reach the stderr of a run that did not ask for it."""
    for path in ROOT.rglob("*.py"):
        calls = [node.func for node in nodes(path) if isinstance(node, ast.Call)]
        used = {call.attr for call in calls if isinstance(call, ast.Attribute) and ast.unparse(call.value) == "_log"}
        assert used <= {"info", "isEnabledFor"}, path


def test_the_log_formats_are_those_of_the_table_of_views() -> None:
    """The options of the entry are written down without importing it."""
    assert tuple(LogFormat) == formats_of(LogLine)


@pytest.mark.parametrize(
    "arguments", [["--log-format", "json", "plan"], ["plan", "--log-format", "json"]], ids=["before", "after"]
)
def test_log_format_alone_turns_the_log_on(project: Project, arguments: list[str]) -> None:
    """Before the command or after it."""
    result = project.run(*arguments)
    (line,) = logged(result)
    assert (line["format"], line["event"]) == ("mtlsctl.log/1", "message")
    assert result.out == project.run("plan").out


def test_machines_get_the_steps_with_their_changes(project: Project) -> None:
    """As the journal names them, with what they made and how long it took."""
    steps = [line for line in logged(project.run("apply", "--yes", "--log-format", "json")) if "step" in line]
    assert [(line["event"], line["step"]["change"]["action"]) for line in steps] == [
        *(("step-started", "upload"), ("step-finished", "upload")),
        *(("step-started", "rebind"), ("step-finished", "rebind")),
    ]
    assert steps[1]["step"]["status"] == "done"
    assert steps[1]["step"]["entry"] in project.read("wrangler.toml")
    assert 0 < steps[1]["step"]["ms"] < 60_000


def test_what_stops_a_run_is_a_line_for_machines_too(project: Project) -> None:
    """With its place; stdout has the document of its own format."""
    project.write("mtls.toml", project.read("mtls.toml").replace("private_key", "privat_key"))
    result = project.run("plan", "--log-format", "json", "--format", "json")
    finding = logged(result)[-1]
    assert result.code == 1
    assert (finding["event"], finding["level"]) == ("finding", "error")
    assert finding["finding"] == result.json["diagnostics"][0]
    assert (finding["finding"]["path"], finding["finding"]["line"]) == ("mtls.toml", 6)


def test_people_see_what_stops_a_run_as_always(project: Project) -> None:
    """Below the log."""
    project.write("mtls.toml", project.read("mtls.toml").replace("private_key", "privat_key"))
    plain, verbose = project.run("plan"), project.run("plan", "--verbose")
    assert verbose.err.partition("\n")[2] == plain.err


def test_a_step_that_fails_is_an_error(project: Project) -> None:
    """The key is missing: the line has the finding's code and its words."""
    project.environ.clear()
    failed = logged(project.run("apply", "--yes", "--log-format", "json"))
    (line,) = [line for line in failed if line["event"] == "step-finished"]
    assert (line["level"], line["step"]["status"]) == ("error", "failed")
    assert line["step"]["problem"]["message"] in line["message"]


def test_the_log_ends_with_its_run(project: Project) -> None:
    """Whoever imports this package finds its own logging as it was."""
    before = logging.getLogger("reconciler")
    state = (before.level, before.propagate, list(before.handlers))
    project.run("plan", "--verbose")
    project.run("plan", "--verbose", "--only", "nothing")
    assert (before.level, before.propagate, list(before.handlers)) == state


def test_the_logs_of_libraries_are_not_heard(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """httpcore logs headers, and so the token."""

    def speak(*_: object, **__: object) -> None:
        for name in ("httpx", "httpcore.http11", "root"):
            logging.getLogger(name).info("Bearer canary")

    monkeypatch.setattr("reconciler.cli.session.Session.log", speak)
    for arguments in (["--verbose"], ["--log-format", "json"]):
        assert "canary" not in project.run("plan", *arguments).err


def test_a_line_that_can_not_be_written_stops_no_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in the log costs a line, and shows none of its values."""

    def explode(*_: object) -> str:
        raise RuntimeError("the canary")

    monkeypatch.setattr("reconciler.views.text.log.show_line", explode)
    result = project.run("apply", "--yes", "--verbose")
    assert result.code == 0
    assert set(result.err.splitlines()) == {"mtlsctl: a line of the log could not be written (RuntimeError)"}


def test_who_waits_for_another_run_reads_it_in_the_log(project: Project) -> None:
    """As a line of the format that was asked for."""
    lock = project.write(".mtlsctl/lock", "")
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = project.run("apply", "--yes", "--lock-timeout", "1s", "--log-format", "json")
    assert result.code == 6
    assert "waiting for another run of mtlsctl" in messages(result)


def test_programs_that_are_started_are_shown(project: Project) -> None:
    """With their argv, but for the many names that git is given."""
    (project.folder / ".git").mkdir()
    project.write("mtls.toml", project.read("mtls.toml").replace('{ env = "BILLING_KEY" }', '"certs/billing.key"'))
    project.write("certs/billing.key", "no key").chmod(0o600)
    lines = logged(project.run("validate", "--log-format", "json"))
    started = [line["program"] for line in lines if line["event"] == "program"]
    assert started == [
        {"command": ["git", "--literal-pathspecs", "ls-files", "-z"], "folder": str(project.folder)},
        {"command": ["git", "check-ignore", "-z", "--stdin"], "folder": str(project.folder)},
    ]
