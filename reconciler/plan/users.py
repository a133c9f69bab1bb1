"""What uses the certificates of this stack in addition to the bindings in its wrangler files, as far as it was read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from reconciler.findings.values import dataclass
from reconciler.model import (
    Actual,
    CertificateName,
    Entry,
    EntryId,
    Live,
    LiveWorker,
    User,
    UserKind,
)
from reconciler.model.live import PAGES, hostnames_user, hyperdrive_users
from reconciler.plan.assessment import Assessment
from reconciler.plan.inventory import Role
from reconciler.plan.live import targets_of

LIVE, ROLLBACK = "live", "after a rollback"
_BY_TARGET = {UserKind.WORKER, UserKind.PAGES}


@dataclass(frozen=True, slots=True)
class Use:
    """One user of one uploaded certificate of a declared or former certificate."""

    entry: Entry
    certificate: CertificateName
    role: Role
    user: User


def entries_of(assessment: Assessment) -> tuple[Entry, ...]:
    """The entries of declared and former certificates."""
    return tuple(row.entry for row in assessment.entries if row.owner is not None)


def find_uses(assessment: Assessment) -> tuple[Use, ...]:
    """Every use that no binding row shows, in the order of the list.

    Declared Workers that use a current certificate are left out, because their bindings have rows. Every use of an old
    one is included.
    """
    users = users_by_entry(assessment.actual)
    declared = set(targets_of(assessment.desired, assessment.actual.files))
    return tuple(
        Use(row.entry, row.owner, row.role, user)
        for row in assessment.entries
        if row.owner is not None
        for user in users.get(row.entry.id, ())
        if not (row.role is Role.CURRENT and user.kind in _BY_TARGET and user.id in declared)
    )


def users_by_entry(actual: Actual) -> Mapping[EntryId, tuple[User, ...]]:
    """The users of each entry, by its ID; a service only if nothing more exact is known."""
    found: dict[EntryId, list[User]] = defaultdict(list)
    for entry_id, files in (actual.sweep.mentions if actual.sweep else {}).items():
        found[entry_id] += (User(UserKind.FILE, file) for file in files)
    for entry_id, user in _live_users(actual.live) if actual.live else ():
        found[entry_id].append(user)
    for config in actual.hyperdrives.configs if actual.hyperdrives is not None else ():
        for entry_id, user in hyperdrive_users(config):
            found[entry_id].append(user)
    for listed in (one for zone in actual.zones or () for one in zone.lists):
        trusting = hostnames_user(listed)
        found[listed.ca] += (trusting,) if trusting is not None else ()
    for entry_id, users in (actual.live.users if actual.live else {}).items():
        exact = [user for user in users if user.kind is not UserKind.SERVICE]
        found[entry_id] += exact or (() if found[entry_id] else users)
    return {entry_id: tuple(dict.fromkeys(users)) for entry_id, users in found.items()}


def _live_users(live: Live) -> list[tuple[EntryId, User]]:
    """The Workers and Pages projects that use each entry, each once: as live, or else as reachable by a rollback."""
    uses: dict[tuple[EntryId, str], User] = {}
    for target, worker in live.workers.items():
        versions = worker.versions if worker is not None else ()
        for version in sorted(versions, key=lambda one: one.share is None):
            for entry_id in version.bindings.values():
                detail = ROLLBACK if version.share is None else LIVE
                uses.setdefault((entry_id, target), _user(target, worker, detail))
    return [(entry_id, user) for (entry_id, _), user in uses.items()]


def _user(target: str, worker: LiveWorker | None, detail: str) -> User:
    if target.startswith(PAGES):
        return User(UserKind.PAGES, target.removeprefix(PAGES), target, detail)
    return User(UserKind.WORKER, worker.script if worker else target, target, detail)
