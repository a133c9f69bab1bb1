"""What must be true of live Workers, and of all else that may use an entry, before it is deleted. Every doubt keeps it.

Asked only of an entry that nothing else keeps: each look costs calls to every Worker of the account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reconciler.model import (
    Actual,
    ByCertificate,
    Condition,
    DeclaredWorker,
    Desired,
    EnvironmentName,
    Live,
    LiveVersion,
    LiveWorker,
    WranglerFile,
)
from reconciler.model.words import environment_text
from reconciler.plan.inventory import Leaving
from reconciler.plan.live import declared_environments, target_of

LiveCheck = Callable[[Leaving, Desired, Actual], str | None]


def can_be_live(desired: Desired) -> bool:
    """Whether deployed Workers can use the certificates of this store."""
    return desired.declaration.store.kind.traits.has_live_workers


def _unchecked(_: Leaving, desired: Desired, actual: Actual) -> str | None:
    if not can_be_live(desired):
        return None
    live = actual.live
    if live is None:
        return "what live Workers present was not looked at"
    if live.unread:
        subject, reason = next(iter(live.unread.items()))
        more = f" (and {len(live.unread) - 1} more)" if len(live.unread) > 1 else ""
        return f"whether anything uses it is not known: {subject} could not be looked at{more}: {reason}"
    return None if live.whole else "not everything that may present it was looked at"


def _not_deployed(leaving: Leaving, desired: Desired, actual: Actual) -> str | None:
    """A Worker that should be live and is not found may be live under another name, or in another account."""
    if actual.live is None:
        return None
    for worker, environment, file in _binding(leaving, desired, actual):
        if environment in worker.undeployed:
            continue
        target = target_of(file, environment)
        where = f"{file.path} ({environment_text(environment)})"
        if target is None:
            return f"{where} gives its Worker no name, so it can't be looked for"
        if actual.live.workers.get(target) is None:
            return f"{target}, the Worker of {where}, is not found in the account (`deployed = false` if none is live)"
    return None


def _binding(
    leaving: Leaving, desired: Desired, actual: Actual
) -> Iterator[tuple[DeclaredWorker, EnvironmentName, WranglerFile]]:
    """Every declared environment that binds the entry's certificate."""
    for worker, environment, file in declared_environments(desired, actual.files):
        targets = (binding.target for binding in worker.environments[environment])
        if ByCertificate(leaving.certificate) in targets:
            yield worker, environment, file


def _presented(leaving: Leaving, _: Desired, actual: Actual) -> str | None:
    for worker, version in _versions(actual.live):
        if version.share is not None and leaving.entry.id in version.bindings.values():
            return f"{worker.script} serves with it: version {version.id} has {version.share:g} % of the traffic"
    return None


def _rollback(leaving: Leaving, _: Desired, actual: Actual) -> str | None:
    for worker, version in _versions(actual.live):
        if version.share is None and leaving.entry.id in version.bindings.values():
            return f"{worker.script} may be rolled back to version {version.id}, which presents it"
    return None


def _versions(live: Live | None) -> Iterator[tuple[LiveWorker, LiveVersion]]:
    found = (worker for worker in live.workers.values() if worker is not None) if live else ()
    for worker in found:
        for version in worker.versions:
            yield worker, version


def _used(leaving: Leaving, _: Desired, actual: Actual) -> str | None:
    users = actual.live.users.get(leaving.entry.id, ()) if actual.live else ()
    return f"it is used by {', '.join(users)}" if users else None


LIVE_CHECKS: tuple[tuple[Condition, LiveCheck], ...] = (
    (Condition.PRESENTED_LIVE, _presented),
    (Condition.ROLLBACK_REACH, _rollback),
    (Condition.USED_ELSEWHERE, _used),
    (Condition.LIVE_UNCHECKED, _unchecked),
    (Condition.NOT_DEPLOYED, _not_deployed),
)
