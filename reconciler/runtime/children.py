"""Starts a program that ends when this process does, however it ends, and reads what it prints."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.events import ProgramStarted

_log = logging.getLogger(__name__)

OnLine = Callable[[str], None]

_KEEPER = Path(__file__).with_name("keeper.py")
_LONGEST_LINE = 64 * 1024
_PATIENCE_S = 5.0
"""For the last lines of a program that has ended: something may have left its process group with our pipe in hand."""
_PASSED_ON = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE"),
    *("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)


_ENDING: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class RuntimeFailure(ReconcilerError):
    """A program that was needed could not be run, or failed."""

    code = Code.RUNTIME


def environment(environ: Mapping[str, str], *more: str) -> dict[str, str]:
    """What a child gets to see: what programs need to run, `more` by name, and nothing else of the environment."""
    return {name: environ[name] for name in (*_PASSED_ON, *more) if name in environ}


class Child:
    """A running program with its lines on their way to `on_out` and `on_err`, each called by a thread of its own."""

    def __init__(self, process: subprocess.Popen[bytes], on_out: OnLine, on_err: OnLine) -> None:
        self._process = process
        self._readers = [
            threading.Thread(target=_read_lines, args=(pipe, on_line), daemon=True)
            for pipe, on_line in ((process.stdout, on_out), (process.stderr, on_err))
        ]
        for reader in self._readers:
            reader.start()

    def wait(self, timeout_s: float | None = None) -> int:
        """Its exit code, once it has ended, whatever it has started too, and every line was handed over.

        TimeoutError where it has not ended by then; it still runs.
        """
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # somebody may have killed the keeper
        for reader in self._readers:
            reader.join(_PATIENCE_S)
        return code

    def ask_to_end(self) -> None:
        """Have it and whatever it has started ended, within seconds; may be called by any thread, and again."""
        if self._process.stdin is not None:
            self._process.stdin.close()  # the keeper's sign

    def stop(self) -> None:
        """End it and whatever it has started."""
        self.ask_to_end()
        self.wait()


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    on_out: OnLine,
    on_err: OnLine,
    cwd: Path | None = None,
    passed: Sequence[int] = (),
) -> Iterator[Child]:
    """The program for as long as the `with` lasts; its whole process group ends with it.

    `environ` is all that it sees of any environment, `passed` are descriptors that it inherits. No shell; no stdin.
    """
    _log.info(ProgramStarted(tuple(command), str(cwd or Path.cwd())))
    keeper = [sys.executable, "-I", "-S", str(_KEEPER), ",".join(map(str, passed)), "--"]
    process = subprocess.Popen(  # noqa: S603 - by argv, no shell
        [*keeper, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=dict(environ),
        pass_fds=passed,
        start_new_session=True,  # Ctrl-C is for this process; what then happens to the child is its business
    )
    child = Child(process, on_out, on_err)
    try:
        yield child
    finally:
        with undisturbed():
            child.stop()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Signals that end a run wait until the `with` is over, so that cleaning up is finished.

    Where this is not the main thread there is nothing to do: Python interrupts no other.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for number in came[:1]:
            signal.raise_signal(number)


def _read_lines(pipe: IO[bytes] | None, on_line: OnLine) -> None:
    if pipe is None:
        return
    with pipe:
        while line := pipe.readline(_LONGEST_LINE):
            on_line(line.decode("utf-8", "replace").rstrip("\r\n"))
