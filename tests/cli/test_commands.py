"""The table of commands, by which the command line knows them before their files are imported."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

from reconciler.cli.commands import COMMANDS, load_command


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_listed_with_the_first_sentence_of_its_own_help(name: str) -> None:
    """The list and the command's help never say different things."""
    command = load_command(name)
    assert command.name == name
    first = inspect.cleandoc(command.help or "").partition("\n\n")[0].replace("\n", " ")
    assert first == COMMANDS[name][1]
    assert re.search(rf"^Example: mtlsctl {name}\b", command.epilog or "")


def test_a_command_is_imported_only_when_it_is_asked_for() -> None:
    """The list of all commands needs no file of any."""
    code = (
        "import sys; from reconciler.cli import main\n"
        "sys.argv = ['mtlsctl', '--help']\n"
        "try: main()\n"
        "except SystemExit: print(sorted(name for name in sys.modules if name.startswith('reconciler.cli.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    light = [f"reconciler.cli.{name}" for name in ("commands", "help", "options", "root")]
    assert done.stdout.splitlines()[-1] == str(light)
