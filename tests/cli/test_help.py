"""How help looks: commands in groups, a command's own options first, nothing cut, and an example that works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from reconciler.cli.commands import COMMANDS, GROUPS, load_command
from reconciler.cli.help import ARGUMENTS, GLOBAL, OPTIONS
from tests.support.cli import run

WIDTHS = (60, 80, 120, 200)


def help_of(folder: Path, *command: str, columns: int = 80) -> str:
    """The help of a command, or of the tool, on a terminal so wide."""
    result = run(folder, {"COLUMNS": str(columns)}, *command, "--help")
    assert result.code == 0
    return result.out


def headings(text: str) -> list[str]:
    """Its headings, in their order."""
    return re.findall(r"(?m)^(\S.*):$", text)


def test_commands_are_in_groups_and_the_global_options_come_last(tmp_path: Path) -> None:
    """Each group with its commands."""
    text = help_of(tmp_path)
    assert headings(text) == [*GROUPS, GLOBAL]
    for heading, group in GROUPS.items():
        listed = text.partition(f"{heading}:\n")[2].partition("\n\n")[0]
        assert [line.split()[0] for line in listed.splitlines()] == list(group)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_summary_is_whole_and_one_line(tmp_path: Path, name: str) -> None:
    """On a terminal of 80 columns."""
    assert re.search(rf"(?m)^  {name} +{re.escape(COMMANDS[name][1])}$", help_of(tmp_path))


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_the_width(tmp_path: Path, name: str, columns: int) -> None:
    """But for examples, which are copied whole."""
    text = help_of(tmp_path, *([name] if name else []), columns=columns).partition("  Example: ")[0]
    assert [line for line in text.splitlines() if len(line) > columns] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_lists_its_own_options_before_the_global_ones(tmp_path: Path, name: str) -> None:
    """`--help` and `--version` are global, `--max-wait` is the command's."""
    text = help_of(tmp_path, name)
    found = headings(text)
    assert found == [heading for heading in (ARGUMENTS, OPTIONS, GLOBAL) if heading in found]
    assert found[-1] == GLOBAL
    last = re.findall(r"(?m)^  (?:-\w, )?(--[a-z-]+)", text.partition(f"{GLOBAL}:")[2])
    assert last == ["--file", "--color", "--wide", "--verbose", "--log-format", "--version", "--help"]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_of_help_can_be_copied(name: str) -> None:
    """It is a command line that is taken."""
    examples = (load_command(name).epilog or "").removeprefix("Example: ").splitlines()
    assert examples
    for example in examples:
        tool, command, *arguments = shlex.split(example.partition(" > ")[0])
        assert (tool, command) == ("mtlsctl", name)
        load_command(name).make_context(name, arguments)


def test_help_has_no_jargon_of_its_library(tmp_path: Path) -> None:
    """Neither Python's types nor ranges as formulas."""
    for name in COMMANDS:
        assert re.findall(r"<(?:str|path|int|list\S*)>|\bx[<>]=", help_of(tmp_path, name)) == []
