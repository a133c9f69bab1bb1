"""The only way in which files are written: next to their place, synced, then moved there in one step. Never half a
file."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import stat
from pathlib import Path

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Place, Pointer
from reconciler.findings.errors import FileError
from reconciler.findings.events import FileAction, FileTouched
from reconciler.system.confine import opened_folder, sync_folder

_log = logging.getLogger(__name__)

_LEFTOVER = re.compile(r"\.(.+)\.mtlsctl-[0-9a-f]{8}\.tmp", re.DOTALL)
_HINTS = {
    errno.ENOSPC: "free some disk space, then run again",
    errno.EDQUOT: "free some space, then run again; your disk quota is used up",
    errno.EACCES: "make its folder writable; a file is replaced by writing a new one next to it",
    errno.EPERM: "make its folder writable; a file is replaced by writing a new one next to it",
    errno.EROFS: "run from a writable checkout; its file system is read-only",
    errno.EBUSY: "mount its folder instead of the file, so that the file can be replaced",
    errno.ENOENT: "create its folder first",
    errno.ENOTDIR: "create its folder first",
}


def write_atomic(
    path: Path,
    data: bytes,
    mode: int = 0o644,
    *,
    where: Pointer | Place | None = None,
    folder: int | None = None,
) -> None:
    """Make `data` the whole content of `path`: afterwards the file has the old content or the new one, never a part.

    `mode` is the maximum: a new file gets it minus the umask, an existing one never more than it had; its owner and its
    group are each kept if the system allows it. If `path` is a symbolic link it stays one and its target is replaced;
    other hard links keep the old content. FileError (at `where`, or at `path`) if it can't be written or is not a
    regular file; then the old
    content stays and nothing else is left behind. (Only if a disk fails in the very last step, the sync of the folder,
    the new content is already there.)

    `folder`: a descriptor of the folder of `path`. Then everything is done in there, wherever the path leads meanwhile,
    and a link is no regular file.
    """
    where = where or Place(str(path))
    try:
        before = _stat(path, folder)
        if before is not None and not stat.S_ISREG(before.st_mode):
            raise FileError(
                f"{where.path!r} is not a regular file",
                hint="name a regular file; to write into a pipe or a device, use standard output",
                where=where,
                code=Code.FILE_NOT_REGULAR,
            )
        _replace(Path(os.path.realpath(path)) if folder is None else path, data, mode, before, folder)
    except (OSError, ValueError) as error:
        raise unwritten(error, where) from error


def create_atomic(
    base: Path, path: Path, data: bytes, *, where: Place, mode: int = 0o644, folder_mode: int = 0o777
) -> None:
    """Create a file in `base`, and its folders, as a whole or not at all; never overwrites, and follows no link below
    `base`. The modes are those of new ones, minus the umask.

    FileError at `where`, with the code file-exists if something is there, even a broken link.
    """
    temporary = temporary_name(path.name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with opened_folder(base, path.parent, create=True, mode=folder_mode) as folder:
            beside, final = (path.with_name(temporary), path) if folder is None else (temporary, path.name)
            descriptor = os.open(beside, flags, mode, dir_fd=folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(descriptor)
                os.link(beside, final, src_dir_fd=folder, dst_dir_fd=folder)  # unlike a rename, it replaces no file
            finally:
                os.unlink(beside, dir_fd=folder)
            _log.info(FileTouched(FileAction.WRITTEN, str(path), len(data)))
            sync_folder(path.parent if folder is None else ".", folder)
    except FileExistsError as error:
        raise already_there(where) from error
    except (OSError, ValueError) as error:
        raise unwritten(error, where) from error


def already_there(where: Place) -> FileError:
    """The error for a new file where something is."""
    hint = "move it away, or choose another name"
    return FileError(f"{where.path!r} already exists", hint=hint, where=where, code=Code.FILE_EXISTS)


def temporary_name(name: str) -> str:
    """A new name for the temporary file that becomes the file `name`."""
    return f".{name}.mtlsctl-{os.urandom(4).hex()}.tmp"


def leftover_of(name: str) -> str | None:
    """The name of the file for which a killed `write_atomic` left `name`; None for any other name."""
    found = _LEFTOVER.fullmatch(name)
    return found[1] if found else None


def _stat(path: Path, folder: int | None) -> os.stat_result | None:
    try:
        return path.stat() if folder is None else os.stat(path.name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _replace(target: Path, data: bytes, mode: int, before: os.stat_result | None, folder: int | None) -> None:
    beside = target.with_name(temporary_name(target.name))
    temporary, final = (beside, target) if folder is None else (beside.name, target.name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, mode if before is None else 0o600 & mode, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if before is not None:
                _keep_attributes(descriptor, mode, before)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, final, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    _log.info(FileTouched(FileAction.WRITTEN, str(target), len(data)))
    sync_folder(target.parent if folder is None else ".", folder)


def _keep_attributes(descriptor: int, mode: int, before: os.stat_result) -> None:
    # Only root may change the owner; otherwise it is the user who runs this, as with most editors. The group is kept if
    # this user is in it.
    try:
        os.fchown(descriptor, before.st_uid, before.st_gid)
    except OSError:
        with contextlib.suppress(OSError):
            os.fchown(descriptor, -1, before.st_gid)
    os.fchmod(descriptor, mode & stat.S_IMODE(before.st_mode))


def unwritten(error: OSError | ValueError, where: Pointer | Place) -> FileError:
    """The error for what the system refused to write or to remove."""
    number = error.errno if isinstance(error, OSError) else None
    reason = os.strerror(number) if number else "no file can have this name"
    hint = _HINTS.get(number or 0, "let this user write the file and its folder")
    return FileError(
        f"{where.path!r} could not be written: {reason}", hint=hint, where=where, code=Code.FILE_UNWRITABLE
    )
