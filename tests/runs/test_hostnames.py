"""Hostnames that trust a CA, from mtls.toml to the zone: added when asked for, by one PUT, and never removed."""

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

ZONE_ID, PATH = "0123456789abcdef0123456789abcdef", "/certificate_authorities/hostname_associations"
MTLS = """\
version = 1
stack = "payments"

[store]
kind = "cloudflare"

[policy]
grace = "0s"

[certificates.root]
certificate = "certs/root.pem"
ca = true
"""
HOSTNAMES = """\

[hostnames."example.com"]
root = ["api.example.com", "pay.example.com"]
"""
ROOTS = [make_ca(f"Client Root {number}").certificate_pem for number in range(7)]


@dataclass
class Account:
    """A project, and an account with one zone."""

    project: Project
    state: EmulatorState
    api: httpx.Client

    def run(self, *arguments: str) -> Result:
        """A run, counted alone."""
        self.state.calls.clear()
        return self.project.run(*arguments)

    @property
    def lists(self) -> dict[str, list[str]]:
        """The hostnames of the zone by the ID of their CA; those of Cloudflare's own under "cloudflare"."""
        found = self.state.account().holders.hostnames.get(ZONE_ID, {})
        return {ca or "cloudflare": names for ca, names in found.items() if names}

    @property
    def writes(self) -> list[str]:
        """The calls of the last run that could change a list."""
        return [call.method for call in self.state.calls if call.method != "GET" and PATH in call.path]

    def put(self, ca: str, *names: str) -> None:
        """Somebody else replaces the list of a CA."""
        body = {"hostnames": names, "mtls_certificate_id": ca}
        assert self.api.put(f"http://emulator/client/v4/zones/{ZONE_ID}{PATH}", json=body).status_code == 200

    def upload(self, number: int, name: str = "by-hand") -> str:
        """Somebody else uploads a CA."""
        body = {"name": name, "ca": True, "certificates": ROOTS[number].decode()}
        made: str = self.api.post("/mtls_certificates", json=body).json()["result"]["id"]
        return made

    @property
    def root(self) -> str:
        """The ID of the declared CA."""
        return self.project.run("output", "root").out.strip()

    def fail(self, kind: FaultKind, times: int = 1) -> None:
        """Let the next replacements of a list fail."""
        self.state.faults.add(Fault(kind, "PUT", PATH, times=times))


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    state = make_state()
    state.clock = SystemClock()
    state.account().holders.zones[ZONE_ID] = "example.com"
    project = make_project(tmp_path, MTLS + HOSTNAMES)
    project.write("certs/root.pem", ROOTS[0])
    with running(state) as url:
        project.environ |= account_environ(url)
        yield Account(project, state, client_of(state))


@pytest.mark.parametrize("zone", ["example.com", ZONE_ID])
def test_one_put_adds_them_and_a_second_run_has_nothing_to_do(account: Account, zone: str) -> None:
    """In the zone with this name or ID; the list of Cloudflare's own CA is not touched."""
    account.put("", "other.example.com")
    account.project.write("mtls.toml", MTLS + HOSTNAMES.replace('"example.com"]', f'"{zone}"]', 1))
    result = account.run("apply", "--yes", "--deploy")
    assert (result.code, account.writes) == (0, ["PUT"])
    assert account.lists == {"cloudflare": ["other.example.com"], account.root: ["api.example.com", "pay.example.com"]}
    assert account.run("plan", "--deploy", "--detailed-exitcode").code == 0
    assert any(call.path.endswith("/zones") for call in account.state.calls) is (zone == "example.com")


def test_without_deploy_it_waits(account: Account) -> None:
    """And the next command is told."""
    result = account.run("apply", "--yes")
    assert (result.code, account.writes) == (0, [])
    assert result.out.endswith("Next: mtlsctl apply --deploy\n")
    assert "an update of Hyperdrive or hostnames takes effect at once" in " ".join(account.run("plan").out.split())


def test_in_a_rotation_both_cas_are_trusted_until_a_person_ends_it(account: Account) -> None:
    """The new one is trusted at once; the old one is deleted once its list is empty."""
    account.run("apply", "--yes", "--deploy")
    old = account.root
    account.project.write("certs/root.pem", ROOTS[1])
    assert account.run("apply", "--yes", "--deploy").code == 0
    new = account.root
    assert account.lists == {old: account.lists[old], new: ["api.example.com", "pay.example.com"]}
    plan = account.run("plan")
    assert (plan.code, "hostnames still trust it: api.example.com" in " ".join(plan.out.split())) == (0, True)
    assert account.run("apply", "--yes", "--deploy").code == 0
    assert account.api.get(f"/mtls_certificates/{old}").status_code == 200
    account.put(old)
    assert account.run("apply", "--yes").code == 0
    assert account.api.get(f"/mtls_certificates/{old}").status_code == 404
    assert account.lists == {new: ["api.example.com", "pay.example.com"]}


def test_what_somebody_else_listed_stays_and_is_reported(account: Account) -> None:
    """Also where a declared hostname is added to it."""
    account.run("apply", "--yes", "--phase", "upload")
    account.put(account.root, "own.example.com", "pay.example.com")
    assert account.run("apply", "--yes", "--deploy").code == 0
    assert account.lists[account.root] == ["own.example.com", "pay.example.com", "api.example.com"]
    drift = account.run("drift")
    assert "own.example.com also trusts 'root', not managed here" in " ".join(drift.out.split())
    assert drift.code == 0
    account.project.write("mtls.toml", MTLS)
    account.run("apply", "--yes", "--deploy")
    assert len(account.lists[account.root]) == 3


@pytest.mark.parametrize("kind", [FaultKind.LOST_REPLY, FaultKind.SERVER_ERROR_AFTER, FaultKind.TRUNCATED])
def test_an_addition_whose_answer_was_lost_is_found_by_reading(account: Account, kind: FaultKind) -> None:
    """It was made once, and the run says so."""
    account.fail(kind)
    result = account.run("apply", "--yes", "--deploy")
    assert (result.code, account.writes) == (0, ["PUT"])
    assert account.run("plan", "--deploy", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("kind", [FaultKind.LOST_REPLY, FaultKind.SERVER_ERROR_AFTER])
def test_after_a_lost_answer_the_other_updates_are_made(account: Account, kind: FaultKind) -> None:
    """What was found by reading stops nothing."""
    spare = '[certificates.spare]\ncertificate = "certs/spare.pem"\nca = true\n'
    account.project.write("mtls.toml", MTLS + spare + HOSTNAMES + 'spare = ["old.example.com"]\n')
    account.project.write("certs/spare.pem", ROOTS[1])
    account.fail(kind)
    result = account.run("apply", "--yes", "--deploy")
    assert (result.code, account.writes) == (0, ["PUT", "PUT"])
    assert sorted(map(len, account.lists.values())) == [1, 2]


def test_an_addition_that_fails_for_long_is_an_error_and_the_next_run_makes_it(account: Account) -> None:
    """Nothing is claimed that was not seen."""
    account.fail(FaultKind.SERVER_ERROR, times=2)
    failed = account.run("apply", "--yes", "--deploy")
    assert (failed.code, account.lists) == (5, {})
    assert account.run("apply", "--yes", "--deploy").code == 0
    assert account.lists == {account.root: ["api.example.com", "pay.example.com"]}


def test_a_saved_plan_adds_to_the_list_that_it_saw_alone(account: Account) -> None:
    """Without `--deploy`; after a change by someone else it is stale."""
    account.run("apply", "--yes", "--phase", "upload")
    plan = account.project.folder / "plan.json"
    assert account.run("plan", "--deploy", "--out", str(plan)).code == 0
    account.put(account.root, "own.example.com")
    assert (account.run("apply", str(plan), "--yes").code, account.writes) == (4, [])
    account.run("plan", "--deploy", "--out", str(plan))
    assert (account.run("apply", str(plan), "--yes").code, account.writes) == (0, ["PUT"])
    (change,) = json.loads(plan.read_text())["changes"]
    assert (change["zone_id"], change["listed"]) == (ZONE_ID, ["own.example.com"])


@pytest.mark.parametrize(
    ("lacks", "code", "told"),
    [
        (Permission.ZONE_READ, "zone-not-found", "Zone Read"),
        (Permission.ZONE_CERTIFICATES_READ, "hostnames-unread", "SSL and Certificates Read"),
    ],
)
def test_a_token_without_the_right_leaves_everything_else(
    account: Account, lacks: Permission, code: str, told: str
) -> None:
    """Its own changes are held, and the upload is planned."""
    write = Permission(lacks.replace(" Read", " Write"))
    account.state.access.tokens[TOKEN] = Token(frozenset(Permission) - {lacks, write})
    account.upload(3)
    result = account.run("plan", "--deploy")
    assert (result.code, "1 upload" in result.out) == (5, True)
    assert told in " ".join(result.out.split())
    assert f"error[{code}]" in result.out or "error[hostnames-unread]" in result.out


def test_without_a_free_place_a_rotation_does_not_begin(account: Account) -> None:
    """It says so, and what to do."""
    account.run("apply", "--yes", "--deploy")
    for number in range(3, 7):
        account.upload(number, f"by-hand-{number}")
    account.project.write("certs/root.pem", ROOTS[1])
    result = account.run("apply", "--yes", "--deploy")
    assert "the old CA stays until a person removes its hostnames" in " ".join((result.out + result.err).split())
    assert (result.code, account.writes) == (3, [])


@pytest.mark.parametrize("zone", ["example.com", ZONE_ID], ids=["the same text", "an ID and a name"])
def test_two_stacks_do_not_own_one_list(account: Account, zone: str) -> None:
    """Neither of them is planned; another CA in the same zone is no conflict."""
    project = account.project
    (project.folder / ".git").mkdir()
    for folder, number in (("a", 0), ("b", 0), ("c", 1)):
        project.write(f"{folder}/certs/root.pem", ROOTS[number])
        declared = (MTLS + HOSTNAMES).replace("payments", f"payments-{folder}")
        declared = declared.replace('"example.com"]', f'"{zone}"]') if folder == "b" else declared
        project.write(f"{folder}/mtls.toml", declared)
    (project.folder / "mtls.toml").unlink()
    result = project.run("plan", "--all", "--deploy")
    assert result.code == 5
    told = " ".join(result.out.split())
    for other, there in (("a", zone), ("b", "example.com")):
        assert f"the list of the CA 'root' in the zone {there!r} is also declared in {other}/mtls.toml, in" in told


@pytest.mark.parametrize("is_there", [False, True], ids=["init --from", "init --update"])
def test_what_a_zone_trusts_is_taken_over(account: Account, is_there: bool) -> None:
    """The CA with its file, and its hostnames, with nothing to change after that; a second time nothing is added."""
    root = account.upload(0, "client-root")
    account.put(root, "pay.example.com", "API.example.com")
    account.put("", "other.example.com")
    project = account.project
    (project.folder / "mtls.toml").unlink()
    if is_there:
        project.write("mtls.toml", 'version = 1\nstack = "payments"\n[store]\nkind = "cloudflare"\n')
    command = ("init", "--update") if is_there else ("init", "--from", ".", "--store", "cloudflare")
    result = project.run(*command)
    assert result.code == 0, result
    assert "1 hostname of 1 zone" in result.out
    made = tomli.loads(project.read("mtls.toml"))
    assert made["hostnames"] == {"example.com": {"client-root": ["pay.example.com"]}}
    assert project.run("plan", "--deploy", "--detailed-exitcode").code == 0
    text = project.read("mtls.toml")
    assert project.run("init", "--update").code == 0
    assert project.read("mtls.toml") == text


def test_an_update_adds_another_ca_to_the_table_of_its_zone(account: Account) -> None:
    """As one more line."""
    account.run("apply", "--yes", "--deploy")
    account.project.write("certs/other.pem", ROOTS[1])
    account.put(account.upload(1, "other"), "pay.example.com")
    before = account.project.read("mtls.toml")
    assert account.project.run("init", "--update").code == 0
    after = account.project.read("mtls.toml")
    assert 'other = ["pay.example.com"]' in after
    assert [line for line in before.splitlines() if line not in after.splitlines()] == []
    assert account.project.run("plan", "--deploy", "--detailed-exitcode").code == 0


def test_without_the_right_to_read_them_init_declares_none(account: Account) -> None:
    """And says so."""
    account.put(account.upload(0), "pay.example.com")
    (account.project.folder / "mtls.toml").unlink()
    both = {Permission.ZONE_CERTIFICATES_READ, Permission.ZONE_CERTIFICATES_WRITE}
    account.state.access.tokens[TOKEN] = Token(frozenset(Permission) - both)
    result = account.project.run("init", "--from", ".", "--store", "cloudflare")
    assert "warning[hostnames-unread]" in result.out + result.err
    assert "hostnames" not in tomli.loads(account.project.read("mtls.toml"))


@pytest.mark.parametrize("name", FEW.values(), ids=FEW)
def test_what_others_call_a_hostname_does_nothing(account: Account, name: str) -> None:
    """It is shown in every report, and shown harmless."""
    account.run("apply", "--yes", "--deploy")
    shown = name.encode(errors="replace").decode()
    account.state.account().holders.hostnames[ZONE_ID][account.root] = [shown, f"{shown}2"]
    project = account.project
    commands = [("plan", "--deploy"), ("status",), ("drift",), ("explain", "root"), ("apply", "--yes", "--deploy")]
    for command in (*commands, ("history",), ("init", "--update")):
        for format_ in ((), ("--format", "json")):
            result = project.run(*command, *format_)
            assert result.code in DOCUMENTED
            check_texts(result.out, result.err)


def test_the_local_store_rehearses_it(tmp_path: Path) -> None:
    """Without an account: each declared zone begins with empty lists."""
    project = make_project(tmp_path, MTLS.replace('kind = "cloudflare"', 'kind = "local"') + HOSTNAMES)
    project.write("certs/root.pem", ROOTS[0])
    assert project.run("apply", "--yes", "--deploy").code == 0
    assert project.run("plan", "--deploy", "--detailed-exitcode").code == 0
    project.write("certs/root.pem", ROOTS[1])
    plan = project.run("plan", "--deploy")
    assert "1 upload, 1 update" in plan.out
    assert project.run("apply", "--yes", "--deploy").code == 0
    assert "hostnames still trust it: api.example.com" in " ".join(project.run("plan").out.split())
