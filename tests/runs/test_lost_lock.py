"""A run that loses the lock of its checkout stops before its next change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.cli import applying
from reconciler.model import Entry
from reconciler.model.ports import NewEntry
from reconciler.stores.local import LocalStore
from reconciler.system.files import ProjectFiles
from tests.support.cli import MTLS, Project, make_project

TWO = MTLS.replace("[workers", '[certificates.ledger]\ncertificate = "certs/ledger.pem"\n[workers', 1).replace(
    'ledger.pem"\n', 'ledger.pem"\nprivate_key = { env = "LEDGER_KEY" }\n'
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two certificates, of which one is bound."""
    project = make_project(tmp_path, TWO)
    project.certificate("ledger", 7)
    return project


def losing(project: Project, effect: Callable[..., object]) -> Callable[..., object]:
    """The effect, after which the lock is gone: as by `git clean -fdx` of a build."""

    def lose(*arguments: object, **named: object) -> object:
        done = effect(*arguments, **named)
        (project.folder / ".mtlsctl/lock").unlink(missing_ok=True)
        return done

    return lose


def test_it_ends_with_6_and_says_what_was_done(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first upload counts, the second is not begun; the next run goes on from there."""
    upload: Callable[[LocalStore, NewEntry], Entry] = LocalStore.upload
    monkeypatch.setattr(LocalStore, "upload", losing(project, upload))
    result = project.run("apply", "--yes", "--format", "json")
    monkeypatch.undo()
    assert result.code == 6
    assert [step["change"]["action"] for step in result.json["done"]] == ["upload"]
    left = [(step["change"]["action"], step["note"]) for step in result.json["not_started"]]
    assert left == [("upload", "the run lost its lock"), ("rebind", "the run lost its lock")]
    (problem,) = (found for found in result.json["diagnostics"] if found["code"] == "locked")
    assert "deleted or replaced" in problem["message"]
    assert "10ca1000-" not in project.read("wrangler.toml")
    assert project.run("apply", "--yes").code == 0


def test_what_was_written_before_stays(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the last change was made before anybody could find out: the run is done."""
    monkeypatch.setattr(ProjectFiles, "replace", losing(project, ProjectFiles.replace))
    assert project.run("apply", "--yes").code == 0
    assert "10ca1000-" in project.read("wrangler.toml")


def test_a_lock_that_was_lost_while_a_person_read_the_plan_stops_the_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is changed, not even the journal."""
    monkeypatch.setattr(applying, "confirm", losing(project, lambda *_, **__: None))
    result = project.run("apply")
    assert result.code == 6
    assert "error[locked]" in result.err
    assert "find out what deletes that file" in result.err
    assert not (project.folder / ".mtlsctl/store.db").exists()
    assert not (project.folder / ".mtlsctl/journal.jsonl").exists()
