"""The workflows of the project and of the examples: what actionlint and zizmor check, and what they do not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import REPOSITORY

OURS = sorted(REPOSITORY.glob(".github/workflows/*.yml"))
EXAMPLES = sorted(set(REPOSITORY.glob("examples/pipelines/*.yml")) - set(REPOSITORY.glob("examples/pipelines/gitlab*")))
ACTION = REPOSITORY / "action.yml"
GITLAB = sorted((*REPOSITORY.glob("examples/pipelines/gitlab*.yml"), *REPOSITORY.glob("templates/*.yml")))
WORKFLOWS: dict[str, dict[Any, Any]] = {path.stem: yaml.safe_load(path.read_text()) for path in OURS}
JOBS = [(name, job, body) for name, content in WORKFLOWS.items() for job, body in content["jobs"].items()]
ids = pytest.mark.parametrize


def check(command: list[str | Path]) -> None:
    """Run a checker in the repository; what it finds is what the test shows."""
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_nothing() -> None:
    """Syntax, contexts, runners, what jobs refer to. Without shellcheck, which not every machine has."""
    actionlint = REPOSITORY / "tests/actions/bin/actionlint"
    if not actionlint.exists():
        pytest.skip("actionlint is not built: tests/actions/setup builds it, with Go")
    check([actionlint, "-shellcheck=", "-pyflakes=", *OURS, *EXAMPLES])


def test_the_workflow_of_a_fleet_can_be_copied_and_skips_an_empty_matrix(tmp_path: Path) -> None:
    """A matrix without an element fails the run; and a list that failed must not look like an empty one."""
    page = (REPOSITORY / "docs/how-to/fleet.md").read_text()
    (block,) = re.findall(r"```yaml\n(jobs:.*?)```", page, re.DOTALL)
    jobs = yaml.safe_load(block)["jobs"]
    assert jobs["plan"]["if"] == "${{ fromJSON(needs.list.outputs.fleet).stacks[0] != null }}"
    assert re.search(r'^fleet="\$\(mtlsctl fleet list .*\)"$', jobs["list"]["steps"][-1]["run"], re.MULTILINE)
    actionlint = REPOSITORY / "tests/actions/bin/actionlint"
    if not actionlint.exists():
        pytest.skip("actionlint is not built: tests/actions/setup builds it, with Go")
    workflow = tmp_path / "fleet.yml"
    workflow.write_text(f"on: pull_request\n{block}")
    check([actionlint, "-shellcheck=", "-pyflakes=", workflow])


@ids(
    ("persona", "inputs"),
    [("pedantic", [".github", ".pre-commit-config.yaml", ACTION]), ("regular", EXAMPLES)],
    ids=["ours", "examples"],
)
def test_zizmor_finds_nothing(persona: str, inputs: list[str | Path]) -> None:
    """Injections, permissions, credentials left behind, what is not pinned. Offline: it asks no one."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    zizmor = shutil.which("zizmor", path=path)
    if zizmor is None:
        pytest.skip("zizmor is not installed: it is in requirements-dev.lock")
    check([zizmor, "--offline", "--no-progress", "--quiet", "--strict-collection", "--persona", persona, *inputs])


@ids(
    ("schema", "paths"),
    [("github-workflows", [*OURS, *EXAMPLES]), ("github-actions", [ACTION]), ("gitlab-ci", GITLAB)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_pipeline_is_what_its_schema_says(schema: str, paths: list[Path], tmp_path: Path) -> None:
    """By the schemas that editors use. A component of GitLab is two documents: its inputs, and a pipeline."""
    parts: list[Path] = []
    for path in paths:
        for number, text in enumerate(re.split(r"(?m)^---$", path.read_text())):
            parts.append(tmp_path / f"{number}-{path.name}")
            parts[-1].write_text(text)
    assert len(parts) >= len(paths) > 0
    check([sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *parts])


@ids("path", [*OURS, *EXAMPLES], ids=lambda path: path.name)
def test_an_action_is_pinned_to_a_commit_with_its_version_in_a_comment(path: Path) -> None:
    """So that a moved tag changes nothing here, and Dependabot knows what it updates."""
    uses = re.findall(r"(?m)^.*\buses: .*$", path.read_text())
    assert uses
    for line in uses:
        assert "uses: ./" in line or re.search(r"uses: \S+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_an_action_has_one_version_everywhere() -> None:
    """An update of one file and not of the other would be half an update."""
    text = "".join(path.read_text() for path in (*OURS, *EXAMPLES))
    pins = set(re.findall(r"uses: ([^@\s]+)@([0-9a-f]{40}) # (\S+)", text))
    assert len({action for action, _, _ in pins}) == len(pins) > 4


@ids("name", WORKFLOWS)
def test_a_workflow_has_no_permission_and_one_run_at_a_time(name: str) -> None:
    """Each job asks for what it needs; no workflow runs a stranger's code with the rights of the base branch."""
    content = WORKFLOWS[name]
    assert content["permissions"] == {}
    assert content["concurrency"]["group"].startswith(f"{name}-")
    assert "pull_request_target" not in content[True]  # YAML 1.1 reads `on` as true


@ids(("name", "job", "body"), JOBS, ids=[f"{name}: {job}" for name, job, _ in JOBS])
def test_a_job_has_a_time_limit_and_may_write_only_where_it_has_to(name: str, job: str, body: dict[str, Any]) -> None:
    """A job that calls a workflow has the limits of its jobs."""
    assert "timeout-minutes" in body or body["uses"] == "./.github/workflows/tests.yml"
    writes = {scope for scope, level in body["permissions"].items() if level == "write"}
    allowed = {"attest": {"id-token", "attestations"}, "publish": {"id-token"}}
    assert writes == allowed.get(job, set())


@ids(("name", "job", "body"), JOBS, ids=[f"{name}: {job}" for name, job, _ in JOBS])
def test_what_a_workflow_runs_is_there(name: str, job: str, body: dict[str, Any]) -> None:
    """Its make targets and scripts: CI runs nothing that a laptop does not."""
    text = "\n".join(step.get("run", "") for step in body.get("steps", ()))
    targets = re.findall(r"(?m)^(\w+):", (REPOSITORY / "Makefile").read_text())
    assert set(re.findall(r"make (\w+)", text)) <= set(targets)
    for script in re.findall(r"(?:\.ci|tests/\w+)/\w+(?:\.py)?", text):
        assert (REPOSITORY / script).exists(), script


def test_every_supported_python_is_tested() -> None:
    """The classifiers say which: all on Linux, the oldest and the newest on macOS and as a release."""
    classifiers = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["classifiers"]
    found = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", classifier) for classifier in classifiers]
    supported = [one[1] for one in found if one]
    jobs = {job: body for _, job, body in JOBS}
    assert jobs["linux"]["strategy"]["matrix"]["python"] == supported
    for job in ("macos", "try"):
        assert jobs[job]["strategy"]["matrix"]["python"] == [supported[0], supported[-1]]


def test_only_what_was_tested_and_tried_is_published() -> None:
    """Each job of a release waits for the one before it, and the last one for a person."""
    jobs = WORKFLOWS["release"]["jobs"]
    order = ["tests", "build", "try", "attest", "publish"]
    assert list(jobs) == order
    for before, after in pairwise(order):
        assert jobs[after]["needs"] == before
    assert [job for job, body in jobs.items() if "environment" in body] == ["publish"]
    built = [job for job, body in jobs.items() if "make dist" in str(body)]
    assert built == ["build"]


# --- what people fill in --------------------------------------------------------------------------------------------


@ids("path", sorted(REPOSITORY.glob(".github/ISSUE_TEMPLATE/*.yml")), ids=lambda path: path.name)
def test_an_issue_form_asks_each_question_once(path: Path) -> None:
    """With a name, a description, and a label for each field, as GitHub needs them."""
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= form.keys()
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields) > 1
    assert all(field["attributes"]["label"] for field in fields)


def test_the_hook_for_contributors_runs_what_ci_runs() -> None:
    """By the same command, for the files that it checks."""
    (repository,) = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
    (hook,) = repository["hooks"]
    assert (repository["repo"], hook["entry"]) == ("local", "make -s lint")
    for path, counts in (("reconciler/version.py", True), ("pyproject.toml", True), ("README.md", False)):
        assert bool(re.search(hook["files"], path)) is counts


# --- the action -----------------------------------------------------------------------------------------------------


def test_the_action_hands_every_input_over_as_a_variable() -> None:
    """Never as a part of a script; what it installs is of its own commit."""
    action = yaml.safe_load(ACTION.read_text())
    install, run = action["runs"]["steps"]
    names = set(action["inputs"]) - {"working-directory"}
    assert run["env"] == {f"MTLSCTL_CI_{one.upper().replace('-', '_')}": f"${{{{ inputs.{one} }}}}" for one in names}
    assert "${{" not in install["run"] + run["run"]
    assert set(re.findall(r"\$(\w+)", install["run"])) == {"RUNNER_TEMP", "GITHUB_ACTION_PATH"}
    for name, output in action["outputs"].items():
        assert output["value"] == f"${{{{ steps.run.outputs.{name} }}}}"


def test_what_is_installed_for_a_pipeline_imports_nothing_of_the_checkout(tmp_path: Path) -> None:
    """The working directory may be a fork's: a module there has the name of one that mtlsctl imports."""
    text = (REPOSITORY / ".ci/install_locked").read_text()
    assert "--require-hashes" in text
    assert "--only-binary :all:" in text
    program = tmp_path / "bin/mtlsctl"
    program.parent.mkdir()
    program.write_text(text.partition("<<'END'\n")[2].partition("END\n")[0])
    program.chmod(0o755)
    python = tmp_path / "bin/python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    for name in ("typer", "reconciler"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not this one')\n")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [program, "plan", "--nope"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (64, "")
    assert "run `mtlsctl plan --help`" in done.stderr
