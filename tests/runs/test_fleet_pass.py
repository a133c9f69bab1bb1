"""One pass over a fleet: what is due is checked, what is allowed is done, and nothing that is missing is deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.emulator.tokens import Permission, Token
from reconciler.findings.codes import Code
from reconciler.findings.exits import ExitCode
from reconciler.model.errors import StoreError
from reconciler.runs.fleet import act as fleet_act
from reconciler.runs.fleet import run as fleet_run
from reconciler.runs.fleet.act import ActDone, act_on
from reconciler.runs.fleet.opened import Desk, open_fleet, read_fleet_file
from reconciler.runs.fleet.record import state_file
from reconciler.stores import StoreContext
from reconciler.stores.cloudflare.store import CloudflareReader, CloudflareStore
from reconciler.system.clock import SystemClock
from reconciler.system.lock import checkout_lock
from reconciler.system.state_file import StateFile
from tests.runs.test_several import BROKEN
from tests.support.estates import ACCOUNTS, FLEET, TOKENS, Estate, make_estate

STATE = ".mtlsctl/fleet.json"


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    """12 stacks in 3 accounts."""
    with make_estate(tmp_path / "checkout") as made:
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Estate]:
    """One stack in each account."""
    with make_estate(tmp_path / "checkout", stacks=3) as made:
        yield made


def remembered(estate: Estate) -> dict[str, dict[str, object]]:
    """What is remembered, by stack."""
    document = json.loads(estate.read(STATE))
    return {one["stack"]: one for one in document["stacks"]}


# --- looks ----------------------------------------------------------------------------------------------------------


def test_the_list_of_an_account_is_read_once(estate: Estate) -> None:
    """However many stacks it has."""
    result = estate.run("fleet", "run", "--format", "json")
    assert result.code == 2
    assert (len(result.json["stacks"]), estate.calls("GET")) == (12, 3)
    assert {one["look"]["state"] for one in remembered(estate).values()} == {"changes"}  # type: ignore[index]


def test_only_what_is_due_is_checked_again(small: Estate) -> None:
    """Unless all are asked for."""
    assert small.run("fleet", "run").code == 2
    small.calls("GET")
    again = small.run("fleet", "run", "--format", "json")
    assert (again.code, again.json["stacks"], small.calls("GET")) == (0, [], 0)
    assert "no stack is due" in again.err
    assert len(small.run("fleet", "run", "--all", "--format", "json").json["stacks"]) == 3
    assert small.calls("GET") == 3


def test_a_plan_and_a_dry_run_remember_and_change_nothing(small: Estate) -> None:
    """They show all stacks, and what would be allowed."""
    small.outdate("one/s1", 0, 1)
    for words in (("plan",), ("run", "--dry-run")):
        result = small.run("fleet", *words)
        assert result.code == 2
        assert 'allowed by `act = "retire"` of [defaults] at fleet.toml:5:1' in result.out
        assert result.out.splitlines()[-4] == "3 stacks: 3 with changes."
    assert not (small.folder / STATE).exists()
    assert small.entries(0) == 2


def test_one_broken_one_vanished_and_one_failing_account_stop_no_other(estate: Estate) -> None:
    """Each is shown, failures first; 5 says that some failed."""
    estate.run("fleet", "run")
    estate.write("one/s1/mtls.toml", BROKEN)
    (estate.folder / "one/s4/mtls.toml").unlink()
    del estate.state.accounts["c" * 32]
    result = estate.run("fleet", "run", "--all", "--format", "json")
    assert result.code == 5
    failed = {name for name, code in estate.codes(result).items() if code == 1}
    assert failed == {"s1", "s4", "s3", "s6", "s9", "s12"}
    codes = {
        one["stack"]
        for one in result.json["stacks"]
        if one.get("diagnostics", [{}])[0].get("code") == "fleet-stack-missing"
    }
    assert codes == {"s4"}
    text = estate.run("fleet", "run", "--all").out
    assert text.index("=== one/s4/mtls.toml: stack s4") < text.index("=== two/s2/mtls.toml: stack s2")
    assert "12 stacks: 6 failed, 6 with changes." in text


def test_an_account_that_fails_is_asked_once_and_not_for_each_stack(estate: Estate) -> None:
    """Each of its stacks has the error."""
    del estate.state.accounts["c" * 32]
    estate.state.calls.clear()
    estate.run("fleet", "run")
    assert sum("c" * 32 in call.path for call in estate.state.calls) == 1


def test_a_missing_token_stops_its_accounts_alone(small: Estate) -> None:
    """The error names the place in fleet.toml, and no other token is taken for it."""
    del small.environ["TOKEN_1"]
    small.environ["CLOUDFLARE_API_TOKEN"] = "a-token-of-someone-else"
    result = small.run("fleet", "run", "--format", "json")
    assert result.code == 5
    assert small.codes(result) == {"s1": 2, "s2": 1, "s3": 2}
    assert "the variable TOKEN_1 is not set" in result.err
    assert "fleet.toml:15:9" in result.err


def test_a_token_is_read_from_a_file(small: Estate, tmp_path: Path) -> None:
    """Without its line break."""
    (tmp_path / "token").write_text(TOKENS[0] + "\n")
    small.write("fleet.toml", FLEET.replace('env = "TOKEN_0"', f'file = "{tmp_path / "token"}"'))
    del small.environ["TOKEN_0"]
    assert small.codes(small.run("fleet", "run", "--format", "json"))["s1"] == 2


def test_credentials_of_one_budget_share_one_rate_limit(small: Estate) -> None:
    """As tokens of one user do. So do two names of one token; other tokens have their own."""
    text = FLEET.replace('"TOKEN_1" }', '"TOKEN_1" }\nbudget = "bot"').replace(
        'env = "TOKEN_0" }', 'env = "TOKEN_0" }\nread_token = { env = "READ_0" }\nbudget = "bot"'
    )
    small.write("fleet.toml", text)
    environ = {**small.environ, "READ_0": "another-token"}
    context = StoreContext(environ)
    opened = open_fleet(
        read_fleet_file(small.folder / "fleet.toml", small.folder), cwd=small.folder, environ=environ, context=context
    )
    desk = Desk(opened, environ, context)

    def turns(index: int, *, acts: bool) -> object:
        project = desk.project(opened.members[index], acts=acts)
        reader = project.stores.open_reader(project.declaration()[0].store)
        assert isinstance(reader, CloudflareReader)
        return reader._client.turns

    limits = [turns(index, acts=acts) for index in range(3) for acts in (False, True)]
    assert [limits.index(one) for one in limits] == [0, 0, 0, 0, 4, 4]


BAD_TOKENS = {
    "white space": (" x", "", "TOKEN_0 (`token` of [credentials.one]) contains white space"),
    "a global key": ("cfk_" + "a" * 40, "", "TOKEN_0 (`token` of [credentials.one]) contains a global API key"),
    "unknown": ("unknown", "", "the token in TOKEN_0 (`token` of [credentials.one]) is complete"),
    "lacking a permission": ("lacking", "", "grant the token in TOKEN_0 (`token` of [credentials.one]) the permission"),
    "read token": ("good", "unknown", "the token in the file read.token (`read_token` of [credentials.one]) is"),
}


@pytest.mark.parametrize(("token", "read", "named"), BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
def test_an_error_about_a_token_names_its_place_in_fleet_toml(small: Estate, token: str, read: str, named: str) -> None:
    """A fleet has many tokens, and none of them is in the variable that other commands read."""
    small.environ["TOKEN_0"] = token
    if read:
        small.write("read.token", read)
        small.write("fleet.toml", FLEET.replace('"TOKEN_0" }', '"TOKEN_0" }\nread_token = { file = "read.token" }'))
    small.state.access.tokens = {"good": Token(), "lacking": Token(frozenset({Permission.WORKERS_READ}))}
    result = small.run("fleet", "plan", "--only", "s1")
    said = " ".join(result.out.split())
    assert (result.code, named in said, "CLOUDFLARE_API_TOKEN" in said) == (1, True, False), said


# --- acts -----------------------------------------------------------------------------------------------------------


def test_what_nothing_uses_is_deleted_where_that_is_allowed(small: Estate) -> None:
    """And the report says which rule allowed it. Then nothing is left."""
    small.outdate("one/s1", 0, 1)
    result = small.run("fleet", "run", "--only", "s1", "--format", "json")
    (one,) = result.json["stacks"]
    assert (result.code, one["report"]["format"], small.entries(0)) == (0, "mtlsctl.outcome/1", 1)
    assert one["note"] == 'allowed by `act = "retire"` of [defaults] at fleet.toml:5:1'
    act = remembered(small)["s1"]["act"]
    assert isinstance(act, dict)
    assert (act["state"], act["kind"], act["done"]) == ("done", "retire", {"retire": 1})
    assert small.run("fleet", "run", "--all", "--only", "s1").out.splitlines()[-1].startswith("  ok ")


HELD = {
    "none": (('[defaults]\nact = "retire"', "[defaults]"), None),
    "denied": (
        ('act = "retire"', 'act = "retire"\ndeny = [{ cron = "* * * * *", for = "2h", why = "audit" }]'),
        "`deny` at fleet.toml:6:9 holds, and no end was found (audit)",
    ),
    "max_acts": (('act = "retire"', 'act = "retire"\nmax_acts = 0'), "`max_acts = 0` of [defaults] allows no change"),
}


@pytest.mark.parametrize(("change", "note"), HELD.values(), ids=HELD.keys())
def test_an_act_that_is_not_allowed_is_not_done(small: Estate, change: tuple[str, str], note: str | None) -> None:
    """It is checked all the same, and says why nothing was done."""
    small.outdate("one/s1", 0, 1)
    small.write("fleet.toml", FLEET.replace(*change))
    result = small.run("fleet", "run", "--only", "s1", "--format", "json")
    assert (result.code, small.entries(0)) == (2, 2)
    assert (note or "") in result.json["stacks"][0].get("note", "")


@pytest.mark.parametrize("lacking", ["HYPERDRIVE", "WORKERS"])
@pytest.mark.parametrize("act", ["none", "retire"])
def test_a_check_that_could_not_be_made_is_no_success(small: Estate, lacking: str, act: str) -> None:
    """An old certificate that is kept for that reason is kept forever, if no one sees why."""
    small.outdate("one/s1", 0, 1)
    small.write("fleet.toml", FLEET.replace('act = "retire"', f'act = "{act}"'))
    rights = frozenset(one for one in Permission if not one.name.startswith(lacking))
    small.state.access.tokens = {TOKENS[0]: Token(rights)}
    result = small.run("fleet", "run", "--only", "s1")
    assert (result.code, small.entries(0)) == (1, 2)
    assert "incomplete  one/s1/mtls.toml  no changes; not everything could be checked" in result.out
    assert "could not be checked: the list of" in result.out
    status = small.run("fleet", "status", "--only", "s1", "--format", "json")
    (one,) = status.json["stacks"]
    assert (status.code, one["state"], "success" in one) == (1, "incomplete", False)
    assert f"{lacking.capitalize()}" in one["message"]
    assert 'fleet_stack_ok{stack="s1",account="shop"} 0' in small.run("fleet", "status", "--format", "prometheus").out
    small.state.access.tokens = {}
    assert small.run("fleet", "run", "--all", "--only", "s1").code == (0 if act == "retire" else 2)


@pytest.mark.parametrize(
    ("before", "after", "note"),
    [
        ('act = "retire"', 'act = "none"', 'not allowed by `act = "none"` of [defaults] at fleet.toml:5:1'),
        ('act = "retire"\n', "", 'not allowed by `act = "none"`, which is the default'),
        ('tags = ["first"]', 'act = "none"', 'not allowed by `act = "none"` of [[stacks]] 1 at fleet.toml:22:1'),
    ],
)
def test_the_rule_that_is_shown_is_where_it_is_written(small: Estate, before: str, after: str, note: str) -> None:
    """In fleet.toml, by table, line and column."""
    small.write("fleet.toml", FLEET.replace(before, after))
    assert small.run("fleet", "plan", "--only", "s1", "--format", "json").json["stacks"][0]["note"] == note


def test_a_repository_that_says_none_is_left_alone(small: Estate) -> None:
    """Its mtls.toml narrows what fleet.toml allows."""
    small.outdate("one/s1", 0, 1)
    small.write("one/s1/mtls.toml", small.read("one/s1/mtls.toml") + '\n[fleet]\nact = "none"\n')
    assert small.run("fleet", "run", "--only", "s1").code == 2
    assert small.entries(0) == 2


def test_a_freeze_of_the_repository_holds(small: Estate) -> None:
    """As for every run."""
    small.outdate("one/s1", 0, 1)
    text = small.read("one/s1/mtls.toml").replace(
        'grace = "0s"', 'grace = "0s"\nfreeze = [{ start = "2020-01-01", end = "2099-01-01" }]'
    )
    small.write("one/s1/mtls.toml", text)
    assert small.run("fleet", "run", "--only", "s1").code == 0
    assert small.entries(0) == 2


def test_one_pass_changes_at_most_so_many_stacks(estate: Estate) -> None:
    """The rest waits for its next check, and says so; a dry run, too."""
    for number, folder in ((1, "one/s1"), (4, "one/s4"), (7, "one/s7")):
        estate.outdate(folder, 0, number)
    estate.write("fleet.toml", FLEET.replace('act = "retire"', 'act = "retire"\nmax_acts = 2'))
    for words in (("--dry-run",), ()):
        result = estate.run("fleet", "run", "--tag", "first", "--format", "json", *words)
        notes = [one.get("note", "") for one in result.json["stacks"]]
        assert sum(note.startswith("allowed by") for note in notes) == 2
        assert (
            sum("waits for its next check: a pass changes no more stacks than `max_acts = 2`" in note for note in notes)
            == 1
        )
    assert estate.entries(0) == 4
    estate.run("fleet", "run", "--all", "--tag", "first")
    assert estate.entries(0) == 3


def test_a_stack_that_fails_each_time_does_not_stop_the_others(estate: Estate) -> None:
    """What was changed last comes last, also if that failed."""
    estate.outdate("one/s1", 0, 1)
    estate.outdate("one/s4", 0, 4)
    estate.write("fleet.toml", FLEET.replace('act = "retire"', 'act = "retire"\nmax_acts = 1'))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CloudflareStore, "delete", _refuse)
        assert estate.run("fleet", "run", "--tag", "first").code == 5
    assert estate.entries(0) == 4
    result = estate.run("fleet", "run", "--all", "--tag", "first", "--format", "json")
    notes = {one["stack"]: one.get("note", "") for one in result.json["stacks"]}
    assert (notes["s1"].startswith("waits"), notes["s4"].startswith("allowed"), estate.entries(0)) == (True, True, 3)


def test_the_next_command_of_a_pass_names_its_file(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it can be copied as it is."""
    small.outdate("one/s1", 0, 1)
    monkeypatch.setattr(CloudflareStore, "delete", _refuse)
    result = small.run("fleet", "run", "--only", "s1", "-f", "../fleet.toml", folder="one")
    assert "mtlsctl fleet run --all -f ../fleet.toml" in result.out


def test_the_next_command_of_a_stack_names_its_file(small: Estate) -> None:
    """It is run in the folder of fleet.toml, where no mtls.toml is."""
    small.outdate("one/s1", 0, 1)
    small.write("one/s1/certs/new.pem", small.read("two/s2/certs/billing.pem"))
    new = '\n[certificates.new]\ncertificate = "certs/new.pem"\nprivate_key = { env = "KEY_2" }\n'
    small.write("one/s1/mtls.toml", small.read("one/s1/mtls.toml") + new)
    result = small.run("fleet", "run", "--only", "s1")
    assert (result.code, small.entries(0)) == (2, 1)
    assert "Next: mtlsctl apply -f one/s1/mtls.toml" in result.out
    assert "Details: mtlsctl history -f one/s1/mtls.toml" in result.out


def _refuse(*_: object) -> None:
    raise StoreError("no", hint="x", code=Code.STORE_CONNECTION)


def test_the_stack_of_a_locked_checkout_fails_alone(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its act waits for a while, and is tried again in the next pass."""
    monkeypatch.setattr(fleet_act, "LOCK_TIMEOUT_S", 0)
    small.outdate("one/s1", 0, 1)
    with checkout_lock(small.folder, command="apply", timeout_s=0, waiting=lambda _: None, clock=SystemClock()):
        result = small.run("fleet", "run", "--format", "json")
    assert small.codes(result) == {"s1": 6, "s2": 2, "s3": 2}
    assert small.entries(0) == 2
    small.run("fleet", "run", "--all")
    assert small.entries(0) == 1


@pytest.mark.parametrize(("busy", "codes"), [("one/s1", 6), ("two/s2", 0)], ids=["the stack", "another stack"])
def test_acts_on_other_stacks_of_a_checkout_go_side_by_side(small: Estate, busy: str, codes: int) -> None:
    """But one stack is changed by one of them: a worker may be at it."""
    small.outdate("one/s1", 0, 1)
    root = small.folder
    clock = SystemClock()
    with (
        checkout_lock(root, command="x", timeout_s=0, waiting=print, clock=clock, shared=True),
        StateFile(root / busy / ".mtlsctl/act").locked("x"),
    ):
        result = small.run("fleet", "run", "--format", "json")
    assert (small.codes(result)["s1"], small.entries(0)) == (codes, 2 if codes else 1)


def test_an_interrupt_ends_all_acts_and_keeps_what_was_found(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack in progress ends as `apply` does; the others are left."""
    for number, folder in ((1, "one/s1"), (4, "one/s4")):
        estate.outdate(folder, 0, number)

    def interrupted(*arguments: Any) -> ActDone:
        done = act_on(*arguments)
        return replace(done, result=replace(done.result, exit_code=ExitCode.INTERRUPTED))

    monkeypatch.setattr(fleet_run, "act_on", interrupted)
    result = estate.run("fleet", "run", "--format", "json")
    assert (result.code, estate.entries(0)) == (130, 3)
    notes = {one["stack"]: one.get("note", "") for one in result.json["stacks"]}
    assert notes["s4"] == "not done: the pass was interrupted"
    assert len(remembered(estate)) == 12


def test_a_pass_that_acts_does_not_run_on_files_that_are_not_merged(small: Estate) -> None:
    """A pull request could allow itself everything. A dry run shows what it would do."""
    small.environ["GITHUB_EVENT_NAME"] = "pull_request"
    result = small.run("fleet", "run")
    assert (result.code, result.out) == (3, "")
    assert "`mtlsctl fleet run` does not run for pull_request" in result.err
    assert small.run("fleet", "run", "--dry-run").code == 2


def test_a_stack_with_nothing_to_do_leaves_no_journal(small: Estate) -> None:
    """An act that found nothing more to do is no run."""
    small.outdate("one/s1", 0, 1)
    journal = small.folder / "one/s1/.mtlsctl/journal.jsonl"
    small.run("fleet", "run")
    lines = journal.read_text()
    assert '"command":"fleet run"' in lines
    small.run("fleet", "run", "--all")
    assert journal.read_text() == lines


# --- alarms ---------------------------------------------------------------------------------------------------------


def test_a_vanished_stack_is_an_alarm_in_every_pass_until_it_is_retired(small: Estate) -> None:
    """Nothing of it is deleted."""
    small.outdate("one/s1", 0, 1)
    small.run("fleet", "run", "--exclude", "s1")
    small.write("fleet.toml", FLEET.replace('act = "retire"', 'act = "none"'))
    small.run("fleet", "run")
    (small.folder / "one/s1/mtls.toml").unlink()
    for _ in range(2):
        result = small.run("fleet", "run")
        assert result.code in {1, 5}
        assert "error[fleet-stack-missing]: the stack 's1' of the account shop was not found any more" in result.out
    assert (small.entries(0), "s1" in remembered(small)) == (2, True)
    small.write("fleet.toml", FLEET.replace('tags = ["first"]', 'retired = ["s1"]'))
    assert "fleet-stack-missing" not in small.run("fleet", "run").out
    assert "s1" not in remembered(small)


def test_retired_is_about_the_accounts_of_its_credential_alone(small: Estate) -> None:
    """Else a stack of another account would be forgotten without an alarm. An account that no credential has any more
    has no such rule: any rule may retire its stacks."""
    small.run("fleet", "run")
    (small.folder / "two/s2/mtls.toml").unlink()
    retired = FLEET.replace('tags = ["first"]', 'retired = ["s2"]')
    small.write("fleet.toml", retired)
    result = small.run("fleet", "run", "--all", "--format", "json")
    assert (small.codes(result)["s2"], "s2" in remembered(small)) == (1, True)
    small.write("fleet.toml", retired.replace(f'accounts = ["{ACCOUNTS[1]}"]', f'accounts = ["{"d" * 32}"]'))
    assert "s2" not in small.codes(small.run("fleet", "run", "--all", "--format", "json"))
    assert "s2" not in remembered(small)


def test_a_retired_stack_that_is_still_there_is_a_warning_and_another_one_of_its_name_stays(small: Estate) -> None:
    """`retired` is about its own `[[stacks]]`."""
    small.write("two/s2/mtls.toml", small.read("two/s2/mtls.toml").replace('"s2"', '"s1"'))
    small.run("fleet", "run")
    small.write("fleet.toml", FLEET.replace('tags = ["first"]', 'retired = ["s1"]'))
    assert "warning[fleet-stack-retired]" in small.run("fleet", "list").out
    listed = small.run("fleet", "list", "--format", "json").json["stacks"]
    assert [(one["stack"], one["file"]) for one in listed] == [("s1", "two/s2/mtls.toml"), ("s3", "three/s3/mtls.toml")]
    assert "fleet-stack-missing" not in small.run("fleet", "run", "--all").out
    assert "s1" in remembered(small)


def test_a_stack_that_was_renamed_as_documented_did_not_vanish(small: Estate) -> None:
    """`former_stacks` says so."""
    small.run("fleet", "run")
    text = small.read("one/s1/mtls.toml").replace('stack = "s1"', 'stack = "renamed"\nformer_stacks = ["s1"]')
    small.write("one/s1/mtls.toml", text)
    assert "fleet-stack-missing" not in small.run("fleet", "run", "--all").out


def test_a_stack_that_never_belonged_to_the_fleet_is_not_missed(small: Estate) -> None:
    """Its account was wrong, and then corrected."""
    text = small.read("one/s1/mtls.toml")
    small.write("one/s1/mtls.toml", text.replace(ACCOUNTS[0], ACCOUNTS[1]))
    assert "error[fleet-account]" in small.run("fleet", "run").out
    small.write("one/s1/mtls.toml", text)
    assert "fleet-stack-missing" not in small.run("fleet", "run", "--all").out


def test_a_failed_check_does_not_forget_when_calls_begin_to_fail(small: Estate) -> None:
    """The alert on it would end just when the token does."""
    small.apply("one/s1", 0)
    small.run("fleet", "run", "--all")
    before = remembered(small)["s1"]["look"]["outage"]  # type: ignore[index]
    small.environ["TOKEN_0"] = ""
    small.run("fleet", "run", "--all")
    look = remembered(small)["s1"]["look"]
    assert (look["state"], look["outage"]) == ("failed", before)  # type: ignore[index]
    assert before is not None


def test_nothing_is_changed_if_fewer_than_half_of_the_stacks_are_found(estate: Estate) -> None:
    """A checkout that came out empty deletes nothing."""
    estate.outdate("one/s1", 0, 1)
    estate.write("fleet.toml", FLEET.replace('act = "retire"', 'act = "none"'))
    estate.run("fleet", "run")
    for folder in ("two", "three"):
        for file in (estate.folder / folder).glob("*/mtls.toml"):
            file.unlink()
    estate.write("fleet.toml", FLEET)
    result = estate.run("fleet", "run", "--all")
    assert "error[fleet-shrunk]" in result.out
    assert "not done: fewer than half of the known stacks were found" in result.out
    status = estate.run("fleet", "status", "--tag", "first", "--format", "json")
    found = [one["code"] for one in status.json["diagnostics"] if one["severity"] == "error"]
    assert (found.count("fleet-shrunk"), status.code) == (1, 5)
    for file in (estate.folder / "one").glob("*/mtls.toml"):
        file.unlink()
    assert [estate.run("fleet", *words).code for words in (("run",), ("status",))] == [1, 1]
    assert estate.entries(0) == 2


def test_a_stack_with_a_broken_file_is_no_vanished_one(small: Estate) -> None:
    """Its error says what is wrong."""
    small.run("fleet", "run")
    small.write("one/s1/mtls.toml", BROKEN)
    result = small.run("fleet", "run")
    assert "fleet-stack-missing" not in result.out
    assert "error[wrong-type]" in result.out


# --- what is remembered ---------------------------------------------------------------------------------------------


def test_the_state_is_a_private_file_of_this_user(small: Estate) -> None:
    """One that a commit brought is refused: it could hide that a stack is missing."""
    small.run("fleet", "run")
    assert (small.folder / STATE).stat().st_mode & 0o777 == 0o600
    (small.folder / STATE).chmod(0o644)
    result = small.run("fleet", "run", "--all")
    assert (result.code, result.out) == (1, "")
    assert "is not private to this user" in result.err


@pytest.mark.parametrize("text", ["", "{}", '{"format": "mtlsctl.fleet-status/1", "fleet": "other"}'])
def test_a_state_of_something_else_is_an_error(small: Estate, text: str) -> None:
    """It is never taken for an empty one."""
    small.write("state.json", text).chmod(0o600)
    result = small.run("fleet", "run", "--state", "state.json")
    assert (result.code, result.out) == (1, "")
    assert "error[fleet-state]" in result.err
    assert small.read("state.json") == text


def test_two_passes_never_run_at_once(small: Estate) -> None:
    """The second one says so."""
    with state_file(small.folder, None).locked("x"):
        result = small.run("fleet", "run")
    assert result.code == 6
    assert "another run of `mtlsctl fleet run` is in progress" in result.err


def test_no_output_and_no_state_has_a_token_or_a_key(estate: Estate) -> None:
    """In any format, with errors and without."""
    estate.outdate("one/s1", 0, 1)
    estate.write("two/s2/mtls.toml", BROKEN)
    texts = []
    for words in ("run", "run --all --verbose", "plan", "plan --format json", "plan --format html", "list", "validate"):
        result = estate.run("fleet", *words.split())
        texts += [result.out, result.err]
    texts.append(estate.read(STATE))
    whole = "".join(texts)
    assert [token for token in TOKENS if token in whole] == []
    assert "PRIVATE KEY" not in whole
