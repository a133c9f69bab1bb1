"""`doctor`: every finding has a fix, no check hides another, and no secret is ever shown."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

from reconciler.emulator.app import PREFIX
from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState
from reconciler.emulator.tokens import Permission, Token
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import FileError
from reconciler.model.errors import StoreError
from reconciler.runs.doctor.checkout import CHECKS
from reconciler.runs.doctor.examine import run_check
from reconciler.runs.doctor.machine import MACHINE_CHECKS
from reconciler.version import __version__
from tests.cli.test_canaries import search
from tests.support.cli import MTLS, WRANGLER, Project, Result, run
from tests.support.emulated import client_of, make_state
from tests.support.gits import no_git, refusing_git
from tests.support.worlds import issued

TOKEN = "canary-7f3a9c2e5b1d8f4a6c0e9b7d"
CLOUDFLARE = MTLS.replace('stack = "payments"', 'stack = "payments"\n[store]\nkind = "cloudflare"')
version = cache(metadata.version)
KEY_FILE = MTLS.replace('{ env = "BILLING_KEY" }', '"certs/billing.key"')


@pytest.fixture(autouse=True)
def versions_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the packages, whose files take longer to read than the rest of a run."""
    monkeypatch.setattr(metadata, "version", version)


@pytest.fixture
def applied(project: Project) -> Project:
    """The same project after apply."""
    assert project.run("apply", "--yes").code == 0
    return project


def codes(result: Result) -> dict[str, str]:
    """The severities by code, of a run with `--format json`."""
    found = result.json["diagnostics"]
    assert isinstance(found, list)
    return {str(item["code"]): str(item["severity"]) for item in found}


def problems(project: Project, *more: str) -> set[str]:
    """The codes of problems."""
    found = codes(project.run("doctor", "--format", "json", *more))
    return {code for code, severity in found.items() if severity != "info"}


def init_git(project: Project, *tracked: str) -> None:
    """Make the project a repository that tracks these files."""
    for command in (["init", "-q"], *([["add", "-f", "--", *tracked]] if tracked else [])):
        subprocess.run(["git", *command], cwd=project.folder, check=True)


def test_a_healthy_project_is_told_so_line_by_line(applied: Project) -> None:
    """Versions, file, permissions, store, leftovers; exit 0."""
    init_git(applied)
    result = applied.run("doctor")
    assert (result.code, result.err) == (0, "")
    assert result.out.rstrip().endswith("Everything checked is in order.")
    assert f"mtlsctl        {__version__}, on Python 3." in result.out
    assert f"cryptography {metadata.version('cryptography')}" in result.out
    assert f"mtls.toml, in the git repository {applied.folder}" in result.out
    assert f"SQLite {sqlite3.sqlite_version}; .mtlsctl/store.db is intact, with 1 certificate" in result.out
    assert "git ignores .mtlsctl" in result.out
    assert "other users of this machine can't read .mtlsctl" in result.out


def test_looking_changes_nothing(project: Project) -> None:
    """Before the first apply there is no folder, and `doctor` does not create it."""
    result = project.run("doctor")
    assert result.code == 0
    assert "no .mtlsctl/store.db yet" in result.out
    assert sorted(path.name for path in project.folder.iterdir()) == ["certs", "mtls.toml", "wrangler.toml"]


def test_without_an_mtls_toml_the_machine_is_looked_at_all_the_same(tmp_path: Path) -> None:
    """It reports what was not checked, and how to check it."""
    result = run(tmp_path, {}, "doctor")
    assert result.code == 0
    assert "mtls.toml was not found here" in result.out
    assert "only the machine and the environment were checked" in result.out
    assert "fix  go to its folder" in result.out
    assert "packages" in result.out


def test_a_file_that_was_named_and_is_not_there_is_an_error(tmp_path: Path) -> None:
    """The user named it on purpose."""
    result = run(tmp_path, {}, "doctor", "--file", "nope.toml")
    assert result.code == 1
    assert "nope.toml does not exist" in result.out


def test_a_broken_mtls_toml_hides_nothing_else(applied: Project) -> None:
    """Its errors with their places, and the checks that are still possible."""
    applied.write("mtls.toml", MTLS.replace("private_key", "privat_key"))
    result = applied.run("doctor")
    assert result.code == 1
    assert "at   mtls.toml:6:1" in result.out
    assert "other users of this machine can't read .mtlsctl" in result.out


# --- the environment ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, set()),
        ({"CLOUDFLARE_API_TOKEN": TOKEN}, set()),
        ({"CLOUDFLARE_API_TOKEN": ""}, {"token-empty"}),
        ({"CLOUDFLARE_API_TOKEN": " \n"}, {"token-empty"}),
        ({"CLOUDFLARE_API_TOKEN": TOKEN + "\n"}, {"token-white-space"}),
        ({"CLOUDFLARE_API_TOKEN": TOKEN[:9] + " " + TOKEN[9:]}, {"token-white-space"}),
        ({"CLOUDFLARE_API_TOKEN": f'"{TOKEN}"'}, {"token-malformed"}),
        ({"CLOUDFLARE_API_TOKEN": TOKEN + "\x1b[2J"}, {"token-malformed"}),
        ({"CLOUDFLARE_API_TOKEN": "cfk_" + TOKEN}, {"token-is-key"}),
        ({"CF_API_TOKEN": TOKEN}, {"token-old-name"}),
        ({"CLOUDFLARE_API_TOKEN": TOKEN, "CLOUDFLARE_API_KEY": TOKEN, "CLOUDFLARE_EMAIL": TOKEN}, {"global-key"}),
        ({"CF_API_KEY": TOKEN}, {"global-key"}),
    ],
    ids=[
        "none",
        "a good one",
        "empty",
        "blank",
        "a line end",
        "a space inside",
        "quotes",
        "a control character",
        "a global key",
        "the old name",
        "a global key beside it",
        "the old name of a global key",
    ],
)
def test_the_token_is_judged_and_never_shown(project: Project, variables: dict[str, str], found: set[str]) -> None:
    """Only its presence and format are checked, in text and JSON."""
    project.environ |= variables
    text, document = project.run("doctor", "--verbose"), project.run("doctor", "--format", "json")
    assert {code for code, severity in codes(document).items() if severity != "info"} == found
    assert text.code == document.code == 0
    for result in (text, document):
        assert not any(TOKEN[start : start + 8] in result.out + result.err for start in range(len(TOKEN) - 8))


def test_the_cloudflare_store_needs_a_token(project: Project) -> None:
    """An error with the required permissions; offline a warning, because files can be planned without a token."""
    project.write("mtls.toml", CLOUDFLARE)
    result = project.run("doctor")
    assert result.code == 1
    assert "error[token-missing]" in result.out
    assert "SSL and Certificates" in result.out
    offline = project.run("doctor", "--offline")
    assert offline.code == 0
    assert "warning[token-missing]" in offline.out
    project.environ["CLOUDFLARE_API_TOKEN"] = TOKEN
    assert problems(project, "--offline") == set()


# --- the account ----------------------------------------------------------------------------------------------------


@pytest.fixture
def state() -> EmulatorState:
    """The state of the emulated account of `account`, in which a CA is declared."""
    return make_state()


@pytest.fixture
def account(project: Project, state: EmulatorState) -> Iterator[Project]:
    project.write("mtls.toml", CLOUDFLARE + '[certificates.root]\ncertificate = "certs/billing.pem"\nca = true\n')
    with running(state) as url:
        project.environ |= {
            "CLOUDFLARE_API_BASE_URL": url,
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID,
            "CLOUDFLARE_API_TOKEN": TOKEN,
        }
        yield project


def rights(project: Project) -> dict[str, str]:
    """Each permission, and whether the token has it, as `doctor` reports."""
    found = project.run("doctor", "--format", "json").json["diagnostics"]
    told = [item["message"].split(";")[0] for item in found if item["code"] == "token-rights"]
    return dict(line.rsplit(": ", 1) for line in told)


def test_each_permission_is_told_with_what_needs_it_and_whether_the_token_has_it(
    account: Project, state: EmulatorState
) -> None:
    """Reads show it; write permission is not guessed. The check changes nothing."""
    state.access.tokens[TOKEN] = Token(frozenset(Permission))
    api = f"http://emulator{PREFIX}/zones/zone1/certificate_authorities/hostname_associations"
    client_of(state, token=TOKEN).put(api, json={"hostnames": ["a.example"]})
    state.calls.clear()
    assert rights(account) == {
        "Account: SSL and Certificates Read": "granted",
        "Account: SSL and Certificates Write": "unknown",
        "Workers Scripts Read": "granted",
        "Hyperdrive Read": "granted",
        "Zone Read": "granted",
        "SSL and Certificates Read": "granted",
    }
    assert {call.method for call in state.calls} == {"GET"}
    assert account.run("doctor").code == 0


@pytest.mark.parametrize(
    ("held", "lacking"),
    [
        ({Permission.WORKERS_WRITE, Permission.HYPERDRIVE_READ, Permission.ZONE_READ}, "SSL and Certificates Read"),
        ({Permission.CERTIFICATES_READ, Permission.HYPERDRIVE_READ, Permission.ZONE_READ}, "Workers Scripts Read"),
        ({Permission.CERTIFICATES_WRITE, Permission.WORKERS_READ, Permission.ZONE_READ}, "Hyperdrive Read"),
        ({Permission.CERTIFICATES_READ, Permission.WORKERS_READ, Permission.HYPERDRIVE_READ}, "Zone Read"),
    ],
    ids=["certificates", "Workers", "Hyperdrive", "zones"],
)
def test_a_permission_that_the_token_lacks_is_a_warning_that_names_it(
    account: Project, state: EmulatorState, held: set[Permission], lacking: str
) -> None:
    """The others are reported anyway."""
    state.access.tokens[TOKEN] = Token(frozenset(held))
    found = account.run("doctor", "--format", "json").json["diagnostics"]
    (lacks,) = [item for item in found if item["severity"] != "info"]
    assert lacks["code"] == "token-lacks"
    assert f"`{lacking}`" in lacks["hint"] or f"`Account: {lacking}`" in lacks["hint"]


@pytest.mark.parametrize(
    ("token", "code", "calls"),
    [
        (Token(active=False), "token-unknown", 2),
        (None, "token-unknown", 2),
        (Token(accounts=frozenset({"f" * 32})), "store-account", 2),
        (Token(account_owned=True), None, 6),
    ],
    ids=["inactive", "unknown", "of another account", "owned by an account"],
)
def test_a_token_that_is_none_ends_the_questions(
    account: Project, state: EmulatorState, token: Token | None, code: str | None, calls: int
) -> None:
    """An error that every call would have is reported once; an account-owned token is verified at its own path."""
    state.access.tokens = {"another": Token()} | ({TOKEN: token} if token else {})
    assert problems(account) == ({code} if code else set())
    assert len(state.calls) >= calls
    assert TOKEN not in account.run("doctor").out


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"CLOUDFLARE_API_BASE_URL": "http://127.0.0.1:1"}, "store-unreachable"),
        ({"CLOUDFLARE_API_BASE_URL": "https://api.cloudflare.com"}, "base-url"),
        ({"CLOUDFLARE_API_BASE_URL": "https://127.0.0.1:1/client/v4", "SSL_CERT_FILE": "/none"}, "store-connection"),
        ({"CLOUDFLARE_API_BASE_URL": "https://127.0.0.1:1/client/v4", "HTTPS_PROXY": "x://y"}, "store-connection"),
        ({"CLOUDFLARE_API_BASE_URL": "", "CLOUDFLARE_COMPLIANCE_REGION": "moon"}, "compliance-region"),
        ({"CLOUDFLARE_ACCOUNT_ID": ""}, "account-missing"),
        ({"CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID + "\n"}, "account-malformed"),
        ({"CLOUDFLARE_API_TOKEN": ""}, "token-empty"),
        ({"CLOUDFLARE_API_TOKEN": TOKEN + "\n"}, "token-white-space"),
        ({"CLOUDFLARE_API_TOKEN": "cfk_" + TOKEN}, "token-is-key"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_doctor_fails_where_no_command_that_asks_the_account_can_work(
    account: Project, variables: dict[str, str], code: str
) -> None:
    """Each cause is reported once, as an error; with `--offline` no call is made, and nothing is an error."""
    account.environ |= variables
    result = account.run("doctor", "--format", "json")
    found = [item for item in result.json["diagnostics"] if item["severity"] != "info"]
    assert result.code == 1
    assert [(item["code"], item["severity"]) for item in found] == [(code, "error")]
    assert account.run("doctor", "--offline").code == 0


def test_a_token_that_can_not_list_certificates_is_an_error(account: Project, state: EmulatorState) -> None:
    """Every command that asks the account begins with the list; another permission that is missing is a warning."""
    lists = {Permission.CERTIFICATES_READ, Permission.CERTIFICATES_WRITE}
    state.access.tokens[TOKEN] = Token(frozenset(set(Permission) - lists))
    assert account.run("doctor").code == 1
    state.access.tokens[TOKEN] = Token(frozenset(lists))
    result = account.run("doctor")
    assert result.code == 0
    assert "warning[token-lacks]" in result.out


def test_a_missing_token_is_reported_once_with_what_may_hold_it(project: Project) -> None:
    """The old name of the variable, or a `.env` file."""
    project.write("mtls.toml", CLOUDFLARE)
    project.environ["CLOUDFLARE_ACCOUNT_ID"] = ACCOUNT_ID
    project.write(".env", f"CLOUDFLARE_API_TOKEN={TOKEN}\n")
    result = project.run("doctor")
    assert result.out.count("[token-missing]") == 1
    assert "mtlsctl does not read .env" in result.out
    project.environ["CF_API_TOKEN"] = TOKEN
    assert problems(project) == {"token-old-name"}


def test_a_pages_project_needs_one_permission_more(account: Project, state: EmulatorState) -> None:
    """And it is only checked then."""
    assert "Pages Read" not in rights(account)
    account.write("wrangler.toml", 'name = "site"\npages_build_output_dir = "dist"\n')
    assert rights(account)["Pages Read"] == "granted"


def test_key_folders_must_be_absolute_and_there(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each other one is named; the names are text of others."""
    there = tmp_path_factory.mktemp("keys")
    project.environ["MTLSCTL_KEY_DIRS"] = os.pathsep.join([str(there), "relative", "/nope/\x1b[2J\u202e\n::error::x"])
    assert problems(project) == {"key-folder-relative", "key-folder-missing"}
    text = project.run("doctor").out
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())
    project.environ["MTLSCTL_KEY_DIRS"] = str(there)
    assert problems(project) == set()


# --- the checkout ---------------------------------------------------------------------------------------------------


def test_what_is_open_to_others_is_named_with_its_cure(applied: Project) -> None:
    """0700 for the folder, 0600 for its files; its .gitignore may be readable."""
    (applied.folder / ".mtlsctl").chmod(0o755)
    (applied.folder / ".mtlsctl/store.db").chmod(0o644)
    result = applied.run("doctor")
    assert result.code == 0
    assert result.out.count("warning[open-to-others]") == 2
    assert "fix  run `chmod 700 .mtlsctl`\n" in result.out
    assert "fix  run `chmod 600 .mtlsctl/store.db`\n" in result.out


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
@pytest.mark.parametrize(
    "arguments", [("plan",), ("apply", "--yes"), ("status",), ("history",), ("export",), ("output", "billing")], ids=str
)
def test_a_folder_that_others_can_write_is_refused(applied: Project, mode: int, arguments: tuple[str, ...]) -> None:
    """Its store, journal and lock may be from them; each command names the `chmod`, after which it works."""
    folder = applied.folder / ".mtlsctl"
    folder.chmod(mode)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    result = applied.run(*arguments)
    assert (result.code, "error[folder-writable]" in result.err) == (1, True)
    assert f"run `chmod 700 {folder}`" in " ".join(result.err.split())
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert "error[folder-writable]" in applied.run("doctor").out
    folder.chmod(0o700)
    assert applied.run(*arguments).code == 0


def test_a_folder_that_others_can_only_read_is_used(applied: Project) -> None:
    """What is in it is public; `doctor` warns."""
    (applied.folder / ".mtlsctl").chmod(0o755)
    assert applied.run("plan").code == 0


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _scramble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 * 2 : 4096 * 3] = b"\xff" * 4096
    path.write_bytes(bytes(data))


def _replace_by_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize(
    "damage",
    [_truncate, _scramble, _replace_by_link, lambda path: path.write_text("no database, but long enough to be read")],
    ids=["truncated", "a page of nonsense", "a link", "no database"],
)
def test_a_damaged_store_is_an_error_with_a_way_out(applied: Project, damage: Callable[[Path], object]) -> None:
    """Exit 1, with `--offline` too, and the other checks are shown."""
    damage(applied.folder / ".mtlsctl/store.db")
    for arguments in ([], ["--offline"]):
        result = applied.run("doctor", *arguments)
        assert result.code == 1
        assert "error[" in result.out
        assert "fix  " in result.out
        assert "no killed run left temporary files" in result.out


def test_a_read_only_checkout_is_said_before_apply_fails(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning, because planning works there."""
    monkeypatch.setattr("reconciler.runs.doctor.checkout.os.access", lambda *_: False)
    assert problems(project) == {"folder-read-only", "file-read-only"}


def test_a_store_that_git_tracks_or_would_take_is_a_warning(applied: Project) -> None:
    """Git ignores the folder by its own .gitignore, until someone deletes that."""
    init_git(applied)
    assert problems(applied) == set()
    (applied.folder / ".mtlsctl/.gitignore").unlink()
    assert problems(applied) == {"folder-not-ignored"}
    init_git(applied, ".mtlsctl/store.db")
    assert problems(applied) == {"store-in-git"}


def test_private_keys_in_git_are_errors_and_readable_ones_warnings(project: Project) -> None:
    """Each with a fix."""
    project.write("mtls.toml", KEY_FILE)
    key = project.write("certs/billing.key", issued(1).key_pem)
    key.chmod(0o600)
    assert problems(project) == set()
    key.chmod(0o640)
    assert problems(project) == {"key-readable"}
    init_git(project, "certs/billing.key")
    result = project.run("doctor")
    assert result.code == 1
    assert "error[key-in-git]" in result.out


def test_doctor_never_claims_what_git_did_not_say(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Outside a repository, without git, and where it refuses the checkout."""
    project.write("mtls.toml", KEY_FILE)
    project.write("certs/billing.key", issued(1).key_pem).chmod(0o600)
    outside = project.run("doctor")
    assert "1 private key file, readable only by this user\n" in outside.out
    assert codes(project.run("doctor", "--format", "json"))["key-tracking-unknown"] == "info"
    init_git(project)
    assert "readable only by this user and not in git" in project.run("doctor").out
    for make in (no_git, refusing_git):
        project.environ["PATH"] = make(tmp_path_factory.mktemp("bin"))
        assert "and not in git" not in project.run("doctor").out
        assert problems(project) == {"key-tracking-unknown"}


def test_a_key_that_is_not_at_hand_is_no_problem(project: Project) -> None:
    """Most checkouts have none; it is reported as an info."""
    project.write("mtls.toml", KEY_FILE)
    assert codes(project.run("doctor", "--format", "json"))["key-not-at-hand"] == "info"


def test_what_killed_runs_left_is_named(project: Project) -> None:
    """Next to wrangler files and mtls.toml; a file with a similar name is not counted."""
    for name in (".wrangler.toml.mtlsctl-0123abcd.tmp", ".mtls.toml.mtlsctl-0123abcd.tmp", ".x.mtlsctl-0123abcd.tmp"):
        project.write(name, "")
    result = project.run("doctor")
    assert result.out.count("warning[leftover]") == 2
    assert "at   .wrangler.toml.mtlsctl-0123abcd.tmp" in result.out
    project.run("apply", "--yes")
    assert problems(project) == set()


def test_a_worker_whose_config_is_a_folder_is_looked_at_too(project: Project) -> None:
    """The file that wrangler would find there."""
    project.write("mtls.toml", MTLS.replace('"wrangler.toml"', '"app"'))
    project.write("app/wrangler.toml", WRANGLER)
    project.write("app/.wrangler.toml.mtlsctl-0123abcd.tmp", "")
    assert "at   app/.wrangler.toml.mtlsctl-0123abcd.tmp" in project.run("doctor").out


# --- the checks themselves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "severity"),
    [
        (StoreError("no", code=Code.STORE_DAMAGED), "store-damaged", Severity.ERROR),
        (FileError("no"), "file", Severity.ERROR),
        (PermissionError(13, "the canary"), "keys-unreadable", Severity.WARNING),
        (RuntimeError("the canary"), "check-failed", Severity.ERROR),
    ],
    ids=["a store error", "a file error", "an error of the system", "a bug"],
)
def test_a_check_that_fails_is_a_finding(error: Exception, code: str, severity: Severity) -> None:
    """Without the message of an unexpected exception, which may quote anything."""

    def check() -> tuple[Diagnostic, ...]:
        raise error

    (found,) = run_check("thing", Code.KEYS_UNREADABLE, check)
    assert (found.code, found.severity) == (code, severity)
    assert "canary" not in found.message


def test_one_failing_check_hides_no_other(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """All others are reported."""
    monkeypatch.setattr("reconciler.runs.doctor.checkout.os.access", lambda *_: 1 / 0)
    result = project.run("doctor")
    assert result.code == 1
    assert "writable could not be checked" in result.out
    assert "ZeroDivisionError" in result.out
    assert "no killed run left temporary files" in result.out


def test_checks_have_names_of_their_own() -> None:
    """A finding shows which check it comes from."""
    names = [name for name, _, _ in (*MACHINE_CHECKS, *CHECKS)]
    assert len(names) == len(set(names))


def test_a_missing_package_is_an_error(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, with the fix; optional extras are not reported."""
    required = ["no-such-package>=1", "another-missing>=2; extra == 'x'", "typer>=0.29"]
    monkeypatch.setattr("reconciler.runs.doctor.machine.metadata.requires", lambda _: required)
    result = project.run("doctor")
    assert result.code == 1
    assert "the package no-such-package is missing" in result.out
    assert "another-missing" not in result.out


def test_no_key_ever_shows(project: Project) -> None:
    """With keys in files and in the environment, available and in wrong places."""
    project.write("mtls.toml", KEY_FILE)
    project.write("certs/billing.key", issued(1).key_pem).chmod(0o644)
    project.environ["MTLSCTL_KEY_DIRS"] = "relative"
    results = [project.run("doctor", "--verbose"), project.run("doctor", "--format", "json")]
    search(project, results, (1,), ("certs/billing.key",))
