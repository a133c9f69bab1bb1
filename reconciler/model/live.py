"""The certificates that live Workers use, and other users of an entry: as far as they were requested and known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.model.found import Entry
from reconciler.model.words import EntryId

PAGES = "pages/"
"""The prefix of the target of a Pages project; names of Workers can't contain it."""


@dataclass(frozen=True, slots=True)
class LiveVersion:
    """One version of a Worker, with its mTLS bindings.

    `share` is its percentage of the traffic; None: it gets no traffic, but a rollback to it is possible.
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
        """The live versions, those of the newest deployment: one, or two during a gradual deployment."""
        return tuple(version for version in self.versions if version.share is not None)


@dataclass(frozen=True, slots=True)
class LiveQuestion:
    """What to check: these Workers, and everything that could use the entries that may be retired.

    `rollback_versions`: how many deployments before the newest are also checked if something may be retired.
    """

    targets: tuple[str, ...] = ()
    retiring: tuple[Entry, ...] = ()
    rollback_versions: int = 1


@dataclass(frozen=True, slots=True)
class Live:
    """The answer. `workers`: by target, None if the account does not have this Worker.

    `users`: descriptions of the other users of an entry. `unread`: what could not be checked, each with the reason.
    `whole`: every Worker of the account and every other kind of user were checked, so the answer is complete.
    """

    workers: Mapping[str, LiveWorker | None] = field(default_factory=dict)
    users: Mapping[EntryId, tuple[str, ...]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False
