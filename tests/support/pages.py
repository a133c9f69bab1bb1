"""The blocks of a page of the documentation, and a shell that runs them in their order, as a reader would.

A comment directly before a block is for the test: `not run: REASON`, `writes: PATH` or `adds to: PATH`. A comment of
its own, `in the test: COMMAND`, does what the prose around it asks for, such as an edit by hand.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

NOT_RUN = {
    "installs software",
    "runs until Ctrl-C",
    "needs a forge",
    "needs a cluster",
    "needs a container engine",
    "needs Terraform",
    "needs PostgreSQL",
    "needs Prometheus",
    "needs conftest",
    "needs a real origin",
    "needs a CA",
    "needs an account of AWS",
    "needs Vault",
}
"""The only reasons for which a block of commands is left out."""

_BLOCK = re.compile(
    r"(?ms)^<!-- in the test: (?P<hidden>.*?) -->$"
    r"|(?:^<!-- (?P<note>[^\n]*?) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$"
)

_PRELUDE = """\
set -euo pipefail
mtlsctl() {
  case " $* " in *" apply "* | *" retire "*) set -- "$@" --yes ;; esac
  "$PYTHON" -m reconciler "$@"
}
pipx() { test "$1" = run; shift; "$PYTHON" "$@"; }
npx() { local program="$1"; shift; "$NODE_PROGRAMS/$program" "$@"; }
"""
"""The programs that are not as a reader has them: `apply` has no one to ask."""


@dataclass(frozen=True)
class Block:
    """A fenced block, or a command for the test alone, whose language is `test`."""

    language: str
    text: str
    note: str
    line: int

    @property
    def shell(self) -> str | None:
        """What the shell runs for it; None for what is only read."""
        word, _, value = self.note.partition(": ")
        match word:
            case "writes":
                return f"mkdir -p $(dirname {value})\ncat > {value} <<'END_OF_BLOCK'\n{self.text}END_OF_BLOCK\n"
            case "adds to":
                return f"cat >> {value} <<'END_OF_BLOCK'\n\n{self.text}END_OF_BLOCK\n"
            case "" if self.language in {"sh", "test"}:
                # A command that must end with another code than 0 says so.
                return re.sub(
                    r"(?m)^(.+?) *# exit code (\d+)\b.*$", r"ended=0; \1 || ended=$?; test $ended = \2", self.text
                )
            case _:
                return None


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in their order."""
    text = page.read_text()
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        if found["hidden"] is not None:
            yield Block("test", found["hidden"] + "\n", "", line)
        else:
            yield Block(found["language"], found["text"], found["note"] or "", line)


def run_page(page: Path, folder: Path, environ: Mapping[str, str], *, replaced: Mapping[str, str]) -> dict[int, str]:
    """What each block that was run printed, by its line; AssertionError with all output if a command fails."""
    steps = [(block.line, block.shell) for block in blocks(page) if block.shell is not None]
    script = _PRELUDE + "".join(f"echo; echo '@@ {line}'\n{shell}" for line, shell in steps)
    for before, after in replaced.items():
        script = script.replace(before, after)
    variables = {"PATH": os.environ["PATH"], "PYTHON": sys.executable, **environ}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{page.name} ends with {done.returncode} in the last block:\n{done.stdout}"
    parts = re.split(r"(?m)^@@ (\d+)\n", done.stdout)
    return dict(zip(map(int, parts[1::2]), parts[2::2], strict=True))


def not_printed(page: Path, printed: Mapping[int, str]) -> Iterator[str]:
    """The lines that a page shows as output and that the block before did not print; a `...` is any text."""
    output = ""
    for block in blocks(page):
        if block.language == "text":
            parts = ((line, part) for line in block.text.splitlines() for part in line.split("..."))
            yield from (line for line, part in parts if output and _alike(part).strip() not in output)
        elif block.language == "sh":
            output = _alike(printed.get(block.line, ""))


def _alike(text: str) -> str:
    """A text without what differs from run to run: IDs, numbers, dates and the width of a column."""
    text = re.sub(r"\b[0-9a-f]{8,}(?:-[0-9a-f]{4,})*\b", "ID", text)
    return re.sub(r"\s+", " ", re.sub(r"\d+", "N", text))
