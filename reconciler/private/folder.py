"""Making `.mtlsctl/` and opening what is in it. A checkout may bring a link of that name, so none is ever followed."""

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
from reconciler.findings.events import FileAction, FileTouched

_log = logging.getLogger(__name__)

FOLDER = ".mtlsctl"
"""Its name, beside mtls.toml."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# What opening says of links (NOFOLLOW), of folders, and of pipes, sockets and devices, on Linux and on macOS.
_NOT_REGULAR = frozenset(
    {errno.ELOOP, errno.EMLINK, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP}
)


def make_folder(root: Path) -> Path:
    """The folder below `root`, made if need be: 0700, and with a .gitignore for everything in it.

    FileError where a link or something else is in its place, OSError where it can't be made. One that is there stays
    as it is.
    """
    folder = root / FOLDER
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    stands(folder, stat.S_ISDIR)
    create_file(folder / ".gitignore", b"*\n", 0o644)
    return folder


def create_file(path: Path, data: bytes, mode: int) -> None:
    """Create the file for sure in one process only; leave it alone where it is. OSError where it can't be made."""
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
        except OSError:
            path.unlink()  # else the next run would take the empty file for a finished one
            raise
        _log.info(FileTouched(FileAction.WRITTEN, str(path), len(data)))


def open_file(root: Path, name: str, flags: int) -> int:
    """A descriptor of the regular file `.mtlsctl/NAME` below `root`, which no child process inherits.

    With O_CREAT in `flags` the folder and the file (0600) are made if need be. FileError where a link, or no regular
    file, is in the place of either; FileNotFoundError where nothing is; other OSErrors pass.
    """
    folder = make_folder(root) if flags & os.O_CREAT else root / FOLDER
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # NONBLOCK: a pipe without a writer would hang
    try:
        parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
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
    """False where nothing is; FileError for a link, or anything else that is not of this kind."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if not is_kind(mode):
        raise _misplaced(path.name)
    return True


def unusable(name: str, error: OSError) -> FileError:
    """What the system said of `.mtlsctl/NAME`, as an error that a person can act on."""
    reason = os.strerror(error.errno) if error.errno else "it can't be used"
    cure = "free some space on its disk" if error.errno in _FULL else f"let this user read and write {FOLDER}"
    where = Place(f"{FOLDER}/{name}")
    return FileError(f"{where} can't be used: {reason}", hint=f"{cure}, then run again", where=where)


def _misplaced(name: str) -> FileError:
    where = Place(FOLDER if name == FOLDER else f"{FOLDER}/{name}")
    return FileError(
        f"{where} is a link, or not the kind of file that mtlsctl puts there",
        hint="move it away; mtlsctl makes it again",
        where=where,
        code=Code.FILE_NOT_REGULAR,
    )
