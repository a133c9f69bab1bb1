"""The lock of the checkout: only one run at a time makes changes in a git tree, because two stacks can write the same
wrangler file. Runs that write no file of the tree can hold it together. Does not know what the run does.

The kernel holds the lock and releases it when its holder ends, in whatever way. The text in the file only shows others
who holds it, and never counts as proof that the lock is held. The file is not removed: otherwise two runs could lock
two files of the same name. If something else removes it, the holder finds out before its next step.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileError, LockedError
from reconciler.model.ports import Clock
from reconciler.private.folder import FOLDER, open_file, unusable
from reconciler.system.person import host_name, user_name

_NAME = "lock"
_POLL_S = 0.1
_MAX_TEXT = 4096
_PLACE = Place(f"{FOLDER}/{_NAME}")

_Plain = Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,255}$")]
"""Visible ASCII, because it is shown on other users' terminals."""


class _Owner(BaseModel):
    """The holder of the lock, for messages of other runs; one line of JSON."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    pid: Annotated[int, Field(ge=0, le=2**31)]
    host: _Plain
    user: _Plain
    command: _Plain
    since: _Plain

    def __str__(self) -> str:
        return f"`mtlsctl {self.command}` of {self.user} on {self.host}, pid {self.pid}, since {self.since}"


@contextlib.contextmanager
def checkout_lock(
    folder: Path,
    *,
    command: str,
    clock: Clock,
    timeout_s: float,
    waiting: Callable[[str], None],
    seen_from: Path | None = None,
    shared: bool = False,
) -> Iterator[Callable[[], None]]:
    """Hold the lock of the checkout whose root is `folder`, for the duration of the `with`. `seen_from`: the folder of
    mtls.toml, to which places are relative. `shared`: together with others that share it, but with no other run.

    Gives a function that raises LockedError if the lock's file was deleted or replaced, so that another run may hold
    another lock. It costs one stat; call it before each change.

    Waits up to `timeout_s` for another run (0: not at all) and passes its description to `waiting` once, in one line.
    LockedError if that was not enough; FileError if this place has no locks. `command` is the current command, for
    messages of other runs.
    """
    deadline = time.monotonic() + timeout_s
    placed = partial(_placed, folder, seen_from or folder)
    with placed():
        descriptor = _open(folder)
    try:
        with placed():
            _take(descriptor, deadline, waiting, shared=shared)
            while not _is_in_place(folder, descriptor):  # deleted or replaced while this run waited for it
                os.close(descriptor)
                descriptor = _open(folder)
                _take(descriptor, deadline, waiting, shared=shared)
        try:
            with placed():
                _sign(descriptor, command, clock)
            yield placed()(partial(_demand_in_place, folder, descriptor))
        finally:
            _release(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _placed(folder: Path, seen_from: Path) -> Iterator[None]:
    """Errors about a file in `folder` name its place as it is seen from another one."""
    try:
        yield
    except (FileError, LockedError) as error:
        if isinstance(error.where, Place):
            path = os.path.relpath(Path(os.path.realpath(folder)) / error.where.path, os.path.realpath(seen_from))
            error.where = replace(error.where, path=Path(path).as_posix())
        raise


def _open(folder: Path) -> int:
    try:
        return open_file(folder, _NAME, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise unusable(_NAME, error) from error


def _is_in_place(folder: Path, descriptor: int) -> bool:
    """Whether the locked file is still the one that other runs would open."""
    held = os.fstat(descriptor)
    try:
        found = (folder / FOLDER / _NAME).lstat()
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)


def _demand_in_place(folder: Path, descriptor: int) -> None:
    if not _is_in_place(folder, descriptor):
        raise LockedError(
            f"{_PLACE} was deleted or replaced during this run, so another run may have begun; this one stopped",
            hint="completed steps are kept; find out what deletes that file, then run the same command again",
            where=_PLACE,
        )


def _take(descriptor: int, deadline: float, waiting: Callable[[str], None], *, shared: bool) -> None:
    told = False
    while not _try(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
        left = deadline - time.monotonic()
        if left <= 0:
            raise _locked(descriptor)
        if not told:
            waiting(f"waiting for {_holder(descriptor)}")
            told = True
        time.sleep(min(_POLL_S, left))


def _try(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise FileError(
            f"{_PLACE} can't be locked: {os.strerror(error.errno or 0)}",
            hint="run in a checkout on a local disk; this file system has no locks",
            where=_PLACE,
        ) from error
    return True


def _sign(descriptor: int, command: str, clock: Clock) -> None:
    owner = _Owner(
        pid=os.getpid(),
        host=_plain(host_name()),
        user=_plain(user_name()),
        command=_plain(command),
        since=clock.now().replace(microsecond=0).isoformat().replace("+00:00", "Z"),
    )
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{owner.model_dump_json()}\n".encode(), 0)
    except OSError as error:
        raise unusable(_NAME, error) from error


def _release(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
    # Not left to close(): a child that is just being started may briefly have a copy of the descriptor.
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def _holder(descriptor: int) -> str:
    """The holder of the lock, for messages. It may not have written its description yet."""
    try:
        return str(_Owner.model_validate_json(os.pread(descriptor, _MAX_TEXT, 0)))
    except (OSError, ValidationError):
        return "another run of mtlsctl"


def _locked(descriptor: int) -> LockedError:
    return LockedError(
        f"this checkout is locked by {_holder(descriptor)}",
        hint="wait for that run, for example with `--lock-timeout 5m`; if it hangs, end its process to free the lock",
        where=_PLACE,
    )


def _plain(text: str) -> str:
    visible = "".join(character if character.isascii() and character.isprintable() else "?" for character in text)
    return visible[:255] or "?"
