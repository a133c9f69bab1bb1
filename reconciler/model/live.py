"""What serving Workers present, and who else uses an entry: as far as it was asked for and could be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model.found import Entry
from reconciler.model.words import EntryId

PAGES = "pages/"
"""What the target of a Pages project begins with, which no Worker's name can."""


class UserKind(StrEnum):
    """What can use an uploaded certificate besides a binding of a wrangler file that was read."""

    FILE = "file"
    WORKER = "worker"
    PAGES = "pages"
    HYPERDRIVE = "hyperdrive"
    HOSTNAMES = "hostnames"
    SERVICE = "service"


_USERS = {
    UserKind.FILE: "the file {name}",
    UserKind.WORKER: "the Worker {name}",
    UserKind.PAGES: "the Pages project {name}",
    UserKind.HYPERDRIVE: "the Hyperdrive configuration {name}",
    UserKind.HOSTNAMES: "the hostnames {name}",
    UserKind.SERVICE: "the service {name}",
}


@dataclass(frozen=True, slots=True)
class User:
    """One user of an uploaded certificate. `name` is what its owner calls it, `id` the one Cloudflare gave it.

    `detail`: how it uses the certificate, such as `live`; empty where there is nothing to add.
    """

    kind: UserKind
    name: str
    id: str | None = None
    detail: str = ""

    @property
    def text(self) -> str:
        """`the Worker shop (live)`, for a sentence."""
        return _USERS[self.kind].format(name=self.name) + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, slots=True)
class LiveVersion:
    """One version of a Worker, with its mTLS bindings.

    `share` is its percentage of the traffic; None: it serves nothing, and is one that somebody may roll back to.
    """

    id: str
    bindings: Mapping[str, EntryId] = field(default_factory=dict)
    share: float | None = None


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
    `using`: of these entries the Hyperdrive configurations and hostnames that use them are read as well.
    """

    targets: tuple[str, ...] = ()
    retiring: tuple[Entry, ...] = ()
    rollback_versions: int = 1
    using: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Live:
    """The answer. `workers`: by target, None where the account has no such Worker.

    `users`: what else uses an entry. `unread`: what could not be looked at, each with the reason. `whole`: every Worker
    of the account was looked at and every other kind of user, so that what is not found is not there.
    `users_of`: the entries whose users were asked for; `users_unread`: which lists of users could not be read, and why.
    """

    workers: Mapping[str, LiveWorker | None] = field(default_factory=dict)
    users: Mapping[EntryId, tuple[User, ...]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False
    users_of: frozenset[EntryId] = frozenset()
    users_unread: Mapping[str, str] = field(default_factory=dict)
