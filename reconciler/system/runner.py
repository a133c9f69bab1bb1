"""Files of a CI runner to which a job appends, such as its summary and its outputs."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileError


def size_of(path: Path) -> int:
    """The bytes of a file; 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file; FileError if that fails."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, 0o600), "ab") as file:
            file.write(data)
    except OSError as error:
        message = f"{str(path)!r} could not be written: {error.strerror}"
        raise FileError(message, where=Place(str(path))) from error
