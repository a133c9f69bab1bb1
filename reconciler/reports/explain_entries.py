"""What an entry of the store is to this declaration, and each condition of its retirement, in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model import Actual, CertificateName, Condition, Desired, Entry, EntryId, Gate, Reason, Retire
from reconciler.model.ownership import CUSTOM, is_other_stacks, read_mark
from reconciler.plan.gates import has_gate
from reconciler.plan.inventory import Inventory, Leaving
from reconciler.plan.plan import Plan
from reconciler.plan.retire import Judged, judge_retire


class Role(StrEnum):
    """What an entry is to this declaration; the words of the reconciler's rules."""

    CURRENT = "current"
    SUPERSEDED = "superseded"
    ORPHANED = "orphaned"
    NEWER = "newer"
    DUPLICATE = "duplicate"
    UNDECIDED = "undecided"
    OTHER_STACK = "other-stack"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"


REQUIREMENTS = {
    Condition.PRUNE_OFF: "it is superseded, or orphaned with `prune = true`",
    Condition.SUCCESSOR_MISSING: "its successor is stored",
    Condition.SUCCESSOR_NOT_VALID: "its successor is valid, or it has ended itself",
    Condition.CONTENT_UNKNOWN: "every declared certificate file can be read",
    Condition.DECLARED_BY_ID: "no binding in mtls.toml names it by id",
    Condition.BINDINGS_PENDING: "every declared binding of its certificate names the current entry",
    Condition.BOUND_IN_FILE: "no declared wrangler file has its id",
    Condition.GRACE: "its grace is over",
    Condition.LISTING_UNSTABLE: "the store's list held still while it was read",
    Condition.NAMED_IN_FILE: "no other file of this tree that may configure a Worker has its id",
    Condition.UNCHECKED: "every wrangler file of this tree could be looked at",
    Condition.PRESENTED_LIVE: "no serving version of a Worker presents it",
    Condition.ROLLBACK_REACH: "no version that one may roll back to presents it (`rollback_versions`)",
    Condition.USED_ELSEWHERE: "no Hyperdrive configuration, hostname or other service uses it",
    Condition.LIVE_UNCHECKED: "everything that may present it could be looked at",
    Condition.NOT_DEPLOYED: "every declared Worker that binds its certificate is found live",
    Condition.UNPROVED: "its successor is proved at its origin, as `verify_before` says (at `mtlsctl apply`)",
    Condition.MAX_DELETES: "no more are retired in one run than `max_deletes` allows",
}
"""What must be true before an entry is retired, by the condition that it else waits for."""


@dataclass(frozen=True, slots=True)
class EntryStory:
    """One id. `entry` None: the store does not know it. `conditions` only where it is to leave."""

    id: EntryId
    entry: Entry | None
    role: Role
    certificate: CertificateName | None
    what: str
    why: str
    conditions: tuple[Judged, ...] = ()


def tell_entry(entry_id: EntryId, plan: Plan, desired: Desired, actual: Actual, inventory: Inventory) -> EntryStory:
    """The story of one id."""
    entry = inventory.entries.get(entry_id) or actual.asked.get(entry_id)
    if entry is None:
        return EntryStory(entry_id, None, Role.UNKNOWN, None, "nothing is planned", "the store does not know this id")
    leaving = next((one for one in inventory.leaving if one.entry.id == entry_id), None)
    if leaving is not None:
        return _tell_leaving(leaving, plan, desired, actual, inventory)
    role, certificate = _role(entry, desired, inventory)
    return EntryStory(entry_id, entry, role, certificate, "stays", _why_it_stays(role, entry, certificate))


def _role(entry: Entry, desired: Desired, inventory: Inventory) -> tuple[Role, CertificateName | None]:
    """What an entry that does not leave is; the order of the questions is that of the inventory."""
    wanted = {bundle.digest: name for name, bundle in sorted(desired.bundles.items(), reverse=True)}
    current = next((name for name, one in inventory.current.items() if one.id == entry.id), None)
    if current is not None:
        return Role.CURRENT, current
    if entry.bundle is not None and entry.bundle.digest in wanted:
        return Role.DUPLICATE, wanted[entry.bundle.digest]
    owner = inventory.owned.get(entry.id)
    if owner is not None:
        return (Role.NEWER if owner in desired.bundles else Role.UNDECIDED), owner
    if is_other_stacks(read_mark(entry), desired.declaration):
        return Role.OTHER_STACK, None
    return Role.FOREIGN, None


def _why_it_stays(role: Role, entry: Entry, certificate: CertificateName | None) -> str:
    mark = read_mark(entry)
    match role:
        case Role.CURRENT:
            return f"it is the current entry of {certificate}"
        case Role.DUPLICATE:
            return f"it has the content that {certificate} declares"
        case Role.NEWER:
            return f"it was uploaded after the current entry of {certificate}: some newer checkout may have done it"
        case Role.UNDECIDED:
            return f"the file of {certificate} can't be used, so this may be the very entry that it declares"
        case Role.OTHER_STACK:
            return f"it belongs to the stack {mark.stack}" if mark else "it belongs to another stack"
        case _ if entry.type != CUSTOM:
            return f"it is managed by Cloudflare (type {entry.type})"
        case _:
            return "it has no mark of this stack, so it is not ours"


def _tell_leaving(leaving: Leaving, plan: Plan, desired: Desired, actual: Actual, inventory: Inventory) -> EntryStory:
    conditions = judge_retire(leaving, desired, actual, inventory, plan.made)
    waiting = next((wait for wait in plan.waiting if wait.entry.id == leaving.entry.id), None)
    retired = any(isinstance(change, Retire) and change.entry.id == leaving.entry.id for change in plan.changes)
    if waiting is not None and waiting.condition is Condition.MAX_DELETES:
        conditions = (*conditions, Judged(waiting.condition, False, waiting.detail, waiting.until))
    if has_gate(desired.declaration, leaving.certificate, Gate.RETIRE):
        conditions = (*conditions, Judged(Condition.UNPROVED, None))
    return EntryStory(
        id=leaving.entry.id,
        entry=leaving.entry,
        role=Role.SUPERSEDED if leaving.reason is Reason.SUPERSEDED else Role.ORPHANED,
        certificate=leaving.certificate,
        what="would be retired" if retired else "waits to be retired",
        why=_why_it_leaves(leaving),
        conditions=conditions,
    )


def _why_it_leaves(leaving: Leaving) -> str:
    if leaving.reason is Reason.ORPHANED:
        return f"its certificate {leaving.certificate} is no longer declared"
    if leaving.successor is None:
        return f"{leaving.certificate} declares another content, which is not stored yet"
    return f"{leaving.certificate} has a newer entry, {leaving.successor.id}"
