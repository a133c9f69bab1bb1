"""`--out`: - is standard output."""

from __future__ import annotations

import json

import pytest

from tests.support.cli import Project


def test_a_plan_goes_to_stdout_alone(project: Project) -> None:
    """The document that `apply` takes; the text for people goes to stderr, and no file is called -."""
    result = project.run("plan", "--out", "-")
    assert result.code == 0
    assert result.json["format"].startswith("mtlsctl.plan/")
    assert "mtlsctl apply" in result.err
    assert "apply -" not in result.err
    assert not (project.folder / "-").exists()


def test_a_plan_in_json_is_printed_once(project: Project) -> None:
    """It would be the same document twice."""
    result = project.run("plan", "--out", "-", "--format", "json")
    assert result.json["format"].startswith("mtlsctl.plan/")
    assert result.err == ""


@pytest.mark.parametrize("command", ["validate", "status", "doctor", "drift", "history", "export"])
def test_a_report_is_printed_once(project: Project, command: str) -> None:
    """As without the option."""
    assert project.run("apply", "--yes").code == 0
    with_out, without = project.run(command, "--out", "-"), project.run(command)
    assert with_out.out.count("\n") == without.out.count("\n") > 0
    assert not (project.folder / "-").exists()


def test_a_schema_is_printed(project: Project) -> None:
    """To stdout, like all else."""
    assert json.loads(project.run("schema", "--out", "-").out) == json.loads(project.run("schema").out)
