"""`guard`: which files it judges, what it asks of Cloudflare, and how it is skipped."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState, new_state
from reconciler.findings.escape import toml_text
from reconciler.findings.exits import ExitCode
from reconciler.model import CertificateName, EntryId, Listing
from reconciler.model.ownership import mark_name
from reconciler.records.recent import ListedAt, read_recent, recent_text
from reconciler.reports.guard import Guard
from reconciler.runs.guard import GuardRequest
from reconciler.runs.guard import guard as ask
from reconciler.runs.project import open_project
from reconciler.stores.cloudflare.client import Time
from reconciler.system.clock import SystemClock
from reconciler.system.recent import read_recent_file, write_recent_file
from reconciler.x509.certificates import parse_stored
from tests.support.cli import MTLS, WRANGLER, Project, make_project
from tests.support.emulated import HEADERS, TOKEN, account_environ
from tests.support.hostile import NAMES, check_texts
from tests.support.pki import NOW
from tests.support.store_contract import LEAVES, SetClock
from tests.support.worlds import entry

CLOUD = MTLS.replace('stack = "payments"\n', 'stack = "payments"\nstore = { kind = "cloudflare" }\n')
RECENT = ".mtlsctl/recent.json"
BOOKS = """
[workers.books]
config = "apps/books"

[workers.books.bindings]
BILLING = "billing"
"""


@dataclass
class Account:
    """A project with an account in the emulator, and a clock of its own."""

    project: Project
    state: EmulatorState
    clock: SetClock = field(default_factory=lambda: SetClock(SystemClock().now()))

    def ask(self, **request: object) -> Guard:
        """The answer of a process of its own."""
        project = open_project(None, cwd=self.project.folder, environ=self.project.environ)
        return ask(replace(project, clock=self.clock), GuardRequest(self.project.folder, **request))  # type: ignore[arg-type]

    def calls(self) -> list[str]:
        """What was asked since the last time."""
        paths = [call.path.partition(ACCOUNT_ID)[2] for call in self.state.calls]
        self.state.calls.clear()
        return paths

    def upload(self, number: int) -> str:
        """The ID of a certificate that another checkout of the stack uploaded."""
        base = self.project.environ["CLOUDFLARE_API_BASE_URL"]
        pem, key = LEAVES[number].certificate_pem.decode(), LEAVES[number].key_pem.decode()
        parsed = parse_stored(pem)
        assert parsed is not None
        name = mark_name("payments", CertificateName("billing"), parsed.digest)
        body = {"name": name, "certificates": pem, "private_key": key, "ca": False}
        reply = httpx.post(f"{base}/accounts/{ACCOUNT_ID}{LIST}", json=body, headers=HEADERS)
        self.state.calls.clear()
        return str(reply.json()["result"]["id"])

    def renew(self, number: int) -> None:
        """A renewed certificate, applied."""
        self.project.write("certs/billing.pem", LEAVES[number].certificate_pem)
        self.project.environ["BILLING_KEY"] = LEAVES[number].key_pem.decode()
        assert self.project.run("apply", "--yes").code == 0
        self.state.calls.clear()


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    state = new_state(SystemClock())
    with running(state) as url:
        project = make_project(tmp_path, CLOUD)
        project.environ |= account_environ(url)
        made = Account(project, state)
        made.renew(0)
        yield made


LIST = "/mtls_certificates"

# --- one list for a minute ------------------------------------------------------------------------------------------


def test_many_deploys_in_a_row_need_one_list(account: Account) -> None:
    """Each in a process of its own; after a minute there is a new list."""
    assert [account.ask().exit_code for _ in range(5)] == [ExitCode.OK] * 5
    assert account.calls() == [LIST]
    account.clock.time += timedelta(seconds=59)
    account.ask()
    assert account.calls() == []
    account.clock.time += timedelta(seconds=1)
    account.ask()
    assert account.calls() == [LIST]


def test_nothing_is_stopped_because_of_a_list_that_is_a_minute_old(account: Account) -> None:
    """What another checkout uploaded meanwhile is asked for by its ID; what would be stopped is listed again first."""
    assert account.ask().diagnostics == ()
    account.calls()
    new = account.upload(2)
    account.project.write("certs/billing.pem", LEAVES[2].certificate_pem)
    account.project.write("wrangler.toml", WRANGLER.replace("<CERTIFICATE_ID>", new))
    assert account.ask().diagnostics == ()
    assert account.calls() == [f"{LIST}/{new}"]
    account.project.write("wrangler.toml", WRANGLER)
    assert account.ask().exit_code is ExitCode.BLOCKED
    assert account.calls() == [LIST]


def test_a_list_from_before_a_run_of_this_checkout_is_not_used(account: Account) -> None:
    """Else the certificate that it uploaded would not count as newer."""
    old = {path: account.project.read(path) for path in ("wrangler.toml", "certs/billing.pem")}
    assert account.ask().diagnostics == ()
    account.renew(1)
    for path, text in old.items():
        account.project.write(path, text)
    assert [one.code for one in account.ask().diagnostics] == ["guard-older"]


def test_what_stops_is_listed_each_time(account: Account) -> None:
    """So that the next try sees what was done about it."""
    account.project.write("wrangler.toml", WRANGLER.replace("<CERTIFICATE_ID>", "00000000-0000-4000-8000-000000000001"))
    one = f"{LIST}/00000000-0000-4000-8000-000000000001"
    assert account.ask().exit_code is ExitCode.BLOCKED
    assert account.calls() == [LIST, one]
    assert account.ask().exit_code is ExitCode.BLOCKED
    assert account.calls() == [one, LIST, one]


def test_a_stale_branch_is_stopped(account: Account) -> None:
    """It has the certificate, the ID and the mtls.toml of that time; once the old one is deleted, too."""
    old = {path: account.project.read(path) for path in ("wrangler.toml", "certs/billing.pem")}
    account.renew(1)
    for path, text in old.items():
        account.project.write(path, text)
    assert [one.code for one in account.ask().diagnostics] == ["guard-older"]
    entries = account.state.account().entries()
    newest = max(entries, key=lambda one: str(one.uploaded_on))
    assert account.ask(accepted=(newest.id[:8],)).diagnostics == ()
    (gone,) = (one.id for one in entries if one.id != newest.id)
    base = account.project.environ["CLOUDFLARE_API_BASE_URL"]
    httpx.delete(f"{base}/accounts/{ACCOUNT_ID}{LIST}/{gone}", headers=HEADERS).raise_for_status()
    assert [one.code for one in account.ask().diagnostics] == ["guard-unknown"]


def test_a_list_is_for_this_user_and_has_no_secret(account: Account) -> None:
    """Public facts of an account; the token is no part of it."""
    account.ask()
    path = account.project.folder / RECENT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert TOKEN not in text
    assert "PRIVATE" not in text
    assert json.loads(text)["account_id"] == ACCOUNT_ID


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("{"),
        lambda path: path.write_bytes(b"\xff" * 100),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text(path.read_text().replace(ACCOUNT_ID, "f" * 32)),
        lambda path: path.write_text(path.read_text().replace("127.0.0.1", "127.0.0.2")),
        lambda path: path.write_text(path.read_text().replace("recent/1", "recent/2")),
        lambda path: (path.rename(path.with_name("other")), path.symlink_to("other")),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), os.mkfifo(path))[0],  # type: ignore[func-returns-value]
        lambda path: path.parent.chmod(0o777),
        lambda path: path.chmod(0o644),
    ],
    ids=[
        "half",
        "no text",
        "nested",
        "account",
        "address",
        "version",
        "a link",
        "a folder",
        "a pipe",
        "open to others",
        "as git writes it",
    ],
)
def test_a_list_that_is_not_one_is_as_none(account: Account, spoil: object) -> None:
    """Nothing waits, and nothing fails; it is listed again."""
    account.ask()
    account.calls()
    spoil(account.project.folder / RECENT)  # type: ignore[operator]
    assert account.ask().diagnostics == ()
    assert account.calls() == [LIST]


def test_a_folder_that_can_not_be_written_keeps_no_list(account: Account) -> None:
    """A link of that name leads nowhere."""
    folder = account.project.folder / ".mtlsctl"
    folder.rename(account.project.folder / "elsewhere")
    folder.symlink_to("elsewhere")
    assert account.ask().diagnostics == ()
    assert not (account.project.folder / "elsewhere/recent.json").exists()


def test_a_list_is_never_half_of_one(tmp_path: Path) -> None:
    """Deploys run at once."""
    texts = [bytes([sign]) * 100_000 for sign in b"ab"]
    with ThreadPoolExecutor(4) as pool:
        writes = [pool.submit(write_recent_file, tmp_path, "recent.json", texts[number % 2]) for number in range(40)]
        seen = [read_recent_file(tmp_path, "recent.json", limit=100_000) for _ in range(40)]
    assert all(one.exception() is None for one in writes)
    assert set(seen) <= {None, *texts}
    assert read_recent_file(tmp_path, "recent.json", limit=99_999) is None
    assert {path.name for path in (tmp_path / ".mtlsctl").iterdir()} == {".gitignore", "recent.json"}


def test_a_list_is_read_back_as_it_was() -> None:
    """With everything that a judgement needs."""
    at = ListedAt("a" * 32, "https://api.example/client/v4")
    whole = Listing((entry(1, 1, "@billing"), replace(entry(2, 2), uploaded_on=None)), stable=False, ahead=None)
    assert read_recent(recent_text(whole, at, NOW), at, NOW) == whole
    assert read_recent(recent_text(whole, at, NOW + timedelta(seconds=1)), at, NOW) is None, "of the future"
    odd = Listing((replace(entry(1, 1), id=EntryId("\x1b[2J\ud800")),))
    assert read_recent(recent_text(odd, at, NOW), at, NOW) in (odd, None)


# --- what could not be checked --------------------------------------------------------------------------------------


def test_without_a_token_a_deploy_is_stopped_and_the_way_out_is_named(account: Account) -> None:
    """Never passed: what can't be checked is reported."""
    del account.project.environ["CLOUDFLARE_API_TOKEN"]
    result = account.project.run("guard")
    assert result.code == 3
    assert "error[guard-not-checked]: the IDs were not checked: CLOUDFLARE_API_TOKEN is not set" in result.out
    assert "mtlsctl guard --offline" in result.out
    assert "MTLSCTL_SKIP_GUARD" in result.out
    assert account.project.run("guard", "--offline").code == 0
    assert account.calls() == []


def test_a_server_that_is_not_there_stops_a_deploy(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the list of another address is a minute old."""
    account.ask()
    monkeypatch.setattr("reconciler.stores.cloudflare.Time", lambda now: Time(now, sleep=lambda _: None))
    account.project.environ["CLOUDFLARE_API_BASE_URL"] = "http://127.0.0.1:9/client/v4"
    result = account.project.run("guard", "--max-wait", "0s", "--format", "json")
    assert (result.code, result.json["stopped"]) == (3, True)
    assert [one["code"] for one in result.json["diagnostics"]] == ["guard-not-checked"]


def test_a_file_that_can_not_be_read_is_an_error_of_its_own(tmp_path: Path) -> None:
    """Exit 1, if it is one of those that are deployed."""
    project = make_project(tmp_path, MTLS + BOOKS)
    (tmp_path / ".git").mkdir()
    project.write("apps/books/wrangler.toml", "name = ")
    assert project.run("apply", "--yes").code == 5
    assert project.run("guard", "checkout").code == 0
    assert project.run("guard", "books").code == 1
    assert "wrangler-syntax" in project.run("guard", folder="apps/books").err
    project.write("mtls.toml", "version = ")
    assert project.run("guard").code == 1


# --- what is deployed -----------------------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path: Path) -> Project:
    """Two Workers in folders of their own; the second has a placeholder again."""
    project = make_project(tmp_path, MTLS.replace('"wrangler.toml"', '"apps/checkout/wrangler.toml"') + BOOKS)
    (tmp_path / "wrangler.toml").unlink()
    (tmp_path / ".git").mkdir()
    for name in ("checkout", "books"):
        project.write(f"apps/{name}/wrangler.toml", WRANGLER)
        project.write(f"apps/{name}/src/index.js", "")
    assert project.run("apply", "--yes").code == 0
    project.write("apps/books/wrangler.toml", WRANGLER)
    return project


@pytest.mark.parametrize(
    ("folder", "arguments", "files"),
    [
        ("apps/checkout", "", ["apps/checkout/wrangler.toml"]),
        ("apps/checkout/src", "", ["apps/checkout/wrangler.toml"]),
        ("apps/books", "", ["apps/books/wrangler.toml"]),
        (".", "", ["apps/books/wrangler.toml", "apps/checkout/wrangler.toml"]),
        (".", "books", ["apps/books/wrangler.toml"]),
        (".", "apps/books/wrangler.toml checkout", ["apps/books/wrangler.toml", "apps/checkout/wrangler.toml"]),
        ("apps/checkout", "../books", ["apps/books/wrangler.toml"]),
        ("apps/checkout", "wrangler.toml", ["apps/checkout/wrangler.toml"]),
    ],
)
def test_the_file_is_the_one_that_wrangler_would_deploy(
    two: Project, folder: str, arguments: str, files: list[str]
) -> None:
    """Or the one that is named, from wherever; without any, all."""
    result = two.run("guard", *arguments.split(), "--format", "json", folder=folder)
    assert result.json["files"] == files
    assert result.code == (3 if "apps/books/wrangler.toml" in files else 0)


@pytest.mark.parametrize(
    "name", ["nothing", "apps", "mtls.toml", "../elsewhere/wrangler.toml", "\x1b[2J\n::error::x", ""]
)
def test_a_name_of_nothing_is_wrong_use(two: Project, name: str) -> None:
    """It is no reason to pass."""
    result = two.run("guard", name)
    assert result.code == 64
    assert "\x1b" not in result.err
    assert "\n::" not in result.err


def test_a_file_that_no_one_declares_is_not_passed(two: Project) -> None:
    """wrangler would deploy it, and nothing is known about it."""
    two.write("apps/other/wrangler.toml", WRANGLER)
    result = two.run("guard", folder="apps/other")
    assert result.code == 64
    assert "wrangler would deploy apps/other/wrangler.toml, which mtls.toml does not declare" in result.err


@pytest.mark.parametrize(
    ("variables", "arguments", "code"),
    [
        ({}, [], 3),
        ({}, ["--env", ""], 0),
        ({}, ["--env", "staging"], 3),
        ({"CLOUDFLARE_ENV": "staging"}, [], 3),
        ({"CLOUDFLARE_ENV": "staging"}, ["--env="], 0),
        ({"CLOUDFLARE_ENV": ""}, [], 3),
        ({}, ["--env", "production"], 64),
        ({"CLOUDFLARE_ENV": "production"}, [], 64),
    ],
)
def test_the_environment_is_that_of_wrangler(
    tmp_path: Path, variables: dict[str, str], arguments: list[str], code: int
) -> None:
    """`--env`, else CLOUDFLARE_ENV, else all: the placeholder is in staging."""
    project = make_project(tmp_path)
    assert project.run("apply", "--yes").code == 0
    staging = '\n[env.staging]\nmtls_certificates = [{ binding = "BILLING", certificate_id = "<CERTIFICATE_ID>" }]\n'
    project.write("wrangler.toml", project.read("wrangler.toml") + staging)
    project.environ |= variables
    assert project.run("guard", *arguments).code == code


def test_a_generated_file_is_deployed_instead(tmp_path: Path) -> None:
    """A build tool made it before the ID was written; after the next build it may go."""
    project = make_project(tmp_path)
    project.write(".wrangler/deploy/config.json", '{"configPath": "../../dist/wrangler.json"}')
    project.write("dist/wrangler.json", '{"name": "checkout", "mtls_certificates": []}')
    assert project.run("apply", "--yes").code == 0
    result = project.run("guard", "--format", "json")
    assert (result.code, [one["code"] for one in result.json["diagnostics"]]) == (3, ["guard-build"])
    text = project.read("wrangler.toml").partition('certificate_id = "')[2][:36]
    built = {"name": "checkout", "mtls_certificates": [{"binding": "BILLING", "certificate_id": text}]}
    project.write("dist/wrangler.json", json.dumps(built))
    assert project.run("guard").code == 0


def test_a_name_in_a_wrangler_file_does_not_act(tmp_path: Path) -> None:
    """Neither on a terminal nor on the runner that shows the build."""
    project = make_project(tmp_path)
    assert project.run("apply", "--yes").code == 0
    for name in NAMES.values():
        odd = f"\n[[mtls_certificates]]\nbinding = {toml_text(name)}\ncertificate_id = {toml_text(name)}\n"
        project.write("wrangler.toml", project.read("wrangler.toml") + odd)
    for shown in ("text", "json"):
        result = project.run("guard", "--format", shown)
        assert result.code == 3
        check_texts(result.out, result.err)


# --- what is not checked --------------------------------------------------------------------------------------------


@pytest.fixture
def stale(tmp_path: Path) -> Project:
    """What would be stopped."""
    return make_project(tmp_path)


def test_it_can_be_skipped_with_a_reason_which_is_logged(stale: Project) -> None:
    """In the output and in the journal, and nothing of it acts."""
    stale.environ["MTLSCTL_SKIP_GUARD"] = "INC-4711\x1b[2J\n::error::x"
    stale.environ["WRANGLER_COMMAND"] = "deploy"
    result = stale.run("guard")
    assert result.code == 0
    assert "warning[guard-skipped]: the guard was skipped, because MTLSCTL_SKIP_GUARD is set: INC-4711" in result.out
    history = stale.run("history")
    assert "guard skipped:" in history.out
    assert "of wrangler deploy: INC-4711" in history.out
    assert not {"\x1b", "\n::"} & {sign for sign in ("\x1b", "\n::") if sign in result.out + history.out}
    (skipped,) = stale.run("history", "--format", "json").json["skipped_guards"]
    assert skipped["reason"] == "INC-4711\x1b[2J\n::error::x"


def test_a_reason_that_can_not_be_logged_still_skips(stale: Project) -> None:
    """With a link in place of the journal's folder; and where there is no mtls.toml."""
    stale.environ["MTLSCTL_SKIP_GUARD"] = "an emergency"
    (stale.folder / ".mtlsctl").symlink_to("elsewhere")
    result = stale.run("guard")
    assert result.code == 0
    assert "could not be written to the journal" in result.out
    (stale.folder / "mtls.toml").unlink()
    assert stale.run("guard").code == 0


def test_a_reason_that_is_no_text_is_logged(stale: Project) -> None:
    """A variable may have any bytes."""
    stale.environ["MTLSCTL_SKIP_GUARD"] = "INC\udcff"
    stale.environ["WRANGLER_COMMAND"] = "deploy\udcff"
    for shown in ("text", "json"):
        assert stale.run("guard", "--format", shown).code == 0
    assert "INC\\udcff" in stale.run("history").out


@pytest.mark.parametrize(("reason", "code"), [("", 3), ("0", 3), ("1", 1), ("TRUE", 1), ("no", 1), ("why", 0)])
def test_a_switch_is_no_reason(stale: Project, reason: str, code: int) -> None:
    """Someone reads it later."""
    stale.environ["MTLSCTL_SKIP_GUARD"] = reason
    assert stale.run("guard").code == code


def test_a_long_reason_is_cut_in_the_journal(stale: Project) -> None:
    """A line of it is read as a whole or not at all."""
    stale.environ["MTLSCTL_SKIP_GUARD"] = "long " * 50_000
    assert stale.run("guard").code == 0
    (skipped,) = stale.run("history", "--format", "json").json["skipped_guards"]
    assert len(skipped["reason"]) == 1000


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("WRANGLER_COMMAND", "dev", 0),
        ("WRANGLER_COMMAND", "types", 0),
        ("WRANGLER_COMMAND", "deploy", 3),
        ("WRANGLER_COMMAND", "versions upload", 3),
        ("WRANGLER_COMMAND", "something new", 3),
        ("MTLSCTL_RUNS_BUILD", "1", 0),
        ("MTLSCTL_RUNS_BUILD", "0", 3),
    ],
)
def test_only_what_may_deploy_is_checked(stale: Project, variable: str, value: str, code: int) -> None:
    """What is not known may deploy."""
    stale.environ[variable] = value
    assert stale.run("guard").code == code
