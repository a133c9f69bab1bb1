"""Keeps a child as long as its parent lives: `python keeper.py FD,FD -- PROGRAM ARGUMENTS...`

A script of its own, of nothing but the standard library. Its stdin is a pipe that its parent holds open. When that
closes, by intent or because the parent was killed, the whole process group ends: first asked to, then made to.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

_PATIENCE_S = 3.0
"""wrangler removes its temporary folders when it is asked to end; workerd ends at once."""


def main(arguments: list[str]) -> int:
    """The exit code of the program, 128 and the signal's number where one ended it."""
    passed, _, *command = arguments
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _survive)
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False)  # noqa: S603 - what it is for
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127
    for descriptor in filter(None, passed.split(",")):
        os.close(int(descriptor))  # who reads at its other end is to notice when the child has gone
    threading.Thread(target=_end_with_parent, args=(child,), daemon=True).start()
    code = child.wait()
    os.killpg(0, signal.SIGTERM)  # what the child has left running; this process survives it
    return 128 - code if code < 0 else code


def _survive(_signal: int, _frame: object) -> None:
    """Not SIG_IGN, which the child would inherit."""


def _end_with_parent(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_PATIENCE_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
