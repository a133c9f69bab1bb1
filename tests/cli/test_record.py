"""`--record FILE`: the evidence of one run, which outlives the disk of a runner, however the run ends."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.cli.session import Session
from reconciler.findings.errors import FileError
from reconciler.model.ports import NewEntry
from reconciler.stores.local import LocalStore
from reconciler.system.files import ProjectFiles
from tests.support.cli import MTLS, Project
from tests.support.paths import REPOSITORY

SCHEMA = Draft202012Validator(json.loads((REPOSITORY / "schemas/history.schema.json").read_text()))


def read(project: Project, name: str = "record.json") -> list[dict[str, Any]]:
    """The runs of a record, newest first."""
    document = json.loads(project.read(name))
    assert list(SCHEMA.iter_errors(document)) == []
    assert document["format"] == "mtlsctl.history/1"
    runs: list[dict[str, Any]] = document["runs"]
    return runs


def steps(run: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["change"]["action"], step["status"]) for step in run["steps"]]


def test_a_record_has_exactly_this_run_as_the_history_shows_it(project: Project) -> None:
    """Of an earlier run there is nothing in it, and the earlier record is replaced."""
    assert project.run("apply", "--yes", "--record", "record.json").code == 0
    project.certificate("billing", 2)
    assert project.run("apply", "--yes", "--record", "record.json").code == 0
    (run,) = read(project)
    assert (run["ended"], run["exit_code"], steps(run)) == ("done", 0, [("upload", "done"), ("rebind", "done")])
    assert run == project.run("history", "--format", "json").json["runs"][0]
    assert run["actor"]["user"]


def test_retire_has_a_record_too(project: Project) -> None:
    """The evidence that a leaked certificate was deleted, with its serial."""
    project.run("apply", "--yes")
    project.certificate("billing", 2)
    project.run("apply", "--yes")
    assert project.run("retire", "billing", "--now", "--yes", "--record", "record.json").code == 0
    (run,) = read(project)
    assert (run["command"], steps(run)) == ("retire", [("retire", "done")])
    assert run["steps"][0]["change"]["serial"]


def test_a_run_with_failed_steps_has_its_record(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done, what failed, and why."""

    def fail(*_: object, **__: object) -> None:
        raise FileError("no space left")

    monkeypatch.setattr(ProjectFiles, "replace", fail)
    assert project.run("apply", "--yes", "--record", "record.json").code == 5
    (run,) = read(project)
    assert (run["ended"], run["exit_code"], steps(run)) == ("partial", 5, [("upload", "done"), ("rebind", "failed")])
    assert run["steps"][1]["problem"]["message"] == "no space left"


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError], ids=["an interrupt", "a bug"])
def test_a_run_that_was_broken_off_has_its_record(
    project: Project, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the step that was done before."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(tempfile, "tempdir", str(project.folder))  # for the report of the bug
    monkeypatch.setattr(ProjectFiles, "replace", fail)
    project.run("apply", "--yes", "--record", "record.json")
    (run,) = read(project)
    assert run["ended"] == ("interrupted" if error is KeyboardInterrupt else "failed")
    assert steps(run)[0] == ("upload", "done")


def test_a_run_that_lost_its_lock_has_its_record(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the last thing that this run writes."""
    upload: Callable[[LocalStore, NewEntry], object] = LocalStore.upload

    def lose(store: LocalStore, new: NewEntry) -> object:
        done = upload(store, new)
        (project.folder / ".mtlsctl/lock").unlink()
        return done

    monkeypatch.setattr(LocalStore, "upload", lose)
    assert project.run("apply", "--yes", "--record", "record.json").code == 6
    (run,) = read(project)
    assert (run["exit_code"], steps(run)) == (6, [("upload", "done")])


def test_a_killed_run_leaves_a_record_without_an_end(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that of the run before: its record was replaced before the first change."""
    monkeypatch.setattr(LocalStore, "upload", lambda *_: os._exit(9))
    project.write("record.json", '{\n  "format": "mtlsctl.history/1", "runs": []}')
    child = os.fork()
    if not child:
        project.run("apply", "--yes", "--record", "record.json")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    (run,) = read(project)
    assert (run["ended"], run["steps"]) == ("unfinished", [])
    assert "exit_code" not in run


def test_a_run_with_nothing_to_do_is_a_run_without_steps(project: Project) -> None:
    """Who looked, when, and at which plan; the journal leaves it out."""
    project.run("apply", "--yes")
    assert project.run("apply", "--yes", "--record", "record.json").code == 0
    (run,) = read(project)
    assert (run["ended"], run["steps"], run["command"]) == ("done", [], "apply")
    assert len(project.run("history", "--format", "json").json["runs"]) == 1


def test_a_phase_that_has_nothing_to_do_is_recorded_with_its_exit_code(project: Project) -> None:
    """The plan has errors, so the run ends with 1."""
    project.write("certs/billing.pem", "no certificate")
    code = project.run("apply", "--yes", "--record", "record.json").code
    (run,) = read(project)
    assert (code, run["exit_code"], run["ended"]) == (1, 1, "failed")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["apply", "--yes", "--digest", "sha256:" + "0" * 64], 4), (["apply"], 64), (["retire", "nothing"], 64)],
    ids=["a stale digest", "no yes", "an unknown name"],
)
def test_a_command_that_begins_no_run_leaves_an_empty_record(project: Project, arguments: list[str], code: int) -> None:
    """That of an earlier run must not look like that of this one."""
    assert project.run("apply", "--yes", "--record", "record.json").code == 0
    project.certificate("billing", 2)
    assert project.run(*arguments, "--record", "record.json").code == code
    assert read(project) == []


@pytest.mark.parametrize("name", ["wrangler.toml", "certs/billing.pem", "main.json", ".mtlsctl/record.json"])
def test_a_record_replaces_nothing_but_a_record(project: Project, name: str) -> None:
    """Not even what this run has not read yet; nothing was changed."""
    project.write("main.json", '{"name": "checkout"}')
    project.write(".mtlsctl/x", "").parent.chmod(0o700)
    before = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    result = project.run("apply", "--yes", "--record", name)
    assert (result.code, "out-refused" in result.err, f"`--record {name}`" in result.err) == (1, True, True)
    assert {path: path.read_bytes() for path in before} == before
    assert "10ca1000-" not in project.read("wrangler.toml")


def test_an_empty_file_becomes_the_record(project: Project) -> None:
    """As `mktemp` makes it."""
    project.write("record.json", "")
    assert project.run("apply", "--yes", "--record", "record.json").code == 0
    assert len(read(project)) == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--record", ""],
        ["--record", "-"],
        ["--record", "plan.json"],
        ["--record", "out.json", "--out", "./out.json"],
    ],
    ids=["empty", "standard output", "the plan", "the outcome"],
)
def test_a_record_needs_a_file_of_its_own(project: Project, options: list[str]) -> None:
    """Wrong use, before anything is read or changed."""
    assert project.run("plan", "--out", "plan.json").code == 0
    plan = project.read("plan.json")
    assert project.run("apply", "plan.json", *options).code == 64
    assert project.read("plan.json") == plan
    assert "10ca1000-" not in project.read("wrangler.toml")


def test_a_record_is_written_neither_through_a_link_nor_over_a_tracked_file(project: Project) -> None:
    """A pull request may have prepared both."""
    project.write("target.json", '{"format": "mtlsctl.history/1", "runs": []}')
    (project.folder / "link.json").symlink_to("target.json")
    subprocess.run(["git", "init", "-q"], cwd=project.folder, check=True)
    subprocess.run(["git", "add", "target.json"], cwd=project.folder, check=True)
    for name in ("link.json", "target.json"):
        result = project.run("apply", "--yes", "--record", name)
        assert (result.code, "out-refused" in result.err) == (1, True)


def test_a_record_that_can_not_be_written_stops_the_run_before_it_changes_anything(project: Project) -> None:
    """Evidence that is asked for is not optional."""
    assert project.run("apply", "--yes", "--record", "missing/folder/record.json").code == 1
    assert "10ca1000-" not in project.read("wrangler.toml")


def test_a_record_that_is_lost_at_the_end_is_an_error_beside_the_outcome(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done is shown all the same."""
    written = 0
    write: Callable[..., None] = Session.write

    def fail(session: Session, out: Path, text: str, **named: Any) -> None:
        nonlocal written
        written += 1
        if written == 3:
            raise FileError("no space left on record.json")
        write(session, out, text, **named)

    monkeypatch.setattr(Session, "write", fail)
    result = project.run("apply", "--yes", "--record", "record.json", "--format", "json")
    assert result.code == 5
    assert len(result.json["done"]) == 2
    assert "no space left on record.json" in [one["message"] for one in result.json["diagnostics"]]


def test_who_waits_for_the_lock_does_not_touch_the_record_of_the_other(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both may name one file, as a timer does."""
    ends: list[int] = []
    upload: Callable[[LocalStore, NewEntry], object] = LocalStore.upload

    def meanwhile(store: LocalStore, new: NewEntry) -> object:
        before = project.read("record.json")
        ends.append(project.run("apply", "--yes", "--record", "record.json").code)
        assert project.read("record.json") == before
        return upload(store, new)

    monkeypatch.setattr(LocalStore, "upload", meanwhile)
    assert project.run("apply", "--yes", "--record", "record.json").code == 0
    assert ends == [6]


def test_a_record_in_the_tree_keeps_no_old_certificate(project: Project) -> None:
    """It has the IDs of what was uploaded, which are searched in every file of the tree."""
    project.write("mtls.toml", MTLS + '[policy]\ngrace = "0s"\n')
    project.run("apply", "--yes", "--record", "record.json")
    project.certificate("billing", 2)
    project.run("apply", "--yes")
    assert project.run("apply", "--yes", "--format", "json").json["waiting"] == []
    assert "10ca1000-" in project.read("record.json")
