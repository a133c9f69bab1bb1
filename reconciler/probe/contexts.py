"""All TLS settings of a connection, set explicitly, because Python's defaults change between versions.

The TLS library reads the client's key from files only. On Linux that is a nameless file in memory. Elsewhere it is a
file in a new folder that other users can't open, removed as soon as the library has read it; it only remains if the
process is killed at that moment.
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
    """A context for one connection. `late` allows the origin to request a certificate after the handshake, which no
    Worker can answer.

    ssl.SSLError if the TLS library does not accept the certificate and key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    context.check_hostname = True
    context.verify_mode = ssl.CERT_REQUIRED
    # Not STRICT and not PARTIAL_CHAIN, Python's defaults since 3.13: the result must not depend on the version.
    context.verify_flags = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST
    # No session: in a resumed one, an origin does not request the certificate again.
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


# --- the key, never in a permanent file -----------------------------------------------------------------------------

_FILE_NAME = "pair.pem"


def load_pair(context: ssl.SSLContext, pair: ClientIdentity) -> None:
    """Make the context send this certificate; ssl.SSLError if the library does not accept it. Never prompts."""
    with _file(pair.key.pem + pair.bundle.pem().encode()) as path:
        context.load_cert_chain(path, password=_no_password)


def _no_password() -> bytes:
    """The answer if the library asks for a password; without it, the library would prompt on the terminal."""
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
    """A file in memory that child processes don't inherit; None if this system has none that the library could open."""
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
