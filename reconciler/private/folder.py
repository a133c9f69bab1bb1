"""Creates `.mtlsctl/` and opens its files. A checkout can contain a link of that name, so links are never followed."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileError
from reconciler.findings.escape import shell_word
from reconciler.findings.events import FileAction, FileTouched

_log = logging.getLogger(__name__)

FOLDER = ".mtlsctl"
"""Its name, next to mtls.toml."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# The errors for links (NOFOLLOW), folders, pipes, sockets and devices, on Linux and on macOS.
_NOT_REGULAR = frozenset(
    {errno.ELOOP, errno.EMLINK, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP}
)


def make_folder(root: Path) -> Path:
    """The folder in `root`, created if it is missing: mode 0700, with a .gitignore for everything in it.

    An existing folder is not changed. FileError if it is a link, not a folder, or open to other users' changes; OSError
    if it can't be created.
    """
    folder = root / FOLDER
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    stands(folder, stat.S_ISDIR)
    create_file(folder / ".gitignore", b"*\n", 0o644)
    return folder


def create_file(path: Path, data: bytes, mode: int) -> None:
    """Create the file in exactly one process; do not change an existing one. OSError if it can't be created."""
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
        except OSError:
            path.unlink()  # otherwise the next run would use the empty file
            raise
        _log.info(FileTouched(FileAction.WRITTEN, str(path), len(data)))


def open_file(root: Path, name: str, flags: int) -> int:
    """A descriptor of the regular file `.mtlsctl/NAME` in `root`, which child processes do not inherit.

    With O_CREAT in `flags`, a missing folder and file (mode 0600) are created. FileError if one of them is a link or of
    another kind, or if others can write the folder; FileNotFoundError if one is missing; other OSErrors are passed on.
    """
    folder = make_folder(root) if flags & os.O_CREAT else root / FOLDER
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # NONBLOCK: a pipe without a writer would hang
    try:
        parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _refuse_writable(folder, os.fstat(parent).st_mode)
            descriptor = os.open(name, flags, 0o600, dir_fd=parent)
        finally:
            os.close(parent)
    except OSError as error:
        if error.errno in _NOT_REGULAR:
            raise _misplaced(name) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _misplaced(name)
    if flags & os.O_CREAT:
        _log.info(FileTouched(FileAction.OPENED, str(folder / name)))
    return descriptor


def stands(path: Path, is_kind: Callable[[int], bool]) -> bool:
    """Whether the path exists. FileError if it is a link or not of this kind, or a folder that others can write."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if not is_kind(mode):
        raise _misplaced(path.name)
    if stat.S_ISDIR(mode):
        _refuse_writable(path, mode)
    return True


def _refuse_writable(folder: Path, mode: int) -> None:
    """FileError if other users can write the folder, and so replace every file in it."""
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        place = shell_word(str(folder))
        raise FileError(
            f"other users of this machine can write {FOLDER} (its permissions are {stat.S_IMODE(mode):04o}),"
            " so they may have written its files",
            hint=f"check its files, then run `chmod 700 {place}`; if that changes nothing, this file system has no"
            " permissions: use a checkout on another one",
            where=Place(FOLDER),
            code=Code.FOLDER_WRITABLE,
        )


def unusable(name: str, error: OSError) -> FileError:
    """The system's error about `.mtlsctl/NAME`, with a hint for the user."""
    reason = os.strerror(error.errno) if error.errno else "unknown error"
    fix = "free some disk space" if error.errno in _FULL else f"allow this user to read and write {FOLDER}"
    where = Place(f"{FOLDER}/{name}")
    return FileError(f"{where} can't be used: {reason}", hint=f"{fix}, then run again", where=where)


def _misplaced(name: str) -> FileError:
    where = Place(FOLDER if name == FOLDER else f"{FOLDER}/{name}")
    return FileError(
        f"{where} is a link, or not the kind of file that mtlsctl creates",
        hint="move it away; mtlsctl creates it again",
        where=where,
        code=Code.FILE_NOT_REGULAR,
    )
