"""The pipelines of the examples: well-formed, careful with secrets, and each line of mtlsctl in them works."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from reconciler.cli.root import app
from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState
from reconciler.emulator.tokens import Permission, Token
from reconciler.system.clock import SystemClock
from tests.project.test_docs import COMMANDS, arguments_of
from tests.support.cli import WRANGLER, Project, make_project
from tests.support.emulated import make_state
from tests.support.paths import REPOSITORY
from tests.support.trees import git

EXAMPLE = REPOSITORY / "examples/pipelines"
WORKFLOWS: dict[str, dict[Any, Any]] = {
    path.name: yaml.safe_load(path.read_text())
    for path in sorted(EXAMPLE.glob("*.yml"))
    if not path.name.startswith("gitlab")
}
ACTION = yaml.safe_load((REPOSITORY / "action.yml").read_text())
RUNNER_TEMP = "${{ runner.temp }}"
ids = pytest.mark.parametrize


@dataclass(frozen=True)
class Step:
    """A step of a job, with everything that its environment has."""

    workflow: str
    job: str
    text: str
    environ: dict[str, str]

    @property
    def lines(self) -> list[str]:
        """Its lines that run mtlsctl, without where their output goes."""
        found = (
            re.fullmatch(r'\s*(?:"\$RUNNER_TEMP/mtlsctl/bin/)?(mtlsctl"? .*)', line) for line in self.text.splitlines()
        )
        return [one[1].replace('"', "", 1).partition(" > ")[0] for one in found if one is not None]


def is_ours(step: dict[str, Any]) -> bool:
    """Whether a step is the action of this repository."""
    return str(step.get("uses", "")).startswith("example/mtlsctl@")


def steps() -> Iterator[Step]:
    """Every step that runs something; of the action of this repository what it runs, with its inputs."""
    for workflow, content in WORKFLOWS.items():
        for job, body in content["jobs"].items():
            shared = {**content.get("env", {}), **body.get("env", {})}
            for step in body["steps"]:
                assert ("run" in step) != ("uses" in step), step
                environ = {**shared, **step.get("env", {})}
                if "run" in step:
                    yield Step(workflow, job, step["run"], environ)
                if is_ours(step):
                    yield Step(workflow, job, f"mtlsctl ci github {step['with']['command']}", environ | inputs(step))


def inputs(step: dict[str, Any]) -> dict[str, str]:
    """The variables that the action makes of the inputs of a step."""
    assert step["with"].keys() <= ACTION["inputs"].keys()
    values = {name: one.get("default", "") for name, one in ACTION["inputs"].items()} | step["with"]
    values = {name: str(value).lower() if value in (True, False) else value for name, value in values.items()}
    found = {}
    for variable, value in ACTION["runs"]["steps"][-1]["env"].items():
        (name,) = re.findall(r"inputs\.([a-z-]+)", value)
        found[variable] = values[name]
    return found


STEPS = tuple(steps())
LINES = [(step, line) for step in STEPS for line in step.lines]


def test_there_are_four_workflows_with_every_command_that_a_pipeline_needs() -> None:
    """Else the tests below would have nothing to say."""
    assert list(WORKFLOWS) == ["apply.yml", "renew.yml", "review.yml", "watch.yml"]
    found = {" ".join(arguments_of(line)[: 3 if "ci github" in line else 1]) for _, line in LINES}
    assert found == {
        *(f"ci github {command}" for command in ("validate", "plan", "apply", "renew", "drift")),
        *("plan", "status", "forecast"),
    }


@ids(("step", "line"), LINES, ids=[f"{step.workflow}: {line.strip()}" for step, line in LINES])
def test_each_line_of_mtlsctl_is_one_that_it_takes(step: Step, line: str) -> None:
    """Commands, options and their values, as this version has them."""
    root: Any = typer.main.get_command(app)
    name, *rest = arguments_of(line)
    assert name in COMMANDS, step
    context = root.make_context("mtlsctl", [name, *rest])
    COMMANDS[name].make_context(name, rest, parent=context)


def test_jobs_and_outputs_that_are_referred_to_are_there() -> None:
    """`needs`, and what is asked of it."""
    for content in WORKFLOWS.values():
        jobs = content["jobs"]
        for body in jobs.values():
            needs = [body["needs"]] if "needs" in body else []
            assert set(needs) <= jobs.keys()
            for needed, output in re.findall(r"needs\.([a-z]+)\.outputs\.([a-z]+)", str(body)):
                assert needed in needs
                source = jobs[needed]["outputs"][output]
                (step,) = re.findall(r"steps\.([a-z]+)\.outputs", source)
                (writes,) = [one for one in jobs[needed]["steps"] if one.get("id") == step]
                assert is_ours(writes)
                assert output in ACTION["outputs"]


def test_what_is_written_in_one_step_is_what_another_reads() -> None:
    """The plan goes from job to job as an artifact, by the same name."""
    jobs = WORKFLOWS["apply.yml"]["jobs"]
    (up,) = [step["with"] for step in jobs["plan"]["steps"] if "upload-artifact" in step.get("uses", "")]
    (down,) = [step["with"] for step in jobs["apply"]["steps"] if "download-artifact" in step.get("uses", "")]
    assert up["name"] == down["name"]
    (plan,) = [step["with"] for step in jobs["plan"]["steps"] if is_ours(step)]
    (apply,) = [step["with"] for step in jobs["apply"]["steps"] if is_ours(step)]
    assert plan["out"] == up["path"] == apply["plan"]
    assert (down["path"], Path(plan["out"]).parent) == (RUNNER_TEMP, Path(RUNNER_TEMP))


def test_a_plan_with_errors_can_still_be_approved_on_main_alone() -> None:
    """One broken certificate keeps no other from being renewed; no other branch is pushed to main."""
    jobs = WORKFLOWS["apply.yml"]["jobs"]
    *_, upload = jobs["plan"]["steps"]
    assert upload["if"] == "${{ !cancelled() }}"
    for job in jobs.values():
        assert "github.ref == 'refs/heads/main'" in job["if"]
    assert "!cancelled()" in jobs["apply"]["if"]


def test_the_ids_are_pushed_onto_what_main_has_by_then() -> None:
    """Main may have moved while the plan waited for its approval."""
    (commit,) = [one["run"] for one in WORKFLOWS["apply.yml"]["jobs"]["apply"]["steps"] if "git push" in str(one)]
    assert re.search(r"git commit .*\n.*git pull --rebase origin main\b.*\n.*git push origin HEAD:main\b", commit)


# --- secrets --------------------------------------------------------------------------------------------------------


def test_keys_and_the_writing_token_are_in_the_one_step_that_applies() -> None:
    """Behind the approval, and in the environment of no other command."""
    for step in STEPS:
        secrets = set(re.findall(r"secrets\.([A-Z_]+)", " ".join(map(str, step.environ.values()))))
        if any(line.startswith("mtlsctl ci github apply") for line in step.lines):
            assert secrets == {"CLOUDFLARE_TOKEN_WRITE", "BILLING_KEY"}
            assert WORKFLOWS[step.workflow]["jobs"][step.job]["environment"] == "production"
        elif any(line.startswith("mtlsctl ci github renew") for line in step.lines):
            assert secrets == {"STEP_PASSWORD"}
        else:
            assert secrets <= {"CLOUDFLARE_TOKEN_READ"}
    for content in WORKFLOWS.values():
        assert "secrets" not in str({key: value for key, value in content.items() if key != "jobs"})


def test_what_a_fork_may_start_has_no_secret() -> None:
    """Of a pull request only the job that asks whose it is has one; none runs with the rights of the base branch."""
    for name, content in WORKFLOWS.items():
        triggers = content[True]  # YAML 1.1 reads `on` so
        assert "pull_request_target" not in triggers
        assert content["permissions"] == {"contents": "read"}
        for job, body in content["jobs"].items():
            if "pull_request" in triggers and "secrets." in str(body):
                assert body["if"] == "github.event.pull_request.head.repo.full_name == github.repository", (name, job)


def test_a_job_may_write_only_what_it_publishes() -> None:
    """And only in one step: no checkout keeps a token, which a package from npm could use."""
    may = {
        ("apply.yml", "apply"): ("bring the IDs back", {"contents": "write", "pull-requests": "write"}),
        ("renew.yml", "renew"): ("renew", {"contents": "write", "pull-requests": "write"}),
        ("review.yml", "plan"): ("plan", {"contents": "read", "pull-requests": "write"}),
        ("watch.yml", "watch"): ("drift", {"contents": "read", "issues": "write"}),
    }
    for name, content in WORKFLOWS.items():
        for job, body in content["jobs"].items():
            (checkout,) = [step for step in body["steps"] if step.get("uses", "").startswith("actions/checkout@")]
            depth = {"fetch-depth": 2} if "HEAD^1" in str(body) else {}
            assert checkout["with"] == {"persist-credentials": False, **depth}
            step, permissions = may.get((name, job), (None, None))
            assert body.get("permissions") == permissions
            with_token = [
                one["name"]
                for one in body["steps"]
                if "github.token" in str(one) or (is_ours(one) and one["with"].get("github-token") != "")
            ]
            assert with_token == ([] if step is None else [step])


def test_no_package_from_npm_runs_code_when_it_is_installed() -> None:
    """Neither in the job that deploys, nor for the tests."""
    texts = [*(step.text for step in STEPS), (REPOSITORY / "tests/node/setup").read_text()]
    found = [line for text in texts for line in text.splitlines() if re.search(r"^\s*npm (?:ci|install)\b", line)]
    assert len(found) == 2
    assert all("--ignore-scripts" in line for line in found)


# --- the IDs come back ----------------------------------------------------------------------------------------------

GH = """\
#!/bin/sh
case "$1 $2" in
"auth setup-git") ;;
"pr list") cat "$GH_STATE" 2>/dev/null || echo 0 ;;
"pr create") echo 1 > "$GH_STATE"; echo "$@" >> "$GH_STATE.created" ;;
*) exit 9 ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone of main, and a gh that knows whether there is a pull request."""
    gh = tmp_path / "bin/gh"
    gh.parent.mkdir()
    gh.write_text(GH)
    gh.chmod(0o755)
    remote, folder = tmp_path / "remote", tmp_path / "checkout"
    for arguments in (
        ["init", "--quiet", "--bare", "--initial-branch", "main", str(remote)],
        ["clone", "--quiet", str(remote), str(folder)],
    ):
        subprocess.run(["git", *arguments], check=True, capture_output=True)
    (folder / "wrangler.toml").write_text("old\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    git(folder, "push", "--quiet", "origin", "HEAD:main")
    return folder


def bring_back(folder: Path, how: str, text: str) -> None:
    """Another job: a checkout of main in which apply wrote this, and the step as the runner runs it."""
    git(folder, "fetch", "--quiet", "origin")
    git(folder, "checkout", "--quiet", "--detach", "origin/main")
    (folder / "wrangler.toml").write_text(text)
    (step,) = [one["run"] for one in WORKFLOWS["apply.yml"]["jobs"]["apply"]["steps"] if "git push" in str(one)]
    environ = {**os.environ, "PATH": f"{folder.parent}/bin:{os.environ['PATH']}", "IDS": how}
    environ["GH_STATE"] = str(folder.parent / "pulls")
    done = subprocess.run(
        ["bash", "-e", "-c", step], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_ids_come_back_as_one_pull_request(checkout: Path) -> None:
    """By its branch: a later run updates it, and main stays as it is."""
    for text in ("new\n", "newer\n"):
        bring_back(checkout, "pull-request", text)
        git(checkout, "fetch", "--quiet", "origin")
        assert git(checkout, "show", "origin/mtlsctl-ids:wrangler.toml") == text
        assert git(checkout, "log", "--format=%s", "origin/main..origin/mtlsctl-ids").count("\n") == 1
    assert git(checkout, "show", "origin/main:wrangler.toml") == "old\n"
    assert (checkout.parent / "pulls.created").read_text().count("\n") == 1


def test_ids_come_back_as_a_commit_on_main(checkout: Path) -> None:
    """And a run that wrote none makes none."""
    for _ in range(2):
        bring_back(checkout, "commit", "new\n")
    git(checkout, "fetch", "--quiet", "origin")
    assert git(checkout, "log", "--format=%s", "origin/main").splitlines() == [
        "Write the IDs of mtlsctl apply",
        "first",
    ]


# --- as a run -------------------------------------------------------------------------------------------------------

MTLS = f"""\
version = 1
stack = "payments"
policy.grace = "0s"

[store]
kind = "cloudflare"
account_id = "{ACCOUNT_ID}"

[certificates.billing]
certificate = "certs/billing.pem"
private_key = {{ env = "BILLING_KEY" }}

[workers.checkout]
config = "wrangler.toml"
deployed = false

[workers.checkout.bindings]
BILLING = "billing"
"""

PERMISSIONS = {
    name: frozenset(map(Permission, re.findall(r"`([A-Z][^`_]+)`", line)))
    for line in (EXAMPLE / "README.md").read_text().splitlines()
    for name in re.findall(r"^\| `(CLOUDFLARE_TOKEN_[A-Z]+)` \|", line)
}
"""What the README says that each token needs."""


@pytest.fixture
def state() -> EmulatorState:
    """An emulator that knows the two tokens of the README, and no other."""
    made = make_state(SystemClock())
    for name, permissions in PERMISSIONS.items():
        made.access.tokens[name] = Token(permissions)
    return made


@pytest.fixture
def project(state: EmulatorState, tmp_path: Path) -> Iterator[Project]:
    """A project of that account."""
    made = make_project(tmp_path, MTLS, WRANGLER)
    with running(state) as url:
        made.environ["CLOUDFLARE_API_BASE_URL"] = url
        (tmp_path / "runner").mkdir()
        git(tmp_path, "init", "--quiet")
        for message in ("base", "merge"):
            git(tmp_path, "add", "mtls.toml")
            git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", message)
        yield made


def test_both_plans_of_a_pull_request_say_what_it_loosens() -> None:
    """A fork gets only the one without a secret."""
    jobs = WORKFLOWS["review.yml"]["jobs"]
    assert all("HEAD^1" in str(jobs[name]) for name in ("files", "plan"))


EVENTS = {"review.yml": "pull_request", "apply.yml": "push", "watch.yml": "schedule"}


def run_workflow(project: Project, workflow: str) -> list[int]:
    """Its lines of mtlsctl in their order, each with what its step's environment has; the exit codes."""
    codes: list[int] = []
    key, environ = project.environ["BILLING_KEY"], dict(project.environ)
    runner = project.folder / "runner"
    known = {
        "CLOUDFLARE_API_BASE_URL": environ["CLOUDFLARE_API_BASE_URL"],
        "GITHUB_EVENT_NAME": EVENTS[workflow],
        "GITHUB_OUTPUT": str(runner / "output"),
        "GITHUB_STEP_SUMMARY": str(runner / "summary"),
        "RUNNER_TEMP": str(runner),
    }
    for step, line in LINES:
        if step.workflow != workflow:
            continue
        (runner / "output").unlink(missing_ok=True)
        project.environ = dict(known)
        for name, value in step.environ.items():
            value = value.replace(RUNNER_TEMP, str(runner)).replace("${{ github.token }}", "")
            for secret in re.findall(r"secrets\.([A-Z_]+)", value):
                value = key if secret == "BILLING_KEY" else secret
            project.environ[name] = value
        result = project.run(*arguments_of(line))
        codes.append(result.code)
        assert "error[" not in result.out + result.err, result
        if "ci github" in line:
            assert set(re.findall(r"(?m)^([a-z-]+)<<", (runner / "output").read_text())) == ACTION["outputs"].keys()
            assert "### mtlsctl" in (runner / "summary").read_text()
    project.environ = environ
    return codes


def test_the_workflows_do_what_they_say_with_the_permissions_of_the_readme(project: Project) -> None:
    """Review, apply, watch; the tokens may what the README says, and not more."""
    assert {name: len(permissions) for name, permissions in PERMISSIONS.items()} == {
        "CLOUDFLARE_TOKEN_READ": 3,
        "CLOUDFLARE_TOKEN_WRITE": 3,
    }
    assert set(run_workflow(project, "review.yml")) == {0}
    before = project.read("wrangler.toml")
    assert run_workflow(project, "apply.yml") == [0, 0]
    assert project.read("wrangler.toml") != before
    assert set(run_workflow(project, "watch.yml")) == {0}
    assert "mtlsctl_certificate_stored" in project.read("runner/mtlsctl.prom")
    assert run_workflow(project, "apply.yml") == [0, 0]
    assert '"changes": []' in project.read("runner/plan.json")


def test_a_renewal_goes_through_and_the_daily_run_retires_the_old_entry(project: Project, state: EmulatorState) -> None:
    """With tokens that may what the README says; one permission less, and it stays."""
    run_workflow(project, "apply.yml")
    project.certificate("billing", 2)
    for permissions, left in ((PERMISSIONS["CLOUDFLARE_TOKEN_READ"] - {Permission.HYPERDRIVE_READ}, 2), (None, 1)):
        state.access.tokens["CLOUDFLARE_TOKEN_READ"] = Token(permissions or PERMISSIONS["CLOUDFLARE_TOKEN_READ"])
        assert run_workflow(project, "apply.yml") == [0, 0]
        assert run_workflow(project, "apply.yml") == [0, 0]
        assert len(state.account().store.list_entries().entries) == left


def test_drift_fails_the_watch(project: Project) -> None:
    """With 2, and the rest is told all the same."""
    run_workflow(project, "apply.yml")
    project.write("wrangler.toml", WRANGLER)
    assert run_workflow(project, "watch.yml") == [2, 0, 0, 0]
