"""The file of the journal: lines that are appended, synced, and read back.

It does not know what the lines mean. They contain public facts only, and a writer must hold the lock of the checkout.
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
"""A journal larger than this becomes the older one when the next run begins; so no run is split."""

_READ_AT_MOST = 6_000_000


class Lines(Protocol):
    """A place for the lines of a journal; FileError if they can't be written."""

    def rotate(self) -> None:
        """Start a new journal if this one is too large."""

    def append(self, line: bytes) -> None:
        """Append one whole line; it survives if this process is killed afterwards."""

    def sync(self) -> None:
        """Make every line so far durable; they survive a crash of the machine afterwards."""


class JournalFile:
    """The port `Lines` over `.mtlsctl/journal.jsonl` next to mtls.toml, which stays open from the first line on."""

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._close: Callable[[], object] = lambda: None
        self._descriptor: int | None = None
        self._is_torn = False

    def rotate(self) -> None:
        """As in `Lines`; one older journal is kept."""
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
        """As in `Lines`; the half line of a killed run or of a full disk becomes a line of its own."""
        try:
            descriptor = self._open()
            if self._is_torn:
                line = b"\n" + line
            self._is_torn = True
            while line:  # a single write, unless the disk is almost full; then the next write raises the error
                line = line[os.write(descriptor, line) :]
            self._is_torn = False
        except OSError as error:
            raise unusable(NAME, error) from error

    def sync(self) -> None:
        """As in `Lines`."""
        try:
            os.fsync(self._open())
        except OSError as error:
            raise unusable(NAME, error) from error

    def _open(self) -> int:
        """The descriptor of the file; of a new file if it was removed meanwhile, as by `git clean`."""
        if self._descriptor is None or not os.fstat(self._descriptor).st_nlink:
            self._close()
            self._descriptor = descriptor = open_file(self._folder, NAME, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            self._close = weakref.finalize(self, os.close, descriptor)
            size = os.fstat(descriptor).st_size
            self._is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        return self._descriptor


def journal_state(folder: Path) -> str:
    """A text that is another one after each line that a run wrote."""
    try:
        facts = (folder / FOLDER / NAME).lstat()
    except OSError:
        return ""
    return f"{facts.st_ino}:{facts.st_size}"


def read_lines(folder: Path) -> bytes:
    """The lines of the journals next to mtls.toml, oldest first; empty if there are none. FileError for a link.

    Only the end of a file is read that is larger than mtlsctl makes them.
    """
    newer, identity = _read_tail(folder, NAME)
    older, older_identity = _read_tail(folder, OLDER)
    if identity is not None and identity == older_identity:
        older = b""  # a run that is just beginning renamed it between the two reads
    return older.rstrip(b"\n") + b"\n" + newer


def _read_tail(folder: Path, name: str) -> tuple[bytes, tuple[int, int] | None]:
    """The last bytes of a file, from the start of a line, and the identity of the file."""
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
