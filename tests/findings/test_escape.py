"""Names of others in lines to paste and in commands to copy: one line, one word, and nothing that acts."""

from __future__ import annotations

import shutil
import subprocess
import tomllib

import pytest

from reconciler.findings.escape import printable, shell_command, shell_word, to_paste, toml_text

NAMES = [
    "plain",
    "with space",
    "it's",
    'a "quoted" \\ name',
    "$(touch x)`y`;z",
    "a\n[policy]\nprune = true\n",
    "\x1b[2Jred\x7f",
    "tab\tand\rreturn",
    "line\u2028separator\u202e",
    "b\u00e4r \U0001f600 \U000e0001",
    "::error::x",
    "##[group]x",
    "",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_one_line_of_toml_that_means_it(name: str) -> None:
    """As a key and as a value."""
    text = toml_text(name)
    assert text.isprintable()
    assert tomllib.loads(f"{text} = {text}\n") == {name: name}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shell", ["bash", "zsh", "ksh"])
def test_a_word_of_a_command_is_one_line_that_means_it(name: str, shell: str) -> None:
    """Copied into a shell, a command is about that name and no other, and runs nothing else."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    word = shell_word(name)
    assert printable(word) == word
    done = subprocess.run(
        [program, "-c", f"printf %s {word}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert done.stdout.decode() == name


def test_a_command_is_its_words() -> None:
    """Plain words are left as they are."""
    assert shell_command(("wrangler", "deploy", "-e", "a b")) == "wrangler deploy -e 'a b'"


@pytest.mark.parametrize("name", [name for name in NAMES if not name.isprintable()])
def test_lines_with_a_name_that_could_have_lines_of_its_own_are_not_shown(name: str) -> None:
    """mtls.toml allows no such name, so the lines would be of no use."""
    hint = to_paste("add these lines", [f"[{name}]"], names=(None, name))
    assert hint.isprintable()
    assert "rename" in hint
    assert to_paste("add these lines", ["[a]", "b = 1"], names=(None, "a")) == "add these lines:\n[a]\nb = 1"
