"""Several stacks in one run: each by itself, and what they share of an account only once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.emulator.server import running
from reconciler.emulator.settings import Limiter, RateLimit
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState
from reconciler.model import Entry, EntryId
from reconciler.model.ports import NewEntry, PrivateKey
from reconciler.stores.local import LocalStore
from reconciler.system.clock import SystemClock
from reconciler.system.lock import checkout_lock
from tests.support.cli import MTLS, WRANGLER, Project, Result, run
from tests.support.emulated import TOKEN, make_state
from tests.support.hostile import check_texts
from tests.support.worlds import issued_now

OTHER_ACCOUNTS = ("b" * 32, "c" * 32)


class Fleet(Project):
    """A git tree with several stacks."""

    def stack(
        self, name: str, number: int, *, account: str | None = None, folder: str | None = None, limit: int = 1000
    ) -> None:
        """A stack with one certificate and one binding."""
        settings = f'kind = "cloudflare"\naccount_id = "{account}"\nlimit = {limit}'
        store = "" if account is None else f"[store]\n{settings}\n\n"
        text = MTLS.replace('"payments"', f'"{name}"').replace("[certificates", f"{store}[certificates", 1)
        place = folder or f"apps/{name}"
        self.write(f"{place}/mtls.toml", text.replace("BILLING_KEY", f"KEY_{number}"))
        self.write(f"{place}/wrangler.toml", WRANGLER)
        self.write(f"{place}/certs/billing.pem", issued_now(number).certificate_pem)
        self.environ[f"KEY_{number}"] = issued_now(number).key_pem.decode()


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Three stacks with local stores."""
    fleet = Fleet(tmp_path / "checkout")
    (fleet.folder / ".git").mkdir(parents=True)
    for number, name in enumerate(("a", "b", "c"), 1):
        fleet.stack(name, number)
    return fleet


def codes(result: Result) -> dict[str, int]:
    """The exit code of each stack."""
    return {one["file"]: one["exit_code"] for one in result.json["stacks"]}


BROKEN = "version = 1\nstack = 1\n"


# --- each stack by itself -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["validate", "plan", "status", "drift", "forecast"])
@pytest.mark.parametrize(
    "words", [("--all",), ("-f", "apps/*/mtls.toml"), ("-f", "apps/a/mtls.toml", "-f", "apps/b/mtls.toml")]
)
def test_one_document_has_the_document_of_each_stack(fleet: Fleet, command: str, words: tuple[str, ...]) -> None:
    """In the order of the files; each is what the command says of that stack alone."""
    result = fleet.run(command, *words, "--format", "json")
    document = result.json
    assert document["format"] == "mtlsctl.stacks/1"
    assert document["command"] == command
    files = ["apps/a/mtls.toml", "apps/b/mtls.toml", "apps/c/mtls.toml"][: 2 if len(words) == 4 else 3]
    assert [one["file"] for one in document["stacks"]] == files
    assert result.code == document["exit_code"] == max(codes(result).values())
    for one in document["stacks"]:
        alone = fleet.run(command, "-f", one["file"], "--format", "json").json
        assert one["report"]["format"] == alone["format"]
        assert one["report"].get("stack") == alone.get("stack")


def test_a_broken_file_stops_only_its_stack(fleet: Fleet) -> None:
    """The others are planned, and the error names the file."""
    fleet.write("apps/b/mtls.toml", BROKEN)
    result = fleet.run("plan", "--all", "--format", "json")
    assert result.code == 5
    assert codes(result) == {"apps/a/mtls.toml": 0, "apps/b/mtls.toml": 1, "apps/c/mtls.toml": 0}
    failed = result.json["stacks"][1]
    assert "report" not in failed
    assert failed["diagnostics"][0]["path"] == "mtls.toml"
    assert "apps/b/mtls.toml:2" in result.err


@pytest.mark.parametrize(("command", "code"), [("plan", 5), ("validate", 1), ("status", 1), ("drift", 1)])
def test_some_failed_is_5_where_something_can_be_done(fleet: Fleet, command: str, code: int) -> None:
    """A report of which a part is missing has failed."""
    fleet.write("apps/b/mtls.toml", BROKEN)
    assert fleet.run(command, "--all").code == code


def test_all_failed_is_1(fleet: Fleet) -> None:
    """Nothing can be done."""
    for name in "abc":
        fleet.write(f"apps/{name}/mtls.toml", BROKEN)
    assert fleet.run("plan", "--all").code == 1


def test_text_has_failures_first_and_a_line_for_each_stack_at_the_end(fleet: Fleet) -> None:
    """Which of them failed, and why, is seen at once."""
    fleet.write("apps/c/mtls.toml", BROKEN)
    out = fleet.run("plan", "--all").out
    headings = [line for line in out.splitlines() if line.startswith("===")]
    assert headings == ["=== apps/c/mtls.toml", "=== apps/a/mtls.toml: stack a", "=== apps/b/mtls.toml: stack b"]
    last = out.splitlines()[-4:]
    assert last[0] == "3 stacks: 1 failed, 2 with changes."
    assert last[1].startswith("  failed   apps/c/mtls.toml  ")
    assert last[2] == "  changes  apps/a/mtls.toml  1 upload, 1 config change"


def test_a_stack_with_nothing_to_do_is_only_a_line(fleet: Fleet) -> None:
    """Forty stacks are not forty pages."""
    fleet.run("apply", "--all", "--yes")
    for name in "abc":
        fleet.write(f"apps/{name}/mtls.toml", f'version = 1\nstack = "{name}"\n')
    fleet.run("apply", "--all", "--yes")
    fleet.write("apps/a/mtls.toml", 'version = 1\nstack = "a2"\n')
    assert "=== apps/a/" not in fleet.run("plan", "-f", "apps/a*/mtls.toml").out


def test_detailed_exitcode_is_2_if_any_stack_has_changes(fleet: Fleet) -> None:
    """As with one stack."""
    fleet.run("apply", "-f", "apps/a/mtls.toml", "-f", "apps/b/mtls.toml", "--yes")
    result = fleet.run("plan", "--all", "--detailed-exitcode", "--format", "json")
    assert result.code == 2
    assert list(codes(result).values()) == [0, 0, 2]


def test_two_files_with_one_stack_in_one_account_are_an_error_of_both(fleet: Fleet) -> None:
    """Each would delete what the other uploads. In two local stores they have nothing to do with each other."""
    fleet.stack("a", 4, folder="copy")
    assert fleet.run("plan", "--all").code == 0
    fleet.stack("a", 1, account=ACCOUNT_ID)
    fleet.stack("a", 4, account=ACCOUNT_ID, folder="copy")
    result = fleet.run("plan", "--all", "--offline", "--format", "json")
    assert codes(result) == {"apps/a/mtls.toml": 1, "apps/b/mtls.toml": 0, "apps/c/mtls.toml": 0, "copy/mtls.toml": 1}
    first, last = result.json["stacks"][0]["diagnostics"][0], result.json["stacks"][-1]["diagnostics"][0]
    assert first["code"] == last["code"] == "stack-twice"
    assert "copy/mtls.toml" in first["message"]
    assert "apps/a/mtls.toml" in last["message"]


def test_a_name_must_match_in_one_of_the_stacks(fleet: Fleet) -> None:
    """Not in each of them."""
    text = fleet.read("apps/b/mtls.toml").replace("billing", "ledger")
    fleet.write("apps/b/mtls.toml", text)
    fleet.write("apps/b/certs/ledger.pem", issued_now(2).certificate_pem)
    result = fleet.run("plan", "--all", "--only", "ledger", "--format", "json")
    assert result.code == 0
    counts = [len(one["report"]["changes"]) for one in result.json["stacks"]]
    assert counts == [0, 2, 0]
    wrong = fleet.run("plan", "--all", "--only", "leger")
    assert wrong.code == 64
    assert "did you mean `ledger`" in wrong.err
    assert [one["file"] for one in fleet.run("status", "ledger", "--all", "--format", "json").json["stacks"]] == [
        "apps/b/mtls.toml"
    ]
    assert fleet.run("status", "leger", "--all").code == 64


def test_metrics_of_all_stacks_are_one_file(fleet: Fleet) -> None:
    """Each family once, the stacks by their label."""
    fleet.write("apps/b/mtls.toml", BROKEN)
    result = fleet.run("status", "--all", "--format", "prometheus")
    lines = result.out.splitlines()
    assert len({line for line in lines if line.startswith("# TYPE")}) == sum(
        line.startswith("# TYPE") for line in lines
    )
    assert any('stack="a"' in line for line in lines)
    assert any('stack="c"' in line for line in lines)
    assert "stack" in result.err  # the failure is not lost


@pytest.mark.parametrize(
    "words",
    [
        "explain billing",
        "output billing",
        "retire billing",
        "history",
        "verify",
        "doctor",
        "export",
        "init",
        "dev checkout",
    ],
)
def test_commands_of_one_stack_refuse_several_files(fleet: Fleet, words: str) -> None:
    """With a sentence that says which commands take them; the last file is not silently taken."""
    result = fleet.run(*words.split(), "-f", "apps/a/mtls.toml", "-f", "apps/b/mtls.toml")
    assert result.code == 64
    assert "works with one stack, but `--file` is given 2 times" in result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("plan --all -f apps/a/mtls.toml", "can't be combined"),
        ("plan --all --out -", "name a folder"),
        ("status --all --format ics", "is of one stack"),
        (f"apply --all --yes --digest sha256:{'0' * 64}", "`--digest` is of one plan"),
        ("validate -f apps/*/nothing.toml", "matches no file"),
    ],
)
def test_wrong_use_is_named(fleet: Fleet, words: str, message: str) -> None:
    """Before anything is done."""
    result = fleet.run(*words.split())
    assert result.code == 64
    assert message in result.err
    assert not list(fleet.folder.rglob("journal.jsonl"))


def test_the_file_may_be_named_before_the_command(fleet: Fleet) -> None:
    """As every global option."""
    before = fleet.run("-f", "apps/a/mtls.toml", "-f", "apps/b/mtls.toml", "plan", "--format", "json")
    assert [one["stack"] for one in before.json["stacks"]] == ["a", "b"]
    after = fleet.run("-f", "apps/a/mtls.toml", "-f", "apps/b/mtls.toml", "plan", "-f", "apps/c/mtls.toml")
    assert after.out.startswith("warning") or after.out.startswith("c:")


# --- apply ----------------------------------------------------------------------------------------------------------


def test_a_stack_that_fails_does_not_stop_the_others(fleet: Fleet) -> None:
    """What can be done is done; 5 says that something failed."""
    del fleet.environ["KEY_2"]
    result = fleet.run("apply", "--all", "--yes", "--format", "json")
    assert result.code == 5
    assert codes(result) == {"apps/a/mtls.toml": 0, "apps/b/mtls.toml": 1, "apps/c/mtls.toml": 0}
    assert "10ca1000-" in fleet.read("apps/c/wrangler.toml")
    assert "10ca1000-" not in fleet.read("apps/b/wrangler.toml")
    assert [len(list((fleet.folder / f"apps/{name}").rglob("journal.jsonl"))) for name in "abc"] == [1, 1, 1]


def test_apply_asks_once_and_without_a_terminal_not_at_all(fleet: Fleet) -> None:
    """All plans are shown first."""
    result = fleet.run("apply", "--all")
    assert result.code == 64
    assert result.err.count("no terminal to ask") == 1
    assert result.out.count("1 upload, 1 config change") == 6  # each plan, and its line
    assert "10ca1000-" not in fleet.read("apps/a/wrangler.toml")


def test_the_lock_is_of_the_git_root(fleet: Fleet) -> None:
    """Two stacks can edit one wrangler file, also in two runs over one stack each."""
    fleet.run("apply", "-f", "apps/a/mtls.toml", "--yes")
    assert (fleet.folder / ".mtlsctl/lock").exists()
    assert not (fleet.folder / "apps/a/.mtlsctl/lock").exists()
    assert (fleet.folder / "apps/a/.mtlsctl/journal.jsonl").exists()


def test_a_run_over_several_waits_for_every_lock_before_it_plans(fleet: Fleet) -> None:
    """The stacks of two repositories have two locks; if one is held, nothing is done."""
    other = fleet.folder.parent / "other"
    (other / ".git").mkdir(parents=True)
    fleet.stack("d", 4, folder="../other")
    words = ("-f", "apps/a/mtls.toml", "-f", "apps/b/mtls.toml", "-f", "../other/mtls.toml")
    with checkout_lock(other, command="apply", timeout_s=0, waiting=lambda _: None, clock=SystemClock()):
        result = fleet.run("apply", *words, "--yes")
    assert result.code == 6
    assert "at   ../other/.mtlsctl/lock" in result.err
    assert "10ca1000-" not in fleet.read("apps/a/wrangler.toml")
    assert fleet.run("apply", *words, "--yes").code == 0


def test_a_run_in_which_nothing_is_to_be_done_is_told_once(fleet: Fleet) -> None:
    """By its plans."""
    fleet.run("apply", "--all", "--yes")
    result = fleet.run("apply", "--all")
    assert result.code == 0
    assert result.out.count("3 stacks: 3 ok.") == 1


def test_a_lock_that_can_not_be_made_is_named_where_it_is(fleet: Fleet) -> None:
    """Seen from the working directory, not from mtls.toml."""
    (fleet.folder / ".mtlsctl").symlink_to("elsewhere")
    for words in (("-f", "apps/a/mtls.toml"), ("--all",)):
        result = fleet.run("apply", *words, "--yes")
        assert result.code == 1
        assert "at   .mtlsctl" in result.err
    inner = run(fleet.folder / "apps/a", fleet.environ, "apply", "--yes")
    assert "at   ../../.mtlsctl" in inner.err


NAMES = ("a\x1b[31m", "b\n::error::x", "c\u202e", "@team", "<b>", "$(touch x)", "-f", "d__e", "_", "%2F", "é", "[x]")


def test_names_of_folders_do_nothing(fleet: Fleet) -> None:
    """Neither in what is shown nor in the names of plans, which all differ; each plan is applied to its own."""
    for number, name in enumerate(NAMES, 20):
        fleet.stack(f"s{number}", number, folder=f"x/{name}")
    for words in ((), ("--format", "json"), ("--format", "markdown"), ("--log-format", "json")):
        result = fleet.run("plan", "--all", *words)
        assert result.code == 0
        check_texts(result.out, result.err)
    fleet.write(f"x/{NAMES[1]}/mtls.toml", BROKEN)
    for words in ((), ("--format", "json"), ("--log-format", "json")):
        result = fleet.run("plan", "--all", *words)
        check_texts(result.out, result.err)
    result = fleet.run("plan", "--all", "--out", "../plans")
    check_texts(result.out, result.err)
    saved = [path.name for path in (fleet.folder.parent / "plans").iterdir()]
    assert len(saved) == 3 + len(NAMES) - 1
    assert all(re.fullmatch(r"[A-Za-z0-9%][A-Za-z0-9%_.-]*\.plan\.json", name) for name in saved)
    applied = fleet.run("apply", "../plans", "--all")
    check_texts(applied.out, applied.err)
    assert applied.code == 0  # the broken one has no plan
    assert "1 of 15 stacks have no plan there" in applied.err
    assert fleet.read(f"x/{NAMES[5]}/wrangler.toml").count("10ca1000-") == 1


def test_doctor_checks_the_folder_of_the_lock_too(fleet: Fleet) -> None:
    """Whoever can write it can take the lock away."""
    fleet.run("apply", "--all", "--yes")
    assert "permissions" in fleet.run("doctor", "-f", "apps/a/mtls.toml", "--offline").out
    (fleet.folder / ".mtlsctl").chmod(0o755)
    found = fleet.run("doctor", "-f", "apps/a/mtls.toml", "--offline", "--format", "json").json["diagnostics"]
    assert [one["path"] for one in found if one["code"] == "open-to-others"] == ["../../.mtlsctl"]


@pytest.mark.parametrize("words", ["--all", "-f apps/a/mtls.toml -f apps/b/mtls.toml"])
def test_the_next_command_of_a_failed_check_is_that_of_all_stacks(fleet: Fleet, words: str) -> None:
    """It is shown once, below all of them."""
    (fleet.folder / "apps/b/certs/billing.pem").unlink()
    shown = [line for line in fleet.run("validate", *words.split()).out.splitlines() if "Next:" in line]
    assert shown == [f"Next: fix what is listed, then run: mtlsctl validate {words}"]
    alone = fleet.run("validate", "-f", "apps/b/mtls.toml").out.splitlines()[-1]
    assert alone == "Next: fix what is listed, then run: mtlsctl validate -f apps/b/mtls.toml"


# --- saved plans ----------------------------------------------------------------------------------------------------


def test_a_folder_of_plans_is_applied_to_the_same_stacks(fleet: Fleet) -> None:
    """One plan for each stack, named by the path of its file."""
    assert fleet.run("plan", "--all", "--out", "plans").code == 0
    assert sorted(path.name for path in (fleet.folder / "plans").iterdir()) == [
        "apps__a.plan.json",
        "apps__b.plan.json",
        "apps__c.plan.json",
    ]
    for _ in range(2):  # and a second time, when all is done
        assert fleet.run("apply", "plans", "--all").code == 0
    assert fleet.run("plan", "--all", "--detailed-exitcode").code == 0


def test_the_next_command_of_a_saved_plan_is_of_its_stack(fleet: Fleet) -> None:
    """It can be run as it is."""
    out = fleet.run("plan", "--all", "--out", "plans").out
    assert "Next: mtlsctl apply -f apps/b/mtls.toml plans/apps__b.plan.json" in out
    assert fleet.run("apply", "-f", "apps/b/mtls.toml", "plans/apps__b.plan.json").code == 0


def test_a_stack_without_a_plan_is_left_out(fleet: Fleet) -> None:
    """A plan only narrows."""
    fleet.run("plan", "--all", "--out", "plans")
    (fleet.folder / "plans/apps__b.plan.json").unlink()
    result = fleet.run("apply", "plans", "--all")
    assert result.code == 0
    assert "1 of 3 stacks have no plan there and are left out: apps/b/mtls.toml" in result.err
    assert "10ca1000-" not in fleet.read("apps/b/wrangler.toml")


@pytest.mark.parametrize("name", ["apps__d.plan.json", "..%2Fx.plan.json", "index.json", "mtls.toml"])
def test_a_file_of_no_stack_in_the_folder_is_refused(fleet: Fleet, name: str) -> None:
    """No file in the folder chooses what is changed, and nothing is overlooked."""
    fleet.run("plan", "--all", "--out", "plans")
    fleet.write(f"plans/{name}", fleet.read("plans/apps__a.plan.json"))
    result = fleet.run("apply", "plans", "--all")
    assert result.code == 64
    assert "is not the plan of any stack of this run" in result.err
    assert "10ca1000-" not in fleet.read("apps/a/wrangler.toml")


def test_a_plan_under_the_name_of_another_stack_is_refused(fleet: Fleet) -> None:
    """It is of the other stack, and the others go on."""
    fleet.run("plan", "--all", "--out", "plans")
    fleet.write("plans/apps__a.plan.json", fleet.read("plans/apps__b.plan.json"))
    result = fleet.run("apply", "plans", "--all", "--format", "json")
    assert result.code == 4
    assert codes(result) == {"apps/a/mtls.toml": 4, "apps/b/mtls.toml": 0, "apps/c/mtls.toml": 0}


def test_a_folder_with_other_files_is_not_written(fleet: Fleet) -> None:
    """An old plan in it would be applied with the new ones."""
    for _ in range(2):
        assert fleet.run("plan", "--all", "--out", "../plans").code == 0
    result = fleet.run("plan", "-f", "apps/a*/mtls.toml", "--out", "../plans")
    assert result.code == 1
    assert "`--out ../plans` was refused: it has other files, such as 'apps__b.plan.json'" in result.err
    for place in (".git/plans", "apps/a/mtls.toml", "apps/a/.mtlsctl/plans"):
        assert fleet.run("plan", "--all", "--out", place).code == 1
    assert not (fleet.folder / ".git/plans").exists()


def test_a_plan_of_one_stack_is_not_applied_to_several(fleet: Fleet) -> None:
    """And a folder needs the names of its stacks."""
    fleet.run("plan", "-f", "apps/a/mtls.toml", "--out", "plan.json")
    result = fleet.run("apply", "plan.json", "--all")
    assert result.code == 64
    assert "is the plan of one stack" in result.err


# --- what stacks share ----------------------------------------------------------------------------------------------


@pytest.fixture
def state() -> EmulatorState:
    """Cloudflare with three accounts."""
    state = make_state()
    state.clock = SystemClock()
    for account in OTHER_ACCOUNTS:
        state.add_account(account)
    return state


@pytest.fixture
def cloud(fleet: Fleet, state: EmulatorState) -> Iterator[Fleet]:
    """The tree of the tests, with that Cloudflare and without stacks."""
    for name in "abc":
        (fleet.folder / f"apps/{name}/mtls.toml").unlink()
    with running(state) as url:
        fleet.environ |= {"CLOUDFLARE_API_BASE_URL": url, "CLOUDFLARE_API_TOKEN": TOKEN}
        yield fleet


def lists(state: EmulatorState) -> int:
    """How many pages of lists were read since the last time."""
    count = sum(call.method == "GET" and call.path.endswith("/mtls_certificates") for call in state.calls)
    state.calls.clear()
    return count


def fill(state: EmulatorState, count: int, account: str = ACCOUNT_ID) -> None:
    """Put certificates of others into an account."""
    there = state.accounts[account]
    other = issued_now(900)
    first = there.store.upload(NewEntry("other", ca=False, bundle=other.bundle, key=PrivateKey(other.key_pem)))
    for number in range(count - 1):
        there.added(replace(first, id=EntryId(f"{number:08x}-1111-4111-8111-111111111111")))


@pytest.mark.parametrize("command", ["plan", "status", "drift", "forecast"])
def test_the_list_of_an_account_is_read_once_for_all_of_its_stacks(
    cloud: Fleet, state: EmulatorState, command: str
) -> None:
    """40 stacks in one account with 1,000 certificates: 20 calls, not 800."""
    fill(state, 1000)
    for number in range(1, 41):
        cloud.stack(f"s{number}", number, account=ACCOUNT_ID, limit=2000)
    state.calls.clear()
    assert cloud.run(command, "--all").code == (2 if command == "drift" else 0)
    assert lists(state) == 20


def test_apply_reads_the_list_twice_before_and_after(cloud: Fleet, state: EmulatorState) -> None:
    """However many stacks upload something."""
    fill(state, 400)
    for number in range(1, 9):
        cloud.stack(f"s{number}", number, account=ACCOUNT_ID)
    state.calls.clear()
    assert cloud.run("apply", "--all", "--yes").code == 0
    assert lists(state) == 8 + 9


def test_live_workers_are_read_once_to_plan_and_again_before_each_delete(cloud: Fleet, state: EmulatorState) -> None:
    """Each stack with an old certificate needs every Worker of the account; a deletion needs what is true then."""
    for number, name in enumerate("abc", 1):
        cloud.stack(name, number, account=ACCOUNT_ID)
        path = f"apps/{name}/mtls.toml"
        text = cloud.read(path).replace("[certificates", '[policy]\ngrace = "0s"\n\n[certificates', 1)
        cloud.write(path, text.replace("[workers.checkout]", "[workers.checkout]\ndeployed = false"))
    assert cloud.run("apply", "--all", "--yes").code == 0
    for number, name in enumerate("abc", 11):
        cloud.write(f"apps/{name}/certs/billing.pem", issued_now(number).certificate_pem)
        cloud.environ[f"KEY_{number - 10}"] = issued_now(number).key_pem.decode()
    assert cloud.run("apply", "--all", "--yes", "--phase", "upload", "--phase", "bind").code == 0

    def workers() -> int:
        count = sum(call.path.endswith("/workers/scripts") for call in state.calls)
        state.calls.clear()
        return count

    workers()
    planned = cloud.run("plan", "--all", "--format", "json")
    assert [one["report"]["summary"]["retire"] for one in planned.json["stacks"]] == [1, 1, 1]
    assert workers() == 1
    assert [one["report"]["calls"]["made"] for one in planned.json["stacks"]] == [5, 2, 2]
    assert cloud.run("apply", "--all", "--yes").code == 0
    assert workers() == 1 + 3
    assert len(state.accounts[ACCOUNT_ID].entries()) == 3


def test_an_interrupt_stops_every_stack_that_was_not_begun(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done is told, and what was not."""
    upload = LocalStore.upload
    seen: list[str] = []

    def interrupt(self: LocalStore, new: NewEntry) -> Entry:
        seen.append(new.name)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return upload(self, new)

    monkeypatch.setattr(LocalStore, "upload", interrupt)
    result = fleet.run("apply", "--all", "--yes", "--format", "json")
    assert result.code == 130
    assert codes(result) == {"apps/a/mtls.toml": 0, "apps/b/mtls.toml": 130, "apps/c/mtls.toml": 130}
    last = result.json["stacks"][2]["report"]
    assert len(last["not_started"]) == 2
    assert not last["done"]
    assert not (fleet.folder / "apps/c/.mtlsctl/journal.jsonl").exists()
    assert len(seen) == 2


def test_planned_uploads_of_all_stacks_fit_into_the_quota_together(cloud: Fleet, state: EmulatorState) -> None:
    """Two places are free: the third stack has none, in the plan as in apply."""
    state.settings.leaf_limit = 10
    fill(state, 8)
    for number, name in enumerate("abc", 1):
        cloud.stack(name, number, account=ACCOUNT_ID, limit=10)
    planned = cloud.run("plan", "--all", "--format", "json")
    found = [one["report"] for one in planned.json["stacks"]]
    assert [one["quota"]["leaf"]["after"] for one in found] == [9, 10, 10]
    assert [[problem["code"] for problem in one["diagnostics"] if problem["severity"] == "error"] for one in found] == [
        [],
        [],
        ["quota"],
    ]
    applied = cloud.run("apply", "--all", "--yes", "--format", "json")
    assert applied.code == 3
    assert list(codes(applied).values()) == [0, 0, 3]
    assert len(state.accounts[ACCOUNT_ID].entries()) == 10


def test_one_stack_per_account_has_its_own_quota_and_error_text(cloud: Fleet, state: EmulatorState) -> None:
    """They share the token and its rate limit, nothing else."""
    for number, (name, account) in enumerate((("a", ACCOUNT_ID), ("b", OTHER_ACCOUNTS[0]), ("c", "d" * 32)), 1):
        cloud.stack(name, number, account=account)
    result = cloud.run("apply", "--all", "--yes", "--format", "json")
    assert list(codes(result).values()) == [0, 0, 1]
    assert "d" * 32 in json.dumps(result.json["stacks"][2])
    assert ACCOUNT_ID not in json.dumps(result.json["stacks"][2])
    assert [len(state.accounts[one].entries()) for one in (ACCOUNT_ID, *OTHER_ACCOUNTS)] == [1, 1, 0]


def test_two_stacks_with_one_wrangler_file_are_applied_in_one_run(cloud: Fleet) -> None:
    """Two accounts, an environment each: both write into the same file."""
    base = cloud.folder / "shared"
    for number, (name, account, environment) in enumerate(
        (("production", ACCOUNT_ID, ""), ("staging", OTHER_ACCOUNTS[0], ".env.staging")), 1
    ):
        cloud.stack(name, number, account=account, folder="shared")
        text = (base / "mtls.toml").read_text()
        text = text.replace("[workers.checkout.bindings]", f"[workers.checkout{environment}.bindings]")
        text = text.replace("certs/billing.pem", f"certs/{name}.pem")
        (base / f"{name}.toml").write_text(text)
        (base / "certs/billing.pem").rename(base / f"certs/{name}.pem")
    (base / "mtls.toml").unlink()
    environment = (
        f'account_id = "{OTHER_ACCOUNTS[0]}"\nmtls_certificates = [{{ binding = "BILLING", certificate_id = "" }}]'
    )
    cloud.write("shared/wrangler.toml", f"{WRANGLER}\n[env.staging]\n{environment}\n")
    names = ("-f", "shared/production.toml", "-f", "shared/staging.toml")
    assert cloud.run("apply", *names, "--yes").code == 0
    text = cloud.read("shared/wrangler.toml")
    assert "<CERTIFICATE_ID>" not in text
    assert 'certificate_id = ""' not in text
    assert cloud.run("plan", *names, "--detailed-exitcode").code == 0


@pytest.mark.slow
def test_forty_stacks_in_three_accounts_are_never_refused(cloud: Fleet, state: EmulatorState) -> None:
    """At Cloudflare's real rate limit: every call is counted, and none is answered with 429."""
    state.limiter = Limiter(RateLimit())
    accounts = (ACCOUNT_ID, *OTHER_ACCOUNTS)
    for account in accounts:
        fill(state, 1000 if account == ACCOUNT_ID else 500, account)
    for number in range(1, 41):
        cloud.stack(f"s{number}", number, account=accounts[number % 3], limit=2000)
    state.settings.leaf_limit = 2000
    state.calls.clear()
    assert cloud.run("plan", "--all").code == 0
    assert lists(state) == 20 + 10 + 10
    assert cloud.run("apply", "--all", "--yes").code == 0
    assert all(call.status != 429 for call in state.calls)
    uploads = sum(call.method == "POST" for call in state.calls)
    assert uploads == 40
    assert lists(state) == 2 * 40 + 3  # the uploads begin a new page of each account
    assert cloud.run("drift", "--all").code == 0
    assert all(call.status != 429 for call in state.calls)


def test_a_run_above_all_stacks_names_one(tmp_path: Path) -> None:
    """Who stands at the root of a repository is not told to create another mtls.toml there."""
    (tmp_path / ".git").mkdir()
    for name in ("billing", "ledger"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mtls.toml").write_text(f'version = 1\nstack = "{name}"\n')
    result = run(tmp_path, {}, "plan")
    assert result.code == 64
    assert "`--file billing/mtls.toml`; or use `--all` for all 2 below the git root" in result.err
    assert "mtlsctl init" not in result.err
