"""The project tree: the only way from a path in mtls.toml to the content of a file, and back.

Nothing outside the tree is read or written, except private keys in the folders that the operator listed. This room does
not know what the content means.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileChangedError, FileError
from reconciler.findings.events import FileAction, FileTouched
from reconciler.model import EntryId, Sweep
from reconciler.model.keys import KeyFile
from reconciler.model.progress import SILENT, Progress
from reconciler.system.atomic import already_there, create_atomic, leftover_of, unwritten, write_atomic
from reconciler.system.confine import (
    ConfinedTree,
    opened_folder,
    read_regular,
    says_where,
    unopened,
)
from reconciler.system.discover import FILE_NAME, git_root
from reconciler.system.git import ask_ignored, ask_tracked
from reconciler.system.key_folders import KeyFolderFiles, key_place
from reconciler.system.sweep import IsDocument, sweep_tree
from reconciler.system.walk import SKIPPED

_log = logging.getLogger(__name__)


def read_named(path: Path, *, limit: int) -> bytes:
    """A file that the user names on the command line, at any place; FileError as `ProjectFiles.read`."""
    if not os.path.lexists(path):
        raise FileError(f"{str(path)!r} does not exist", hint="check the path", code=Code.FILE_MISSING)
    return read_regular(Path(os.path.realpath(path)), str(path), limit=limit)[0]


def write_named(path: Path, data: bytes, *, over_tracked: bool = False) -> None:
    """Write a file that the user names on the command line, atomically.

    FileError with the code out-refused where a pull request may have prepared the place: a symbolic link, a folder of
    a git tree that is one, or, unless `over_tracked`, a file that git tracks. A file that git can't tell about is one.
    """
    found = _link_to(path)
    if found is not None:
        raise _refused(path, f"{str(found)!r} is a symbolic link to {str(found.readlink())!r}")
    if not over_tracked and os.path.lexists(path) and git_root(path.parent) is not None:
        answer = ask_tracked((path,))
        if answer.problem is not None:
            why = f"the file exists, and git could not be asked whether it tracks it: {answer.problem.message}"
            raise _refused(path, why)
        if answer.yes:
            raise _refused(path, "git tracks that file")
    whole = Path.cwd() / path
    top = next(filter(_is_git_root, reversed(whole.parents)), None)
    if top is None or not os.path.lexists(whole.parent):
        write_atomic(path, data, where=Place(str(path)))
        return
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(opened_folder(top, whole.parent))
        except OSError as error:
            if error.errno not in _A_LINK:
                raise unopened(str(path), error) from error
            raise _refused(path, "a folder of it has just become a symbolic link") from error
        write_atomic(whole, data, where=Place(str(path)), folder=folder)


_A_LINK = frozenset({errno.ELOOP, errno.EMLINK, errno.ENOTDIR})


def _link_to(path: Path) -> Path | None:
    """The path itself, or one of its folders from the outermost git tree on, that is a symbolic link.

    The path as it is written: of `link/..`, the link is followed before its parent is found.
    """
    whole = Path.cwd() / path
    if _is_link(whole):
        return path
    folders = [*reversed(whole.parents)]
    top = next((index for index, folder in enumerate(folders) if _is_git_root(folder)), len(folders))
    return next((folder for folder in folders[top + 1 :] if _is_link(folder)), None)


def _is_link(path: Path) -> bool:
    return os.path.islink(path)  # noqa: PTH114 - `Path.is_symlink` raises for a name that no file can have


def _is_git_root(folder: Path) -> bool:
    return not _is_link(folder) and os.path.lexists(folder / ".git")


def _refused(path: Path, why: str) -> FileError:
    return FileError(
        f"`--out {path}` was refused: {why}",
        hint="write outside the checkout, in a pipeline to a folder of the runner, such as $RUNNER_TEMP",
        where=Place(str(path)),
        code=Code.OUT_REFUSED,
    )


class ProjectFiles:
    """The ports `Files` and `KeyFiles` over the tree around `folder`, which is the folder of mtls.toml.

    The root of the tree is the git root of `folder`, or `folder` outside git. `key_dirs` lists the absolute folders,
    joined like PATH, in which a private key outside the tree may be; relative ones are ignored. `name` is the file name
    of mtls.toml. `progress` shows how far a sweep is; it leaves out what `is_document` says mtlsctl wrote.
    """

    def __init__(
        self,
        folder: Path,
        *,
        key_dirs: str = "",
        name: str = FILE_NAME,
        progress: Progress = SILENT,
        is_document: IsDocument = lambda _: False,
    ) -> None:
        real = Path(os.path.realpath(folder))
        root = git_root(real)
        self._tree = ConfinedTree(folder=real, root=root or real, in_git=root is not None)
        named = [Path(name) for name in key_dirs.split(os.pathsep)]
        self._key_dirs = tuple(Path(os.path.realpath(place)) for place in named if place.is_absolute())
        self._name = name
        self._progress = progress
        self._is_document = is_document
        self._seen: set[str] = set()  # a path takes ten times as long to find there

    @property
    def root(self) -> Path:
        """The root of the tree, absolute, links resolved."""
        return self._tree.root

    @property
    def key_folders(self) -> KeyFolderFiles:
        """The port to the folders in which sinks keep keys."""
        return KeyFolderFiles(self._tree, self._key_dirs)

    def read(self, path: str, *, limit: int) -> bytes:
        """The whole file. FileError with the code file-missing, file-outside, file-in-git, file-not-regular,
        file-too-large (more than `limit` bytes) or file-unreadable.
        """
        real = self._tree.resolve_text(path)
        data, _ = self._read(real, path, limit)
        self._seen.add(real)
        return data

    def identity(self, path: str) -> str:
        """The real path relative to the root, with `/`, whether the file exists or not; FileError outside the tree."""
        return self._tree.resolve_text(path).removeprefix(str(self._tree.root)).lstrip("/") or "."

    def files_in(self, folder: str) -> frozenset[str] | None:
        """The names of the regular files directly in a folder of the tree; None if the folder can't be read."""
        try:
            with os.scandir(self._tree.resolve_text(folder)) as listing:
                return frozenset(entry.name for entry in listing if entry.is_file())
        except (FileError, OSError):
            return None

    def folders_up(self, path: str) -> tuple[str, ...]:
        """A folder and its parents up to the root of the tree, nearest first, links resolved."""
        real = self._tree.resolve(path)
        depth = len(real.parts) - len(self._tree.root.parts)
        return tuple(self._tree.relative(place) for place in (real, *real.parents[:depth]))

    def sweep(self, ids: Iterable[EntryId]) -> Sweep:
        """The files in the tree that contain these ids; see `sweep_tree`."""
        with self._progress.counting("Searching files", None) as done:
            return sweep_tree(self._tree, ids, leave_out=self._name, is_document=self._is_document, done=done)

    def read_key(self, path: str, *, limit: int) -> KeyFile:
        """A private key file, in the tree or in a folder that the operator listed; FileError as `read`.

        Unlike other paths, this one may be absolute.
        """
        real, _ = key_place(self._tree, self._key_dirs, path)
        data, facts = self._read(real, path, limit)
        return KeyFile(data, readable_by_others=bool(facts.st_mode & (stat.S_IRGRP | stat.S_IROTH)))

    def _read(self, real: Path | str, path: str, limit: int) -> tuple[bytes, os.stat_result]:
        """As `read_regular`; the error about a link to nothing says where it leads."""
        try:
            return read_regular(real, path, limit=limit)
        except FileError as error:
            raise says_where(error, path, self._tree.folder / path, real) from error

    def replace(self, path: str, *, old: bytes, new: bytes) -> None:
        """Replace the content of the file with `new`, in one step, if it is still `old`; mode, owner and links stay.

        FileChangedError if it has another content or was deleted; FileError if it can't be read or written, or is
        marked read-only. A change that another program writes between the last check and the replacement is lost.
        """
        real = self._tree.resolve(path)
        with self._folder_of(real, path) as folder:
            facts = self._expect(real, path, old, folder)
            name = real if folder is None else real.name
            if not facts.st_mode & 0o222 or not os.access(name, os.W_OK, dir_fd=folder):
                raise _read_only(path)
            self._seen.add(str(real))
            write_atomic(real, new, stat.S_IMODE(facts.st_mode), where=Place(path), folder=folder)

    def create(self, path: str, data: bytes) -> None:
        """Create a file, with its folders, in one step; FileError if something is there, or outside the tree."""
        self._tree.resolve(path)
        folder, _, name = path.rpartition("/")
        create_atomic(self._tree.root, self._tree.resolve(folder) / name, data, where=Place(path))

    def demand_writable(self, path: str, *, new: bool) -> None:
        """FileError if `replace`, or `create` of a `new` file, is bound to fail, as far as that shows without writing.

        A new file is to be committed, so a folder of tools, or one that git ignores, is an error, too.
        """
        real = self._tree.resolve(path)
        if new:
            folder, _, name = path.rpartition("/")
            real = self._tree.resolve(folder) / name
            if os.path.lexists(real):
                raise already_there(Place(path))
            self._refuse_unseen(real, path)
        elif not os.access(real, os.W_OK) or not real.stat().st_mode & 0o222:
            raise _read_only(path)
        nearest = next(place for place in real.parents if os.path.lexists(place))
        if not nearest.is_dir():
            raise unwritten(NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)), Place(path))
        if not os.access(nearest, os.W_OK | os.X_OK):
            number = errno.EROFS if os.statvfs(nearest).f_flag & os.ST_RDONLY else errno.EACCES
            raise unwritten(OSError(number, os.strerror(number)), Place(path))

    def _refuse_unseen(self, real: Path, path: str) -> None:
        """FileError for a new file in a folder of tools, or that git ignores, or where git can't be asked."""
        parts = real.relative_to(self._tree.root).parts
        folder = next((part for part in parts[:-1] if part in SKIPPED), None)
        if folder is not None:
            hint = "name a file in another folder; this one is not committed"
            raise FileError(f"{path!r} is inside {folder}", hint=hint, where=Place(path), code=Code.FILE_UNWRITABLE)
        answer = ask_ignored({real})
        if answer.problem is not None:
            message = f"it is unknown whether git ignores {path!r}, which would be created: {answer.problem.message}"
            raise FileError(message, hint=answer.problem.hint, where=Place(path), code=Code.FILE_UNWRITABLE)
        if answer.yes:
            hint = "change .gitignore, or name another file: it has to be committed"
            raise FileError(f"git ignores {path!r}", hint=hint, where=Place(path), code=Code.FILE_UNWRITABLE)

    def tidy(self) -> None:
        """Remove the temporary files that a killed run left next to the files read or replaced so far.

        The caller must hold the lock of the checkout. A file that can't be removed stays; it does no harm.
        """
        targets: dict[Path, set[str]] = {}
        for real in map(Path, self._seen):
            targets.setdefault(real.parent, set()).add(real.name)
        for folder, names in sorted(targets.items()):
            with contextlib.suppress(OSError), os.scandir(folder) as listing:
                for entry in list(listing):
                    if leftover_of(entry.name) in names and entry.is_file(follow_symlinks=False):
                        (folder / entry.name).unlink()
                        _log.info(FileTouched(FileAction.REMOVED, entry.path))

    @contextlib.contextmanager
    def _folder_of(self, real: Path, path: str) -> Iterator[int | None]:
        """The folder of a real path, as `opened_folder`; FileChangedError if a link took the place of a part of it."""
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(opened_folder(self._tree.root, real.parent))
            except OSError as error:
                found = unopened(path, error)
                raise found if found.code is Code.FILE_UNREADABLE else _changed(path) from error
            yield folder

    def _expect(self, real: Path, path: str, old: bytes, folder: int | None) -> os.stat_result:
        """The stat result of the file; FileChangedError unless its content is `old`."""
        try:
            data, facts = read_regular(real, path, limit=len(old), folder=folder)
        except FileError as error:
            is_other = error.code in {Code.FILE_MISSING, Code.FILE_TOO_LARGE}
            raise _changed(path) if is_other else error from error
        if data != old:
            raise _changed(path)
        return facts


def _read_only(path: str) -> FileError:
    return FileError(
        f"{path!r} is read-only",
        hint=f"let this user write it (chmod u+w), then run again: {path}",
        where=Place(path),
        code=Code.FILE_UNWRITABLE,
    )


def _changed(path: str) -> FileChangedError:
    return FileChangedError(
        f"{path!r} was changed or deleted by another program after this run read it",
        hint="run again to plan with its current content",
        where=Place(path),
    )
