"""The role of an entry for this declaration, and each condition of its deletion, in sentences."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from reconciler.findings.values import dataclass
from reconciler.model import CertificateName, Condition, Entry, EntryId, Gate, Reason, User
from reconciler.model.ownership import CUSTOM, read_mark
from reconciler.plan.assess import scene_of
from reconciler.plan.assessment import Assessment, EntryRow, Pending, Waits
from reconciler.plan.gates import has_gate
from reconciler.plan.inventory import Role, role_finder
from reconciler.plan.retire import Judged, conditions_of, kept_since
from reconciler.plan.users import users_by_entry
from reconciler.reports.kept import hint_of, needs_more_deploys


@dataclass(frozen=True, slots=True)
class EntryStory:
    """One ID. `entry` None: it is not uploaded. `conditions`: only of one that leaves. `since`: the end of its grace
    period, if it is still kept after that.

    `stack`: the stack in its mark. `newer` and `renew_from`: only of one that is bound by its ID: a later upload under
    the same name, and when it is due for renewal. `users`: what uses it, as far as that was read.
    """

    id: EntryId
    entry: Entry | None
    role: Role
    certificate: CertificateName | None
    what: str
    why: str
    conditions: tuple[Judged, ...] = ()
    since: datetime | None = None
    stack: str | None = None
    renew_from: datetime | None = None
    newer: EntryId | None = None
    users: tuple[User, ...] = ()
    not_after: datetime | None = None


def tell_entry(entry_id: EntryId, assessment: Assessment) -> EntryStory:
    """The story of one id."""
    story = _tell(entry_id, assessment)
    mark = read_mark(story.entry) if story.entry is not None else None
    by_id = next((row for row in assessment.by_id if row.id == entry_id), None)
    return replace(
        story,
        stack=mark.stack if mark is not None else None,
        renew_from=by_id.renew_from if by_id is not None else None,
        newer=by_id.newer.id if by_id is not None and by_id.newer is not None else None,
        not_after=story.entry.window(assessment.now).ends if story.entry is not None else None,
        users=users_by_entry(assessment.actual).get(entry_id, ()),
    )


def _tell(entry_id: EntryId, assessment: Assessment) -> EntryStory:
    row = assessment.by_entry.get(entry_id)
    if row is not None and row.reason is not None:
        return _tell_leaving(row, assessment)
    entry = assessment.entry(entry_id)
    if entry is None:
        why = f"{assessment.desired.declaration.store.title} has no certificate with this ID"
        return EntryStory(entry_id, None, Role.UNKNOWN, None, "nothing is planned", why)
    role, owner = (row.role, row.owner) if row is not None else _role_of_unlisted(entry, assessment)
    return EntryStory(entry_id, entry, role, owner, "stays", why_it_stays(role, entry, owner))


def _role_of_unlisted(entry: Entry, assessment: Assessment) -> tuple[Role, CertificateName | None]:
    """The role of an entry that is not in the list, but was found by its ID."""
    inventory = assessment.inventory
    return role_finder(assessment.desired, inventory)(entry) if inventory is not None else (Role.FOREIGN, None)


def why_it_stays(role: Role, entry: Entry, certificate: CertificateName | None) -> str:
    """Why an upload that is not an old version is kept, in a clause."""
    mark = read_mark(entry)
    match role:
        case Role.CURRENT:
            return f"it is the current upload of {certificate}"
        case Role.DUPLICATE:
            return f"it has the same content as {certificate}"
        case Role.NEWER:
            return f"it was uploaded after the current upload of {certificate}; a newer commit may have done that"
        case Role.UNDECIDED:
            return f"the file of {certificate} can't be read, and might contain this certificate"
        case Role.OTHER_STACK:
            return f"it belongs to the stack {mark.stack}" if mark else "it belongs to another stack"
        case _ if entry.type != CUSTOM:
            return f"it is managed by Cloudflare (type {entry.type})"
        case _:
            return "it has no mark of this stack, so it is not managed here"


_LIMITS = frozenset({Condition.MAX_DELETES, Condition.FROZEN})
"""What keeps an entry of which every condition holds."""


def _tell_leaving(row: EntryRow, assessment: Assessment) -> EntryStory:
    scene = scene_of(assessment)
    conditions = tuple(
        judged if judged.holds is not False else replace(judged, hint=_hint(judged, row, assessment))
        for judged in conditions_of(row, scene)
    )
    if isinstance(row.verdict, Waits) and row.verdict.condition in _LIMITS:
        conditions = (*conditions, Judged(row.verdict.condition, False, row.verdict.facts, row.verdict.until))
    if row.owner is not None and has_gate(assessment.desired.declaration, row.owner, Gate.RETIRE):
        conditions = (*conditions, Judged(Condition.UNPROVED, None))
    return EntryStory(
        id=row.entry.id,
        entry=row.entry,
        role=row.role,
        certificate=row.owner,
        what="would be retired" if isinstance(row.verdict, Pending) else "waits to be retired",
        why=_why_it_leaves(row),
        conditions=conditions,
        since=None if isinstance(row.verdict, Pending) else kept_since(row, scene),
    )


def _hint(judged: Judged, row: EntryRow, assessment: Assessment) -> str | None:
    """What to do about a condition; with the command for a leaked key, which must not wait."""
    hint = hint_of(judged.condition, judged.facts, row.entry.id, assessment)
    if judged.condition is Condition.PRESENTED_LIVE and needs_more_deploys(row.entry.id, assessment):
        return (
            f"{hint}; for a leaked key, run `mtlsctl retire {row.owner} --now --ignore-rollback` after the first deploy"
        )
    if judged.condition is Condition.GRACE:
        return f"wait; only for a leaked key, run `mtlsctl retire {row.owner} --now`"
    if judged.condition is Condition.ROLLBACK_REACH and judged.facts.get("case") != "latest":
        return f"{hint}; for a leaked key, run `mtlsctl retire {row.owner} --now --ignore-rollback`"
    return hint


def _why_it_leaves(row: EntryRow) -> str:
    if row.reason is Reason.ORPHANED:
        return f"{row.owner} was removed from mtls.toml"
    if row.successor is None:
        return f"{row.owner} has another content now, which is not uploaded yet"
    return f"{row.owner} has a newer upload, {row.successor.id}"
