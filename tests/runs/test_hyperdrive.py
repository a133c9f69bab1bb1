"""Hyperdrive configurations, from mtls.toml to the account: updated when asked for, by one PATCH of `mtls` alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import tomli

from reconciler.emulator.faults import Fault, FaultKind
from reconciler.emulator.server import running
from reconciler.emulator.state import EmulatorState
from reconciler.emulator.tokens import Permission, Token
from reconciler.system.clock import SystemClock
from tests.support.cli import Project, Result, make_project
from tests.support.emulated import TOKEN, account_environ, client_of, make_state
from tests.support.hostile import DOCUMENTED, FEW, check_texts
from tests.support.pki import make_ca
from tests.support.worlds import issued

HYPERDRIVE = """\

[hyperdrive.warehouse]
config = "db"
certificate = "billing"
ca = "root"
sslmode = "verify-full"
"""
MTLS = """\
version = 1
stack = "payments"

[store]
kind = "cloudflare"

[policy]
grace = "0s"

[certificates.billing]
certificate = "certs/billing.pem"
private_key = { env = "BILLING_KEY" }

[certificates.root]
certificate = "certs/root.pem"
ca = true
"""
ROOT = make_ca("Database Root").certificate_pem
ORIGIN = {"host": "db.example", "port": 5432, "scheme": "postgres", "database": "d", "user": "u"}


@dataclass
class Account:
    """A project, and an account with one Hyperdrive configuration."""

    project: Project
    state: EmulatorState
    api: httpx.Client

    def run(self, *arguments: str) -> Result:
        """A run, counted alone."""
        self.state.calls.clear()
        return self.project.run(*arguments)

    @property
    def config(self) -> dict[str, object]:
        """The configuration as the account has it."""
        found = self.api.get("/hyperdrive/configs").json()["result"]
        assert isinstance(found[0], dict)
        return found[0]

    @property
    def mtls(self) -> dict[str, str]:
        """What it uses."""
        found = self.config["mtls"]
        assert isinstance(found, dict)
        return found

    @property
    def writes(self) -> list[str]:
        """The calls of the last run that could change a Hyperdrive configuration."""
        calls = (call for call in self.state.calls if call.method != "GET" and "hyperdrive" in call.path)
        return [call.method for call in calls]

    def id_of(self, name: str) -> str:
        """The ID of a declared certificate."""
        return self.project.run("output", name).out.strip()

    def fail(self, kind: FaultKind, method: str, times: int = 1) -> None:
        """Let the next calls about Hyperdrive fail."""
        self.state.faults.add(Fault(kind, method, "/hyperdrive/configs", times=times))


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    state = make_state()
    state.clock = SystemClock()
    project = make_project(tmp_path, MTLS + HYPERDRIVE)
    project.write("certs/root.pem", ROOT)
    api = client_of(state)
    body = {"name": "db", "origin": {**ORIGIN, "password": "p"}, "mtls": {"sslmode": "require", "later": ["a"]}}
    api.post("/hyperdrive/configs", json=body)
    with running(state) as url:
        project.environ |= account_environ(url)
        yield Account(project, state, api)


def test_one_patch_makes_all_changes_of_a_configuration(account: Account) -> None:
    """Its origin, and what mtls.toml does not know of `mtls`, stay as they are."""
    result = account.run("apply", "--yes", "--deploy")
    assert (result.code, account.writes) == (0, ["PATCH"])
    assert account.mtls == {
        "sslmode": "verify-full",
        "later": ["a"],
        "mtls_certificate_id": account.id_of("billing"),
        "ca_certificate_id": account.id_of("root"),
    }
    assert account.config["origin"] == ORIGIN
    assert account.run("plan", "--deploy", "--detailed-exitcode").code == 0


def test_without_deploy_it_waits(account: Account) -> None:
    """And the next command is told."""
    result = account.run("apply", "--yes")
    assert (result.code, account.writes, account.mtls["sslmode"]) == (0, [], "require")
    assert result.out.endswith("Next: mtlsctl apply --deploy\n")
    plan = account.run("plan")
    assert "wait: an update of Hyperdrive or hostnames takes effect at once" in " ".join(plan.out.split())
    assert plan.out.endswith("Next: mtlsctl apply --deploy\n")
    assert "No changes now. 3 updates wait." in plan.out
    assert "Not checked: hostnames (mtlsctl plan --live)." in plan.out


def test_the_operator_can_allow_it_for_every_run(account: Account) -> None:
    """As for deploys."""
    account.project.environ["MTLSCTL_DEPLOY"] = "1"
    account.run("apply", "--yes")
    assert account.writes == ["PATCH"]


def test_a_phase_of_its_own(account: Account) -> None:
    """After the uploads of another run; without them it is not started."""
    early = account.run("apply", "--yes", "--deploy", "--phase", "update")
    assert (early.code, account.writes) == (3, [])
    assert account.run("apply", "--yes", "--deploy", "--phase", "upload").code == 0
    assert account.writes == []
    assert account.run("apply", "--yes", "--deploy", "--phase", "update").code == 0
    assert account.writes == ["PATCH"]


def test_a_rotation_moves_it_before_the_old_certificate_is_deleted(account: Account) -> None:
    """In two runs; what it used is deleted by the second at the earliest."""
    account.run("apply", "--yes", "--deploy")
    old = account.id_of("billing")
    account.project.certificate("billing", 2)
    account.run("apply", "--yes")
    assert account.mtls["mtls_certificate_id"] == old
    assert account.run("apply", "--yes").code == 0
    assert account.mtls["mtls_certificate_id"] == old
    account.run("apply", "--yes", "--deploy")
    assert account.mtls["mtls_certificate_id"] == account.id_of("billing") != old
    assert account.api.get(f"/mtls_certificates/{old}").status_code == 200
    account.run("apply", "--yes", "--deploy")
    assert account.api.get(f"/mtls_certificates/{old}").status_code == 404


@pytest.mark.parametrize("kind", [FaultKind.LOST_REPLY, FaultKind.SERVER_ERROR_AFTER, FaultKind.TRUNCATED])
def test_an_update_whose_answer_was_lost_is_found_by_reading(account: Account, kind: FaultKind) -> None:
    """It was made once, and the run says so."""
    account.run("apply", "--yes", "--phase", "upload")
    account.fail(kind, "PATCH")
    result = account.run("apply", "--yes", "--deploy")
    assert (result.code, account.writes, account.mtls["sslmode"]) == (0, ["PATCH"], "verify-full")


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.SERVER_ERROR])
def test_an_update_that_did_not_arrive_is_made_again(account: Account, kind: FaultKind) -> None:
    """Only after the configuration was read and found as before."""
    account.run("apply", "--yes", "--phase", "upload")
    account.fail(kind, "PATCH")
    result = account.run("apply", "--yes", "--deploy")
    assert (result.code, account.writes, account.mtls["sslmode"]) == (0, ["PATCH", "PATCH"], "verify-full")


def test_an_update_that_fails_for_long_is_an_error_and_the_next_run_makes_it(account: Account) -> None:
    """Nothing is claimed that was not seen."""
    account.fail(FaultKind.SERVER_ERROR, "PATCH", times=2)
    failed = account.run("apply", "--yes", "--deploy")
    assert (failed.code, account.mtls["sslmode"]) == (5, "require")
    assert "3 failed" in failed.out
    assert account.run("apply", "--yes", "--deploy").code == 0
    assert account.mtls["sslmode"] == "verify-full"


def test_what_someone_else_changed_meanwhile_is_not_overwritten(account: Account) -> None:
    """It is read again just before the update."""
    account.run("apply", "--yes", "--phase", "upload")
    plan = account.project.folder / "plan.json"
    assert account.run("plan", "--deploy", "--out", str(plan)).code == 0
    path = f"/hyperdrive/configs/{account.config['id']}"
    account.api.patch(path, json={"mtls": {"sslmode": "verify-ca"}})
    result = account.run("apply", str(plan), "--yes")
    assert (result.code, account.writes, account.mtls) == (4, [], {"sslmode": "verify-ca"})


def test_a_saved_plan_says_what_is_updated(account: Account) -> None:
    """Without `--deploy`, as of deploys; what it has waiting stays waiting."""
    plan = account.project.folder / "plan.json"
    account.run("plan", "--out", str(plan))
    account.run("apply", str(plan), "--yes")
    assert account.writes == []
    account.run("plan", "--deploy", "--out", str(plan))
    assert account.run("apply", str(plan), "--yes").code == 0
    assert account.writes == ["PATCH"]
    (change,) = [one for one in json.loads(plan.read_text())["changes"] if one.get("field") == "ca"]
    assert (change["action"], change["hyperdrive"], change["hyperdrive_id"]) == (
        "update",
        "warehouse",
        account.config["id"],
    )


def test_a_token_without_the_right_leaves_everything_else(account: Account) -> None:
    """To read: its own changes are held. To write: the run says which permission it needs."""
    allowed = frozenset(Permission) - {Permission.HYPERDRIVE_READ, Permission.HYPERDRIVE_WRITE}
    account.state.access.tokens[TOKEN] = Token(allowed)
    result = account.run("plan")
    assert (result.code, "error[hyperdrive-unread]" in result.out) == (5, True)
    assert "Hyperdrive Read" in result.out
    assert "2 uploads" in result.out
    account.state.access.tokens[TOKEN] = Token(allowed | {Permission.HYPERDRIVE_READ})
    result = account.run("apply", "--yes", "--deploy")
    assert (result.code, "Hyperdrive Write" in result.out + result.err) == (5, True)


@pytest.mark.parametrize("name", FEW.values(), ids=FEW)
def test_what_others_call_it_does_nothing(account: Account, name: str) -> None:
    """Its name, its ID, its mode and what it uses are shown in every report, and are shown harmless."""
    shown = name.encode(errors="replace").decode()
    holders = account.state.account().holders
    (config,) = holders.hyperdrive.values()
    mtls = {"sslmode": shown, "mtls_certificate_id": shown, "ca_certificate_id": shown}
    holders.hyperdrive.clear()
    for one in (f"{shown}1", f"{shown}2"):
        holders.hyperdrive[one] = {**config, "id": one, "name": shown, "mtls": mtls}
    project = account.project
    project.write("mtls.toml", (MTLS + HYPERDRIVE).replace('"db"', json.dumps(f"{shown}1").replace("\x7f", "\\u007f")))
    commands = [("plan", "--deploy"), ("status",), ("drift",), ("explain", "warehouse"), ("apply", "--yes", "--deploy")]
    for command in (*commands, ("history",), ("init", "--update")):
        for format_ in ((), ("--format", "json")):
            result = project.run(*command, *format_)
            assert result.code in DOCUMENTED
            check_texts(result.out, result.err)


@pytest.mark.parametrize("by_id", [False, True], ids=["the same text", "an ID and a name"])
@pytest.mark.parametrize("command", [("plan", "--all"), ("apply", "--all", "--yes", "--deploy")], ids=["plan", "apply"])
def test_two_stacks_do_not_declare_the_same_configuration(
    account: Account, by_id: bool, command: tuple[str, ...]
) -> None:
    """Each would undo what the other did; so neither of them is planned."""
    project = account.project
    (project.folder / ".git").mkdir()
    for folder in ("a", "b"):
        project.write(f"{folder}/certs/billing.pem", issued(1).certificate_pem)
        project.write(f"{folder}/certs/root.pem", ROOT)
        config = f'"{account.config["id"]}"' if by_id and folder == "b" else '"db"'
        declared = (MTLS + HYPERDRIVE).replace("payments", f"payments-{folder}").replace('"db"', config)
        project.write(f"{folder}/mtls.toml", declared)
    (project.folder / "mtls.toml").unlink()
    result = account.run(*command)
    assert (result.code, account.writes) == (1, [])
    shown = " ".join((result.out + result.err).split())
    assert f"{account.config['id'] if by_id else repr('db')}" in shown
    assert "is also declared in a/mtls.toml" in shown
    assert "is also declared in b/mtls.toml" in shown


def adoptable(account: Account) -> None:
    """A configuration that was made by hand, with an uploaded pair whose file is in the tree."""
    pair = {"ca": False, "certificates": issued(1).certificate_pem.decode(), "private_key": issued(1).key_pem.decode()}
    leaf = account.api.post("/mtls_certificates", json={"name": "warehouse", **pair}).json()["result"]["id"]
    body = {"name": "root", "ca": True, "certificates": ROOT.decode()}
    root = account.api.post("/mtls_certificates", json=body).json()["result"]["id"]
    path = f"/hyperdrive/configs/{account.config['id']}"
    account.api.patch(path, json={"mtls": {"mtls_certificate_id": leaf, "ca_certificate_id": root}})


@pytest.mark.parametrize("is_there", [False, True], ids=["init --from", "init --update"])
def test_what_a_configuration_uses_is_taken_over(account: Account, is_there: bool) -> None:
    """Its certificates and its table, with nothing to change after that; a second time nothing is added."""
    adoptable(account)
    project = account.project
    (project.folder / "mtls.toml").unlink()
    if is_there:
        head = 'version = 1\nstack = "payments"\n[store]\nkind = "cloudflare"\n'
        project.write("mtls.toml", head)
    command = ("init", "--update") if is_there else ("init", "--from", ".", "--store", "cloudflare")
    result = project.run(*command)
    assert result.code == 0, result
    assert "1 Hyperdrive configuration" in result.out
    made = tomli.loads(project.read("mtls.toml"))
    assert made["hyperdrive"] == {"db": {"config": "db", "certificate": "warehouse", "ca": "root"}}
    assert project.run("plan", "--deploy", "--detailed-exitcode").code == 0
    text = project.read("mtls.toml")
    assert project.run("init", "--update").code == 0
    assert project.read("mtls.toml") == text


def test_what_a_configuration_uses_without_a_file_is_reported_and_added_later(account: Account) -> None:
    """Never called unused; `--certificates` writes both files, and an existing table gets the line that it lacks."""
    adoptable(account)
    project = account.project
    for path in ("mtls.toml", "certs/root.pem", "certs/billing.pem"):
        (project.folder / path).unlink()
    first = project.run("init", "--from", ".", "--store", "cloudflare")
    shown = " ".join((first.out + first.err).split())
    assert (first.code, "entry-unreferenced" in shown) == (0, False)
    assert shown.count("warning[left-out]: the Hyperdrive configuration db uses") == 2
    assert "run `mtlsctl init --update --certificates certs`" in shown
    project.write("certs/pair.pem", issued(1).certificate_pem)
    assert "as its CA, which is not declared" in " ".join(project.run("init", "--update").out.split())
    table = tomli.loads(project.read("mtls.toml"))["hyperdrive"]["db"]
    assert table == {"config": "db", "certificate": "warehouse"}
    assert project.run("init", "--update", "--certificates", "certs").code == 0
    assert tomli.loads(project.read("mtls.toml"))["hyperdrive"]["db"] == {**table, "ca": "root"}
    assert project.run("plan", "--deploy", "--detailed-exitcode").code == 0


def test_a_table_in_one_line_is_to_be_completed_by_hand(account: Account) -> None:
    """As every other table that can't get a line."""
    adoptable(account)
    project = account.project
    head = MTLS.replace("[policy]", '[hyperdrive]\ndb = { config = "db", certificate = "billing" }\n\n[policy]')
    project.write("mtls.toml", head)
    shown = " ".join(project.run("init", "--update").out.split())
    assert "warning[update-by-hand]: the CA of 'db' can't be added" in shown
    assert '| [hyperdrive.db] | ca = "root"' in shown


def test_without_the_right_to_read_them_init_declares_none(account: Account) -> None:
    """And says so."""
    adoptable(account)
    (account.project.folder / "mtls.toml").unlink()
    both = {Permission.HYPERDRIVE_READ, Permission.HYPERDRIVE_WRITE}
    account.state.access.tokens[TOKEN] = Token(frozenset(Permission) - both)
    result = account.project.run("init", "--from", ".", "--store", "cloudflare")
    assert "warning[hyperdrive-unread]" in result.out + result.err
    assert "hyperdrive" not in tomli.loads(account.project.read("mtls.toml"))


def test_the_local_store_rehearses_it(tmp_path: Path) -> None:
    """Without an account: each declared configuration begins with nothing."""
    project = make_project(tmp_path, MTLS.replace('kind = "cloudflare"', 'kind = "local"') + HYPERDRIVE)
    project.write("certs/root.pem", ROOT)
    assert project.run("apply", "--yes", "--deploy").code == 0
    assert project.run("plan", "--deploy", "--detailed-exitcode").code == 0
    old = project.run("output", "billing").out.strip()
    project.certificate("billing", 2)
    plan = project.run("plan", "--deploy")
    assert "1 upload, 1 update" in plan.out
    assert project.run("apply", "--yes", "--deploy").code == 0
    assert project.run("apply", "--yes", "--deploy").code == 0
    assert project.run("plan", "--deploy", "--detailed-exitcode").code == 0
    assert old not in project.run("status", "--format", "json").out
