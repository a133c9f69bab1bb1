"""What a run did to the world, written down by the world itself. Plain values; nothing here knows the tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple


class Row(NamedTuple):
    """One entry, as the store's table has it."""

    id: str
    name: str
    type: str
    ca: int
    pem: str
    uploaded_on: str

    @property
    def uploaded(self) -> datetime:
        """Aware, UTC."""
        return datetime.fromisoformat(self.uploaded_on)


Rows = Mapping[str, Row]
Tree = Mapping[str, bytes]


class Replaced(NamedTuple):
    """A file that the tool replaced, and the ids that the store had then."""

    path: str
    old: bytes
    new: bytes
    rows: Rows
    at: datetime


class Deleted(NamedTuple):
    """An entry that the tool deleted: what was in the store just before, and in the tree."""

    id: str
    rows: Rows
    tree: Tree
    at: datetime


class Uploaded(NamedTuple):
    """An entry that the tool made."""

    id: str
    name: str
    pem: str


class Sent(NamedTuple):
    """A call to an account. `clear`: its answer leaves no doubt of whether it was carried out. `met`: a fault.

    `back`: of a delete, how many deployments ago something presented the entry; 0: it was in use, None: nothing did.
    """

    name: str
    subject: str
    clear: bool
    back: int | None
    met: str


Mtls = Mapping[str, object]


class Snapshot(NamedTuple):
    """The world between two moments. `mtls`: what the Hyperdrive configuration uses. `trusted`: the hostnames that
    trust each CA."""

    rows: Rows
    tree: Tree
    journal: bytes
    mtls: Mtls
    trusted: Mapping[str, tuple[str, ...]]


def _nothing() -> Mapping[str, Row]:
    return {}


def _no_tree() -> Tree:
    return {}


def _no_time() -> datetime:
    return datetime.max.replace(tzinfo=UTC)


@dataclass
class Recorder:
    """What a run does, as it happens. `rows`, `tree` and `now` are asked for the state of the moment."""

    rows: Callable[[], Rows] = _nothing
    tree: Callable[[], Tree] = _no_tree
    now: Callable[[], datetime] = _no_time
    replacements: list[Replaced] = field(default_factory=list)
    deletions: list[Deleted] = field(default_factory=list)
    uploads: list[Uploaded] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    """Entries that somebody else made or deleted while the run was under way."""
    planned_from: dict[str, bytes] = field(default_factory=dict)
    """Each file as the run read it first."""
    edited: set[str] = field(default_factory=set)
    """Files that somebody else changed meanwhile."""
    moved: bool = False
    """Whether somebody else changed the Hyperdrive configuration meanwhile."""
    listed: bool = False
    """Whether somebody else changed the list of a CA meanwhile."""
    hidden: set[str] = field(default_factory=set)
    """Entries that some list lacked."""
    sent: list[Sent] = field(default_factory=list)
    """The calls to an account, in their order."""

    _before: Deleted | None = None

    def replaced(self, path: str, old: bytes, new: bytes) -> None:
        """A file was replaced."""
        self.replacements.append(Replaced(path, old, new, self.rows(), self.now()))

    def asked(self, pem: str) -> None:
        """An upload was asked for."""
        self.asked_for.append(pem)

    def uploaded(self, entry: str, name: str, pem: str) -> None:
        """An upload happened."""
        self.uploads.append(Uploaded(entry, name, pem))

    def deleting(self, entry: str) -> None:
        """A delete is about to happen."""
        self._before = Deleted(entry, self.rows(), dict(self.tree()), self.now())

    def deleted(self, entry: str) -> None:
        """It happened."""
        if self._before is not None and self._before.id == entry:
            self.deletions.append(self._before)


@dataclass(frozen=True)
class Run:
    """One run, whole: the world before and after, what it did, what it said, and how it ended."""

    now: datetime
    before: Snapshot
    after: Snapshot
    did: Recorder
    texts: tuple[str, ...]
    """Everything that it wrote or said: documents, errors, new lines of the journal."""
    bug: str | None
    """An exception that is none of the tool's own: its traceback."""
    torn: bool
    """A fault may have left half a line in the journal."""
    ended: str
    """How, for a person."""
    digest: str | None = None
    """Of the plan that it made."""
    saved: bytes | None = None
    """The saved plan that it was to apply."""
    retires: str | None = None
    """The certificate or entry that it was to retire at once, without its grace."""
