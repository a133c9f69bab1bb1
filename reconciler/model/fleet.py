"""The values of a fleet: what fleet.toml declares, what is remembered of each stack, and the port that remembers it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Protocol

from reconciler.findings.values import dataclass
from reconciler.model.changes import Action
from reconciler.model.declared import Act
from reconciler.model.forges import ForgeName


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """Where a token is: in a variable, or in a file with this path. Never the token."""

    env: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """One `[credentials.NAME]`. `read_token`: for looks; None: `token`. `accounts`: the IDs that it may be used for.

    `budget`: credentials with the same one share a rate limit; None: those with the same token do.
    """

    name: str
    token: SecretPlace
    accounts: tuple[str, ...]
    read_token: SecretPlace | None = None
    budget: str | None = None


@dataclass(frozen=True, slots=True)
class DenyRule:
    """A time in which no act begins: from each time that `cron` names, for `length`. `why`: for those who wait."""

    cron: str
    length: timedelta
    zone: tzinfo
    why: str | None = None


@dataclass(frozen=True, slots=True)
class GitSource:
    """Another repository that has stacks. `ref`: a branch, a tag, or a whole commit hash."""

    url: str
    ref: str

    @property
    def prefix(self) -> str:
        """What the names of its files begin with."""
        return f"{self.url}#{self.ref}:"


@dataclass(frozen=True, slots=True)
class FleetRule:
    """One `[[stacks]]`. `index`: its place in the file. `files`, `exclude`: globs, relative to the folder of that file,
    or to the root of `git`.

    `retired`: the names of stacks that left the fleet, so that their absence is no alarm. `own_act`: what it says
    itself; None: `act` is that of the fleet. Stacks of `git` are allowed less than either.
    """

    index: int
    files: tuple[str, ...]
    credential: str
    exclude: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    act: Act = Act.NONE
    look: timedelta = timedelta(hours=1)
    retired: tuple[str, ...] = ()
    git: GitSource | None = None
    own_act: Act | None = None


@dataclass(frozen=True, slots=True)
class FleetForge:
    """Where the pull requests of acts are opened, into the branch `base`. `repository`: OWNER/NAME on GitHub, the path
    of a project on GitLab."""

    kind: ForgeName
    repository: str
    base: str
    token: SecretPlace
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """fleet.toml, parsed and validated. `path`: its name in findings.

    `max_acts`: how many stacks one pass may change. `concurrency`: how many accounts are looked at at once.
    `accounts`: a short name of an account, by its ID. `act`: that of `[defaults]`; None: it has none.
    """

    path: str
    name: str
    rules: tuple[FleetRule, ...]
    credentials: Mapping[str, Credential]
    max_acts: int = 20
    concurrency: int = 8
    deny: tuple[DenyRule, ...] = ()
    accounts: Mapping[str, str] = field(default_factory=dict)
    forge: FleetForge | None = None
    act: Act | None = None

    def alias(self, account: str) -> str:
        """The short name of an account: what fleet.toml calls it, else the beginning of its ID."""
        return self.accounts.get(account, account[:8])

    @property
    def secret_variables(self) -> frozenset[str]:
        """The variables with tokens of the fleet, which no stack is given."""
        places = [place for one in self.credentials.values() for place in (one.token, one.read_token)]
        places += [self.forge.token] if self.forge is not None else []
        return frozenset(place.env for place in places if place is not None and place.env is not None)


# --- what is remembered ---------------------------------------------------------------------------------------------


StackKey = tuple[str, str]
"""What tells stacks apart: the ID of the account, and the name of the stack. Not its path."""


class LookState(StrEnum):
    """What the last check of a stack found, most urgent first. `incomplete`: a check could not be made, such as
    what uses an old certificate."""

    FAILED = "failed"
    INCOMPLETE = "incomplete"
    BLOCKED = "blocked"
    DRIFT = "drift"
    CHANGES = "changes"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Look:
    """The last check of a stack. `time`: aware UTC. `changes`: pending, by action. `drift`: how many differences fail.
    `renewals`: how many certificates with `renew` are due. `needs`: the least `act` that would do any of it; None if
    none would.

    `outage`: when calls begin to fail if nothing is done. `digest`: of the plan. `message`: the first error, what
    differs, or why something can't be done.
    """

    time: datetime
    state: LookState
    changes: Mapping[Action, int] = field(default_factory=dict)
    drift: int = 0
    outage: datetime | None = None
    digest: str | None = None
    message: str | None = None
    renewals: int = 0
    needs: Act | None = None

    @property
    def is_pending(self) -> bool:
        """Whether something is to be done, or differs."""
        return bool(self.changes or self.drift or self.renewals)


class ActState(StrEnum):
    """What an act came to. `begun`: it did not end yet. `interrupted`: its process ended before it; what it did is in
    the journal of the stack, and the next act goes on from there."""

    BEGUN = "begun"
    INTERRUPTED = "interrupted"
    DONE = "done"
    PROPOSED = "proposed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Acted:
    """The last act on a stack. `kind`: what was allowed. `done`: the changes of the account that were made, by action;
    not those that are only proposed.

    `url`: of the pull request, if there is one. `message`: the first error, or which pull requests it left. `changed`:
    it may have changed something, instead of only finding what was proposed before.
    """

    time: datetime
    kind: Act
    state: ActState
    done: Mapping[Action, int] = field(default_factory=dict)
    message: str | None = None
    url: str | None = None
    changed: bool = True


@dataclass(frozen=True, slots=True)
class StackRow:
    """What is remembered of one stack. `file`: its mtls.toml, relative to the folder of fleet.toml.

    `success`: the time of the last look that did not fail. `look`, `act` None: there was none yet. `tags`: as of the
    last look; None: unknown.
    """

    account: str
    stack: str
    file: str
    look: Look | None = None
    success: datetime | None = None
    act: Acted | None = None
    tags: tuple[str, ...] | None = None

    @property
    def key(self) -> StackKey:
        """What tells it from others."""
        return self.account, self.stack


@dataclass(frozen=True, slots=True)
class Pause:
    """A stack that nothing is done to until a time, which is aware UTC. `why`: for those who wait."""

    until: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Queue:
    """What workers do, and what waits for them.

    `waiting`: jobs that are due; `oldest_s`: how many seconds the oldest of them has waited. `stalled`: of `running`,
    those whose worker is not heard of any more; `lost`: how many there were within a day; `longest_act_s`: how
    long the longest act of a day took. `budgets`: how many calls each rate budget has left now, also those of other
    fleets of the database; `waits`: how many seconds the last call that waits for one has still to wait.
    """

    workers: int
    running: int
    waiting: int
    oldest_s: float
    stalled: int
    lost: int
    longest_act_s: float
    budgets: Mapping[str, int]
    waits: Mapping[str, float]


class FleetRecord(Protocol):
    """Remembers the stacks of one fleet between passes. Both calls may raise ReconcilerError."""

    def rows(self) -> Sequence[StackRow]:
        """Every stack that was ever looked at and is not retired."""

    def put(self, rows: Iterable[StackRow], *, leave_out: Iterable[StackKey] = ()) -> None:
        """Replace these rows, and forget those of `leave_out`, in one step: after a crash all of it is there, or
        nothing."""

    def later(self) -> Mapping[tuple[str, str], datetime]:
        """When the jobs are due that wait for a later time, by their kind and key."""

    def queue(self) -> Queue | None:
        """What its workers do; None if it has none."""

    def pauses(self) -> Mapping[StackKey, Pause]:
        """The stacks that are paused now; only a fleet with workers has some."""

    def locked(self) -> AbstractContextManager[None]:
        """Held during a pass; LockedError if another pass over the same fleet runs."""
