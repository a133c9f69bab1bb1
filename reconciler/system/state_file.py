"""A private file that one run at a time replaces as a whole, such as what a fleet remembers. Knows nothing of its
content."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileError, LockedError
from reconciler.findings.escape import shell_word
from reconciler.findings.values import dataclass
from reconciler.private.folder import FOLDER, make_folder, unusable
from reconciler.system.atomic import unwritten, write_atomic
from reconciler.system.confine import read_regular

_MODE = 0o600


@dataclass(frozen=True, slots=True)
class StateFile:
    """The file at `path`; its folder must exist, unless it is `.mtlsctl`, which is made."""

    path: Path

    def read(self, *, limit: int) -> bytes | None:
        """Its content; None if there is no file. FileError for one that other users can read or write: git makes such
        files, so a commit could have brought it."""
        if not os.path.lexists(self.path):
            return None
        data, facts = read_regular(self.path, str(self.path), limit=limit)
        if stat.S_IMODE(facts.st_mode) & 0o077 or facts.st_uid != os.geteuid():
            raise FileError(
                f"{str(self.path)!r} is not private to this user, so someone else may have written it",
                hint=f"delete it, or check it and run `chmod 600 {shell_word(str(self.path))}`",
                where=Place(str(self.path)),
                code=Code.FILE_UNREADABLE,
            )
        return data

    def write(self, data: bytes) -> None:
        """Replace its content in one step, for this user only; FileError if that is not possible."""
        self._make_folder()
        write_atomic(self.path, data, _MODE)

    @contextlib.contextmanager
    def locked(self, what: str) -> Iterator[None]:
        """Held during the `with`; LockedError if another run holds it. The kernel frees it when its holder ends."""
        self._make_folder()
        place = self.path.with_name(f"{self.path.name}.lock")
        try:
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
        except OSError as error:
            raise unwritten(error, Place(str(place))) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise LockedError(
                f"another run of {what} is in progress", hint="wait until it ends", where=Place(str(place))
            ) from error
        finally:
            os.close(descriptor)

    def _make_folder(self) -> None:
        if self.path.parent.name == FOLDER:
            try:
                make_folder(self.path.parent.parent)
            except OSError as error:
                raise unusable(self.path.name, error) from error
