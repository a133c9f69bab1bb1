"""The certificates that live Workers use, and other users of an entry: as far as they were requested and known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum

from reconciler.findings.values import dataclass
from reconciler.model.found import Entry
from reconciler.model.hostnames import CaList
from reconciler.model.hyperdrive import HyperdriveConfig, HyperdriveField
from reconciler.model.words import EntryId, names_text

PAGES = "pages/"
"""The prefix of the target of a Pages project; names of Workers can't contain it."""


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


def hyperdrive_users(config: HyperdriveConfig) -> list[tuple[EntryId, User]]:
    """The entries that a Hyperdrive configuration uses, each with it as the user."""
    user = User(UserKind.HYPERDRIVE, config.name or config.id, config.id)
    used = (config.get(one) for one in (HyperdriveField.CERTIFICATE, HyperdriveField.CA))
    return [(EntryId(text), user) for text in used if text is not None]


def hostnames_user(listed: CaList) -> User | None:
    """The hostnames of a list as the user of its CA; None if there are none."""
    return User(UserKind.HOSTNAMES, names_text(listed.names), listed.zone) if listed.names else None


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
    `using`: of these entries the Hyperdrive configurations and hostnames that use them are read as well.
    `known`: a Worker that this run has read already need not be read again.
    """

    targets: tuple[str, ...] = ()
    retiring: tuple[Entry, ...] = ()
    rollback_versions: int = 1
    using: tuple[Entry, ...] = ()
    known: bool = False


@dataclass(frozen=True, slots=True)
class Live:
    """The answer. `workers`: by target, None if the account does not have this Worker.

    `users`: the other users of an entry. `unread`: what could not be checked, each with the reason.
    `whole`: every Worker of the account and every other kind of user were checked, so the answer is complete.
    `users_of`: the entries whose users were asked for; `users_unread`: which lists of users could not be read, and why.
    """

    workers: Mapping[str, LiveWorker | None] = field(default_factory=dict)
    users: Mapping[EntryId, tuple[User, ...]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False
    users_of: frozenset[EntryId] = frozenset()
    users_unread: Mapping[str, str] = field(default_factory=dict)
