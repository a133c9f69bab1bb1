"""The file of the journal: lines that are appended, made sure of, and read back.

What they mean is the business of others. It holds public facts only, and whoever writes holds the lock of the checkout.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from reconciler.private.folder import FOLDER, open_file, unusable

NAME = "journal.jsonl"
OLDER = "journal.1.jsonl"
MAX_BYTES = 5_000_000
"""A journal larger than this becomes the older one when the next run begins; so a run is never cut in two."""

_READ_AT_MOST = 6_000_000


class Lines(Protocol):
    """Where the lines of a journal go; FileError where they can't."""

    def rotate(self) -> None:
        """Begin a new journal where this one is too large."""

    def append(self, line: bytes) -> None:
        """One whole line, kept when this returns, if no more than this process dies next."""

    def sync(self) -> None:
        """Every line so far is kept when this returns, whatever happens next."""


class JournalFile:
    """The port `Lines` over `.mtlsctl/journal.jsonl` beside mtls.toml, which is kept open from the first line on."""

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._close: Callable[[], object] = lambda: None
        self._descriptor: int | None = None
        self._is_torn = False

    def rotate(self) -> None:
        """As `Lines`; one older journal is kept."""
        self._close()
        self._descriptor = None
        try:
            try:
                descriptor = open_file(self._folder, NAME, os.O_RDONLY)
            except FileNotFoundError:
                return
            try:
                size = os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)
            if size > self._max_bytes:
                place = self._folder / FOLDER
                (place / NAME).replace(place / OLDER)
        except OSError as error:
            raise unusable(NAME, error) from error

    def append(self, line: bytes) -> None:
        """As `Lines`; what a killed run, or a full disk, left half written becomes a line of its own."""
        try:
            descriptor = self._open()
            if self._is_torn:
                line = b"\n" + line
            self._is_torn = True
            while line:  # one write, but where the disk is nearly full; then the next one says so
                line = line[os.write(descriptor, line) :]
            self._is_torn = False
        except OSError as error:
            raise unusable(NAME, error) from error

    def sync(self) -> None:
        """As `Lines`."""
        try:
            os.fsync(self._open())
        except OSError as error:
            raise unusable(NAME, error) from error

    def _open(self) -> int:
        """The descriptor of the file; of a new one where it was removed meanwhile, as `git clean` does."""
        if self._descriptor is None or not os.fstat(self._descriptor).st_nlink:
            self._close()
            self._descriptor = descriptor = open_file(self._folder, NAME, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            self._close = weakref.finalize(self, os.close, descriptor)
            size = os.fstat(descriptor).st_size
            self._is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        return self._descriptor


def read_lines(folder: Path) -> bytes:
    """The lines of the journals next to mtls.toml, oldest first; nothing where there are none. FileError for a link.

    Of a file that is larger than this tool leaves one, only the end is read.
    """
    newer, identity = _read_tail(folder, NAME)
    older, older_identity = _read_tail(folder, OLDER)
    if identity is not None and identity == older_identity:
        older = b""  # a run that begins just now has moved it between the two looks
    return older.rstrip(b"\n") + b"\n" + newer


def _read_tail(folder: Path, name: str) -> tuple[bytes, tuple[int, int] | None]:
    """The last bytes of a file, from the start of a line, and which file it is."""
    try:
        try:
            descriptor = open_file(folder, name, os.O_RDONLY)
        except FileNotFoundError:
            return b"", None
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(descriptor)
            skipped = max(0, facts.st_size - _READ_AT_MOST)
            file.seek(skipped)
            data = file.read(_READ_AT_MOST)
    except OSError as error:
        raise unusable(name, error) from error
    return data.split(b"\n", 1)[-1] if skipped else data, (facts.st_dev, facts.st_ino)
