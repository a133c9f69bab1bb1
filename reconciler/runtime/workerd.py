"""Runs workerd with a configuration that is never in a named file, because it contains private keys."""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from reconciler.findings.codes import Code
from reconciler.findings.errors import AddressError
from reconciler.runtime.children import Child, OnLine, RuntimeFailure, environment, running
from reconciler.workerd.config import SOCKET, Config

_START_S = 60.0
"""Seconds. workerd compiles the Worker before it reports that it is ready, which takes a second for a big one."""
_MOST_LINES = 12


class NotStarted(RuntimeFailure):
    """workerd ended before it was ready; `lines` is its output."""

    code = Code.DEV_NOT_STARTED

    def __init__(self, lines: Sequence[str]) -> None:
        output = "\n".join([line for line in lines if line.strip()][:_MOST_LINES])
        super().__init__("workerd refused this Worker", hint=f"check its output:\n{output or '(no output)'}")
        self.lines = tuple(lines)


def listen(port: int) -> socket.socket:
    """A listening socket on the loopback, because every client of it can use the certificates; port 0 takes a free
    port."""
    try:
        return socket.create_server(("127.0.0.1", port), backlog=128)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a valid port"
        hint = "choose another port with --port, or 0 for a free one"
        raise AddressError(f"can't listen on 127.0.0.1 port {port}: {reason}", hint=hint) from error


def newest_date(workerd: Path, environ: Mapping[str, str]) -> str | None:
    """The newest compatibility date that this workerd certainly knows, such as 2026-11-17; None if it reports none."""
    output: list[str] = []
    with running(
        [str(workerd), "--version"], environ=environment(environ), on_out=output.append, on_err=output.append
    ) as it:
        it.wait()
    found = re.search(r"\d{4}-\d{2}-\d{2}", " ".join(output))
    return found[0] if found else None


@contextlib.contextmanager
def serving(
    workerd: Path,
    config: Config,
    listening: socket.socket,
    *,
    environ: Mapping[str, str],
    on_out: OnLine,
    on_err: OnLine,
) -> Iterator[Child]:
    """workerd on this socket, ready to answer. NotStarted if it refuses the configuration."""
    ear = _Ear(on_err)
    with contextlib.ExitStack() as stack:
        described = stack.enter_context(_nameless(config))
        heard, ready = os.pipe()
        signs = stack.enter_context(os.fdopen(heard, "rb", buffering=0))
        with os.fdopen(ready, "wb", buffering=0):
            passed = (described.fileno(), listening.fileno(), ready)
            options = [f"--socket-fd={SOCKET}={listening.fileno()}", f"--control-fd={ready}"]
            command = [str(workerd), "serve", *options, f"/dev/fd/{described.fileno()}"]
            kept = running(command, environ=environment(environ), on_out=on_out, on_err=ear.hear, passed=passed)
            child = stack.enter_context(kept)
        _wait_until_ready(signs, child, ear)
        described.truncate(0)  # workerd keeps its descriptor of this file open, and other programs could read it there
        described.close()
        yield child


class _Ear:
    """Keeps workerd's output until it is ready, to show why it does not start; afterwards passes it on."""

    def __init__(self, on_err: OnLine) -> None:
        self._on_err = on_err
        self._lock = threading.Lock()
        self.lines: list[str] | None = []

    def hear(self, line: str) -> None:
        with self._lock:
            if self.lines is not None:
                self.lines.append(line)
                return
        self._on_err(line)

    def pass_on(self) -> None:
        with self._lock:
            lines, self.lines = self.lines or [], None
        for line in lines:
            self._on_err(line)


def _wait_until_ready(signs: IO[bytes], child: Child, ear: _Ear) -> None:
    """Wait for the line that workerd writes into this pipe when it is ready; the pipe closes if workerd ends before."""
    if not select.select([signs], [], [], _START_S)[0]:
        raise RuntimeFailure(
            f"workerd was not ready after {_START_S:.0f} seconds",
            hint="check whether this machine is overloaded, then run again",
        )
    if not signs.readline():
        child.wait()
        raise NotStarted(ear.lines or ())
    ear.pass_on()


def _nameless(config: Config) -> IO[bytes]:
    """The configuration in a nameless file, in memory if possible: nothing of it remains, even after a kill."""
    in_memory = hasattr(os, "memfd_create")
    file: IO[bytes] = os.fdopen(os.memfd_create("workerd"), "w+b") if in_memory else tempfile.TemporaryFile()  # noqa: SIM115
    file.write(config.text.encode())
    file.flush()
    file.seek(0)  # some systems share the position among all who open the file
    return file
