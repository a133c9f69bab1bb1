"""What a run does, as values for its log. Whoever does it logs one of them; the command line writes it as a line.

Always at the level INFO: without `--verbose` nobody listens, and Python itself would print what is more severe. No
value has key material, a token, or a text of others that may quote one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class CallMade:
    """One call over the network, and how it ended.

    `path`: with the names of ids in their places. `ms`: from sending to the last byte. `status`: None where no answer
    came. `note`: why none came, or what else was special. `page`: of a list. `ray`: how Cloudflare's support finds the
    call. `remaining` and `limit`: the calls that the rate limit leaves, and allows, where the reply says so.
    """

    method: str
    path: str
    ms: float
    status: int | None = None
    note: str | None = None
    page: int | None = None
    ray: str | None = None
    remaining: int | None = None
    limit: int | None = None


class FileAction(StrEnum):
    """What became of a file. `opened`: for writing, as the journal and the lock are for a whole run."""

    WRITTEN = "written"
    OPENED = "opened"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class FileTouched:
    """One file that was changed. `size`: its bytes, where it was written whole."""

    action: FileAction
    path: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class ProgramStarted:
    """Another program that was started, by its argv and its working directory."""

    command: tuple[str, ...]
    folder: str
