"""What serving Workers present, and who else uses an entry: as far as it was asked for and could be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.model.found import Entry
from reconciler.model.words import EntryId

PAGES = "pages/"
"""What the target of a Pages project begins with, which no Worker's name can."""


@dataclass(frozen=True, slots=True)
class LiveVersion:
    """One version of a Worker, with its mTLS bindings.

    `share` is its percentage of the traffic; None: it serves nothing, and is one that somebody may roll back to.
    `deployments_ago`: how many deployments before the newest it was last part of one; 0: it is part of the newest;
    None: it was never deployed, or nothing says so. `deployed_on`: when that deployment was made, where that is known.
    """

    id: str
    bindings: Mapping[str, EntryId] = field(default_factory=dict)
    share: float | None = None
    deployments_ago: int | None = None
    deployed_on: datetime | None = None


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """A Worker of the account, by its real name."""

    script: str
    versions: tuple[LiveVersion, ...]

    @property
    def serving(self) -> tuple[LiveVersion, ...]:
        """Every version of the newest deployment: one, or two while a gradual deployment is under way."""
        return tuple(version for version in self.versions if version.share is not None)


@dataclass(frozen=True, slots=True)
class LiveQuestion:
    """What to look at: these Workers; and for entries that may be retired everything that could use them.

    `rollback_versions`: so many deployments before the newest are looked at as well, where something may be retired.
    """

    targets: tuple[str, ...] = ()
    retiring: tuple[Entry, ...] = ()
    rollback_versions: int = 1


@dataclass(frozen=True, slots=True)
class Live:
    """The answer. `workers`: by target, None where the account has no such Worker.

    `users`: what else uses an entry, in words. `unread`: what could not be looked at, each with the reason. `whole`:
    every Worker of the account was looked at and every other kind of user, so that what is not found is not there.
    """

    workers: Mapping[str, LiveWorker | None] = field(default_factory=dict)
    users: Mapping[EntryId, tuple[str, ...]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False
