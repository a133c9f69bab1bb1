"""Completion of command lines: what is offered, from where, how fast, and that nothing is ever said but that."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli.commands import COMMANDS, load_command
from reconciler.cli.complete import FILES, FOLDERS, TABLE, lines_for
from reconciler.cli.completion import Shell
from reconciler.cli.scripts import SCRIPTS
from reconciler.findings.codes import Code
from reconciler.model import StoreKind
from reconciler.plan.plan import Plan
from reconciler.views.table import formats_of
from tests.support.cli import MTLS, Project, run
from tests.support.completions import NAMES, completion_table
from tests.support.hostile import NAMES as HOSTILE
from tests.support.paths import REPOSITORY

HEAVY = {"typer", "pydantic", "cryptography", "httpx", "sqlite3", "logging", "subprocess", "dataclasses", "inspect"}

J = [one for one in formats_of(Plan) if one.startswith("j")]

MORE = """
[certificates.ledger]
certificate = "certs/ledger.pem"

[workers.payouts]
config = "payouts.toml"

[workers.payouts.env.staging.bindings]
LEDGER = "ledger"
"""


@pytest.fixture
def project(project: Project) -> Project:
    """Two certificates, two Workers, one of them with an environment."""
    project.write("mtls.toml", MTLS + MORE)
    return project


def offered(project: Project, *words: str, to: str = "bash") -> list[str]:
    """What a shell is offered for the last of the words after `mtlsctl`."""
    result = project.run("__complete", to, *words)
    assert (result.code, result.err) == (0, "")
    return result.out.splitlines()


def test_the_table_of_what_commands_take_is_fresh() -> None:
    """A new option is completed without more ado."""
    assert TABLE.read_text() == completion_table(), "run `make docs` and commit the result"


def test_every_name_that_a_command_takes_is_known_to_be_that_of_something() -> None:
    """Else a new one would be completed as nothing."""
    params = [(name, param) for name in COMMANDS for param in load_command(name).params]
    named = {(name, param.name) for name, param in params if "NAME" in str(param.metavar).split("|")}
    workers = {("dev", "worker")}
    assert (named | workers) - {("schema", "name")} == set(NAMES)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", [*COMMANDS]),
        ("ap", ["apply"]),
        ("--verbose ap", ["apply"]),
        ("--file mtls.toml ap", ["apply"]),
        ("--col", ["--color"]),
        ("--color ", ["auto", "always", "never"]),
        ("plan --o", ["--out", "--only", "--offline", "--override-protect", "--over-split"]),
        ("plan --offline --o", ["--out", "--only", "--override-protect", "--over-split"]),
        ("plan --only x --onl", ["--only"]),
        ("plan --log", ["--log-format"]),
        ("plan --format ", [*formats_of(Plan)]),
        ("plan --format j", J),
        ("plan --format = j", J),
        ("plan --format =", [*formats_of(Plan)]),
        ("plan --out ", [FILES]),
        ("plan --out pl", [FILES]),
        ("plan -f ", [FILES]),
        ("forecast --days ", []),
        ("plan --at ", []),
        ("apply --yes --phase d", ["deploy"]),
        ("apply ", [FILES]),
        ("show pl", [FILES]),
        ("init --from ", [FOLDERS]),
        ("init --store ", [*StoreKind]),
        ("emulator --faults ", [FILES]),
        ("schema o", ["outcome", "output"]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("plan --only ", ["billing", "ledger"]),
        ("retire l", ["ledger"]),
        ("output billing --fo", ["--format"]),
        ("verify billing ", ["billing", "ledger"]),
        ("explain L", ["LEDGER"]),
        ("explain pay", ["payouts"]),
        ("explain quota-", [code for code in Code if code.startswith("quota-")]),
        ("dev ", ["checkout", "payouts"]),
        ("dev payouts --env ", ["staging"]),
        ("dev checkout --env ", []),
        ("history -- --l", []),
        ("nope ", []),
        ("nope --o", []),
    ],
)
def test_a_word_is_completed_by_what_may_come_next(project: Project, words: str, expected: list[str]) -> None:
    """Commands, options not yet given, their values, and names from mtls.toml; words as bash splits them."""
    assert offered(project, *words.split(" ")) == expected


def test_a_command_without_arguments_left_is_completed_by_its_options(project: Project) -> None:
    """Its own first."""
    found = offered(project, "history", "")
    assert found[:2] == ["--format", "--limit"]
    assert "--help" in found


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_leave_a_word_with_its_sign_whole(project: Project, shell: str) -> None:
    """They replace all of it."""
    assert offered(project, "plan", "--format=js", to=shell) == ["--format=json"]
    assert offered(project, "plan", "--only=b", to=shell)[0].startswith("--only=billing")


def test_shells_that_show_what_a_word_is_are_told(project: Project) -> None:
    """In their own form."""
    assert offered(project, "out", to="zsh") == ["output:Print the ID of an uploaded certificate."]
    assert offered(project, "plan", "--only", "b", to="fish") == ["billing\tcertificate"]
    assert offered(project, "apply", "", to="zsh") == [FILES]


def test_names_come_from_the_file_that_is_named(project: Project, tmp_path: Path) -> None:
    """Else from the nearest mtls.toml, as every command finds it."""
    project.write("other/x.toml", MTLS.replace("billing]", "other]"))
    assert offered(project, "-f", "other/x.toml", "plan", "--only", "") == ["other"]
    assert offered(project, "plan", "--file", "other/x.toml", "--only", "") == ["other"]
    assert offered(project, "plan", "--file=other/x.toml", "--only", "", to="zsh") == ["other:certificate"]
    (project.folder / ".git").mkdir()
    inside = run(project.folder / "certs", {}, "__complete", "bash", "plan", "--only", "")
    assert inside.out.split() == ["billing", "ledger"]


def test_no_store_and_no_wrangler_file_is_needed_for_names(project: Project) -> None:
    """Not even one that could be asked."""
    project.write("mtls.toml", MTLS + MORE + '[store]\nkind = "cloudflare"\n')
    (project.folder / "wrangler.toml").unlink()
    assert offered(project, "plan", "--only", "") == ["billing", "ledger"]


BROKEN = {
    "no TOML": b"[certificates",
    "no text": b"\xff\xfe",
    "another shape": b'certificates = 1\nworkers = ["x"]\n',
    "deep": b"x = " + b"[" * 100_000,
    "large": b"# " + b"x" * 1_000_001,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_mtls_toml_offers_no_names_and_says_nothing(project: Project, content: bytes) -> None:
    """Commands and options are completed all the same."""
    project.write("mtls.toml", content)
    assert offered(project, "plan", "--only", "") == []
    assert offered(project, "dev", "checkout", "--env", "") == []
    assert offered(project, "ap") == ["apply"]


def test_a_pipe_in_the_place_of_mtls_toml_hangs_no_shell(project: Project) -> None:
    """Nor does a folder, or nothing at all."""
    path = project.folder / "mtls.toml"
    path.unlink()
    assert offered(project, "plan", "--only", "") == []
    os.mkfifo(path)
    assert offered(project, "plan", "--only", "") == []
    path.unlink()
    path.mkdir()
    assert offered(project, "plan", "--only", "") == []


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_name_never_gets_onto_a_command_line(project: Project, name: str) -> None:
    """A checkout may bring any name; what a shell might act on is not offered."""
    key = name.encode("unicode_escape").decode().replace('"', '\\"').replace("\\x", "\\u00")
    project.write("mtls.toml", f'{MTLS}[certificates."{key}"]\n[workers."{key}".bindings]\n"{key}" = "x"\n')
    for words in (["plan", "--only", ""], ["explain", ""], ["dev", ""]):
        for shell in Shell:
            assert name not in "\n".join(offered(project, *words, to=shell))


@pytest.mark.parametrize("arguments", [[], ["bash"], ["nope", "p"], ["bash", "\udcff"], ["zsh", "", ""]])
def test_whatever_a_shell_sends_is_answered_in_silence(project: Project, arguments: list[str]) -> None:
    """By words, or by nothing."""
    result = project.run("__complete", *arguments)
    assert (result.code, result.err) == (0, "")


def test_a_bug_is_silent(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """No report either: the person is about to type something else."""
    monkeypatch.setattr("reconciler.cli.complete.lines_for", lambda *_: 1 / 0)
    assert offered(project, "pl") == []


def test_completing_imports_nothing_heavy(project: Project) -> None:
    """Neither a command, nor typer, nor what checks mtls.toml."""
    code = (
        "import sys; from reconciler.cli import main\n"
        "sys.argv = ['mtlsctl', '__complete', 'bash', 'plan', '--only', '']\n"
        "try: main()\n"
        f"except SystemExit: print('HEAVY', sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project.folder, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["billing", "ledger", "HEAVY []"]


def test_printing_the_script_imports_nothing_heavy() -> None:
    """It is run each time that a shell starts."""
    code = (
        "import sys; from reconciler.cli import main\n"
        "sys.argv = ['mtlsctl', 'completion', 'bash']\n"
        "try: main()\n"
        f"except SystemExit: print('HEAVY', sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == SCRIPTS["bash"] + "HEAVY []\n"


@pytest.mark.parametrize("shell", Shell)
def test_a_script_is_printed_wherever_global_options_are(project: Project, shell: str) -> None:
    """They change nothing of it."""
    for arguments in (
        ["completion", shell],
        ["--verbose", "completion", shell],
        ["completion", shell, "--color", "never"],
    ):
        assert project.run(*arguments).out == SCRIPTS[shell]
    assert set(SCRIPTS) == set(Shell)


def test_an_unknown_shell_is_wrong_use(project: Project) -> None:
    """And the error has those that there are."""
    result = project.run("completion", "tcsh")
    assert (result.code, result.out) == (64, "")
    assert "'bash', 'zsh', 'fish'" in result.err


# --- real shells ------------------------------------------------------------------------------------------------------

BASH = """
set -u
eval "$(mtlsctl completion bash)"
complete -p mtlsctl
COMP_WORDS=(mtlsctl "$@"); COMP_CWORD=$#
_mtlsctl
printf '%s\\n' "${COMPREPLY[@]-nothing}"
"""

ZSH = """
compdef() { print -r -- "$@" }
_describe() { print -rl -- "${(@P)2}" }
_files() { print -r -- files "$@" }
eval "$(mtlsctl completion zsh)"
words=(mtlsctl "$@"); CURRENT=$#words
_mtlsctl || print nothing
"""

FISH = """
mtlsctl completion fish | source
complete -C "mtlsctl $argv"
"""


def in_shell(project: Project, shell: str, script: str, *words: str) -> list[str]:
    """What a script prints in a real shell, where `mtlsctl` is this one; skipped where there is no such shell."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    tool = project.write("bin/mtlsctl", f'#!/bin/sh\nexec "{sys.executable}" -m reconciler "$@"\n')
    tool.chmod(0o700)
    bare = {"bash": ["--norc"], "zsh": ["-f"], "fish": []}[shell]
    environ = {"PATH": f"{tool.parent}:{os.environ['PATH']}", "HOME": str(project.folder)}
    environ |= {"PYTHONPATH": str(REPOSITORY), "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")}
    name = [] if shell == "fish" else [shell]
    done = subprocess.run(
        [program, *bare, "-c", script, *name, *words],
        cwd=project.folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_bash_completes(project: Project) -> None:
    """Names, values behind a sign, and nothing where there is nothing; paths are left to it."""
    registered = "complete -o default -F _mtlsctl mtlsctl"
    for words, expected in (
        (["plan", "--only", "b"], ["billing"]),
        (["plan", "--format", "=", "js"], ["json"]),
        (["forecast", "--days", ""], ["nothing"]),
        (["show", ""], ["nothing"]),
    ):
        assert in_shell(project, "bash", BASH, *words) == [registered, *expected]


def test_zsh_completes(project: Project) -> None:
    """With what each word is; paths by its own functions."""
    for words, expected in (
        (["plan", "--only", "b"], ["billing:certificate"]),
        (["plan", "--format=js"], ["--format=json"]),
        (["show", ""], ["files"]),
        (["init", "--from", ""], ["files -/"]),
        (["forecast", "--days", ""], ["nothing"]),
    ):
        assert in_shell(project, "zsh", ZSH, *words) == ["_mtlsctl mtlsctl", *expected]


def test_fish_completes(project: Project) -> None:
    """With what each word is; paths by its own functions."""
    for words, expected in (
        ("plan --only b", ["billing\tcertificate"]),
        ("plan --only ", ["billing\tcertificate", "ledger\tcertificate"]),
        ("plan --format=js", ["--format=json"]),
        ("show mtl", ["mtls.toml"]),
        ("init --from cer", ["certs/"]),
        ("forecast --days ", []),
    ):
        found = in_shell(project, "fish", FISH, words)
        assert [line.split("\t")[0] if "/" in line or "toml" in line else line for line in found] == expected


def test_a_table_that_is_missing_is_silent(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a half-done upgrade."""
    monkeypatch.setattr("reconciler.cli.complete.TABLE", project.folder / "none.json")
    assert offered(project, "pl") == []
    with pytest.raises(FileNotFoundError):
        list(lines_for("bash", ["pl"]))
