"""`mtlsctl` in a terminal of its own: what it shows is read as it comes, keys are pressed, nothing sleeps."""

from __future__ import annotations

import contextlib
import os
import re
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.cli import Project
from tests.support.paths import REPOSITORY

CTRL_C = "\x03"
PATIENCE_S = 60.0
"""Seconds until a test gives up; nothing waits for so long."""
_RUN = """\
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from reconciler.cli import main
sys.argv[0] = "mtlsctl"
main()
"""


@dataclass
class TerminalRun:
    """A run in a terminal. `seen` is everything that it wrote so far."""

    process: subprocess.Popen[bytes]
    master: int
    seen: str = ""
    _read: int = field(default=0, init=False)

    def until(self, pattern: str) -> str:
        """Read until it shows a pattern; returns what came up to then, from the last call on."""
        while (found := re.compile(pattern).search(self.seen, self._read)) is None:
            assert self._more(), f"ended without {pattern!r}:\n{self.seen}"
        begin, self._read = self._read, found.end()
        return self.seen[begin : found.end()]

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self.master, keys.encode())

    def end(self) -> int:
        """The exit code; what it still writes is read."""
        while self._more():
            pass
        return self.process.wait(PATIENCE_S)

    def _more(self) -> bool:
        ready, _, _ = select.select([self.master], [], [], PATIENCE_S)
        assert ready, f"nothing more came:\n{self.seen}"
        try:
            data = os.read(self.master, 65536)
        except OSError:  # on Linux, once the other end is closed
            data = b""
        self.seen += data.decode()
        return bool(data)

    @property
    def screen(self) -> list[str]:
        """The lines that stay."""
        return on_screen(self.seen)


def on_screen(written: str) -> list[str]:
    """The lines on a terminal that is high and wide enough, without spaces at their ends."""
    lines, column = [""], 0
    for token in re.findall(r"\x1b\[J|\r|\n|[^\x1b\r\n]+", written):
        if token == "\r":
            column = 0
        elif token == "\n":
            lines.append("")
            column = 0
        elif token == "\x1b[J":
            lines[-1] = lines[-1][:column]
        else:
            lines[-1] = lines[-1][:column].ljust(column) + token + lines[-1][column + len(token) :]
            column += len(token)
    return [line.rstrip() for line in lines]


@contextlib.contextmanager
def in_terminal(project: Project, *arguments: str, columns: int = 80, term: str = "xterm") -> Iterator[TerminalRun]:
    """`mtlsctl ARGUMENTS` in a terminal with so many columns, which is killed at the end of the `with`."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (50, columns))
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(project.folder), "PYTHONPATH": str(REPOSITORY), "TERM": term}
    environ |= {"NO_COLOR": "1", **project.environ}
    command = [sys.executable, "-c", _RUN, *arguments]
    process = subprocess.Popen(
        command,
        cwd=project.folder,
        env=environ,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield TerminalRun(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)
