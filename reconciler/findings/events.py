"""What a run does, as values for its log. The code that does something logs a value; the command line writes the line.

Always at the level INFO: without `--verbose` it is dropped, but Python itself would print anything more severe. No
value has key material, a token, or a text of others that could contain one.
"""

from __future__ import annotations

from enum import StrEnum

from reconciler.findings.values import dataclass


@dataclass(frozen=True, slots=True)
class CallMade:
    """One call over the network, and how it ended.

    `path`: a template, with names instead of IDs. `ms`: from sending to the last byte. `status`: None if there was no
    answer. `note`: why there was none, or anything else unusual. `page`: of a list. `ray`: the ID of the call for
    Cloudflare's support. `remaining` and `limit`: the calls that the rate limit leaves and allows, if known.
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
    """What was done with a file. `opened`: for writing, such as the journal and the lock for a whole run."""

    WRITTEN = "written"
    OPENED = "opened"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class FileTouched:
    """One file that was changed. `size`: its bytes, if the whole file was written."""

    action: FileAction
    path: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class ProgramStarted:
    """A program that was started, with its arguments and its working directory."""

    command: tuple[str, ...]
    folder: str
