"""A Worker that is deployed rarely: its old certificate stays, and `status` says for what and until which deploy."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState, new_state
from reconciler.system.clock import SystemClock
from tests.emulator.test_workers import certificate, multipart
from tests.support.cli import MTLS, Project, make_project
from tests.support.emulated import TOKEN, client_of

ACCOUNT = MTLS.replace(
    "[certificates.billing]", '[store]\nkind = "cloudflare"\n\n[policy]\ngrace = "0s"\n\n[certificates.billing]'
)


def deploy(project: Project, state: EmulatorState) -> None:
    """Deploy what the wrangler file names, as `wrangler deploy` does."""
    (binding,) = tomllib.loads(project.read("wrangler.toml"))["mtls_certificates"]
    files = multipart([certificate(binding["certificate_id"], "BILLING")])
    assert client_of(state).put("/workers/scripts/checkout", files=files).is_success


def kept(project: Project) -> list[dict[str, Any]]:
    """What `status` says of old certificates."""
    (billing,) = project.run("status", "--format", "json").json["certificates"]
    return list(billing["waiting"])


def test_an_old_certificate_is_kept_until_the_deploys_that_status_names(tmp_path: Path) -> None:
    """Live first, then in reach of a rollback; one deploy more, and `apply` deletes it."""
    state = new_state(SystemClock())
    with running(state) as url:
        project = make_project(tmp_path, mtls=ACCOUNT)
        project.environ |= {
            "CLOUDFLARE_API_BASE_URL": url,
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID,
            "CLOUDFLARE_API_TOKEN": TOKEN,
        }
        assert project.run("apply", "--yes").code == 0
        deploy(project, state)
        project.certificate("billing", 2)
        assert project.run("apply", "--yes").code == 0

        (one,) = kept(project)
        (use,) = one["live"]
        assert (one["condition"], use["share"]) == ("presented-live", 100)
        assert use["deployed_on"] <= one["since"]  # the renewed one was uploaded after that deploy, with no grace
        told = "deploy checkout (`mtlsctl apply --deploy`), then deploy it once more (`rollback_versions = 1`)"
        assert one["hint"] == told
        text = project.run("status").out
        assert f"kept since {one['since'][:10]}, when its grace period ended; to have it deleted, {told}\n" in text

        deploy(project, state)
        (one,) = kept(project)
        assert (one["condition"], one["live"][0]["deployments_ago"]) == ("rollback-reach", 1)
        command = "`wrangler deploy --config wrangler.toml --env=`"
        assert one["hint"] == f"deploy checkout once more ({command}), or set `rollback_versions = 0` in `[policy]`"
        assert one["hint"] in project.run("explain", "billing").out

        deploy(project, state)
        assert kept(project) == []
        assert project.run("apply", "--yes").code == 0
        assert len(state.account().entries()) == 1
