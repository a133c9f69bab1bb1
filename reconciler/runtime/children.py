"""Starts a program that ends when this process does, in whatever way, and reads its output."""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import logging
import os
import select
import signal
import subprocess
import sys
import termios
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
_PASSED_ON = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE"),
    *("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)


_PEM, _PEM_IN_BASE64 = "PRIVATE KEY-----", "LS0tLS1CRUdJTi"

_ENDING: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class RuntimeFailure(ReconcilerError):
    """A required program could not be run, or failed."""

    code = Code.RUNTIME


def environment(environ: Mapping[str, str], *more: str) -> dict[str, str]:
    """The environment of a child: the variables that programs need to run, those named in `more`, and no others."""
    return {name: environ[name] for name in (*_PASSED_ON, *more) if name in environ}


def has_key(value: str) -> bool:
    """True if a variable contains a private key in PEM, or PEM in base64."""
    if _PEM in value:
        return True
    _, found, rest = value.partition(_PEM_IN_BASE64)
    try:
        return bool(found) and _PEM.encode() in base64.b64decode((found + rest)[:64])
    except binascii.Error:
        return True  # it begins like PEM but can't be decoded


class Child:
    """A running program; its lines go to `on_out` and `on_err`, each called by its own thread."""

    def __init__(self, process: subprocess.Popen[bytes], on_out: OnLine, on_err: OnLine) -> None:
        self._process = process
        over, ended = os.pipe()
        self._over, self._ended = os.fdopen(over, "rb"), os.fdopen(ended, "wb")
        self._readers = [
            threading.Thread(target=_read_lines, args=(pipe, over, on_line), daemon=True)
            for pipe, on_line in ((process.stdout, on_out), (process.stderr, on_err))
        ]
        for reader in self._readers:
            reader.start()

    def wait(self, timeout_s: float | None = None) -> int:
        """The exit code, once the program and everything it started has ended, and every line was handed over.

        TimeoutError if it has not ended by then; it is still running.
        """
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # in case the keeper was killed
        self._ended.close()  # the signal for the readers: a process outside the group may keep their pipes open
        for reader in self._readers:
            reader.join()
        self._over.close()
        return code

    def interrupt(self) -> None:
        """Send SIGTERM, and let the program take the time that it needs to end in order. Thread-safe."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGTERM)  # the keeper survives it

    def ask_to_end(self) -> None:
        """Make the program and everything it started end within seconds. Thread-safe; may be called again."""
        if self._process.stdin is not None:
            self._process.stdin.close()  # the signal for the keeper

    def stop(self) -> None:
        """End the program and everything it started."""
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
    stdin: bytes | None = None,
) -> Iterator[Child]:
    """The program, running for the duration of the `with`; its whole process group ends with it.

    `environ` is its entire environment, `passed` are descriptors that it inherits, `stdin` is what it can read; None:
    nothing. No shell.
    """
    _log.info(ProgramStarted(tuple(command), str(cwd or Path.cwd())))
    source = None if stdin is None else _pipe_of(stdin)
    given = "" if source is None else str(source)
    keeper = [sys.executable, "-I", "-S", str(_KEEPER), ",".join(map(str, passed)), given, "--"]
    process = subprocess.Popen(  # noqa: S603 - by argv, no shell
        [*keeper, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=dict(environ),
        pass_fds=passed if source is None else (*passed, source),
        start_new_session=True,  # Ctrl-C goes to this process only, which then decides about the child
    )
    if source is not None:
        os.close(source)
    child = Child(process, on_out, on_err)
    try:
        yield child
    finally:
        with undisturbed():
            child.stop()


def _pipe_of(data: bytes) -> int:
    """The descriptor from which the data can be read. A thread writes it, for a pipe takes less than a long chain."""
    source, target = os.pipe()

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError), os.fdopen(target, "wb") as pipe:
            pipe.write(data)

    threading.Thread(target=feed, daemon=True).start()
    return source


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Signals that end a run wait until the `with` is over, so that the cleanup is complete.

    In any other thread than the main one this does nothing: Python interrupts only the main thread.
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


def _read_lines(pipe: IO[bytes] | None, over: int, on_line: OnLine) -> None:
    """Hand over each line of a pipe; one that is too long in pieces."""
    if pipe is None:
        return
    left = bytearray()

    def hand_over(size: int) -> None:
        on_line(left[:size].decode("utf-8", "replace").rstrip("\r\n"))
        del left[:size]

    with pipe:
        for part in _parts(pipe.fileno(), over):
            left += part
            while (end := left.find(b"\n", 0, _LONGEST_LINE)) >= 0 or len(left) >= _LONGEST_LINE:
                hand_over(end + 1 if end >= 0 else _LONGEST_LINE)
    if left:
        hand_over(len(left))


def _parts(pipe: int, over: int) -> Iterator[bytes]:
    """What comes out of a pipe until it ends, or `over` does: then what is in the pipe at that moment is the rest."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    poll.register(over, select.POLLIN)
    while over not in {descriptor for descriptor, _ in poll.poll()}:
        part = os.read(pipe, _LONGEST_LINE)
        if not part:
            return
        yield part
    rest = int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
    while rest > 0 and (part := os.read(pipe, rest)):
        yield part
        rest -= len(part)
