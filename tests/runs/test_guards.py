"""Guard rails from the command line: exit codes, options, saved plans, the journal, and what the operator sets."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.cli import applying
from reconciler.system.clock import SystemClock
from tests.runs.test_operator import retired, uploads, with_variables
from tests.support.cli import MTLS, Project, make_project
from tests.support.trees import git

FOREVER = '[[policy.freeze]]\nstart = "2020-01-01"\nend = "2099-12-31"\nzone = "Europe/Berlin"\nwhy = "audit"\n'
"""A freeze that holds whenever the tests run."""
KEEP = '[policy]\ngrace = "0s"\nprune = true\nprotect = ["bill*"]\n'
SCHEDULES = [{"MTLSCTL_SCHEDULED": "1"}, {"GITHUB_EVENT_NAME": "schedule"}, {"CI_PIPELINE_SOURCE": "schedule"}]


def codes(result_json: dict[str, object]) -> list[str]:
    found = result_json["diagnostics"]
    assert isinstance(found, list)
    return [f"{one['severity']} {one['code']}" for one in found if one["code"] != "chain-incomplete"]


@pytest.fixture
def rotated(tmp_path: Path) -> Project:
    """One old upload that could be deleted, of a certificate that is protected."""
    project = make_project(tmp_path, MTLS + KEEP)
    assert project.run("apply", "--yes").code == 0
    project.certificate("billing", 2)
    assert project.run("apply", "--yes", "--phase", "upload", "--phase", "bind").code == 0
    return project


# --- protect ----------------------------------------------------------------------------------------------------------


def test_apply_deletes_nothing_protected_without_its_exact_name(rotated: Project) -> None:
    """A person gets 3, a plan only a warning; the option is shown as it must be typed."""
    plan = rotated.run("plan")
    assert plan.code == 0
    assert "--override-protect billing" in plan.out
    result = rotated.run("apply", "--yes")
    assert (result.code, uploads(rotated)) == (3, 2)
    assert "run with `--override-protect billing`" in " ".join(result.out.split())
    assert rotated.run("apply", "--yes", "--override-protect", "bill*").code == 3
    assert retired(rotated.run("plan", "--override-protect", "billing", "--format", "json")) == 1
    assert rotated.run("apply", "--yes", "--override-protect", "billing").code == 0
    assert uploads(rotated) == 1


def test_a_schedule_is_not_failed_by_what_is_protected(rotated: Project) -> None:
    """It would be red until someone deletes it by hand."""
    for environ in SCHEDULES:
        assert with_variables(rotated, environ).run("apply", "--yes").code == 0
    assert with_variables(rotated, {"GITHUB_EVENT_NAME": "push"}).run("apply", "--yes").code == 3
    assert uploads(rotated) == 2


def test_retire_now_deletes_nothing_protected(rotated: Project) -> None:
    """A leaked key needs the option, which the error names."""
    result = rotated.run("retire", "billing", "--now", "--yes")
    assert result.code == 3
    assert "`--override-protect billing`" in " ".join(result.err.split())
    assert rotated.run("retire", "billing", "--now", "--yes", "--override-protect", "billing").code == 0
    assert uploads(rotated) == 1


def test_a_table_that_was_removed_with_its_protection_is_protected_by_the_operator(rotated: Project) -> None:
    """`MTLSCTL_PROTECT` is outside of the repository; one certificate is left, so mtls.toml is not empty."""
    other = MTLS.replace("billing", "other").replace("BILLING_KEY", "OTHER_KEY").partition("[workers")[0]
    rotated.certificate("other", 5)
    rotated.write("wrangler.toml", 'name = "checkout"\n')
    rotated.write("mtls.toml", other + '[policy]\ngrace = "0s"\nprune = true\n')
    assert rotated.run("apply", "--yes").code == 0
    safe = with_variables(rotated, {"MTLSCTL_PROTECT": "ledger*, bill*"})
    result = safe.run("apply", "--prune", "--yes")
    assert (result.code, uploads(rotated)) == (3, 3)
    assert "the variable MTLSCTL_PROTECT protects billing" in " ".join(result.out.split())
    assert rotated.run("apply", "--prune", "--yes").code == 0
    assert uploads(rotated) == 1


def test_an_override_of_protect_is_given_to_the_run_that_applies_a_saved_plan(rotated: Project) -> None:
    """The plan that was made with it says how, and has the same digest as one without."""
    plain = rotated.run("plan", "--out", "plain.json", "--format", "json").json
    shown = rotated.run("plan", "--override-protect", "billing", "--out", "plan.json")
    assert "mtlsctl apply plan.json --override-protect billing" in shown.out
    made = rotated.run("show", "plan.json", "--format", "json").json
    assert (plain["digest"], plain["changes"]) == (made["digest"], [])
    for name in ("plan.json", "plain.json"):
        assert rotated.run("apply", name).code == 3
        assert uploads(rotated) == 2
    assert rotated.run("apply", "plain.json", "--override-protect", "billing").code == 0
    assert uploads(rotated) == 1


# --- freezes ----------------------------------------------------------------------------------------------------------


def test_a_freeze_holds_apply_for_a_person_and_a_schedule_alike(tmp_path: Path) -> None:
    """Only the exit code differs; the plan shows until when."""
    project = make_project(tmp_path, MTLS + FOREVER)
    plan = project.run("plan", "--detailed-exitcode", "--format", "json")
    assert (plan.code, plan.json["changes"], codes(plan.json)) == (0, [], ["warning freeze"])
    assert {wait["condition"] for wait in plan.json["waiting"]} == {"frozen"}
    assert plan.json["next"] == "2099-12-31T23:00:00Z"
    result = project.run("apply", "--yes", "--format", "json")
    assert (result.code, codes(result.json), uploads(project)) == (3, ["error freeze"], 0)
    for environ in SCHEDULES:
        result = with_variables(project, environ).run("apply", "--yes", "--format", "json")
        assert (result.code, codes(result.json), uploads(project)) == (0, ["warning freeze"], 0)
        assert len(result.json["waiting"]) == 2
    assert project.run("status", "--format", "json").json["next"] == "2099-12-31T23:00:00Z"
    assert project.run("drift").code == 2
    told = " ".join(project.run("explain", "billing").out.split())
    assert (
        "billing: not uploaded, and the upload waits until 2099-12-31 23:00 UTC because changes are frozen (audit)"
        in told
    )
    assert "until the new certificate becomes valid" not in project.run("status", "billing").out
    assert "or with `--override-freeze REASON`" in " ".join(project.run("drift").out.split())
    assert "until 2100-01-01 00:00 Europe/Berlin, 2099-12-31 23:00 UTC (audit)" in " ".join(
        project.run("plan").out.split()
    )


def test_a_reason_lets_apply_go_on_and_is_kept(tmp_path: Path) -> None:
    """In the journal, so that history shows who changed what during a freeze, and why."""
    project = make_project(tmp_path, MTLS + FOREVER)
    result = project.run("apply", "--yes", "--override-freeze", "CHG-1: key leaked")
    assert (result.code, uploads(project)) == (0, 1)
    assert "warning" in result.out
    assert "CHG-1: key leaked" in result.out
    assert project.run("history", "--format", "json").json["runs"][0]["freeze_reason"] == "CHG-1: key leaked"
    assert "CHG-1: key leaked" in project.run("history").out


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "\x1b[2J", "x" * 101])
def test_a_reason_that_says_nothing_is_none(tmp_path: Path, reason: str) -> None:
    """It is shown to people, and must not act on their terminal."""
    project = make_project(tmp_path, MTLS + FOREVER)
    assert project.run("apply", "--yes", "--override-freeze", reason).code == 64
    assert uploads(project) == 0


def test_a_hostile_reason_acts_nowhere(tmp_path: Path) -> None:
    """In Markdown, where others read it, it stays in the block of the findings, which nothing in it ends."""
    project = make_project(tmp_path, MTLS + FOREVER)
    reason = "<script>x</script> ```` @team [x](http://x)"
    result = project.run("apply", "--yes", "--override-freeze", reason, "--format", "markdown")
    assert result.code == 0
    outside = re.sub(r"(?ms)^(`{3,})\w*\n.*?^\1$", "", result.out)
    assert "@team" in result.out
    assert "@team" not in outside


def test_a_plan_from_before_or_during_a_freeze_is_held_by_it_and_applied_after_it(tmp_path: Path) -> None:
    """The digest that was approved is the same all the time."""
    project = make_project(tmp_path, MTLS)
    before = project.run("plan", "--out", "before.json", "--format", "json").json
    project.write("mtls.toml", MTLS + FOREVER)
    during = project.run("plan", "--out", "during.json", "--format", "json").json
    assert before["digest"] == during["digest"]
    for name in ("before.json", "during.json"):
        assert (project.run("apply", name).code, uploads(project)) == (3, 0)
    assert project.run("apply", "--yes", "--digest", before["digest"]).code == 3
    project.write("mtls.toml", MTLS)
    assert project.run("apply", "during.json", "--digest", before["digest"]).code == 0
    assert uploads(project) == 1


def test_a_plan_that_was_approved_can_be_applied_during_a_freeze_for_a_reason(tmp_path: Path) -> None:
    """About acting, so it goes with a saved plan."""
    project = make_project(tmp_path, MTLS + FOREVER)
    assert project.run("plan", "--out", "plan.json").code == 0
    assert project.run("apply", "plan.json", "--override-freeze", "CHG-1").code == 0
    assert uploads(project) == 1


def test_retire_during_a_freeze_says_how(rotated: Project) -> None:
    """Also with `--now`: whoever is in a hurry reads the option in the error."""
    rotated.write("mtls.toml", rotated.read("mtls.toml").replace('["bill*"]', "[]") + FOREVER)
    result = rotated.run("retire", "billing", "--now", "--yes")
    assert result.code == 3
    assert "--override-freeze REASON" in " ".join(result.err.split())
    assert rotated.run("retire", "billing", "--now", "--yes", "--override-freeze", "leak").code == 0
    assert uploads(rotated) == 1


def test_a_freeze_that_begins_while_a_person_reads_the_plan_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan was shown without it, and a yes was to that plan."""
    project = make_project(tmp_path, MTLS + '[[policy.freeze]]\nstart = "2026-12-05"\nend = "2026-12-06"\n')
    begins = datetime(2026, 12, 5, tzinfo=UTC)
    times = [begins - timedelta(seconds=1)]

    def answer(yes: bool, *, can_save: bool) -> None:
        times.append(begins)

    monkeypatch.setattr(SystemClock, "now", lambda self: times[-1])
    monkeypatch.setattr(applying, "confirm", answer)
    result = project.run("apply")
    assert (result.code, uploads(project)) == (3, 0)
    assert "a freeze began after the plan was made" in " ".join(result.err.split())


def test_a_long_lead_ends_no_freeze(tmp_path: Path) -> None:
    """`renew_before` says when a person is asked to renew; else one line of it would disarm every freeze."""
    project = make_project(tmp_path)
    assert project.run("apply", "--yes").code == 0
    project.write("mtls.toml", MTLS + '[policy]\nrenew_before = "5000w"\n' + FOREVER)
    project.certificate("billing", 2)
    assert (project.run("apply", "--yes").code, uploads(project)) == (3, 1)


def test_a_freeze_hides_no_comparison_of_guards(tmp_path: Path) -> None:
    """What is compared is told, whether something is held or not."""
    project = make_project(tmp_path, MTLS + FOREVER)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "frozen")
    same = project.run("plan", "--base", "HEAD", "--format", "json").json
    assert (same["changes"], same["weakened"]) == ([], [])
    project.write("mtls.toml", f'{MTLS}[policy]\ngrace = "0s"\n{FOREVER}')
    looser = project.run("plan", "--base", "HEAD", "--format", "json").json
    assert [one["guard"] for one in looser["weakened"]] == ["grace"]
    assert "warning guard-weakened" in codes(looser)


# --- shares, and nothing declared -------------------------------------------------------------------------------------


def test_the_operator_limits_deletions_by_a_share_too(tmp_path: Path) -> None:
    """Of four uploads, half are two; an option allows no more."""
    project = make_project(tmp_path, MTLS + '[policy]\ngrace = "0s"\nmax_deletes = "75%"\n')
    for number in (1, 2, 3, 4):
        project.certificate("billing", number)
        assert project.run("apply", "--yes", "--phase", "upload", "--phase", "bind").code == 0
    assert retired(project.run("plan", "--format", "json")) == 3
    limited = with_variables(project, {"MTLSCTL_MAX_DELETES": "50%"})
    assert retired(limited.run("plan", "--format", "json")) == 2
    assert retired(limited.run("plan", "--allow-deletes", "9", "--format", "json")) == 2
    assert retired(with_variables(project, {"MTLSCTL_MAX_DELETES": "0%"}).run("plan", "--format", "json")) == 0


@pytest.mark.parametrize("kept", ["", '[workers.checkout]\nconfig = "wrangler.toml"\nbindings = {}\n'])
def test_an_emptied_mtls_toml_removes_nothing_unless_that_is_allowed(tmp_path: Path, kept: str) -> None:
    """By schedule, too, and with a saved plan."""
    project = make_project(tmp_path)
    assert project.run("apply", "--yes").code == 0
    bound = project.read("wrangler.toml")
    project.write("mtls.toml", 'version = 1\nstack = "payments"\npolicy = { grace = "0s", prune = true }\n' + kept)
    if not kept:
        project.write("wrangler.toml", bound := "")
    empty = project.run("plan", "--prune", "--allow-empty", "--out", "empty.json", "--format", "json").json
    assert empty["changes"]
    for run in (
        project.run("apply", "--prune", "--yes"),
        with_variables(project, SCHEDULES[1]).run("apply", "--prune", "--yes"),
        project.run("apply", "empty.json"),
    ):
        assert (run.code, uploads(project), project.read("wrangler.toml")) == (3, 1, bound)
        assert "--allow-empty" in run.out
    assert project.run("apply", "empty.json", "--allow-empty").code == 0
    assert project.run("apply", "--prune", "--allow-empty", "--yes").code == 0
    assert uploads(project) == 0
