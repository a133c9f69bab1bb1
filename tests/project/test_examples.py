"""Every example does what its README says, and so does the demo."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.wrangler.read import read_wrangler
from tests.support.cli import Project, Result, run
from tests.support.paths import REPOSITORY
from tests.support.trees import git

EXAMPLES = REPOSITORY / "examples"


def copy(name: str, into: Path, *certificates: str) -> Project:
    """An example in a folder of its own, with throw-away certificates."""
    folder = into / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("certs", ".mtlsctl"))
    make(folder, *certificates)
    return Project(folder)


def make(folder: Path, *certificates: str) -> None:
    """Certificates as the READMEs make them."""
    command = [sys.executable, str(EXAMPLES / "throwaway.py"), "certs", *certificates]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def ids(project: Project, path: str) -> dict[str, str]:
    """`environment/BINDING` to id."""
    file = read_wrangler(path, (project.folder / path).read_bytes())
    return {
        f"{environment.name or ''}/{found.binding}": found.certificate_id
        for environment in file.environments.values()
        for found in environment.bindings
    }


def apply(project: Project) -> Result:
    result = project.run("apply", "--yes")
    assert result.code == 0, result.out + result.err
    return result


def test_quickstart_binds_its_one_certificate(tmp_path: Path) -> None:
    """And the second plan is empty."""
    project = copy("quickstart", tmp_path, "my-cert")
    assert project.run("plan", "--detailed-exitcode").code == 2
    apply(project)
    before = (EXAMPLES / "quickstart" / "wrangler.toml").read_text()
    (found,) = ids(project, "wrangler.toml").values()
    assert project.read("wrangler.toml") == before.replace("<CERTIFICATE_ID>", found)
    assert project.run("plan", "--detailed-exitcode").code == 0


def test_many_workers_binds_every_environment_as_declared(tmp_path: Path) -> None:
    """Four entries, six bindings, one environment that has none; validate finds nothing."""
    project = copy("many-workers", tmp_path, "billing", "billing-staging", "ledger")
    shutil.copy(project.folder / "certs/throwaway-ca.pem", project.folder / "certs/partner-ca.pem")
    project.environ["LEDGER_KEY"] = project.read("certs/ledger.key")
    git(project.folder, "init", "--quiet")  # else a note says that nothing could be asked about keys
    assert project.run("validate").out == "Everything checked is in order.\n"
    outcome = project.run("apply", "--yes", "--format", "json").json
    entry = {
        step["change"]["certificate"]: step["entry"] for step in outcome["done"] if step["change"]["action"] == "upload"
    }
    assert sorted(entry) == ["billing", "billing-staging", "ledger", "partner-ca"]
    assert ids(project, "workers/checkout/wrangler.toml") == {
        "/BILLING": entry["billing"],
        "/LEDGER": entry["ledger"],
        "staging/BILLING": entry["billing-staging"],
        "staging/LEDGER": entry["ledger"],
    }
    assert ids(project, "workers/ledger/wrangler.toml") == {"/LEDGER": entry["ledger"]}
    assert ids(project, "workers/reports/wrangler.toml") == {"production/BILLING": entry["billing"]}
    only = project.run("apply", "--only", "billing*")
    assert (only.code, "PARTIAL" in only.out) == (0, True)
    assert project.run("plan", "--detailed-exitcode").code == 0


def test_rotation_goes_forward_and_back_to_the_byte(tmp_path: Path) -> None:
    """The steps of its README."""
    project = copy("rotation", tmp_path, "billing")
    apply(project)
    first, certificate = project.read("wrangler.toml"), project.read("certs/billing.pem")
    make(project.folder, "billing")
    apply(project)
    assert project.read("wrangler.toml") != first
    plan = json.loads(project.run("plan", "--format", "json").out)
    assert (plan["changes"], [wait["condition"] for wait in plan["waiting"]]) == ([], ["grace"])
    project.write("certs/billing.pem", certificate)
    (project.folder / "certs/billing.key").unlink()
    apply(project)
    assert project.read("wrangler.toml") == first


def test_the_workers_call_their_bindings(tmp_path: Path) -> None:
    """Each binding of an example is used in the code of its Worker."""
    quickstart = (EXAMPLES / "quickstart/src/index.js").read_text()
    assert "await env.MY_CERT.fetch(" in quickstart


@pytest.mark.parametrize("name", ["quickstart", "many-workers", "rotation", "monorepo"])
def test_an_example_holds_no_generated_file(name: str) -> None:
    """Certificates and keys are made, never kept."""
    command = ["git", "ls-files", "--", f"examples/{name}"]
    done = subprocess.run(command, cwd=EXAMPLES.parent, capture_output=True, text=True, check=True)
    assert not [path for path in done.stdout.splitlines() if path.endswith((".pem", ".key", ".db"))]


def test_the_demo_tells_the_whole_story(tmp_path: Path) -> None:
    """First plan, apply, an empty plan, a rotation, a revert; it checks itself and leaves nothing."""
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(EXAMPLES / "demo.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for told in ("$ mtlsctl plan", "billing  new", "No changes", "billing  renewed", "newer-entry", "to the byte"):
        assert told in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_throwaway_asks_for_the_cryptography_that_mtlsctl_asks_for() -> None:
    """So that `pipx run` and `uv run` give it one that it was tested with."""
    asked = re.search(r'^# dependencies = \["(.+)"\]$', (EXAMPLES / "throwaway.py").read_text(), re.MULTILINE)
    assert asked is not None
    assert f'"{asked[1]}"' in (REPOSITORY / "pyproject.toml").read_text()


def test_throwaway_without_a_name_says_how_it_is_used(tmp_path: Path) -> None:
    """A newcomer's slip."""
    command = [sys.executable, str(EXAMPLES / "throwaway.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "FOLDER NAME" in done.stderr
    assert run(tmp_path, {}, "--version").code == 0
