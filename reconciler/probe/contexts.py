"""What a connection may and may not do, in full: the defaults of Python change from version to version.

The TLS library takes the client's key from files only. On Linux that is a file in memory without a name. Elsewhere it
is one in a new folder that is closed to other users, removed as soon as the library has read it; only a process killed
in that very moment leaves it behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

from reconciler.probe.watch import Watch
from reconciler.proof.ports import ClientIdentity, ProbeTarget


def make_context(
    target: ProbeTarget, pair: ClientIdentity | None, watch: Watch, *, late: bool = False
) -> ssl.SSLContext:
    """A context for one connection. `late`: let the origin ask for a certificate after the handshake, as no Worker can.

    ssl.SSLError where the TLS library does not take the pair.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    context.check_hostname = True
    context.verify_mode = ssl.CERT_REQUIRED
    # Not STRICT and not PARTIAL_CHAIN, which are Python's defaults from 3.13 on: the same origin must look the same.
    context.verify_flags = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST
    # No session: an origin does not ask again for the certificate of one that it knows.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION
    context.post_handshake_auth = late
    if not late:
        context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    if target.roots is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.load_verify_locations(cadata=target.roots.pem())
    if pair is not None:
        load_pair(context, pair)
    watch.attach(context)
    return context


# --- the key, in no file that lasts ---------------------------------------------------------------------------------

_FILE_NAME = "pair.pem"


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
        path = folder / _FILE_NAME
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        yield str(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
