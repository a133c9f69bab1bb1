"""`[policy.certificates]` on the command line: what is refused, where it is told, and what goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import MTLS, Project, make_project

RULES = '[policy.certificates]\nnames = ["bill*"]\nmax_lifetime = "398d"\n\n[certificates'
LEDGER = '[certificates.ledger]\ncertificate = "certs/ledger.pem"\nprivate_key = { env = "LEDGER_KEY" }\n\n[workers.'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two certificates, of which the policy allows one; both are bound."""
    text = MTLS.replace("[certificates", RULES, 1).replace("[workers.", LEDGER, 1) + 'LEDGER = "ledger"\n'
    made = make_project(tmp_path, text)
    made.certificate("ledger", 2)
    return made


@pytest.mark.parametrize("command", [["validate"], ["plan"], ["plan", "--offline"]])
def test_a_breach_is_told_at_the_certificate_with_the_rule(project: Project, command: list[str]) -> None:
    """Exit code 3, also without a server."""
    result = project.run(*command, "--format", "json")
    (found,) = [one for one in result.json["diagnostics"] if one["severity"] == "error"]
    assert (result.code, found["code"], found["certificate"]) == (3, "policy-name", "ledger")
    assert (found["path"], found["line"], found["column"]) == ("mtls.toml", 13, 15)
    assert '`names = ["bill*"]` in `[policy.certificates]`' in found["hint"]


def test_only_what_breaks_a_rule_is_held(project: Project) -> None:
    """Its upload and its binding; a run that did the rest ends with 3."""
    result = project.run("apply", "--yes", "--format", "json")
    assert result.code == 3
    done = [(one["change"]["action"], one["change"]["certificate"]) for one in result.json["done"]]
    assert done == [("upload", "billing"), ("rebind", "billing")]
    assert "LEDGER" not in project.read("wrangler.toml")


def test_what_is_in_use_stays_when_a_rule_comes(project: Project) -> None:
    """A warning at each plan, and nothing to do."""
    with_rules = project.read("mtls.toml")
    project.write("mtls.toml", with_rules.replace('"bill*"', '"*"'))
    assert project.run("apply", "--yes").code == 0
    project.write("mtls.toml", with_rules)
    result = project.run("plan", "--format", "json", "--detailed-exitcode")
    told = [(one["severity"], one["code"]) for one in result.json["diagnostics"] if one["code"].startswith("policy-")]
    assert (result.code, told) == (0, [("warning", "policy-name")])


def test_a_rule_that_only_warns_is_a_warning_everywhere(project: Project) -> None:
    """Then nothing is held."""
    project.write("mtls.toml", project.read("mtls.toml").replace("max_lifetime", 'warn_only = ["names"]\nmax_lifetime'))
    assert project.run("validate").code == 0
    assert project.run("apply", "--yes").code == 0
    assert "LEDGER" in project.read("wrangler.toml")
