"""Fleets: many stacks in many accounts, found, checked and listed by files alone."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from reconciler.emulator.state import ACCOUNT_ID
from reconciler.findings.errors import FileError
from reconciler.reports.checks import RunFailure
from reconciler.runs.fleet import opened
from reconciler.system.several import find_matches
from reconciler.views.table import formats_of
from tests.runs.test_several import BROKEN
from tests.runs.test_several import Fleet as Checkout

ACCOUNTS = (ACCOUNT_ID, "b" * 32, "c" * 32)
FLEET = f"""\
version = 1
fleet = "acme"

[defaults]
act = "retire"

[accounts]
shop = "{ACCOUNT_ID}"

[credentials.one]
token = {{ env = "TOKEN_ONE" }}
accounts = ["shop"]

[credentials.two]
token = {{ env = "TOKEN_TWO" }}
accounts = ["{ACCOUNTS[1]}"]

[[stacks]]
files = ["apps/*/mtls.toml"]
exclude = ["apps/old/**"]
credential = "one"
tags = ["prod", "eu"]

[[stacks]]
files = ["own/mtls.toml"]
credential = "two"
act = "none"
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Checkout:
    """Three stacks in two accounts, and one that is left out."""
    fleet = Checkout(tmp_path / "checkout")
    fleet.folder.mkdir()
    fleet.environ |= {"TOKEN_ONE": "one", "TOKEN_TWO": "two"}
    fleet.write("fleet.toml", FLEET)
    for number, name in enumerate(("a", "b"), 1):
        fleet.stack(name, number, account=ACCOUNTS[0])
    fleet.stack("old", 3, account=ACCOUNTS[0])
    fleet.stack("own", 4, account=ACCOUNTS[1], folder="own")
    return fleet


def listed(fleet: Checkout, *words: str) -> list[dict[str, Any]]:
    """The stacks of the list."""
    result = fleet.run("fleet", "list", "--format", "json", *words)
    assert result.out.count("\n") == 1
    stacks: list[dict[str, Any]] = result.json["stacks"]
    return stacks


def names(fleet: Checkout, *words: str) -> list[str]:
    """The names of the stacks of the list."""
    return [one.get("stack", one["file"]) for one in listed(fleet, *words)]


# --- the list -------------------------------------------------------------------------------------------------------


def test_the_list_is_a_matrix_of_all_stacks(fleet: Checkout) -> None:
    """With all that a job of a pipeline needs."""
    assert listed(fleet)[0] == {
        "file": "apps/a/mtls.toml",
        "stack": "a",
        "account": ACCOUNT_ID,
        "account_name": "shop",
        "credential": "one",
        "tags": ["prod", "eu"],
        "act": "retire",
        "look": "1h",
    }
    assert names(fleet) == ["a", "b", "own"]
    assert fleet.run("fleet", "list").code == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--tag", "prod"), ["a", "b"]),
        (("--tag", "prod", "--tag", "eu"), ["a", "b"]),
        (("--only", "a"), ["a"]),
        (("--only", "apps/*"), ["a", "b"]),
        (("--exclude", "a", "--exclude", "own"), ["b"]),
        (("--tag", "eu", "--exclude", "apps/b/mtls.toml"), ["a"]),
        (("--exclude", "gone"), ["a", "b", "own"]),
    ],
)
def test_stacks_are_selected_by_tags_names_and_files(
    fleet: Checkout, words: tuple[str, ...], expected: list[str]
) -> None:
    """`--exclude` of what is gone is no error: a list of exceptions outlives its stacks."""
    assert names(fleet, *words) == expected


def test_an_exception_that_matches_nothing_is_reported(fleet: Checkout) -> None:
    """It may be misspelled; one that matches is no news."""
    said = " ".join(fleet.run("fleet", "list", "--exclude", "aa", "--exclude", "own").err.split())
    assert said == "`--exclude aa` matches no stack of the fleet, so it leaves out nothing"


@pytest.mark.parametrize("words", [("--tag", "prd"), ("--only", "aa")])
def test_a_selection_of_nothing_is_wrong_use(fleet: Checkout, words: tuple[str, ...]) -> None:
    """It is misspelled."""
    result = fleet.run("fleet", "list", *words)
    assert (result.code, result.out) == (64, "")
    assert f"`{' '.join(words)}` matches no stack of the fleet" in result.err


def test_a_stack_that_can_not_be_selected_because_of_an_error_is_no_wrong_use(fleet: Checkout) -> None:
    """Its name is unknown, and the error says why."""
    fleet.write("apps/b/mtls.toml", BROKEN)
    result = fleet.run("fleet", "list", "--only", "b")
    assert (result.code, result.out) == (1, "")
    assert "apps/b/mtls.toml can't be read: `stack` must be a string" in result.err
    assert "`--only b` matches no stack of the fleet that could be read" in " ".join(result.err.split())


def test_a_repository_narrows_what_may_be_done_and_never_widens_it(fleet: Checkout) -> None:
    """Its mtls.toml is written by others than fleet.toml."""
    fleet.write("apps/a/mtls.toml", fleet.read("apps/a/mtls.toml") + '\n[fleet]\nact = "none"\n')
    fleet.write("apps/b/mtls.toml", fleet.read("apps/b/mtls.toml") + '\n[fleet]\nact = "all"\n')
    fleet.write("own/mtls.toml", fleet.read("own/mtls.toml") + '\n[fleet]\nact = "rotate"\n')
    assert [one["act"] for one in listed(fleet)] == ["none", "retire", "none"]


def test_a_stack_that_can_not_be_used_is_listed_with_its_error(fleet: Checkout) -> None:
    """And the list ends with 1, so that no pipeline leaves it out silently."""
    fleet.write("apps/b/mtls.toml", BROKEN)
    result = fleet.run("fleet", "list")
    assert result.code == 1
    assert "apps/b/mtls.toml: `stack` must be a string, not a number" in result.out
    assert names(fleet) == ["a", "apps/b/mtls.toml", "own"]


def git(folder: Path, *words: str) -> None:
    """Run git there, as someone."""
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    subprocess.run(("git", *identity, *words), cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("apps/a/wrangler.toml", ["a"]),
        ("apps/b/notes.md", ["b"]),
        ("fleet.toml", ["a", "b", "own"]),
        ("common/billing.pem", ["own"]),
        ("README.md", []),
    ],
)
def test_changed_stacks_are_those_with_a_changed_file(fleet: Checkout, path: str, expected: list[str]) -> None:
    """In its folder, or named by it; also one that is new to git."""
    fleet.write("own/mtls.toml", fleet.read("own/mtls.toml").replace("certs/billing.pem", "../common/billing.pem"))
    fleet.write("common/billing.pem", "x")
    git(fleet.folder, "init", "-q", "-b", "main")
    git(fleet.folder, "add", ".")
    git(fleet.folder, "commit", "-q", "-m", "x")
    fleet.write(path, (fleet.read(path) if (fleet.folder / path).exists() else "") + "\n")
    assert names(fleet, "--changed-since", "main") == expected


def test_changed_since_needs_git_and_a_revision(fleet: Checkout) -> None:
    """Nothing is left out because git could not be asked."""
    assert "needs a git repository" in fleet.run("fleet", "list", "--changed-since", "main").err
    git(fleet.folder, "init", "-q")
    assert "git has no such revision" in fleet.run("fleet", "list", "--changed-since", "main").err
    assert "is not a revision" in fleet.run("fleet", "list", "--changed-since=--output=x").err


# --- the checks -----------------------------------------------------------------------------------------------------


def findings(fleet: Checkout) -> dict[str, list[str]]:
    """The codes of `fleet validate` by file."""
    found = fleet.run("fleet", "validate", "--format", "json").json["stacks"]
    parts = {one["file"]: one.get("diagnostics") or one["report"]["diagnostics"] for one in found}
    return {file: [one["code"] for one in part if one["severity"] == "error"] for file, part in parts.items()}


def test_everything_in_order_ends_with_0(fleet: Checkout) -> None:
    """No server is asked, and no token is needed."""
    result = fleet.run("fleet", "validate")
    assert (result.code, result.err) == (0, "")
    assert set(findings(fleet)) == {"apps/a/mtls.toml", "apps/b/mtls.toml", "own/mtls.toml"}


def test_a_token_that_is_missing_is_a_warning(fleet: Checkout) -> None:
    """The first pass would fail, but a pipeline that only validates needs none. A variable, a file, that of a forge."""
    del fleet.environ["TOKEN_ONE"]
    forge = '\n[forge]\ngithub = "example/shop"\ntoken = { env = "FORGE_TOKEN" }\n'
    fleet.write(
        "fleet.toml", FLEET.replace('env = "TOKEN_TWO" }', 'env = "TOKEN_TWO" }\nread_token = { file = "x" }') + forge
    )
    result = fleet.run("fleet", "validate")
    said = " ".join(result.out.split())
    assert (result.code, said.count("warning[token-missing]"), "in order" in result.out) == (0, 3, False)
    assert "the variable TOKEN_ONE is not set at fleet.toml:11:9" in said
    assert "x' does not exist at fleet.toml:16:14" in said
    assert "the variable FORGE_TOKEN is not set" in said
    assert fleet.run("fleet", "list").out.count("token-missing") == 0


def test_one_broken_file_stops_only_its_stack(fleet: Checkout) -> None:
    """The others are checked."""
    fleet.write("apps/b/mtls.toml", BROKEN)
    assert findings(fleet) == {"apps/a/mtls.toml": [], "apps/b/mtls.toml": ["wrong-type"], "own/mtls.toml": []}
    result = fleet.run("fleet", "validate")
    assert result.code == 1
    assert "apps/b/mtls.toml:2:9" in result.out
    assert result.out.splitlines()[-1] == "Next: fix what is listed, then run: mtlsctl fleet validate"


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        (f'account_id = "{ACCOUNT_ID}"\n', "", "fleet-account"),
        (ACCOUNT_ID, ACCOUNTS[2], "fleet-account"),
        (f'kind = "cloudflare"\naccount_id = "{ACCOUNT_ID}"\n', "", "fleet-account"),
        ('stack = "a"', 'stack = "b"', "stack-twice"),
    ],
    ids=["no account", "another account", "local store", "one name twice"],
)
def test_a_stack_that_the_fleet_must_not_touch_is_an_error(fleet: Checkout, before: str, after: str, code: str) -> None:
    """The account is named by its file and by the credential; a name is only once in an account."""
    fleet.environ["CLOUDFLARE_ACCOUNT_ID"] = ACCOUNT_ID
    fleet.write("apps/a/mtls.toml", fleet.read("apps/a/mtls.toml").replace(before, after))
    assert findings(fleet)["apps/a/mtls.toml"] == [code]


def test_a_name_may_be_in_two_accounts(fleet: Checkout) -> None:
    """It is the account and the name that tell stacks apart."""
    fleet.write("own/mtls.toml", fleet.read("own/mtls.toml").replace('"own"', '"a"'))
    assert findings(fleet) == {"apps/a/mtls.toml": [], "apps/b/mtls.toml": [], "own/mtls.toml": []}


def test_a_file_of_two_rules_is_an_error(fleet: Checkout) -> None:
    """Which of them would decide what may be done?"""
    fleet.write("fleet.toml", FLEET.replace('"own/mtls.toml"', '"own/mtls.toml", "apps/a/mtls.toml"'))
    assert findings(fleet)["apps/a/mtls.toml"] == ["fleet-files"]
    said = " ".join(fleet.run("fleet", "validate").out.split())
    assert "[[stacks]] 1 at fleet.toml:18:1 and [[stacks]] 2 at fleet.toml:24:1" in said


def test_a_glob_without_a_file_is_an_error_at_its_place(fleet: Checkout) -> None:
    """The others are checked all the same."""
    fleet.write("fleet.toml", FLEET.replace('"own/mtls.toml"', '"onw/mtls.toml"'))
    result = fleet.run("fleet", "validate")
    assert result.code == 1
    assert "'onw/mtls.toml' matches no file\n  at   fleet.toml:25:10" in result.out
    assert "\n2 stacks: 2 ok; fleet.toml failed.\n" in result.out
    assert findings(fleet)["apps/b/mtls.toml"] == []


def test_fleet_toml_is_found_by_its_option(fleet: Checkout, tmp_path: Path) -> None:
    """Paths in it are relative to its folder."""
    result = fleet.run("fleet", "list", "-f", "../fleet.toml", folder="apps")
    assert "b/mtls.toml" in result.out
    assert fleet.run("fleet", "list", folder="apps").code == 64
    assert fleet.run("fleet", "validate", "-f", "../fleet.toml", folder="apps").code == 0
    fleet.write("apps/b/mtls.toml", fleet.read("apps/b/mtls.toml").replace("certs/billing.pem", "certs/none.pem"))
    result = fleet.run("fleet", "validate", "-f", "../fleet.toml", folder="apps")
    shown = [line for line in result.out.splitlines() if line.startswith("Next:")]
    assert shown == ["Next: fix what is listed, then run: mtlsctl fleet validate -f ../fleet.toml"]


@pytest.mark.parametrize(
    ("command", "known"),
    [
        ("list", "text, json"),
        ("validate", "text, json, markdown"),
        ("plan", "text, json, markdown, html"),
        ("run", "text, json, markdown, html"),
        ("status", "text, json, markdown, html, prometheus"),
    ],
)
@pytest.mark.parametrize("shown", ["text", "json", "markdown", "html", "prometheus"])
def test_a_command_shows_something_in_each_format_that_it_has(
    fleet: Checkout, command: str, known: str, shown: str
) -> None:
    """Also of no stack at all. Another format is wrong use, with those that there are, and writes no file."""
    result = fleet.run("fleet", command, "--exclude", "*", "--format", shown, "--out", "x")
    if shown in known.split(", "):
        assert (result.code, result.out.strip() != "") == (0, True)
        return
    assert (result.code, (fleet.folder / "x").exists()) == (64, False)
    assert ("use one of these" in result.out) is (shown in formats_of(RunFailure))
    assert f"use one of these: {known}\n" in result.err


def test_a_flag_of_another_command_is_explained(fleet: Checkout) -> None:
    """`--json` is that of other programs."""
    assert "use `--format json`" in fleet.run("fleet", "list", "--json").err


@pytest.mark.parametrize(
    "words",
    ["list --all", "plan --all", "validate --dry-run", "plan --changed-since main", "status --changed-since main"],
)
def test_an_option_of_another_command_is_wrong_use(fleet: Checkout, words: str) -> None:
    """It would be ignored silently."""
    result = fleet.run("fleet", *words.split())
    assert (result.code, result.out) == (64, "")
    assert f"`fleet {words.split()[0]}` has no `{words.split()[1]}`" in result.err


@pytest.mark.parametrize(("pattern", "left"), [("apps/*/mtls.toml", ["own"]), ("apps/old/**", ["own"])])
def test_what_can_not_be_searched_is_an_error_and_its_stacks_are_not_touched(
    fleet: Checkout, monkeypatch: pytest.MonkeyPatch, pattern: str, left: list[str]
) -> None:
    """Nor those that an exception might have been about."""

    def search(asked: str, folder: Path) -> tuple[Path, ...]:
        if asked == pattern:
            raise FileError("this folder can't be searched", hint="let this user read it")
        return find_matches(asked, folder)

    monkeypatch.setattr(opened, "find_matches", search)
    assert names(fleet) == left
    result = fleet.run("fleet", "list")
    assert result.code == 1
    assert "error[fleet-files]: this folder can't be searched" in result.out
