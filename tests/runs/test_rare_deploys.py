"""A Worker that is deployed rarely: its old certificate stays, and `status` says for what and until which deploy."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from reconciler.emulator.server import running
from reconciler.emulator.state import EmulatorState, new_state
from reconciler.system.clock import SystemClock
from tests.emulator.test_workers import certificate, multipart
from tests.support.cli import MTLS, Project, make_project
from tests.support.emulated import account_environ, client_of

ACCOUNT = MTLS.replace(
    "[certificates.billing]", '[store]\nkind = "cloudflare"\n\n[policy]\ngrace = "0s"\n\n[certificates.billing]'
)


TOLD = "deploy checkout (`mtlsctl apply --deploy`), then deploy it once more with wrangler (`rollback_versions = 1`)"


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
        project.environ |= account_environ(url)
        assert project.run("apply", "--yes").code == 0
        deploy(project, state)
        project.certificate("billing", 2)
        assert project.run("apply", "--yes").code == 0

        (one,) = kept(project)
        (use,) = one["live"]
        assert (one["condition"], use["share"]) == ("presented-live", 100)
        assert use["deployed_on"] <= one["since"]  # the renewed one was uploaded after that deploy, with no grace
        assert one["hint"] == TOLD
        text = project.run("status").out
        assert f"kept since {one['since'][:10]}, when its grace period ended; to have it deleted, {TOLD}\n" in text

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


def test_live_explains_every_condition_also_during_the_grace_period(tmp_path: Path) -> None:
    """The Worker that is not deployed is no surprise at its end."""
    state = new_state(SystemClock())
    with running(state) as url:
        project = make_project(tmp_path, mtls=ACCOUNT.replace('grace = "0s"', 'grace = "7d"'))
        project.environ |= account_environ(url)
        assert project.run("apply", "--yes").code == 0
        deploy(project, state)
        project.certificate("billing", 2)
        assert project.run("apply", "--yes").code == 0

        text = project.run("explain", "billing").out
        assert "not checked yet, in this order: named-in-file, unchecked, presented-live," in text
        assert "\n      the other 8 hold\n" in text
        found = project.run("explain", "billing", "--live")
        assert "NOT YET  its grace period is over [grace]\n" in found.out
        assert "NOT YET  no live version of a Worker uses it [presented-live]\n" in found.out
        leaked = "for a leaked key, run `mtlsctl retire billing --now --ignore-rollback` after the first deploy"
        assert f"to have it deleted, {TOLD}; {leaked}\n" in found.out
        assert "[used-elsewhere]" not in found.out
        assert "not checked" not in found.out.lower()

        document = project.run("forecast", "--format", "json").json
        assert "retire" in {step["event"] for step in document["steps"]}
        document = project.run("forecast", "--live", "--format", "json").json
        assert "retire" in {step["event"] for step in document["steps"]}  # the deploys are assumed, and listed
        (one,) = document["releases"]
        assert (one["certificate"], one["what"]) == ("billing", TOLD)
        assert not any(text.startswith("the old certificate of") for text in document["assumptions"])
        shown = project.run("forecast", "--live").out
        assert f"  ! billing: by {one['by'][:10]}" in shown
        assert f"{TOLD}; else its old certificate stays\n" in shown


def test_a_deploy_that_a_freeze_held_when_it_was_approved_is_made_after_it(tmp_path: Path) -> None:
    """During the freeze the plan ends with 3, and nobody is told to deploy; after it, it deploys."""
    freeze = '[[policy.freeze]]\nstart = "{}"\nend = "{}"\n'
    state = new_state(SystemClock())
    with running(state) as url:
        project = make_project(tmp_path, mtls=ACCOUNT)
        project.environ |= {
            **account_environ(url),
            "PATH": str(tmp_path),  # no wrangler: what would be deployed is told before anything is changed
        }
        assert project.run("apply", "--yes").code == 0
        deploy(project, state)
        project.certificate("billing", 2)
        assert project.run("apply", "--yes").code == 0
        project.write("mtls.toml", ACCOUNT + freeze.format("2020-01-01", "2099-12-31"))
        saved = project.run("plan", "--live", "--deploy", "--out", "plan.json", "--format", "json").json
        assert [one["condition"] for one in saved["waiting"] if one["action"] == "deploy"] == ["frozen"]

        held = project.run("apply", "plan.json", "--format", "json")
        assert (held.code, held.json["to_deploy"]) == (3, [])
        project.write("mtls.toml", ACCOUNT + freeze.format("2098-01-01", "2099-12-31"))
        done = project.run("apply", "plan.json")
        assert (done.code, "wrangler was not found" in done.err) == (1, True)
