"""`explain CODE`: what a finding's code means, wherever it is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from reconciler.findings.codes import Code
from reconciler.model import Condition
from reconciler.plan.wording import MEANINGS
from reconciler.views.text.codes import render_code
from reconciler.views.text.style import PLAIN
from tests.support.cli import MTLS, Project, run
from tests.support.paths import REPOSITORY

QUOTA = render_code(Code.QUOTA, PLAIN)


def test_a_code_is_explained_with_severities_exit_code_meaning_and_fix() -> None:
    """A line each, as in the table of codes."""
    assert (
        "quota\n"
        "  severity   error\n"
        "  exit code  3\n"
        f"  meaning    {Code.QUOTA.meaning}\n"
        f"  fix        {Code.QUOTA.cure}\n"
    ) == QUOTA
    assert "\n  severity   warning or info\n  exit code  0\n" in render_code(Code.PREVIEWS_UNMANAGED, PLAIN)


def test_a_code_is_explained_without_an_mtls_toml(tmp_path: Path) -> None:
    """Whoever reads the log of a pipeline may have no checkout."""
    result = run(tmp_path, {}, "explain", "quota")
    assert (result.code, result.out, result.err) == (0, QUOTA, "")


def test_a_code_is_explained_where_mtls_toml_is_broken(project: Project) -> None:
    """Then codes are needed most."""
    project.write("mtls.toml", MTLS + "[workers.checkout.bindings]\n")
    assert "error[toml-syntax]" in project.run("validate").out + project.run("validate").err
    result = project.run("explain", "toml-syntax")
    assert (result.code, result.out) == (0, render_code(Code.TOML_SYNTAX, PLAIN))


def test_a_code_is_explained_without_asking_the_store(project: Project) -> None:
    """No account and no token are needed."""
    project.write("mtls.toml", MTLS + '[store]\nkind = "cloudflare"\n')
    assert "account-missing" in project.run("explain", "billing").err
    assert project.run("explain", "account-missing").out == render_code(Code.ACCOUNT_MISSING, PLAIN)


def test_json_has_the_row_of_the_table(project: Project) -> None:
    """With the words that findings have in JSON."""
    document = project.run("explain", "verify-inconclusive", "--format", "json").json
    code = Code.VERIFY_INCONCLUSIVE
    assert document == {
        "format": "mtlsctl.code/1",
        "code": "verify-inconclusive",
        "severities": ["error", "warning"],
        "exit_code": 3,
        "meaning": code.meaning,
        "cure": code.cure,
    }
    schema = json.loads((REPOSITORY / "schemas/code.schema.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(document)) == []


@pytest.mark.parametrize(
    ("declared", "heading"),
    [
        (MTLS.replace("billing", "quota"), "Certificates\n"),
        (MTLS.replace("workers.checkout", "workers.quota"), "Bindings\n"),
        (MTLS.replace("BILLING = ", "quota = "), "Bindings\n"),
    ],
    ids=["a certificate", "a Worker", "a binding"],
)
def test_a_declared_name_wins_over_a_code(project: Project, declared: str, heading: str) -> None:
    """The project is nearer than the manual."""
    project.certificate("quota", 3)
    project.write("mtls.toml", declared)
    result = project.run("explain", "quota")
    assert result.code == 0
    assert heading in result.out
    assert Code.QUOTA.meaning not in result.out


def test_an_unknown_name_suggests_a_declared_name_and_a_code(project: Project) -> None:
    """Either may have been meant."""
    project.write("mtls.toml", MTLS.replace("workers.checkout", "workers.deployer"))
    result = project.run("explain", "deploye")
    assert (result.code, result.out) == (64, "")
    assert "did you mean `deployer`?" in result.err
    assert "did you mean the code `deploy`?" in result.err


def test_an_unknown_name_suggests_a_code_without_an_mtls_toml(tmp_path: Path) -> None:
    """Beside the hint that says what is missing."""
    result = run(tmp_path, {}, "explain", "renewal-dew")
    assert result.code == 64
    assert "mtls.toml was not found" in result.err
    assert "did you mean the code `renewal-due`?" in result.err


def test_every_condition_is_explained_without_an_mtls_toml(tmp_path: Path) -> None:
    """What must hold, why something waits for it, and what to do."""
    for condition in set(Condition) - {Condition.VALIDITY_UNKNOWN}:
        result = run(tmp_path, {}, "explain", condition)
        assert (result.code, result.err) == (0, "")
        assert all(f"  {text}\n" in result.out for text in MEANINGS[condition])
    lines = run(tmp_path, {}, "explain", "grace").out.splitlines()
    assert lines[:2] == ["grace", "  waits until  its grace period is over"]
    assert "did you mean the condition `prune-off`?" in run(tmp_path, {}, "explain", "prune-of").err


def test_json_of_a_condition_is_as_its_schema_says(tmp_path: Path) -> None:
    """A document of its own."""
    document = run(tmp_path, {}, "explain", "max-deletes", "--format", "json").json
    assert (document["format"], document["condition"]) == ("mtlsctl.condition/1", "max-deletes")
    schema = json.loads((REPOSITORY / "schemas/condition.schema.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(document)) == []


def test_one_name_is_both_a_code_and_a_condition_and_means_the_same() -> None:
    """Of two with different meanings one could not be explained."""
    assert {code.value for code in Code} & {one.value for one in Condition} == {"validity-unknown"}
