"""Folders in which keys are kept: below each, a folder for each certificate, and in there a file for each key.

The folder itself is where the operator allows keys to be; no link below it is followed.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileError
from reconciler.findings.events import FileAction, FileTouched
from reconciler.findings.values import dataclass
from reconciler.system.atomic import create_atomic, leftover_of, temporary_name, unwritten
from reconciler.system.confine import (
    ConfinedTree,
    contains,
    opened_folder,
    outside,
    read_regular,
    real_path,
    refuse_devices,
    refuse_hidden,
    sync_folder,
    unopened,
)
from reconciler.system.git import ask_ignored

_log = logging.getLogger(__name__)

KEY_DIRS = "MTLSCTL_KEY_DIRS"
"""The variable that lists folders outside the tree in which private keys may be."""


def key_place(tree: ConfinedTree, key_dirs: tuple[Path, ...], path: str) -> tuple[Path, Path]:
    """The real path of a private key or of a folder of keys, and the folder that allows it: the root of the tree, or
    one that the operator listed. FileError if there is none."""
    real = real_path(tree.folder / path, path)
    base = contains((tree.root, *key_dirs), real)
    if base is None:
        refuse_devices(real, path)
        followed = os.path.normpath(tree.folder / path) != str(real)
        folder = f"the absolute path of its folder to {KEY_DIRS}"
        hint = f"keep it in {tree.root_text}; or add {folder}"
        raise outside(path, hint, real if followed else None)
    refuse_hidden(real, base, path)
    return real, base


@dataclass(frozen=True, slots=True)
class KeyFolderFiles:
    """The port `KeyFolders` over the tree and the folders that the operator listed."""

    tree: ConfinedTree
    key_dirs: tuple[Path, ...]

    def names(self, folder: str, within: str) -> frozenset[str]:
        """The names in `folder/within`, but no temporary file of a killed run; none if that is not there yet."""
        return frozenset(name for name in self._names(folder, within) if leftover_of(name) is None)

    def read(self, folder: str, within: str, name: str, *, limit: int) -> bytes:
        """The whole file; FileError as of `ProjectFiles.read`."""
        with self._opened(folder, within) as (real, descriptor):
            return read_regular(real / name, f"{folder}/{within}/{name}", limit=limit, folder=descriptor)[0]

    def create(self, folder: str, within: str, name: str, data: bytes, *, in_clear: bool) -> None:
        """Create a file, with its folders, durably and as a whole or not at all; FileError if something is there.

        `in_clear`: for this user only, and only where git ignores it. What a killed run left next to it is removed.
        """
        where = Place(f"{folder}/{within}/{name}")
        real, base = key_place(self.tree, self.key_dirs, folder)
        if in_clear:
            _refuse_git(real / within / name, folder)
        for left in self._names(folder, within):
            if leftover_of(left) is not None:
                self.remove(folder, within, left)
        mode, folder_mode = (0o600, 0o700) if in_clear else (0o644, 0o777)
        create_atomic(base, real / within / name, data, where=where, mode=mode, folder_mode=folder_mode)

    def remove(self, folder: str, within: str, name: str) -> None:
        """Remove a file, durably; one that is not there is no error."""
        try:
            with self._opened(folder, within) as (real, descriptor):
                _unlink(real / name, descriptor, Place(f"{folder}/{within}/{name}"))
                _log.info(FileTouched(FileAction.REMOVED, str(real / name)))
                sync_folder(real if descriptor is None else ".", descriptor)
        except FileError as error:
            if error.code is not Code.FILE_MISSING:
                raise

    def _names(self, folder: str, within: str) -> list[str]:
        """Every name in `folder/within`; none if that is not there, but FileError if what should contain it is not."""
        _, base = key_place(self.tree, self.key_dirs, folder)
        if not base.is_dir():
            hint = f"{KEY_DIRS} lists it: create it, or mount it"
            raise FileError(f"{str(base)!r} is no folder", hint=hint, where=Place(folder), code=Code.FILE_MISSING)
        try:
            with self._opened(folder, within) as (real, descriptor):
                return _listed(real, descriptor)
        except FileError as error:
            if error.code is Code.FILE_MISSING:
                return []
            raise

    @contextlib.contextmanager
    def _opened(self, folder: str, within: str) -> Iterator[tuple[Path, int | None]]:
        """The real path of `folder/within`, and a descriptor of it. FileError for whatever the system refuses there,
        with file-missing only where nothing is."""
        real, base = key_place(self.tree, self.key_dirs, folder)
        path = f"{folder}/{within}"
        try:
            with opened_folder(base, real / within) as descriptor:
                yield real / within, descriptor
        except NotADirectoryError as error:
            message = f"{path!r} is not a folder, or a link to one, which is not followed"
            raise FileError(
                message, hint="move it away, or name another folder", where=Place(path), code=Code.FILE_NOT_REGULAR
            ) from error
        except (OSError, ValueError) as error:
            raise unopened(path, error) from error


def _listed(folder: Path, descriptor: int | None) -> list[str]:
    """The names in a folder, which is opened again, because a descriptor of it may be one that can't be listed."""
    if descriptor is None:
        return [path.name for path in folder.iterdir()]
    again = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)
    try:
        return os.listdir(again)  # noqa: PTH208 - a descriptor
    finally:
        os.close(again)


def _unlink(path: Path, folder: int | None, where: Place) -> None:
    try:
        os.unlink(path if folder is None else path.name, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unwritten(error, where) from error


def _refuse_git(real: Path, folder: str) -> None:
    """FileError if git tracks this file, with a key in clear, or would, or can't be asked."""
    asked = {real, real.with_name(temporary_name(real.name))}
    answer = ask_ignored(asked)
    if answer.problem is not None:
        message = f"it is unknown whether git ignores {folder!r}, to which a private key would be written in clear"
        raise FileError(f"{message}: {answer.problem.message}", hint=answer.problem.hint, where=Place(folder))
    if not asked <= answer.yes | answer.outside:
        raise FileError(
            f"git does not ignore {folder!r}, to which a private key would be written in clear",
            hint=f"add the folder to .gitignore, or name one outside the repository that {KEY_DIRS} lists",
            where=Place(folder),
        )
