"""The reports that GitLab and other CI systems read: Code Quality, JUnit and the counts of a plan."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.reports.checks import RunFailure, Validation
from reconciler.views.table import Display, render
from tests.support.cli import Project
from tests.support.hostile import NAMES, check_texts
from tests.support.reports import APPLIED, DRIFT, FAILURE, OFFLINE, PLAN, SAVED_PLAN, VALIDATION, place
from tests.views.test_markdown import MARKUP, renamed

SHOWN = Display(place, file="apps/mtls.toml")
CHECKED = (PLAN, SAVED_PLAN, APPLIED, DRIFT, VALIDATION, FAILURE)
SEVERITIES = {"info", "minor", "major", "critical", "blocker"}


def issues(report: object, display: Display = SHOWN) -> list[dict[str, Any]]:
    """What GitLab reads of the Code Quality report."""
    found: list[dict[str, Any]] = json.loads(render(report, "codequality", display))
    return found


def suite(report: object, display: Display = SHOWN) -> ET.Element:
    """The one suite of the JUnit report."""
    return read(render(report, "junit", display))


def read(text: str) -> ET.Element:
    """The one suite of a file."""
    (found,) = ET.fromstring(text)  # noqa: S314 - our own text
    return found


def finding(message: str, where: Pointer | Place | None = None, certificate: str | None = None) -> Diagnostic:
    """An error."""
    return Diagnostic(Severity.ERROR, Code.CERTIFICATE_EXPIRED, message, where, "renew it", certificate)


@pytest.mark.parametrize("report", CHECKED, ids=lambda report: type(report).__name__)
def test_an_issue_has_what_gitlab_needs(report: object) -> None:
    """Else GitLab leaves it out, or the whole report."""
    found = issues(report)
    assert found
    for one in found:
        assert one.keys() == {"description", "check_name", "fingerprint", "severity", "location"}
        assert one["description"]
        assert one["severity"] in SEVERITIES
        assert re.fullmatch("[a-z0-9-]+", one["check_name"])
        assert one["location"]["lines"]["begin"] >= 1
        assert not one["location"]["path"].startswith(("/", ".."))
    assert len({one["fingerprint"] for one in found}) == len(found)


def test_an_issue_is_where_the_repository_has_the_file() -> None:
    """Whatever the working directory is; without a place it is about mtls.toml."""
    at = Place("../certs/billing.pem", 7)
    (one,) = issues(Validation((finding("expired", at),)), replace(SHOWN, folder="elsewhere"))
    assert one["location"] == {"path": "certs/billing.pem", "lines": {"begin": 7}}
    (one,) = issues(RunFailure((finding("no answer"),)))
    assert one["location"] == {"path": "apps/mtls.toml", "lines": {"begin": 1}}


def test_an_issue_keeps_its_fingerprint_while_it_is_the_same_problem() -> None:
    """It is so on other lines and on another day, and not of another certificate, key or file."""
    where = Pointer("mtls.toml", ("certificates", "billing"))

    def prints(*found: Diagnostic, line: int = 1) -> list[str]:
        display = replace(SHOWN, place=lambda _: Place("mtls.toml", line))
        return [one["fingerprint"] for one in issues(Validation(found), display)]

    same = prints(finding("expires in 24 days", where))
    assert prints(finding("expires in 23 days", where), line=9) == same
    others = (
        finding("expires in 24 days", replace(where, keys=("certificates", "ledger"))),
        finding("expires in 24 days", replace(where, path="other.toml")),
        finding("expires in 24 days", where, "billing"),
        finding("expires in 24 days"),
    )
    assert len({*same, *prints(*others)}) == 5
    assert prints(finding("one", where), finding("two", where))[0] == same[0]


def test_a_case_of_junit_fails_if_the_command_does_because_of_it() -> None:
    """A warning is in its output. Each certificate has a case, and so has the rest."""
    warning = replace(finding("soon", certificate="ledger"), severity=Severity.WARNING)
    told = (finding("gone", certificate="billing"), finding("late", certificate="billing"), warning, finding("other"))
    found = suite(replace(SAVED_PLAN, diagnostics=told))
    cases = {case.attrib["name"]: case for case in found}
    assert list(cases) == ["billing", "ledger", "everything else"]
    assert (found.attrib["tests"], found.attrib["failures"]) == ("3", "2")
    assert cases["billing"].find("failure").attrib["message"] == "2 findings"  # type: ignore[union-attr]
    assert "gone" in (cases["billing"].findtext("failure") or "")
    assert cases["ledger"].find("failure") is None
    assert "warning[certificate-expired]: soon" in (cases["ledger"].findtext("system-out") or "")
    assert len({case.attrib["classname"] for case in found}) == 1


def test_a_plan_without_findings_has_passed_cases() -> None:
    """So that GitLab shows what was fixed since."""
    found = suite(replace(PLAN, diagnostics=()))
    assert int(found.attrib["tests"]) > 2
    assert found.attrib["failures"] == "0"
    assert issues(replace(PLAN, diagnostics=())) == []
    assert suite(Validation(())).attrib["tests"] == "1"


def test_each_difference_is_a_case_of_its_own() -> None:
    """By its key; a deletion that is ready fails nothing."""
    first, *others = DRIFT.findings
    drift = replace(DRIFT, findings=(replace(first, fails=False), *others))
    cases = {case.attrib["name"]: case.find("failure") is not None for case in suite(drift)}
    assert cases.items() >= {(first.key, False), *((one.key, True) for one in others)}
    assert len(cases) == len(DRIFT.findings) + 1


def test_the_counts_are_of_uploads_files_and_deletions() -> None:
    """In the form that GitLab's report of the kind `terraform` has."""
    assert render(SAVED_PLAN, "terraform", SHOWN) == render(PLAN, "terraform", SHOWN)
    assert render(OFFLINE, "terraform", SHOWN).endswith("}\n")
    counts = json.loads(render(PLAN, "terraform", SHOWN))
    changed = sum(one.action != "verify" for one in PLAN.changes)
    assert counts.keys() == {"create", "update", "delete"}
    assert sum(counts.values()) == changed > 4


@pytest.mark.parametrize("name", [*NAMES.values(), MARKUP["html"], "]]>", "\ud800\ufffe\x00"], ids=ascii)
def test_a_name_of_others_is_only_text(name: str) -> None:
    """In XML and JSON, and for whoever prints the files."""
    failure = RunFailure((finding(name, Place(name), name),))
    for report in (renamed(PLAN, name), renamed(APPLIED, name), renamed(DRIFT, name), failure):
        for shown in ("codequality", "junit"):
            text = render(report, shown, replace(SHOWN, file=f"{name}/mtls.toml"))
            text.encode()
            check_texts(text)
        assert suite(report).tag == "testsuite"
        assert issues(report)


def test_a_run_writes_them_with_paths_of_the_repository(project: Project, tmp_path: Path) -> None:
    """From any folder of it, and when an error stops the run."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "apps").mkdir()
    project.write("apps/mtls.toml", "version = 2\n")
    result = project.run("plan", "-f", "apps/mtls.toml", "--format", "codequality")
    assert {one["location"]["path"] for one in json.loads(result.out)} == {"apps/mtls.toml"}
    assert "error[" in result.err
    assert read(project.run("plan", "--format", "junit").out).attrib["failures"] == "0"
    assert json.loads(project.run("plan", "--format", "terraform").out) == {"create": 1, "update": 1, "delete": 0}
