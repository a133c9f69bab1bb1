"""`apply --deploy` with the real wrangler against the emulator: live versions decide, never what a run wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import new_state
from reconciler.emulator.tokens import Token
from reconciler.system.clock import SystemClock
from tests.emulator.test_wrangler import Bench
from tests.support.cli import Project
from tests.support.emulated import account_environ
from tests.support.store_contract import LEAVES
from tests.support.wrangler_readers import MODULES, find_node

MTLS = """\
version = 1
stack = "payments"
store = { kind = "cloudflare" }
policy = { grace = "0s", rollback_versions = 0 }

[certificates.billing]
certificate = "certs/billing.pem"
private_key = { env = "BILLING_KEY" }

[workers.tiny]
config = "wrangler.toml"

[workers.tiny.bindings]
MY_CERT = "billing"
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    find_node()
    state = new_state(SystemClock())
    with running(state) as url:
        yield Bench(tmp_path, url, state)


@pytest.fixture
def project(bench: Bench) -> Project:
    """A Worker that is bound, deployed, and then rotated in mtls.toml."""
    made = Project(
        bench.folder,
        {
            **account_environ(bench.url),
            "MTLSCTL_WRANGLER": str(MODULES / ".bin" / "wrangler"),
            "PATH": os.pathsep.join((str(Path(find_node()).parent), os.defpath)),
        },
    )
    bench.bind("")
    made.write("mtls.toml", MTLS)
    renew(made, 0)
    assert made.run("apply", "--yes").code == 0
    bench.passes("deploy")
    renew(made, 1)
    return made


def renew(project: Project, number: int) -> None:
    """Replace the certificate and its key."""
    project.write("certs/billing.pem", LEAVES[number].certificate_pem)
    project.environ["BILLING_KEY"] = LEAVES[number].key_pem.decode()


def file_id(project: Project) -> str:
    """The id in the wrangler file."""
    return project.read("wrangler.toml").partition('certificate_id = "')[2][:36]


def test_a_rotation_is_deployed_and_then_retired(bench: Bench, project: Project) -> None:
    """One run uploads, binds and deploys; the next deletes the old certificate, and the third has nothing to do."""
    (old,) = bench.serving()
    planned = project.run("plan", "--deploy", "--format", "json").json
    assert [change["action"] for change in planned["changes"]] == ["upload", "rebind", "deploy"]
    done = project.run("apply", "--yes", "--deploy", "--format", "json")
    assert done.code == 0, done.out + done.err
    assert [step["change"]["action"] for step in done.json["done"]] == ["upload", "rebind", "deploy"]
    assert done.json["to_deploy"] == []
    assert bench.serving() == {file_id(project)} != {old}
    calls = project.run("plan", "--deploy", "--format", "json").json["calls"]["apply"]
    bench.state.calls.clear()
    again = project.run("apply", "--yes", "--deploy", "--format", "json")
    assert len(bench.state.calls) == calls
    assert [step["change"]["before"] for step in again.json["done"]] == [old]
    assert project.run("plan", "--deploy", "--detailed-exitcode").code == 0
    assert "PRIVATE KEY" not in done.out + done.err


def test_a_killed_run_is_finished_by_the_next(bench: Bench, project: Project) -> None:
    """The file is written, but not deployed: the next run sees it from the live version."""
    result = project.run("apply", "--yes", "--format", "json")
    assert result.json["to_deploy"] == [
        {
            "worker": "tiny",
            "config": "wrangler.toml",
            "script": "tiny",
            "command": ["wrangler", "deploy", "--config", "wrangler.toml", "--env="],
        }
    ]
    assert bench.serving() != {file_id(project)}
    assert "1 Worker to deploy: tiny (top level)." in project.run("plan", "--live").out
    (project.folder / "src").mkdir()
    # It has nothing to change, but checks what the old entry waits for, and so can report what is left.
    again = project.run("apply", "--yes", "--file", "../mtls.toml", folder="src")
    assert "No changes" in again.out
    assert "\n  wrangler deploy --config ../wrangler.toml --env=\n" in again.out
    done = project.run("apply", "--yes", "--deploy", "--format", "json")
    assert [step["change"]["action"] for step in done.json["done"]] == ["deploy"]
    assert bench.serving() == {file_id(project)}


def test_a_worker_that_declares_it_is_deployed_without_being_asked(bench: Bench, project: Project) -> None:
    """`deploy = "wrangler"`, where the operator allows it; else it waits, and the plan says how to allow it."""
    project.write(
        "mtls.toml", MTLS.replace('config = "wrangler.toml"', 'config = "wrangler.toml"\ndeploy = "wrangler"')
    )
    refused = project.run("apply", "--yes")
    assert (refused.code, "warning[deploy-not-allowed]" in project.run("plan").out) == (0, True)
    assert bench.serving() != {file_id(project)}
    project.environ["MTLSCTL_DEPLOY"] = "1"
    assert project.run("apply", "--yes").code == 0
    assert bench.serving() == {file_id(project)}


def test_what_wrangler_says_is_told_when_it_fails(bench: Bench, project: Project) -> None:
    """Its own last output, no key; the file stays written, and the run is partly done."""
    project.write("index.js", "export default {\n")
    result = project.run("apply", "--yes", "--deploy")
    assert result.code == 5
    assert "wrangler could not deploy wrangler.toml" in result.out
    assert "Build failed with 1 error: / Expected identifier but found end of file" in result.out
    assert "wrangler deploy --config wrangler.toml --env=" in result.out
    assert bench.serving() != {file_id(project)}


def test_a_gradual_deployment_is_not_ended_without_a_word(bench: Bench, project: Project) -> None:
    """Two versions share the traffic: blocked without the option."""
    bench.passes("versions", "upload")
    newest = [str(version["id"]) for version in bench.worker.versions][-2:]
    bench.passes("versions", "deploy", f"{newest[0]}@90", f"{newest[1]}@10", "--yes")
    result = project.run("apply", "--yes", "--deploy")
    assert result.code == 3
    assert "gradual-deployment" in result.out
    assert "--over-split" in result.out
    assert len(bench.worker.deployed()) == 2
    assert project.run("apply", "--yes", "--deploy").code == 3
    assert project.run("apply", "--yes", "--deploy", "--over-split").code == 0
    assert bench.serving() == {file_id(project)}


def test_a_saved_plan_carries_its_deploys(bench: Bench, project: Project) -> None:
    """Approved with `--deploy`, it is deployed by `apply PLAN`, even if the upload happened meanwhile."""
    assert project.run("plan", "--deploy", "--out", "plan.json").code == 0
    assert project.run("apply", "--yes", "--phase", "upload", "--phase", "bind").code == 0
    done = project.run("apply", "plan.json", "--format", "json")
    assert done.code == 0, done.out + done.err
    assert [step["change"]["action"] for step in done.json["done"]] == ["deploy"]
    assert bench.serving() == {file_id(project)}


def test_a_deploy_that_was_not_approved_is_stale(bench: Bench, project: Project) -> None:
    """A plan without deploys does not allow one."""
    assert project.run("plan", "--out", "plan.json").code == 0
    assert project.run("apply", "plan.json", "--deploy").code == 4


def test_whatever_the_worker_is_called_elsewhere_the_declared_one_is_deployed(bench: Bench, project: Project) -> None:
    """A CI system may set another name for it, in the environment or in an `.env` file that wrangler reads."""
    project.environ["WRANGLER_CI_OVERRIDE_NAME"] = "another"
    assert project.run("apply", "--yes", "--deploy").code == 0
    del project.environ["WRANGLER_CI_OVERRIDE_NAME"]
    project.write(".env", "WRANGLER_CI_OVERRIDE_NAME=another\nCLOUDFLARE_ENV=staging\n")
    renew(project, 2)
    assert project.run("apply", "--yes", "--deploy").code == 0
    assert bench.serving() == {file_id(project)}
    assert set(bench.state.account().holders.workers) == {"tiny"}


def test_an_env_file_of_the_repository_leads_the_token_nowhere(bench: Bench, project: Project) -> None:
    """wrangler takes from it what is unset or empty: no address, and no key that would be used instead of the token."""
    project.write(".env", "CLOUDFLARE_API_BASE_URL=http://127.0.0.1:9/client/v4\nWRANGLER_API_ENVIRONMENT=staging\n")
    assert project.run("apply", "--yes", "--deploy").code == 0
    assert bench.serving() == {file_id(project)}
    before = bench.serving()
    project.write(".env", "CLOUDFLARE_API_KEY=theirs\nCLOUDFLARE_EMAIL=a@mtls.example\n")
    bench.state.access.tokens[project.environ["CLOUDFLARE_API_TOKEN"]] = Token()  # and no other is known
    renew(project, 2)
    assert project.run("apply", "--yes", "--deploy").code == 5
    assert bench.serving() == before


def test_wrangler_that_ends_well_and_deploys_nothing_is_found_out(bench: Bench, project: Project) -> None:
    """The live version counts, whatever wrangler reports."""
    project.environ["MTLSCTL_WRANGLER"] = "/bin/true"
    result = project.run("apply", "--yes", "--deploy")
    assert result.code == 5
    assert "wrangler succeeded, but the live version" in result.out
    assert "not " + file_id(project) in result.out


def test_what_a_build_made_is_what_is_deployed(bench: Bench, project: Project) -> None:
    """`--config` bypasses wrangler's redirect, so the built file is named itself, and only once it has the ids."""
    assert project.run("apply", "--yes").code == 0
    built = {"name": "tiny", "main": "built.js", "compatibility_date": "2026-01-01"}
    project.write("dist/built.js", "export default { fetch: () => new Response('built') };\n")
    project.write(".wrangler/deploy/config.json", '{"configPath": "../../dist/wrangler.json"}')
    project.write("dist/wrangler.json", json.dumps(built))
    result = project.run("apply", "--yes", "--deploy")
    assert result.code == 1
    assert "build-needed" in result.out
    binding = {"binding": "MY_CERT", "certificate_id": file_id(project)}
    project.write("dist/wrangler.json", json.dumps(built | {"mtls_certificates": [binding]}))
    planned = project.run("plan", "--deploy", "--out", "plan.json")
    assert "^ deploy  tiny (top level) as tiny, built as dist/wrangler.json\n" in planned.out
    project.write("index.js", "this is no program\n")  # deploying it would fail
    result = project.run("apply", "plan.json")
    assert result.code == 0, result.out + result.err
    assert bench.serving() == {file_id(project)}


def test_a_file_of_another_account_is_not_deployed(bench: Bench, project: Project) -> None:
    """wrangler would follow the file, but the live version was read in another account."""
    assert project.run("apply", "--yes").code == 0
    bench.state.add_account("f" * 32)
    project.write("wrangler.toml", f'account_id = "{"f" * 32}"\n' + project.read("wrangler.toml"))
    before = len(bench.worker.deployments)
    result = project.run("apply", "--yes", "--deploy")
    assert result.code == 1
    assert "account-differs" in result.out
    assert "deploy  wrangler.toml" not in result.out
    assert len(bench.worker.deployments) == before
    assert bench.state.account("f" * 32).holders.workers == {}


def test_an_approved_plan_may_end_the_gradual_deployment_that_it_saw(bench: Bench, project: Project) -> None:
    """And no other: one that began after the plan was saved is not ended by it."""
    bench.passes("versions", "upload")
    old, new = (str(version["id"]) for version in bench.worker.versions[-2:])
    assert project.run("plan", "--deploy", "--out", "before.json").code == 0
    bench.passes("versions", "deploy", f"{old}@90", f"{new}@10", "--yes")
    result = project.run("apply", "before.json")
    assert "gradual-deployment" in result.out
    assert len(bench.worker.deployed()) == 2
    assert project.run("plan", "--deploy", "--over-split", "--out", "over.json").code == 0
    assert project.run("apply", "before.json", "--over-split").code == 4
    assert project.run("apply", "over.json").code == 0
    assert bench.serving() == {file_id(project)}
