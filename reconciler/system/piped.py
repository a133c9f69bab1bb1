"""What another program pipes into this one, read once and only on request."""

from __future__ import annotations

import io
import os
import select
import sys
import time
from threading import Lock
from typing import TextIO
from weakref import WeakKeyDictionary

from reconciler.findings.errors import KeySourceError

LONGEST_S = 120.0
"""Seconds for all of it: a person may have to unlock a password manager at the other end."""

_MOST = 1_000_000
"""Bytes: some hundred private keys."""

_lock = Lock()
_read: WeakKeyDictionary[TextIO, bytes] = WeakKeyDictionary()


def read_piped() -> bytes | None:
    """All of standard input; None if it is a terminal, empty if there is none. The second call returns the same.

    KeySourceError if it doesn't end in time, or is too long. Nothing of it is in the message.
    """
    stream = sys.stdin
    try:
        descriptor = stream.fileno()
    except (AttributeError, io.UnsupportedOperation, ValueError):  # closed before this process began
        return b""
    if os.isatty(descriptor):
        return None
    with _lock:
        if stream not in _read:
            _read[stream] = _to_its_end(descriptor)
        return _read[stream]


def _to_its_end(descriptor: int) -> bytes:
    parts: list[bytes] = []
    until = time.monotonic() + LONGEST_S
    while sum(map(len, parts)) <= _MOST:
        if not select.select([descriptor], [], [], max(0, until - time.monotonic()))[0]:
            hint = "check the command before the `|`: it has to print the private key and end"
            raise KeySourceError(f"standard input did not end within {LONGEST_S:.0f} s", hint=hint)
        part = os.read(descriptor, 65536)
        if not part:
            return b"".join(parts)
        parts.append(part)
    raise KeySourceError(f"standard input has more than {_MOST:,} bytes", hint="pipe nothing but private keys into it")
