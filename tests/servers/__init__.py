"""Real TLS servers that ask for client certificates in every way, each on a port of 127.0.0.1, gone with their `with`.

`setup` beside this file installs those that are not on every machine. Where one is missing its tests are skipped; with
CI=true that is a failure.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest


def find_program(name: str) -> str:
    """Where a server's program is; packages put them into folders that are not on everybody's path."""
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin")))
    return found or missing(f"{name} is not installed; tests/servers/setup does it")


def missing(why: str) -> NoReturn:
    """Skip, or fail where everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def listening_socket() -> socket.socket:
    """A socket that listens on a free port, to be inherited by a server: whoever connects is served once it is up."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    listener.setblocking(False)
    listener.set_inheritable(True)
    return listener


def port_of(listener: socket.socket) -> int:
    """Its port."""
    port = listener.getsockname()[1]
    assert isinstance(port, int)
    return port


@contextlib.contextmanager
def process(
    command: list[str], folder: Path, *, inherit: tuple[int, ...] = (), environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server's process with its output on a pipe; ended, with its children, in the end."""
    started = subprocess.Popen(
        command,
        cwd=folder,
        env={"PATH": os.environ.get("PATH", os.defpath), **(environ or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=inherit,
        start_new_session=True,
    )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.communicate()


def read_until(started: subprocess.Popen[bytes], words: bytes) -> bytes:
    """The line of a server's output that has these words; fails with all it said where it ends before."""
    assert started.stdout is not None
    said = b""
    for line in started.stdout:
        said += line
        if words in line:
            return line
    pytest.fail(f"the server ended: {said.decode(errors='replace')[-2000:]}")
