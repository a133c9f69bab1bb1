"""`mtlsctl ci gitlab` against a fake of GitLab's API on loopback."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from reconciler.findings.exits import ExitCode
from reconciler.forges.gitlab import without_quick_actions
from reconciler.reports.stacks import StackResult, Stacks
from reconciler.runs.ci.gitlab import CODE_QUALITY, JUNIT, TERRAFORM, open_pipeline
from reconciler.runs.ci.pipeline import CiRun, Published
from reconciler.runs.ci.settings import CiCommand, CiInputs
from reconciler.views.table import Display, render
from tests.support.cli import Project, Result, make_project
from tests.support.forges import TOKEN
from tests.support.gitlab import GitLab
from tests.support.hostile import check_texts
from tests.support.reports import FAILURE, PLAN, place
from tests.views.test_markdown import renamed

HEAD = "a" * 40
MARKER = "<!-- mtlsctl:plan:payments -->"
FORK = {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "66"}
MAIN = {
    "CI_PIPELINE_SOURCE": "push",
    "CI_MERGE_REQUEST_IID": "",
    "CI_MERGE_REQUEST_PROJECT_ID": "",
    "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "",
}


@dataclass
class Bench:
    """A project in a job of GitLab CI on the merge request 7, and the forge."""

    project: Project
    gitlab: GitLab

    def ci(
        self,
        *arguments: str,
        job: Mapping[str, str] | None = None,
        pipeline: int = 50,
        commit: str = HEAD,
        **environ: str,
    ) -> Result:
        """`mtlsctl ci gitlab ...` in the pipeline of a commit; no report is there yet."""
        for name in (CODE_QUALITY, JUNIT, TERRAFORM):
            (self.project.folder / name).unlink(missing_ok=True)
        before = dict(self.project.environ)
        self.project.environ.update(
            {
                "GITLAB_CI": "true",
                "CI_API_V4_URL": f"{self.gitlab.url}/api/v4",
                "MTLSCTL_CI_GITLAB_TOKEN": TOKEN,
                "CI_PROJECT_ID": "42",
                "CI_PROJECT_DIR": str(self.project.folder),
                "CI_MERGE_REQUEST_PROJECT_ID": "42",
                "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "42",
                "CI_MERGE_REQUEST_IID": "7",
                "CI_PIPELINE_SOURCE": "merge_request_event",
                "CI_PIPELINE_ID": str(pipeline),
                "CI_JOB_ID": "12345678901",
                "CI_JOB_URL": "https://gitlab.example/acme/shop/-/jobs/12345678901",
                "CI_COMMIT_SHA": commit,
                **(job or {}),
                **environ,
            }
        )
        try:
            result = self.project.run("ci", "gitlab", *arguments)
        finally:
            self.project.environ = before
        assert TOKEN not in result.out + result.err
        return result

    @property
    def notes(self) -> list[str]:
        """The bodies of all notes."""
        return [str(one["body"]) for one in self.gitlab.notes]

    def issues(self) -> list[dict[str, Any]]:
        """The Code Quality report."""
        found: list[dict[str, Any]] = json.loads(self.project.read(CODE_QUALITY))
        return found

    def suite(self) -> ET.Element:
        """The one suite of the JUnit report."""
        (found,) = ET.fromstring(self.project.read(JUNIT))  # noqa: S314 - our own text
        return found

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return (self.project.folder / name).exists()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    project = make_project(tmp_path)
    gitlab = GitLab()
    with gitlab.running():
        yield Bench(project, gitlab)


# --- the note -------------------------------------------------------------------------------------------------------


def test_a_plan_is_one_note_that_later_pipelines_update(bench: Bench) -> None:
    """Found by its marker, and edited in place."""
    assert bench.ci("plan").code == 0
    bench.ci("plan", pipeline=51, commit="c" * 40)
    (note,) = bench.notes
    first, second, title = note.split("\n")[:3]
    assert first == MARKER
    assert second == f"<!-- mtlsctl:run:51.12345678901:{'c' * 40} -->"
    assert title.startswith("### mtlsctl plan `payments`: ")
    assert "[run](https://gitlab.example/acme/shop/-/jobs/12345678901)" in note
    assert bench.gitlab.calls("PUT") == ["/api/v4/projects/42/merge_requests/7/notes/1"]


def test_the_note_is_found_on_any_page_among_the_own_ones(bench: Bench) -> None:
    """Somebody else's marker is only a text, and so is that of GitLab's own notes."""
    bench.gitlab.per_page = 2
    bench.gitlab.note(f"{MARKER}\nnot ours", author=9)
    bench.gitlab.note(f"{MARKER}\nan event", system=True)
    for number in range(5):
        bench.gitlab.note(f"note {number}")
    bench.gitlab.note(f"{MARKER}\n<!-- mtlsctl:run:1.1:{HEAD} -->\nold")
    bench.ci("plan")
    assert len(bench.notes) == 8
    assert bench.notes[:2] == [f"{MARKER}\nnot ours", f"{MARKER}\nan event"]
    assert "### mtlsctl plan" in bench.notes[-1]


def test_an_older_pipeline_that_is_started_again_does_not_win(bench: Bench) -> None:
    """Its job is newer than that of the newer pipeline."""
    bench.ci("plan", pipeline=51, commit="c" * 40)
    bench.ci("plan", pipeline=50, CI_JOB_ID="99999999999")
    assert f":{'c' * 40} -->" in bench.notes[0]


def test_the_note_says_so_where_a_newer_commit_has_no_plan(bench: Bench) -> None:
    """It would be taken for that of the commit."""
    bench.ci("plan")
    bench.project.write("mtls.toml", "version = 2\n")
    assert bench.ci("plan", pipeline=51, commit="c" * 40).code == 1
    assert "**This comment belongs to an older commit.**" in bench.notes[0]


def test_a_plan_without_changes_writes_no_note(bench: Bench) -> None:
    """Unless it is asked to."""
    bench.project.run("apply", "--yes")
    bench.ci("plan")
    assert bench.notes == []
    bench.ci("plan", MTLSCTL_CI_COMMENT="always")
    assert len(bench.notes) == 1


def test_without_a_token_the_reports_are_the_comment(bench: Bench) -> None:
    """GitLab's own token for a job can't write notes, so it is not tried."""
    result = bench.ci("plan", MTLSCTL_CI_GITLAB_TOKEN="", CI_JOB_TOKEN="job")
    assert (result.code, bench.gitlab.requests) == (0, [])
    assert "the note on the merge request could not be written" in result.err
    assert bench.has(TERRAFORM)


@pytest.mark.parametrize(
    ("status", "level"), [(403, "info"), (401, "warning"), (404, "warning"), (500, "warning"), (301, "warning")]
)
def test_a_note_that_can_not_be_written_fails_no_job(bench: Bench, status: int, level: str) -> None:
    """It is told."""
    for _ in range(4):
        bench.gitlab.fail("POST", status, location="http://evil.example/")
    result = bench.ci("plan")
    assert result.code == 0
    assert f"{level}[forge]: the note on the merge request could not be published" in result.err
    assert bench.notes == []


def test_a_note_that_is_too_long_becomes_a_short_one(bench: Bench) -> None:
    """A forge may have a lower limit than GitLab itself."""
    bench.gitlab.fail("POST", 400)
    assert bench.ci("plan").code == 0
    assert "Too long to show here" in bench.notes[0]


def test_the_token_goes_to_the_api_alone(bench: Bench) -> None:
    """Not to where a page or a variable leads."""
    bench.gitlab.per_page = 1
    bench.gitlab.note("one")
    bench.gitlab.note("two")
    bench.ci("plan")
    assert {request.headers["private-token"] for request in bench.gitlab.requests} == {TOKEN}
    result = bench.ci("plan", CI_API_V4_URL="http://evil.example/api/v4")
    assert result.code == 0
    assert "CI_API_V4_URL is not the https address of an API" in result.err


# --- the issues -----------------------------------------------------------------------------------------------------


def test_drift_on_a_schedule_is_one_issue_for_each_difference(bench: Bench) -> None:
    """Updated, closed when it is gone, and opened again; on a merge request there is none."""
    schedule = {**MAIN, "CI_PIPELINE_SOURCE": "schedule"}
    bench.ci("drift")
    assert bench.gitlab.requests == []
    assert bench.ci("drift", job=schedule, MTLSCTL_CI_FAIL_ON="changes").code == 2
    states = [one["state"] for one in bench.gitlab.issues]
    assert set(states) == {"opened"}
    assert {one["labels"][0] for one in bench.gitlab.issues} == {"mtlsctl-drift"}
    wrangler = bench.project.read("wrangler.toml")
    bench.project.run("apply", "--yes")
    assert bench.ci("drift", job=schedule).code == 0
    assert {one["state"] for one in bench.gitlab.issues} == {"closed"}
    assert all("does not find this any more" in one["notes"][0] for one in bench.gitlab.issues)
    bench.project.write("wrangler.toml", wrangler)
    bench.ci("drift", job=schedule)
    assert "opened" in {one["state"] for one in bench.gitlab.issues}
    assert len(bench.gitlab.issues) == len(states)


# --- the reports ----------------------------------------------------------------------------------------------------


def test_a_plan_has_three_reports_at_the_top_of_the_checkout(bench: Bench) -> None:
    """Where GitLab takes artifacts from."""
    bench.ci("plan")
    assert json.loads(bench.project.read(TERRAFORM)) == {"create": 1, "update": 1, "delete": 0}
    assert {one["severity"] for one in bench.issues()} == {"minor"}
    assert bench.suite().attrib["failures"] == "0"


def test_a_run_that_an_error_stopped_has_reports_without_counts(bench: Bench) -> None:
    """Counts of zero would look like a plan without changes."""
    bench.project.write("mtls.toml", "version = 2\n")
    assert bench.ci("plan").code == 1
    assert bench.issues()[0]["location"]["path"] == "mtls.toml"
    assert bench.suite().attrib["failures"] == "1"
    assert not bench.has(TERRAFORM)


def test_several_stacks_have_one_report_of_each_kind(tmp_path: Path) -> None:
    """With a suite for each, findings that differ by their stack, and the sum of the counts, if every plan was made."""
    displays = [replace(Display(place), file=f"{name}/mtls.toml") for name in ("a", "b")]
    stopped = StackResult("b/mtls.toml", None, FAILURE, ExitCode.FAILED)
    made = [StackResult(f"{name}/mtls.toml", name, PLAN, ExitCode.OK) for name in ("a", "b")]
    for results, has_counts in ((made, True), ([made[0], stopped], False)):
        (tmp_path / TERRAFORM).unlink(missing_ok=True)
        stacks = Stacks("plan", results, ExitCode.OK)
        run = CiRun(CiCommand.PLAN, CiInputs(), stacks, displays, datetime(2026, 11, 29, tzinfo=UTC))
        published = open_pipeline({"CI_PROJECT_DIR": str(tmp_path)}, print).publish(run)
        assert published == Published()
        assert len(ET.fromstring((tmp_path / JUNIT).read_text())) == 2  # noqa: S314 - our own text
        prints = [one["fingerprint"] for one in json.loads((tmp_path / CODE_QUALITY).read_text())]
        assert len(set(prints)) == len(prints) > 1
        assert (tmp_path / TERRAFORM).exists() is has_counts
        if has_counts:
            counts = json.loads((tmp_path / TERRAFORM).read_text())
            assert sum(counts.values()) == 2 * sum(one.action != "verify" for one in PLAN.changes)


@pytest.mark.parametrize("command", ["validate", "drift"])
def test_other_commands_have_two_reports_and_no_note(bench: Bench, command: str) -> None:
    """Drift fails the job only if it is asked to."""
    assert bench.ci(command).code == 0
    assert bench.suite().attrib["name"].startswith(f"mtlsctl {command} ")
    assert bench.notes == []
    assert not bench.has(TERRAFORM)


def test_an_apply_on_main_writes_its_reports(bench: Bench) -> None:
    """By the plan that a job before it saved."""
    assert bench.ci("plan", "--out", "plan.json", job=MAIN).code == 0
    assert bench.ci("apply", job=MAIN, MTLSCTL_CI_PLAN="plan.json").code == 0
    assert bench.suite().attrib["name"] == "mtlsctl apply payments"
    assert bench.project.run("plan", "--detailed-exitcode").code == 0
    assert bench.gitlab.requests == []


def test_no_report_is_written_where_a_commit_prepared_the_place(bench: Bench, tmp_path: Path) -> None:
    """A link, or a file that git tracks; everything else is written."""
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "prepared"
    elsewhere.write_text("as before")
    folder.mkdir()
    (folder / JUNIT).symlink_to(elsewhere)
    (folder / CODE_QUALITY).write_text("tracked")
    for words in ("init -q", "add .", "-c user.name=x -c user.email=x@example.com commit -q -m x"):
        subprocess.run(["git", *words.split()], cwd=folder, check=True)
    result = bench.ci("plan", CI_PROJECT_DIR=str(folder))
    assert (result.code, elsewhere.read_text(), (folder / CODE_QUALITY).read_text()) == (0, "as before", "tracked")
    for name, why in ((JUNIT, "is a symbolic link"), (CODE_QUALITY, "git tracks that file")):
        assert f"the report {name} could not be published" in result.err
        assert why in " ".join(result.err.split())
    assert (folder / TERRAFORM).exists()


# --- what must not run ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environ",
    [FORK, {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": ""}, {**FORK, "CI_PIPELINE_SOURCE": "parent_pipeline"}],
    ids=["a fork", "unknown", "a child pipeline of a fork's"],
)
@pytest.mark.parametrize("command", ["plan", "validate", "drift"])
def test_no_token_of_the_account_meets_the_files_of_a_fork(bench: Bench, command: str, environ: dict[str, str]) -> None:
    """A member may start the pipeline of a fork's merge request in the project, with its variables."""
    bench.project.write("mtls.toml", "not even read")
    result = bench.ci(command, job=environ, CLOUDFLARE_API_TOKEN="canary-token")
    assert result.code == 3
    assert "CLOUDFLARE_API_TOKEN is set, but this merge request is of a fork" in result.err
    assert bench.gitlab.requests == []
    assert not bench.has(JUNIT)


def test_without_the_token_the_files_of_a_fork_are_checked(bench: Bench) -> None:
    """That is the required check."""
    assert bench.ci("validate", job=FORK, MTLSCTL_CI_GITLAB_TOKEN="").code == 0
    assert bench.suite().attrib["failures"] == "0"


@pytest.mark.parametrize(
    "source", ["merge_request_event", "external_pull_request_event", "ondemand_dast_scan", "parent_pipeline"]
)
def test_nothing_is_applied_before_it_is_merged(bench: Bench, source: str) -> None:
    """Whoever starts it, and of whatever pipeline it is a child."""
    environ = {**MAIN, "CI_PIPELINE_SOURCE": source}
    if source == "parent_pipeline":
        environ["CI_MERGE_REQUEST_IID"] = "7"
    result = bench.ci("apply", job=environ)
    assert result.code == 3
    assert "does not run for" in result.err
    assert bench.project.run("plan", "--detailed-exitcode").code == 2


def test_a_hostile_file_does_nothing_in_what_is_published(bench: Bench) -> None:
    """In the log, the reports and the note."""
    hostile = "certs/::error::merge @all ![x](//x) <img src=x> ##[error]x ~~~.pem"
    text = bench.project.read("mtls.toml")
    bench.project.write("mtls.toml", text.replace("certs/billing.pem", hostile))
    result = bench.ci("plan")
    published = (bench.project.read(CODE_QUALITY), bench.project.read(JUNIT), *bench.notes)
    assert [("merge" in one) for one in (result.out + result.err, *published)] == [True] * 4
    check_texts(result.out, result.err, *published)


def test_no_line_of_a_note_is_a_quick_action() -> None:
    """GitLab obeys `/close` at the begin of a line, some versions also in a block of code."""
    plan = renamed(PLAN, "/merge")
    page = "\n".join(("/close", "  /approve @all", "a /b", "", render(plan, "markdown", Display())))
    lines = without_quick_actions(page).splitlines()
    assert not any(line.lstrip().startswith("/") for line in lines)
    assert lines[:3] == ["&#47;close", "  &#47;approve @all", "a /b"]
