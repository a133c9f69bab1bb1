"""The components of GitLab CI: gitlab-ci-local reads them as GitLab does, and runs their jobs for real."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from reconciler.emulator.server import running
from reconciler.emulator.tokens import Token
from reconciler.system.clock import SystemClock
from tests.project.test_pipelines import MTLS, PERMISSIONS
from tests.servers import find_program
from tests.support.cli import WRANGLER, Project, make_project
from tests.support.emulated import make_state
from tests.support.forges import TOKEN
from tests.support.gitlab import GitLab
from tests.support.paths import REPOSITORY
from tests.support.wrangler_readers import MODULES, find_node

FOLDER = REPOSITORY / "templates"
APPLY = "mtlsctl-apply-payments"
PIPELINE = (REPOSITORY / "examples/pipelines/gitlab-ci.yml").read_text()
MERGE_REQUEST = {
    "CI_PIPELINE_SOURCE": "merge_request_event",
    "CI_PROJECT_ID": "42",
    "CI_MERGE_REQUEST_PROJECT_ID": "42",
    "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "42",
    "CI_MERGE_REQUEST_IID": "7",
    "CI_COMMIT_BRANCH": "",
}
MAIN = {"CI_PIPELINE_SOURCE": "push", "CI_PROJECT_ID": "42", "CI_COMMIT_BRANCH": "main"}


@dataclass
class Runner:
    """A repository with the components, and what runs its pipelines."""

    project: Project
    gitlab: GitLab
    variables: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """gitlab-ci-local with these variables of the pipeline."""
        known = {**self.variables, "CI_API_V4_URL": f"{self.gitlab.url}/api/v4", **variables}
        given = [word for name, value in known.items() for word in ("--variable", f"{name}={value}")]
        program = MODULES / "gitlab-ci-local/dist/index.js"
        folder = self.project.folder
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder.parent),
        }
        quiet = ["--force-shell-executor", "--no-color", "--ignore-predefined-vars", ",".join(known)]
        quiet += ["--no-json-schema-validation"]  # test_workflows.py has it
        return subprocess.run(
            [find_node(), str(program), *quiet, *given, *arguments],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


def git(folder: Path, *words: str) -> str:
    """What git says."""
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    find_program("rsync")
    folder = tmp_path / "shop"
    folder.mkdir()
    project = make_project(folder, MTLS, WRANGLER)
    project.write(".gitlab-ci.yml", PIPELINE)
    for path in sorted(FOLDER.glob("*.yml")):
        project.write(f"tools/mtlsctl/templates/{path.name}", path.read_text())
    installed = shlex.quote(str(Path(sys.executable).parent / "mtlsctl"))
    install = f'#!/bin/sh\nmkdir -p "$1/bin" && ln -s {installed} "$1/bin/mtlsctl"\n'
    project.write("tools/mtlsctl/.ci/install_locked", install).chmod(0o755)
    project.write(".gitignore", ".gitlab-ci-local\n.mtlsctl\nmtlsctl-*.json\nmtlsctl-*.xml\n")
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "remote.git")
    git(tmp_path / "remote.git", "config", "receive.advertisePushOptions", "true")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=x", "-c", "user.email=x@mtls.example", "commit", "-q", "-m", "Start")
    git(folder, "push", "-q", str(tmp_path / "remote.git"), "main")
    git(folder, "remote", "add", "origin", "https://gitlab.example/acme/shop.git")
    git(folder, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(folder, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    state, gitlab = make_state(SystemClock()), GitLab()
    for name, permissions in PERMISSIONS.items():
        state.access.tokens[name] = Token(permissions)
    with running(state) as url, gitlab.running():
        yield Runner(
            project,
            gitlab,
            {
                "CLOUDFLARE_API_BASE_URL": url,
                "CLOUDFLARE_TOKEN_READ": "CLOUDFLARE_TOKEN_READ",
                "CLOUDFLARE_TOKEN_WRITE": "CLOUDFLARE_TOKEN_WRITE",
                "MTLSCTL_CI_GITLAB_TOKEN": TOKEN,
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": f"url.{tmp_path}/remote.git.insteadOf",
                "GIT_CONFIG_VALUE_0": "https://gitlab.example/acme/shop.git",
            },
        )


def test_a_merge_request_gets_a_plan_its_note_and_its_reports(runner: Runner) -> None:
    """Of the project's own branch, with the token that may only read."""
    done = runner(**MERGE_REQUEST)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"PASS +(\S+)", done.stdout) == ["mtlsctl-validate-payments", "mtlsctl-plan-payments"]
    (note,) = (one["body"] for one in runner.gitlab.notes)
    assert note.startswith("<!-- mtlsctl:plan:payments -->\n")
    assert "1 upload, 1 config change" in note
    assert json.loads(runner.project.read("mtlsctl-terraform.json")) == {"create": 1, "update": 1, "delete": 0}
    assert "<testsuite name=" in runner.project.read("mtlsctl-junit.xml")
    assert json.loads(runner.project.read("mtlsctl-codequality.json"))


def test_the_default_branch_gets_what_was_planned_and_its_ids_as_a_merge_request(runner: Runner) -> None:
    """Exactly what the job before it planned, once a person has started it."""
    key = runner.project.environ["BILLING_KEY"]
    done = runner("--manual", APPLY, **MAIN, BILLING_KEY=key, MTLSCTL_PUSH_TOKEN="push")
    assert re.findall(r"PASS +(\S+)", done.stdout) == ["mtlsctl-plan-main-payments", APPLY], done.stdout + done.stderr
    remote = runner.project.folder.parent / "remote.git"
    assert git(remote, "log", "--format=%s", "mtlsctl-ids-payments").split("\n") == [
        "Write the IDs of mtlsctl apply",
        "Start",
        "",
    ]
    assert git(remote, "log", "--format=%s", "main") == "Start\n"
    assert git(remote, "diff", "--name-only", "main", "mtlsctl-ids-payments") == "wrangler.toml\n"


def test_a_schedule_fails_on_drift(runner: Runner) -> None:
    """After everything else was told."""
    done = runner("mtlsctl-watch-payments", **{**MAIN, "CI_PIPELINE_SOURCE": "schedule"})
    assert done.returncode == 1
    assert "drift-missing" in runner.project.read("mtlsctl-codequality.json")
    assert "placeholder" in done.stdout


def test_a_schedule_renews_with_the_token_that_is_for_that(runner: Runner) -> None:
    """Nothing is due here."""
    schedule = {**MAIN, "CI_PIPELINE_SOURCE": "schedule", "CI_DEFAULT_BRANCH": "main", "MTLSCTL_CI_GITLAB_TOKEN": ""}
    done = runner("mtlsctl-renew-payments", **schedule)
    assert done.returncode == 1
    assert "MTLSCTL_RENEW_TOKEN is not set" in done.stdout + done.stderr
    done = runner("mtlsctl-renew-payments", **schedule, MTLSCTL_RENEW_TOKEN=TOKEN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '<testsuite name="mtlsctl renew payments"' in runner.project.read("mtlsctl-junit.xml")


def test_a_fork_starts_only_the_job_without_a_token(runner: Runner) -> None:
    """In the project itself; in the fork there is no token anyway."""
    fork = {**MERGE_REQUEST, "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "66"}
    jobs = {one["name"]: one["when"] for one in json.loads(runner("--list-json", **fork).stdout)}
    assert {name for name, when in jobs.items() if when != "never"} == {"mtlsctl-validate-payments"}


def test_a_key_that_is_not_a_name_is_refused(runner: Runner) -> None:
    """It is a part of names of jobs and of a branch."""
    runner.project.write(".gitlab-ci.yml", PIPELINE.replace("key: payments", "key: 'a b; c'", 1))
    assert runner("--list", **MAIN).returncode != 0


def test_an_input_with_shell_in_it_is_only_a_text(runner: Runner) -> None:
    """Of those that are not limited to names."""
    hostile = "mtls.toml; touch hacked `touch hacked` $(touch hacked) ' \\\" & touch hacked #"
    given = "inputs: { key: payments, file: " + json.dumps(hostile) + ", within: " + json.dumps(hostile) + " }"
    runner.project.write(".gitlab-ci.yml", PIPELINE.replace("inputs: { key: payments }", given))
    done = runner("mtlsctl-watch-payments", **{**MAIN, "CI_PIPELINE_SOURCE": "schedule"})
    assert done.returncode == 1
    assert "does not exist" in done.stdout + done.stderr
    assert not list(runner.project.folder.rglob("hacked"))


COMPONENTS = {path.name: list(yaml.safe_load_all(path.read_text())) for path in sorted(FOLDER.glob("*.yml"))}


@pytest.mark.parametrize("name", COMPONENTS)
def test_no_input_is_a_part_of_a_script(name: str) -> None:
    """A script gets it as a variable, in quotes. A value with `$[[ ]]` is in quotes, too."""
    spec, jobs = COMPONENTS[name]
    assert all(one["description"] and "default" in one for one in spec["spec"]["inputs"].values())
    for job in jobs.values():
        scripts = "\n".join((*job.get("before_script", ()), *job.get("script", ())))
        assert "$[[" not in scripts
    for line in (FOLDER / name).read_text().splitlines():
        assert "$[[" not in line or re.search(r'"[^"]*\$\[\[ inputs\.[a-z]+ \]\][^"]*"', line), line


@pytest.mark.parametrize("name", COMPONENTS)
def test_the_token_that_writes_is_in_the_one_job_that_waits_for_a_person(name: str) -> None:
    """Behind a protected environment, one run at a time."""
    for job in COMPONENTS[name][1].values():
        is_writing = "CLOUDFLARE_TOKEN_WRITE" in str(job) or "MTLSCTL_PUSH_TOKEN" in str(job)
        assert is_writing is ("environment" in job)
        assert ("resource_group" in job) is (is_writing or name == "renew.yml")
        assert is_writing is any(rule.get("when") == "manual" for rule in job.get("rules", ()))
