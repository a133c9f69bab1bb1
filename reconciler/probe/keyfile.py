"""Hands a pair to the TLS library, which takes files only, so that the key is in no file that lasts.

On Linux it is a file in memory without a name. Elsewhere it is one in a new folder that is closed to other users, gone
as soon as the library has read it; only a process killed in that very moment leaves it behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

from reconciler.proof.ports import ClientIdentity

_NAME = "pair.pem"


def load_pair(context: ssl.SSLContext, pair: ClientIdentity) -> None:
    """Make the pair what the context presents; ssl.SSLError where the library does not take it. Never asks anybody."""
    with _file(pair.key.pem + pair.bundle.pem().encode()) as path:
        context.load_cert_chain(path, password=_no_password)


def _no_password() -> bytes:
    """The answer to the question for a password: else the library would ask at the terminal."""
    return b""


@contextlib.contextmanager
def _file(data: bytes) -> Iterator[str]:
    descriptor = _memory()
    if descriptor is None:
        with _private_file(data) as path:
            yield path
        return
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _memory() -> int | None:
    """A file in memory, closed to child processes; None where this system has none that the library could open."""
    create = getattr(os, "memfd_create", None)
    if create is None:
        return None
    try:
        descriptor: int = create("mtlsctl", os.MFD_CLOEXEC)
    except OSError:
        return None
    if Path(f"/proc/self/fd/{descriptor}").exists():
        return descriptor
    os.close(descriptor)
    return None


@contextlib.contextmanager
def _private_file(data: bytes) -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="mtlsctl-"))  # 0700
    try:
        path = folder / _NAME
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        yield str(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
