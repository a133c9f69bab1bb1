"""Ends a child when its parent ends: `python keeper.py FD,FD INPUT -- PROGRAM ARGUMENTS...`

A separate script that uses only the standard library. Its stdin is a pipe that its parent keeps open. When the pipe
closes, on purpose or because the parent was killed, the whole process group gets SIGTERM, then SIGKILL. INPUT is the
descriptor of what the program reads, empty for nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

_PATIENCE_S = 3.0
"""Seconds. wrangler deletes its temporary folders on SIGTERM; workerd ends at once."""


def main(arguments: list[str]) -> int:
    """The exit code of the program; 128 plus the signal's number if a signal ended it."""
    passed, given, _, *command = arguments
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _survive)
    try:
        source = int(given) if given else subprocess.DEVNULL
        child = subprocess.Popen(command, stdin=source, close_fds=False)  # noqa: S603 - what it is for
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127
    for descriptor in filter(None, (*passed.split(","), given)):
        os.close(int(descriptor))  # so that the reader at its other end notices when the child has ended
    threading.Thread(target=_end_with_parent, args=(child,), daemon=True).start()
    code = child.wait()
    os.killpg(0, signal.SIGTERM)  # ends what the child left running; this process survives it
    return 128 - code if code < 0 else code


def _survive(_signal: int, _frame: object) -> None:
    """Do nothing. Not SIG_IGN, which the child would inherit."""


def _end_with_parent(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_PATIENCE_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
