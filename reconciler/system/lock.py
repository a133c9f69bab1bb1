"""The lock of the checkout: one run at a time changes what mtls.toml is about. Knows nothing of what the run does.

The kernel holds the lock and frees it when its holder dies, however it dies. The text in the file only tells others
who it is; it is never believed to mean that somebody holds the lock. The file stays: whoever removed it would let two
runs lock two files of one name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import pwd
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileError, LockedError
from reconciler.model.ports import Clock
from reconciler.private.folder import FOLDER, open_file, unusable

_NAME = "lock"
_POLL_S = 0.1
_MAX_TEXT = 4096
_PLACE = Place(f"{FOLDER}/{_NAME}")

_Plain = Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,255}$")]
"""Visible ASCII: it is shown on the terminals of others."""


class _Owner(BaseModel):
    """Who holds the lock, for others to show; one line of JSON."""

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
    folder: Path, *, command: str, clock: Clock, timeout_s: float, waiting: Callable[[str], None]
) -> Iterator[None]:
    """Holds the lock of the checkout whose mtls.toml is in `folder`, for as long as the `with` lasts.

    Waits up to `timeout_s` for another run (0: not at all) and tells `waiting` once, in one line, whom for. LockedError
    where that was not enough; FileError where no lock can be had here. `command` is the one that runs, for others.
    """
    try:
        descriptor = open_file(folder, _NAME, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise unusable(_NAME, error) from error
    try:
        _take(descriptor, timeout_s, waiting)
        try:
            _sign(descriptor, command, clock)
            yield
        finally:
            _release(descriptor)
    finally:
        os.close(descriptor)


def _take(descriptor: int, timeout_s: float, waiting: Callable[[str], None]) -> None:
    deadline = time.monotonic() + timeout_s
    told = False
    while not _try(descriptor):
        left = deadline - time.monotonic()
        if left <= 0:
            raise _locked(descriptor)
        if not told:
            waiting(f"waiting for {_holder(descriptor)}")
            told = True
        time.sleep(min(_POLL_S, left))


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise FileError(
            f"{_PLACE} can't be locked: {os.strerror(error.errno or 0)}",
            hint="its file system has no locks; run in a checkout on a disk of this machine",
            where=_PLACE,
        ) from error
    return True


def _sign(descriptor: int, command: str, clock: Clock) -> None:
    owner = _Owner(
        pid=os.getpid(),
        host=_plain(platform.node()),
        user=_plain(_user_name()),
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
    # Not left to closing: a child that was being started just then may have a copy of the descriptor for a moment.
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def _holder(descriptor: int) -> str:
    """Whoever holds the lock, in words. It may have had no time yet to write down who it is."""
    try:
        return str(_Owner.model_validate_json(os.pread(descriptor, _MAX_TEXT, 0)))
    except (OSError, ValidationError):
        return "another run of mtlsctl"


def _locked(descriptor: int) -> LockedError:
    return LockedError(
        f"this checkout is locked by {_holder(descriptor)}",
        hint="wait for that run, longer with `--lock-timeout`; if it hangs, end its process, and the lock goes with it",
        where=_PLACE,
    )


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # containers run as users that nobody named
        return str(os.getuid())


def _plain(text: str) -> str:
    visible = "".join(character if character.isascii() and character.isprintable() else "?" for character in text)
    return visible[:255] or "?"
