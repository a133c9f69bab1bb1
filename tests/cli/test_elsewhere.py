"""The words of other tools lead to what does the same here."""

from __future__ import annotations

import re
import shlex

import pytest
import typer

from reconciler.cli import elsewhere
from reconciler.cli.commands import COMMANDS, load_command
from reconciler.cli.options import LogFormat
from tests.support.cli import Project

MEANT = {
    "list": "mtlsctl status",
    "ls": "mtlsctl status",
    "get": "mtlsctl explain NAME",
    "diff": "mtlsctl plan",
    "check": "mtlsctl validate",
    "lint": "mtlsctl validate",
    "import": "mtlsctl init --from .",
    "create": "mtlsctl apply",
    "upload": "mtlsctl apply",
    "sync": "mtlsctl apply",
    "deploy": "--deploy",
    "delete": "prune = true",
    "rm": "prune = true",
    "remove": "mtlsctl retire",
    "destroy": "prune = true",
    "rotate": "replace the certificate file",
    "rollback": "revert the commit",
    "refresh": "mtlsctl drift",
    "orphans": "mtlsctl drift --unused",
    "login": "CLOUDFLARE_API_TOKEN",
    "state": "no state file",
    "logs": "mtlsctl history",
    "LIST": "mtlsctl status",
    "plna": "did you mean `mtlsctl plan`?",
    "frobnicate": "mtlsctl --help",
    "plan --json": "--format json",
    "plan -json": "--format json",
    "status -o json": "--format json",
    "plan --output json": "--format json",
    "apply --auto-approve": "--yes",
    "apply -auto-approve": "--yes",
    "apply --skip-confirmation": "--yes",
    "apply --force": "overrides no guard rail",
    "apply --dry-run": "mtlsctl plan",
    "retire billing -n": "mtlsctl plan",
    "plan --dry-run": "leave it out",
    "apply --live": "run `mtlsctl plan --live` to see live Workers",
    "status --offline": "run `mtlsctl plan --offline` or `mtlsctl forecast --offline`",
    "plan --target billing": "--only NAME",
    "plan -target=billing": "--only NAME",
    "plan -out=plan.json": "two dashes: `--out`",
    "apply --destroy": "prune = true",
    "plan --refresh-only": "mtlsctl drift",
    "status --orphans": "mtlsctl drift --unused",
    "plan -v": "--verbose",
    "plan --no-color": "--color never",
    "plan --config x/mtls.toml": "--file FILE",
    "plan --token secret": "CLOUDFLARE_API_TOKEN",
    "plan --account-id 0": "account_id",
    "apply --timeout 5": "--lock-timeout TIME",
    "plan --timeout 5": "--max-wait TIME",
    "--json": "--format json`, after the command",
    "--out x plan": "after the command: `mtlsctl COMMAND --out`",
    "-out=x plan": "after the command: `mtlsctl COMMAND --out`",
    "plan --formt json": "did you mean `--format`?",
    "plan --nonsense": "mtlsctl plan --help",
    "dev checkout --json": "mtlsctl dev --help",
    "status --at 2027-01-01": "run `mtlsctl plan --at 2027-01-31`",
    "plan --at tomorrow": "write 2027-01-31",
}


@pytest.mark.parametrize("line", MEANT)
def test_a_word_of_another_tool_leads_here(project: Project, line: str) -> None:
    """Exit 64, the word as it was written, and a hint that says what to write."""
    result = project.run(*shlex.split(line))
    message, _, hint = result.err.partition("\n  fix  ")
    assert (result.code, result.out) == (64, "")
    assert MEANT[line] in hint
    wrong = next((word for word in line.split() if word.startswith("-")), line)
    assert wrong.partition("=")[0] in message


def test_a_hint_is_no_need(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the table of all options is missing, wrong use is still said to be that."""
    monkeypatch.setattr("reconciler.cli.elsewhere.TABLE", project.folder / "none.json")
    result = project.run("plan", "--nonsense")
    assert result.code == 64
    assert "error[usage]: No such option: --nonsense" in result.err


HINTS = (*elsewhere._COMMANDS, *elsewhere._OPTIONS)


@pytest.mark.parametrize("hint", HINTS)
def test_what_a_hint_names_exists(hint: str) -> None:
    """Its commands are taken with their options, and each of its other options is one of some command."""
    options = {name for command in COMMANDS for param in load_command(command).params for name in param.opts}
    for code in re.findall(r"`([^`]+)`", hint):
        first, *rest = shlex.split(code)
        if first == "mtlsctl" and rest[0] in COMMANDS:
            try:
                load_command(rest[0]).make_context(rest[0], rest[1:])
            except typer.Exit:
                assert rest[1:] == ["--help"]
        elif first.startswith("-"):
            assert first in options


def test_a_word_of_another_tool_is_none_of_ours() -> None:
    """Else its row would never be read."""
    words = [word for words in elsewhere._COMMANDS.values() for word in words]
    assert not set(words) & set(COMMANDS)
    assert len(words) == len(set(words))


def test_an_option_that_has_to_be_there_for_a_hint_is_one_of_some_command() -> None:
    """Else its hint would never be shown."""
    options = {name for command in COMMANDS for param in load_command(command).params for name in param.opts}
    assert {has for has, _ in elsewhere._OPTIONS.values() if has is not None} <= options


def test_the_value_of_a_misread_option_is_not_repeated(project: Project) -> None:
    """It may be a secret."""
    for arguments in (["-psecret"], ["--tokn=secret"], ["-osecret"], ["--api-token=secret"], ["-xsecret=1"]):
        for log in ([], ["--log-format", LogFormat.JSON]):
            assert "secret" not in project.run("plan", *log, *arguments).err
