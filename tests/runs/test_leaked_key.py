"""A leaked key in an account with default settings: what keeps the old certificate, and every way on from there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import EmulatorState, new_state
from reconciler.model import Condition
from reconciler.plan.retire import CONDITIONS
from reconciler.system.clock import SystemClock
from tests.runs.test_rare_deploys import deploy
from tests.support.cli import MTLS, Project, Result, make_project
from tests.support.emulated import account_environ
from tests.support.pki import BEGIN, make_ca
from tests.support.worlds import issued

ACCOUNT = MTLS.replace("[certificates.billing]", '[store]\nkind = "cloudflare"\n\n[certificates.billing]')
DEPLOY = "`wrangler deploy --config wrangler.toml --env=`"


@pytest.fixture
def state() -> EmulatorState:
    return new_state(SystemClock())


@pytest.fixture
def leaked(tmp_path: Path, state: EmulatorState) -> Iterator[Project]:
    """A deployed Worker; its certificate was replaced and bound, and not deployed yet."""
    with running(state) as url:
        project = make_project(tmp_path, mtls=ACCOUNT)
        project.environ |= account_environ(url)
        assert project.run("apply", "--yes").code == 0
        deploy(project, state)
        project.certificate("billing", 2)
        assert project.run("apply", "--only", "billing", "--yes").code == 0
        yield project


def retire(project: Project, *options: str) -> Result:
    """The last step of the recipe."""
    return project.run("retire", "billing", "--now", "--yes", *options)


def uploads(state: EmulatorState) -> int:
    """How many certificates the account has."""
    return len(state.account().entries())


def test_before_the_deploy_the_refusal_names_the_worker(leaked: Project, state: EmulatorState) -> None:
    """What is live is not deleted, with no option."""
    for options in ((), ("--ignore-rollback",)):
        result = retire(leaked, *options)
        assert (result.code, uploads(state)) == (3, 2)
        assert "of checkout (100 % of the traffic" in result.err
        assert "fix  deploy checkout (`mtlsctl apply --deploy`)" in result.err
        assert ("then deploy it once more" in result.err) is not bool(options)


def test_after_one_deploy_the_refusal_names_both_ways_on(leaked: Project, state: EmulatorState) -> None:
    """The first of them: once more, and then it is deleted."""
    deploy(leaked, state)
    result = retire(leaked)
    assert (result.code, uploads(state)) == (3, 2)
    assert f"fix  deploy checkout once more ({DEPLOY}), then run this again" in result.err
    assert "or give up the rollback: `mtlsctl retire billing --now --ignore-rollback`" in result.err
    deploy(leaked, state)
    assert (retire(leaked).code, uploads(state)) == (0, 1)


def test_ignore_rollback_deletes_it_and_names_the_versions_to_which_no_one_can_go_back(
    leaked: Project, state: EmulatorState
) -> None:
    """As a warning of the plan, so before the question, and in JSON."""
    (version,) = leaked.run("plan", "--live", "--format", "json").json["live"][0]["live"]
    deploy(leaked, state)
    result = retire(leaked, "--ignore-rollback")
    assert (result.code, uploads(state)) == (0, 1)
    assert f"no one can roll back to version {version['version']} of checkout (deployed on " in result.out
    assert retire(leaked, "--ignore-rollback").code == 0


def test_ignore_rollback_skips_nothing_else(leaked: Project, state: EmulatorState) -> None:
    """Neither the grace period, nor what a file has."""
    deploy(leaked, state)
    grace = leaked.run("retire", "billing", "--ignore-rollback", "--yes")
    assert (grace.code, "its grace period is not over" in grace.err) == (3, True)
    old = leaked.run("plan", "--format", "json").json["waiting"][0]["entry"]
    leaked.write("other/wrangler.toml", f"# {old}\n")
    named = retire(leaked, "--ignore-rollback")
    assert (named.code, "its ID is in other/wrangler.toml" in named.err) == (3, True)
    assert uploads(state) == 2


def test_explain_leads_to_the_command_of_each_condition(leaked: Project, state: EmulatorState) -> None:
    """Those that were not checked are named in the order in which they will be."""
    deploy(leaked, state)
    short = leaked.run("explain", "billing").out
    assert "only for a leaked key, run `mtlsctl retire billing --now`" in short
    assert "not checked yet, in this order: named-in-file, unchecked, presented-live, rollback-reach, " in short
    whole = leaked.run("explain", "billing", "--live").out
    assert whole.index("[grace]") < whole.index("[rollback-reach]")
    assert "for a leaked key, run `mtlsctl retire billing --now --ignore-rollback`" in whole


def test_a_plan_says_whether_a_renewal_has_a_new_key(tmp_path: Path) -> None:
    """The same key again would be the leaked one."""
    project = make_project(tmp_path)
    assert project.run("apply", "--yes").code == 0
    ca = make_ca("Other")
    project.write("certs/billing.pem", ca.issue("again", key=issued(1).key).certificate_pem)
    assert "billing  renewed, same key" in project.run("plan").out
    project.write("certs/billing.pem", ca.issue("again").certificate_pem)
    assert "billing  renewed, new key" in project.run("plan").out


def test_the_key_of_any_older_upload_is_no_new_key(tmp_path: Path) -> None:
    """The newest upload may have another one: somebody else renewed, too."""
    project = make_project(tmp_path)
    for number in (1, 2):
        project.certificate("billing", number)
        assert project.run("apply", "--yes").code == 0
    project.write("certs/billing.pem", make_ca("Other").issue("again", key=issued(1).key).certificate_pem)
    assert "renewed, same key" in project.run("plan").out


def test_the_leaked_certificate_itself_is_not_called_a_renewal(tmp_path: Path) -> None:
    """After a revert it would be uploaded again."""
    project = make_project(tmp_path)
    leaked = make_ca("Other").issue("leaked", not_before=BEGIN - timedelta(days=1))
    project.write("certs/billing.pem", leaked.certificate_pem)
    project.environ["BILLING_KEY"] = leaked.key_pem.decode()
    assert project.run("apply", "--yes").code == 0
    project.certificate("billing", 2)
    assert project.run("apply", "--yes").code == 0
    assert project.run("retire", "billing", "--now", "--yes").code == 0
    project.write("certs/billing.pem", leaked.certificate_pem)
    text = project.run("plan").out
    assert "goes back to an older certificate, new key" in text
    assert "if it was deleted because its key leaked, do not upload it again" in text


def test_conditions_are_checked_in_the_order_in_which_they_are_listed() -> None:
    """The first that does not hold is the one that a plan names."""
    order = list(Condition)
    checked = [order.index(condition) for condition, _ in CONDITIONS]
    assert checked == sorted(checked)


def test_a_deploy_without_wrangler_stops_before_anything_is_changed(leaked: Project, state: EmulatorState) -> None:
    """Not after the upload, with a deploy left to fail; a run without deploys needs none."""
    leaked.environ["PATH"] = str(leaked.folder)
    leaked.certificate("billing", 3)
    before = leaked.read("wrangler.toml")
    result = leaked.run("apply", "--deploy", "--yes")
    assert (result.code, uploads(state), leaked.read("wrangler.toml")) == (1, 2, before)
    told = "error[program-missing]: wrangler was not found, so wrangler.toml can't be deployed; nothing was changed"
    assert told in result.err
    assert "or run this without `--deploy`, and deploy by hand" in result.err
    steps = ("--phase", "upload", "--phase", "bind")
    assert leaked.run("apply", "--deploy", "--yes", *steps).code == 0  # the deploy is not part of this run
    assert uploads(state) == 3
