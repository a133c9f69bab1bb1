"""What a plan did not check, and which private keys `apply` will need: from mtls.toml, without opening any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum

from reconciler.findings.values import dataclass
from reconciler.model import (
    Action,
    CertificateName,
    Change,
    Condition,
    Desired,
    Gate,
    KeyReference,
    Sweep,
    Upload,
    Verify,
    Waiting,
)
from reconciler.plan.assessment import Assessment, Waits
from reconciler.plan.live import declared_environments, is_elsewhere, target_of
from reconciler.plan.retire_live import can_be_live
from reconciler.plan.users import entries_of


class Area(StrEnum):
    """What a run can leave unread."""

    STORE = "store"
    LIVE_WORKERS = "live-workers"
    OTHER_USERS = "other-users"
    TREE = "tree"
    KEYS = "keys"
    UNUSED = "unused"


ABOUT_LIVE = frozenset({Area.LIVE_WORKERS, Area.OTHER_USERS})
"""What `--live` reads."""

_DETAILS = {
    Area.STORE: "the list of uploaded certificates was not read",
    Area.LIVE_WORKERS: "live Workers were not read; they may use other certificates than the wrangler files",
    Area.OTHER_USERS: "Hyperdrive configurations and hostnames were not read; they may use old certificates",
    Area.TREE: "other files were not searched for the IDs of old certificates; this is done last, before a deletion",
    Area.KEYS: "no private key was opened; a key may be missing, or belong to another certificate",
    Area.UNUSED: "unused certificates, shared private keys and undeclared bindings were not searched for",
}
_PARTLY = "Hyperdrive configurations and hostnames were read for old certificates alone; they may use others"
_CAS = "hostnames were not read; they may use old CAs"
_CAS_PARTLY = "hostnames were read for old CAs alone; they may use others"
_FAILED = {
    Area.LIVE_WORKERS: "some live Workers could not be read",
    Area.OTHER_USERS: "some other users of certificates could not be read",
    Area.UNUSED: "some files could not be searched for the IDs of unused certificates",
}


@dataclass(frozen=True, slots=True)
class NotChecked:
    """One area that was not checked, or only in part. `reason`: why it could not be read; None: not requested.

    `partly`: it was read for the old certificates that a deletion was near for, and for no others. `cas`: of other
    users only those of CAs are missing, because Hyperdrive was read.
    """

    area: Area
    reason: str | None = None
    partly: bool = False
    cas: bool = False

    @property
    def detail(self) -> str:
        """What that means, as a sentence without a full stop."""
        if self.reason is not None:
            return f"{_FAILED[self.area]}: {self.reason}"
        if self.cas:
            return _CAS_PARTLY if self.partly else _CAS
        return _PARTLY if self.partly else _DETAILS[self.area]

    def command(self, name: str) -> str | None:
        """The command that checks it, None if there is none. `name`: the command that did not."""
        if self.reason is not None:
            return None
        if self.area in ABOUT_LIVE:
            return f"mtlsctl {name} --live"
        commands = {Area.STORE: name, Area.KEYS: "validate", Area.UNUSED: f"{name} --unused"}
        return f"mtlsctl {commands[self.area]}" if self.area in commands else None


_UNJUDGED = frozenset(
    {
        *(Condition.CONTENT_UNKNOWN, Condition.LISTING_UNSTABLE, Condition.CLOCK_SKEW),
        *(Condition.UNCHECKED, Condition.LIVE_UNCHECKED),
    }
)
"""What keeps an old certificate because something could not be read."""


def failed_checks(waiting: Iterable[Waiting], not_checked: Iterable[NotChecked]) -> tuple[str, ...]:
    """Why checks could not be made, each reason once; empty if all were made that were asked for."""
    kept = (one.detail for one in waiting if one.condition in _UNJUDGED)
    unread = (one.detail for one in not_checked if one.reason is not None)
    return tuple(dict.fromkeys((*kept, *unread)))


def of_live(found: Iterable[NotChecked]) -> tuple[NotChecked, ...]:
    """Those about live Workers and other users, for a report without files and keys."""
    return tuple(one for one in found if one.area in ABOUT_LIVE)


def of_unused(sweep: Sweep) -> tuple[NotChecked, ...]:
    """What a search for unused certificates could not read."""
    found = _failed(Area.UNUSED, list(sweep.unread))
    return (found,) if found is not None else ()


@dataclass(frozen=True, slots=True)
class KeyNeeded:
    """The private key of one certificate: its place in mtls.toml, and the actions that need it."""

    certificate: CertificateName
    source: KeyReference
    actions: tuple[Action, ...]


def find_not_checked(assessment: Assessment, keys: Sequence[KeyNeeded]) -> tuple[NotChecked, ...]:
    """The areas that were not checked and could change the reader's opinion of the plan, in the order of `Area`."""
    found = (
        NotChecked(Area.STORE) if assessment.inventory is None else None,
        _live_workers(assessment),
        _other_users(assessment),
        NotChecked(Area.TREE) if _needs_tree(assessment) else None,
        NotChecked(Area.KEYS) if keys else None,
    )
    return tuple(one for one in found if one is not None)


def _live_workers(assessment: Assessment) -> NotChecked | None:
    targets, live = tuple(_declared_targets(assessment)), assessment.actual.live
    if not targets:
        return None
    if live is None or any(target not in live.workers and target not in live.unread for target in targets):
        return NotChecked(Area.LIVE_WORKERS)
    return _failed(Area.LIVE_WORKERS, [f"{one}: {live.unread[one]}" for one in targets if one in live.unread])


def _declared_targets(assessment: Assessment) -> Iterator[str]:
    """Every Worker of this account that is declared to be live."""
    desired, store = assessment.desired, assessment.desired.declaration.store
    if not can_be_live(desired):
        return
    for worker, environment, file in declared_environments(desired, assessment.actual.files):
        target = target_of(file, environment)
        is_here = environment not in worker.undeployed and not is_elsewhere(store, file.environments[environment])
        if target is not None and is_here:
            yield target


def _other_users(assessment: Assessment) -> NotChecked | None:
    entries, live, drives = entries_of(assessment), assessment.actual.live, assessment.actual.hyperdrives
    if not entries or not can_be_live(assessment.desired):
        return None
    is_read = drives is not None and drives.unread is None  # all of the account's: they are declared
    missing = [entry for entry in entries if live is None or entry.id not in live.users_of]
    if is_read:
        missing = [entry for entry in missing if entry.ca]
    if missing:
        return NotChecked(Area.OTHER_USERS, partly=live is not None and bool(live.users_of), cas=is_read)
    if live is None:
        return None
    return _failed(Area.OTHER_USERS, [f"{what}: {why}" for what, why in live.users_unread.items()])


def _failed(area: Area, reasons: list[str]) -> NotChecked | None:
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return NotChecked(area, reasons[0] + more) if reasons else None


def _needs_tree(assessment: Assessment) -> bool:
    """Whether an old certificate waits to be deleted, and a cheaper check keeps it so far."""
    waits = (row.verdict for row in assessment.entries if isinstance(row.verdict, Waits))
    on_request = (Condition.PRUNE_OFF, Condition.PRUNE_NOT_REQUESTED, Condition.NOT_TAKEN_OVER)
    return assessment.actual.sweep is None and any(one.condition not in on_request for one in waits)


def find_keys(desired: Desired, changes: Iterable[Change]) -> tuple[KeyNeeded, ...]:
    """The keys that these changes need, in their order; for certificates with the same content, the first key. Before a
    bind, what is uploaded is proved."""
    found: dict[CertificateName, KeyNeeded] = {}
    for change in changes:
        match change:
            case Upload():
                names = (change.certificate, *change.shared_with)
            case Verify() if change.before is not Gate.BIND:
                names = (change.certificate,)
            case _:
                continue
        for name in names:
            reference = desired.declaration.certificates[name].key
            if reference is not None:
                before = found[name].actions if name in found else ()
                actions = tuple(dict.fromkeys((*before, change.action)))
                found[name] = KeyNeeded(name, _public(reference), actions)
                break
    return tuple(found.values())


def _public(reference: KeyReference) -> KeyReference:
    """Where the key and its passphrase are, and no other option of their sources."""
    where = {reference.source: reference.options.get(reference.source, "")}
    secret, slots = reference.passphrase, reference.slots
    if slots is not None and slots.otherwise is not None:
        slots = replace(slots, otherwise=_public(slots.otherwise))
    return KeyReference(reference.source, where, None if secret is None else _public(secret), slots)
