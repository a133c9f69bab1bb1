"""What others can see of a run while it goes on: the arguments and environments of all children, and files.

A thread looks again and again, so it sees what is there for some milliseconds only. What it saw is searched at the end,
when all secrets are known.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_PROC = Path("/proc")
_PAUSE_S = 0.008
_LARGEST = 4_000_000
BEGINNING = "a process that begins"
"""One whose arguments were not there yet when its environment was; it is seen once more with them."""


@dataclass
class Seen:
    """Commands with each environment that they had, and files with each content, of the watched folders."""

    commands: dict[bytes, set[bytes]] = field(default_factory=dict)
    files: dict[Path, set[bytes]] = field(default_factory=dict)
    _known: set[tuple[Path, int, int]] = field(default_factory=set)

    def programs(self) -> set[str]:
        """The names of the programs that ran."""
        return {Path(command.split(b"\0")[0].decode(errors="replace")).name for command in self.commands}

    def places(self, secret: str) -> Iterator[str]:
        """Where a text was seen, with line ends or without: a command, or the path of a file."""
        wanted = secret.encode()
        for command, environments in self.commands.items():
            words = command.replace(b"\0", b" ").decode(errors="replace") or BEGINNING
            if wanted in _flat(command):
                yield f"arguments of {words}"
            if any(wanted in _flat(one) for one in environments):
                yield f"environment of {words}"
        for path, contents in self.files.items():
            if any(wanted in _flat(one) for one in contents):
                yield str(path)

    def look(self, folders: Iterable[Path]) -> None:
        """Add what is there now; what ends or is removed meanwhile is left out."""
        for process in _children(_PROC / "self"):
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes()
                self.commands.setdefault(command, set()).add((process / "environ").read_bytes())
        for folder, _, names in (row for one in folders for row in os.walk(one)):
            for name in names:
                with contextlib.suppress(OSError):
                    self._read(Path(folder, name))

    def _read(self, path: Path) -> None:
        facts = path.lstat()
        state = (path, facts.st_mtime_ns, facts.st_size)
        if state not in self._known and stat.S_ISREG(facts.st_mode) and facts.st_size <= _LARGEST:
            self._known.add(state)
            self.files.setdefault(path, set()).add(path.read_bytes())


def _flat(data: bytes) -> bytes:
    """Without line ends, also escaped ones: a key is found wherever its lines break."""
    return data.replace(b"\\n", b"").replace(b"\n", b"").replace(b"\r", b"")


def _children(process: Path) -> Iterator[Path]:
    """All processes below one, whichever of its threads started them."""
    with contextlib.suppress(OSError):
        for thread in (process / "task").iterdir():
            for number in (thread / "children").read_text().split():
                yield _PROC / number
                yield from _children(_PROC / number)


@contextlib.contextmanager
def watched(*folders: Path) -> Iterator[Seen]:
    """What can be seen meanwhile of the children of this process, and in these folders; only on Linux."""
    if not (_PROC / "self/task").is_dir():
        pytest.skip("needs /proc, which shows the children of a process")
    seen, ended = Seen(), threading.Event()

    def watch() -> None:
        while not ended.wait(_PAUSE_S):
            seen.look(folders)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
        seen.look(folders)
