"""`mtlsctl ci` over several stacks: one comment, one exit code, and every stack by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.ci import Bench
from tests.support.cli import MTLS, WRANGLER
from tests.support.trees import git


@pytest.fixture
def several(bench: Bench) -> Bench:
    """Two stacks in a git tree, which share one key."""
    folder = bench.project.folder
    git(folder, "init", "--quiet")
    for name in ("mtls.toml", "wrangler.toml"):
        (folder / name).unlink()
    for stack in ("billing", "ledger"):
        bench.project.write(f"apps/{stack}/mtls.toml", MTLS.replace("payments", stack))
        bench.project.write(f"apps/{stack}/wrangler.toml", WRANGLER.replace("checkout", stack))
        bench.project.write(f"apps/{stack}/certs/billing.pem", (folder / "certs/billing.pem").read_bytes())
    return bench


def test_all_stacks_are_one_comment(several: Bench) -> None:
    """With a table, and each plan below it; a later run updates it, though there is another stack then."""
    assert several.ci("plan", "--all").code == 0
    assert several.own[0].startswith("<!-- mtlsctl:plan:all-stacks -->\n")
    assert "### mtlsctl plan: 2 stacks" in several.own[0]
    assert all(f"`apps/{stack}/mtls.toml`" in several.own[0] for stack in ("billing", "ledger"))
    several.project.write("apps/third/mtls.toml", 'version = 1\nstack = "third"\n')
    several.ci("plan", "--all", run=51)
    (comment,) = several.own
    assert "### mtlsctl plan: 3 stacks" in comment


def test_a_stack_that_fails_stops_no_other_one(several: Bench) -> None:
    """It comes first, and the job fails in part."""
    several.project.write("apps/billing/mtls.toml", "version = 1\nstack = 5\n")
    done = several.ci("plan", "--all")
    assert done.code == 5
    assert several.own[0].index("apps/billing") < several.own[0].index("apps/ledger")
    assert several.outputs["exit-code"] == "5"


def test_the_plans_are_saved_in_a_folder_that_apply_takes(several: Bench) -> None:
    """One for each stack; and the outputs count the changes of all of them."""
    several.ci("plan", "--all")
    folder = Path(several.outputs["plan"])
    assert sorted(path.name for path in folder.iterdir()) == ["apps__billing.plan.json", "apps__ledger.plan.json"]
    assert several.outputs["to-upload"] == "2"
    assert several.project.run("apply", str(folder), "--all").code == 0
    assert several.ci("plan", "--all", run=51).code == 0
    assert "no changes" in several.own[0]


def test_the_files_can_be_lines_of_a_variable(several: Bench) -> None:
    """As an action passes them on."""
    files = "apps/billing/mtls.toml\napps/ledger/mtls.toml\n"
    assert several.ci("validate", MTLSCTL_CI_FILE=files).code == 0
    assert "2 stacks" in several.runner("summary")
    assert several.ci("validate", MTLSCTL_CI_ALL="true").code == 0


def test_apply_keeps_one_record_of_all_runs(several: Bench) -> None:
    """The newest first, in the file that was named."""
    main = {"event": {"repository": {"full_name": "acme/shop"}}, "GITHUB_EVENT_NAME": "push"}
    done = several.ci("apply", "--all", "--record", "runner/record.json", **main)  # type: ignore[arg-type]
    assert done.code == 0, done.out + done.err
    record = json.loads(several.runner("record.json"))
    assert [run["stack"] for run in record["runs"]] == ["ledger", "billing"]
    assert all(run["actor"]["forge"] == "github" for run in record["runs"])


def test_one_saved_plan_is_not_of_several_stacks(several: Bench) -> None:
    """It could not be said of which."""
    several.project.write("runner/plan.json", "{}")
    main = {"event": {"repository": {"full_name": "acme/shop"}}, "GITHUB_EVENT_NAME": "push"}
    done = several.ci("apply", "--all", "--plan", "runner/plan.json", **main)  # type: ignore[arg-type]
    assert (done.code, "is the plan of one stack" in done.err) == (64, True)


def test_the_plans_of_several_stacks_can_be_approved(several: Bench) -> None:
    """The folder of one job is what the next one is limited to; a stack without a plan there is left out."""
    several.ci("plan", "--all")
    folder = Path(several.outputs["plan"])
    (folder / "apps__ledger.plan.json").unlink()
    main = {"event": {"repository": {"full_name": "acme/shop"}}, "GITHUB_EVENT_NAME": "push"}
    done = several.ci("apply", "--all", "--plan", str(folder), **main)  # type: ignore[arg-type]
    assert done.code == 0, done.out + done.err
    assert "### mtlsctl apply `billing`: Done" in several.runner("summary")
    assert "10ca1000" in several.project.read("apps/billing/wrangler.toml")
    assert "10ca1000" not in several.project.read("apps/ledger/wrangler.toml")


def test_a_weakened_guard_is_told_though_nothing_changes(several: Bench) -> None:
    """In the comment, which is written for it, and in the row of its stack."""
    folder = several.project.folder
    assert several.project.run("apply", "--all", "--yes").code == 0
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all is well")
    text = several.project.read("apps/billing/mtls.toml")
    several.project.write("apps/billing/mtls.toml", f'{text}\n[policy]\ngrace = "0s"\n')
    assert several.ci("plan", "--all", "--base", "HEAD").code == 0
    assert "no changes; guards weakened: grace" in several.own[0].replace("&#59;", ";").replace("&#58;", ":")


def test_no_stack_of_a_job_closes_the_issues_of_another(several: Bench) -> None:
    """Also under a key of the job."""
    assert several.project.run("apply", "--all", "--yes").code == 0
    text = several.project.read("apps/billing/wrangler.toml")
    several.project.write("apps/billing/wrangler.toml", text.replace("10ca1000-", "10ca1001-"))
    event = {"repository": {"full_name": "acme/shop"}}
    for run in (51, 52):
        several.ci("drift", "--all", "--comment-key", "nightly", event=event, run=run, GITHUB_EVENT_NAME="schedule")
        assert [issue["state"] for issue in several.github.issues] == ["open"]
