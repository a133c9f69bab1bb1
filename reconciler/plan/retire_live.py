"""The conditions about live Workers and other users of an entry that must hold before the entry is deleted.

If one can't be checked, the entry is kept. They are checked only if all other conditions hold: each check costs calls
to every Worker of the account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.values import dataclass
from reconciler.model import (
    Actual,
    ByCertificate,
    CertificateName,
    Condition,
    DeclaredWorker,
    Desired,
    EntryId,
    EnvironmentName,
    Live,
    LiveVersion,
    LiveWorker,
    UserKind,
    WranglerFile,
)
from reconciler.model.live import hyperdrive_users
from reconciler.model.words import environment_text
from reconciler.plan.inventory import Leaving
from reconciler.plan.live import declared_environments, target_of, target_text

Facts = Mapping[str, str]
LiveCheck = Callable[[Leaving, Desired, Actual], Facts | None]
"""Returns the facts of why a condition does not hold; None if it holds."""


_MOST_NAMED = 5


def can_be_live(desired: Desired) -> bool:
    """Whether deployed Workers can use the certificates of this store."""
    return desired.declaration.store.kind.traits.has_live_workers


def _unchecked(_: Leaving, desired: Desired, actual: Actual) -> Facts | None:
    if not can_be_live(desired):
        return None
    live = actual.live
    if live is None:
        return {}
    if live.unread:
        subject, reason = next(iter(live.unread.items()))
        more = len(live.unread) - 1
        return {"case": "several" if more else "one", "subject": subject, "more": str(more), "reason": reason}
    return None if live.whole else {"case": "part"}


def _not_deployed(leaving: Leaving, desired: Desired, actual: Actual) -> Facts | None:
    """A declared Worker that was not found; it may be live under another name, or in another account."""
    if actual.live is None:
        return None
    for worker, environment, file in _binding(leaving, desired, actual):
        if environment in worker.undeployed:
            continue
        target = target_of(file, environment)
        site = f"{file.path} ({environment_text(environment)})"
        if target is None:
            return {"case": "no-name", "site": site}
        if actual.live.workers.get(target) is None:
            text = target_text(target)
            return {"script": text if file.pages else f"the Worker {text}", "site": site}
    return None


def _binding(
    leaving: Leaving, desired: Desired, actual: Actual
) -> Iterator[tuple[DeclaredWorker, EnvironmentName, WranglerFile]]:
    """Yield every declared environment that binds the certificate of the entry."""
    for worker, environment, file in declared_environments(desired, actual.files):
        targets = (binding.target for binding in worker.environments[environment])
        if ByCertificate(leaving.certificate) in targets:
            yield worker, environment, file


@dataclass(frozen=True, slots=True)
class LiveUse:
    """One version of a Worker that uses an entry."""

    worker: LiveWorker
    version: LiveVersion


def live_uses(entry_id: EntryId, live: Live | None) -> tuple[LiveUse, ...]:
    """The live versions that use an entry; if there are none, the versions that use it and a rollback could restore."""
    found = (worker for worker in live.workers.values() if worker is not None) if live else ()
    uses = [
        LiveUse(worker, version)
        for worker in found
        for version in worker.versions
        if entry_id in version.bindings.values()
    ]
    serving = tuple(use for use in uses if use.version.share is not None)
    return serving or tuple(uses)


def _presented(leaving: Leaving, _: Desired, actual: Actual) -> Facts | None:
    uses = live_uses(leaving.entry.id, actual.live)
    share = uses[0].version.share if uses else None
    return None if share is None else {**_use_facts(uses), "share": f"{share:g}"}


def _rollback(leaving: Leaving, _: Desired, actual: Actual) -> Facts | None:
    return find_rollback(leaving.entry.id, actual.live)


def find_rollback(entry_id: EntryId, live: Live | None, *, past: bool = True) -> Facts | None:
    """The first version without traffic that uses an entry and could get some; None if there is none.

    `past` False: only one that was uploaded and not deployed yet, and none that a rollback could restore.
    """
    uses = live_uses(entry_id, live)
    if uses and uses[0].version.share is not None:
        return None
    uses = tuple(use for use in uses if past or use.version.deployments_ago is None)
    if not uses:
        return None
    facts = _use_facts(uses)
    return facts if uses[0].version.deployments_ago is not None else {**facts, "case": "latest"}


def lost_rollbacks(entry_id: EntryId, certificate: CertificateName, live: Live | None) -> Diagnostic | None:
    """A warning with the versions that a rollback can't use any more once an entry is deleted; None if there are
    none."""
    uses = [use for use in live_uses(entry_id, live) if use.version.share is None]
    if not uses:
        return None
    named = [
        f"version {use.version.id} of {target_text(use.worker.script)}{_deployed_text(use)}"
        for use in uses[:_MOST_NAMED]
    ]
    more = f" and {len(uses) - _MOST_NAMED} more" if len(uses) > _MOST_NAMED else ""
    verb = "uses" if len(uses) == 1 else "use"
    message = f"once {entry_id} is deleted, no one can roll back to {', or to '.join(named)}{more}, which {verb} it"
    hint = "to go back to that code, deploy it again with the current certificate"
    return Diagnostic(Severity.WARNING, Code.ROLLBACK_LOST, message, None, hint, certificate)


def _deployed_text(use: LiveUse) -> str:
    made = use.version.deployed_on
    return f" (deployed on {made:%Y-%m-%d})" if made is not None else ""


def _use_facts(uses: Sequence[LiveUse]) -> dict[str, str]:
    """The facts of the first use, and the number of other Workers."""
    first, more = uses[0], len({use.worker.script for use in uses}) - 1
    made = first.version.deployed_on
    return {
        "script": target_text(first.worker.script),
        "version": first.version.id,
        "others": f", and by {more} more Worker{'' if more == 1 else 's'}" if more else "",
        **({"case": "dated", "deployed": f"{made:%Y-%m-%d}"} if made is not None else {}),
    }


def _used(leaving: Leaving, _: Desired, actual: Actual) -> Facts | None:
    """Cloudflare also names the service of a Worker that is named as such; that service is not another user."""
    users = actual.live.users.get(leaving.entry.id, ()) if actual.live else ()
    if live_uses(leaving.entry.id, actual.live):
        users = tuple(user for user in users if user.kind is not UserKind.SERVICE)
    configs = actual.hyperdrives.configs if actual.hyperdrives is not None else ()
    declared = [user for one in configs for used, user in hyperdrive_users(one) if used == leaving.entry.id]
    users = tuple(dict.fromkeys((*declared, *users)))
    return {"users": ", ".join(user.text for user in users)} if users else None


LIVE_CHECKS: tuple[tuple[Condition, LiveCheck], ...] = (
    (Condition.PRESENTED_LIVE, _presented),
    (Condition.ROLLBACK_REACH, _rollback),
    (Condition.USED_ELSEWHERE, _used),
    (Condition.LIVE_UNCHECKED, _unchecked),
    (Condition.NOT_DEPLOYED, _not_deployed),
)
