"""Resolving and checking where a path leads, and reading the file there without hanging.

mtls.toml and the tree may come from a stranger's pull request, so a path is resolved and checked before anything is
opened, and only a regular file is read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileError
from reconciler.findings.values import dataclass

# HFS+ ignores these in names, so `.g\u200cit` is `.git` there; NTFS also accepts `git~1`. As in git's utf8.c.
_IGNORED = dict.fromkeys((*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF))
# Files there are made up by the kernel. Not /dev: its devices are not regular files, and /dev/shm has some.
_PSEUDO = ("/proc/", "/sys/")
_BY_FOLDER = {os.open, os.stat, os.rename, os.unlink, os.access, os.mkdir, os.link} <= os.supports_dir_fd
# O_PATH, where there is one: a folder may be one that this user can write to and enter, but not list.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
# Not every file system can sync a folder; then the rename is as durable as that file system makes it.
_CANNOT_SYNC_FOLDERS = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF})
_GIT = frozenset({".git", "git~1"})
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})
_NOT_REGULAR = frozenset({errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP})


@dataclass(frozen=True, slots=True)
class ConfinedTree:
    """The folder of mtls.toml and the root that no path may leave; both absolute, links resolved.

    `in_git`: the root is that of a repository; else it is the folder, because nothing says how far the project goes.
    """

    folder: Path
    root: Path
    in_git: bool = True

    def resolve(self, path: str) -> Path:
        """The real path of `path`, which may not exist. FileError if it leaves the tree or enters `.git`."""
        return Path(self.resolve_text(path))

    def resolve_text(self, path: str) -> str:
        """The same as text: a plan resolves thousands, and making a `Path` takes as long as the checks."""
        if path.startswith("/"):
            raise outside(path, "write a path relative to the folder of mtls.toml")
        if ".." in path and self._climbs_out(path):
            raise outside(path, f"use a path inside {self.root_text}")
        real = self._follow(path)
        if not is_below(real, self.root):
            raise outside(path, f"use a path inside {self.root_text}", real)
        refuse_hidden(real, self.root, path)
        return real

    @property
    def root_text(self) -> str:
        """The root in a hint, with the reason why it is not larger."""
        if self.in_git:
            return f"{str(self.root)!r}, the root of the project"
        return (
            f"{str(self.root)!r}: there is no .git, so the project is only the folder of mtls.toml; run in a whole git"
            " checkout (with its .git) to use files above it"
        )

    def relative(self, real: Path) -> str:
        """`real` as messages show it: relative to the folder of mtls.toml, with `/`; always printable."""
        inside, folder = str(real), str(self.folder)
        if inside == folder:
            return "."
        below = folder != "/" and inside.startswith(f"{folder}/")  # most are, and relpath takes ten times as long
        text = inside[len(folder) + 1 :] if below else os.path.relpath(inside, folder)
        return text if text.isascii() else os.fsencode(text).decode(errors="backslashreplace")

    def _follow(self, path: str) -> str:
        """As `real_path`, but checks only the parts below `folder`, whose own links are resolved already."""
        place = str(self.folder).rstrip("/")
        for part in path.split("/"):
            if part in ("", "."):
                continue
            place = f"{place}/{part}"
            if part == ".." or _is_link(place):
                return str(real_path(self.folder / path, path))
        return place or "/"

    def _climbs_out(self, path: str) -> bool:
        """True if some `..` leaves the root, even if the path comes back: its outcome would depend on what is
        outside."""
        depth = len(self.folder.parts) - len(self.root.parts)
        for part in path.split("/"):
            if part not in ("", "."):
                depth += -1 if part == ".." else 1
            if depth < 0:
                return True
        return False


def is_below(real: Path | str, base: Path) -> bool:
    """True if `real` is `base` or inside it; both absolute, links resolved. A plan calls this thousands of times."""
    # as Path.is_relative_to, in a tenth of its time
    inside, outer = str(real), str(base)
    return inside == outer or inside.startswith(outer if outer.endswith("/") else f"{outer}/")


def real_path(place: Path, path: str) -> Path:
    """`place` with all links resolved as far as it exists. FileError if no file can have this name."""
    try:
        return Path(os.path.realpath(place))
    except (OSError, ValueError) as error:
        raise _missing(path) from error


def refuse_hidden(real: Path | str, base: Path, path: str) -> None:
    """FileError if `real`, which is inside `base`, belongs to git or is a pseudo file of the system."""
    inside = str(real)  # as Path.parts, in a fifth of its time
    below = inside[len(str(base)) :]
    may_be_git = not below.isascii() or "git" in below.lower()  # hardly any path is
    if may_be_git and any(_is_git(part) for part in below.split("/")):
        raise FileError(
            f"{path!r} is inside .git",
            hint="keep the file in the working tree; mtlsctl does not read or change git's own files",
            where=Place(path),
            code=Code.FILE_IN_GIT,
        )
    if inside.startswith(_PSEUDO):
        raise not_regular(path)


def refuse_devices(real: Path, path: str) -> None:
    """FileError if `real` is where a system has its devices and pseudo files: no key is there, on any machine. By its
    name alone, because it may be outside the tree, where nothing is looked at."""
    inside = str(real)
    if inside.startswith((*_PSEUDO, "/dev/")) and not inside.startswith("/dev/shm/"):  # noqa: S108 - no file is made there
        raise not_regular(path)


@contextlib.contextmanager
def opened_folder(base: Path, folder: Path, *, create: bool = False, mode: int = 0o777) -> Iterator[int | None]:
    """A descriptor of `folder`, which is `base` or in it, for `dir_fd`; it stays the same, whatever is renamed.

    No link below `base` is followed; OSError for one. `create`: folders that are missing are made, with `mode`, minus
    the umask. None on a system without this; then paths are looked up again.
    """
    if not _BY_FOLDER:
        if create:
            for place in (*reversed(folder.relative_to(base).parents), folder.relative_to(base)):
                (base / place).mkdir(mode, exist_ok=True)
        yield None
        return
    descriptor = os.open(base, _FOLDER)
    try:
        for part in folder.relative_to(base).parts:
            try:
                inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
            except FileNotFoundError:
                if not create:
                    raise
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, mode, dir_fd=descriptor)
                    sync_folder(".", descriptor)
                inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def sync_folder(folder: Path | str, within: int | None = None) -> None:
    """Make what was created, renamed or removed in a folder durable."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=within)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC_FOLDERS:
            raise


def _open_regular(real: Path | str, path: str, folder: int | None) -> tuple[int, os.stat_result]:
    """A descriptor for reading, always of a regular file, and its stat result; FileError for anything else. Never waits
    for a pipe or a device."""
    # O_NONBLOCK: a FIFO without a writer would block here. O_NOFOLLOW: links were resolved and checked before.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(real, flags) if folder is None else os.open(Path(real).name, flags, dir_fd=folder)
    except (OSError, ValueError) as error:
        raise unopened(path, error) from error
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise not_regular(path)
    return descriptor, facts


def read_regular(real: Path | str, path: str, *, limit: int, folder: int | None = None) -> tuple[bytes, os.stat_result]:
    """The whole file and its stat result. FileError if it is missing, not a regular file, or larger than `limit`
    bytes. `folder`: a descriptor of its folder, which is not looked up again then."""
    descriptor, facts = _open_regular(real, path, folder)
    try:
        data = _read_at_most(partial(os.read, descriptor), limit + 1, expected=facts.st_size)
    except OSError as error:
        raise unopened(path, error) from error
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise FileError(
            f"{path!r} is larger than {limit:,} bytes",
            hint="check that it is the right file; such a file may not be larger",
            where=Place(path),
            code=Code.FILE_TOO_LARGE,
        )
    return data, facts


def outside(path: str, hint: str, real: Path | str | None = None) -> FileError:
    """The error for a path that leaves the tree; `real` is where its links lead."""
    what = "is outside the project" if real is None else f"leads to {str(real)!r}, which is outside the project"
    return FileError(f"{path!r} {what}", hint=hint, where=Place(path), code=Code.FILE_OUTSIDE)


def says_where(error: FileError, path: str, place: Path, real: Path | str) -> FileError:
    """The error about a file that is missing, with where the links in its path lead; other errors unchanged.

    `place` is the path with no link followed, `real` with all of them.
    """
    if error.code is not Code.FILE_MISSING or os.path.normpath(place) == str(real):
        return error
    message = f"{path!r} leads to {str(real)!r}, which does not exist"
    return FileError(message, hint="check the links in this path", where=error.where, code=error.code)


def not_regular(path: str) -> FileError:
    """The error for a folder, pipe, socket, device or circular link."""
    hint = "name a regular file; folders, pipes, sockets, devices and circular links are not read"
    return FileError(f"{path!r} is not a regular file", hint=hint, where=Place(path), code=Code.FILE_NOT_REGULAR)


def contains(bases: Iterable[Path], real: Path) -> Path | None:
    """The first of `bases` that contains `real`."""
    return next((base for base in bases if is_below(real, base)), None)


def _is_link(place: str) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(place).st_mode)
    except OSError:
        return False  # opening it raises the error
    except ValueError:
        return True  # no file can have this name; following it raises the error


def _is_git(part: str) -> bool:
    return (part if part.isascii() else part.translate(_IGNORED)).casefold() in _GIT


def _read_at_most(read: Callable[[int], bytes], size: int, *, expected: int) -> bytes:
    # The size from fstat is not reliable: a file can grow, and some file systems report 0. So count the bytes read.
    parts: list[bytes] = []
    while size > 0 and (part := read(min(size, max(expected + 1, 1 << 14), 1 << 20))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _missing(path: str) -> FileError:
    hint = "check the spelling (paths are relative to the folder of mtls.toml), restore it, or remove its lines"
    return FileError(f"{path!r} does not exist", hint=hint, where=Place(path), code=Code.FILE_MISSING)


def unopened(path: str, error: OSError | ValueError) -> FileError:
    """The error for what the system refused to open."""
    if isinstance(error, ValueError) or error.errno in _NOT_THERE:
        return _missing(path)
    if error.errno in _NOT_REGULAR:
        return not_regular(path)
    reason = os.strerror(error.errno) if error.errno else "unknown error"
    hint = "let this user read the file and enter its folders"
    return FileError(f"{path!r} could not be read: {reason}", hint=hint, where=Place(path), code=Code.FILE_UNREADABLE)
