"""(Desired, Actual, now) -> Changes: everything that differs, with what stands in the way. No order, no limits yet."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.findings.diagnostics import Diagnostic, Pointer, Severity
from reconciler.model import (
    Actual,
    Adopted,
    BindingChange,
    CertificateName,
    Deploy,
    Desired,
    Entry,
    EntryId,
    Reason,
    Retire,
    Unknown,
    Upload,
    Waiting,
)
from reconciler.model.ownership import is_ours, mark_name, read_mark
from reconciler.plan.bindings import diff_bindings
from reconciler.plan.deploys import NOBODY, Wanted, diff_deploys
from reconciler.plan.differences import certificate_differences
from reconciler.plan.inventory import Inventory, take_inventory
from reconciler.plan.live import LiveBinding, compare_live
from reconciler.plan.renewals import find_always_due, find_due, find_going_back
from reconciler.plan.retire import diff_retires, entries_to_look_after, ids_to_sweep
from reconciler.x509.preflight import check_dates, check_for_upload

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between desired and actual, and what was noticed on the way."""

    uploads: tuple[Upload, ...]
    bindings: tuple[BindingChange, ...]
    retires: tuple[Retire, ...]
    adopted: tuple[Adopted, ...]
    waiting: tuple[Waiting, ...]
    unknown: tuple[Unknown, ...]
    diagnostics: tuple[Diagnostic, ...]
    deploys: tuple[Deploy, ...] = ()
    live: tuple[LiveBinding, ...] = ()


def take_stock(desired: Desired, actual: Actual) -> Inventory | None:
    """The store's entries by what they are to this declaration; None offline. The sweep does not matter to it."""
    return None if actual.listing is None else take_inventory(desired, actual.listing, actual.files)


def find_sweep_ids(
    desired: Desired,
    actual: Actual,
    now: datetime,
    skip_grace_of: str | None = None,
    *,
    stock: Inventory | None = None,
) -> tuple[EntryId, ...]:
    """The ids for which the tree has to be looked through before `make_changes` can call a retire safe."""
    inventory = stock or take_stock(desired, actual)
    return () if inventory is None else ids_to_sweep(desired, actual, inventory, now, skip_grace_of)


def find_entries_to_look_after(
    desired: Desired,
    actual: Actual,
    now: datetime,
    skip_grace_of: str | None = None,
    *,
    stock: Inventory | None = None,
) -> tuple[Entry, ...]:
    """The entries for which what is live has to be looked at, the tree looked through, before `make_changes` can call
    a retire safe."""
    inventory = stock or take_stock(desired, actual)
    return () if inventory is None else entries_to_look_after(desired, actual, inventory, now, skip_grace_of)


def make_changes(
    desired: Desired,
    actual: Actual,
    now: datetime,
    skip_grace_of: str | None = None,
    *,
    stock: Inventory | None = None,
    deploy: Wanted = NOBODY,
) -> Changes:
    """Every rule of the reconciler, applied once. With `actual.listing` None only what files can tell.

    `skip_grace_of`: the certificate or id of which a person wants the grace skipped, and nothing else. `stock`: where
    it was taken already.
    """
    diagnostics: list[Diagnostic] = list(_same_content_twice(desired))
    inventory = stock or take_stock(desired, actual)
    blocked = {problem.certificate for problem in diagnostics if problem.certificate}
    uploads: list[Upload] = []
    if inventory is not None:
        diagnostics.extend(inventory.diagnostics)
        blocked |= inventory.refused
        found, problems = _diff_uploads(desired, inventory, frozenset(blocked), now)
        uploads.extend(found)
        diagnostics.extend(problems)
        blocked |= {problem.certificate for problem in problems if problem.certificate and is_error(problem)}
    diagnostics.extend(_stored_dates(desired, inventory, now))
    diagnostics.extend(problem for name in sorted(desired.bundles) if (problem := find_always_due(desired, name)))
    bindings = diff_bindings(desired, actual, inventory, frozenset(blocked), now)
    deploys = diff_deploys(desired, actual, inventory, bindings.changes, deploy)
    retires, waiting = diff_retires(desired, actual, inventory, now, skip_grace_of) if inventory else ([], [])
    return Changes(
        uploads=tuple(uploads),
        bindings=tuple(bindings.changes),
        retires=tuple(retires),
        adopted=_adopted(desired, inventory),
        waiting=tuple(waiting),
        unknown=(*_unknown_certificates(desired, inventory), *bindings.unknown),
        diagnostics=(*diagnostics, *bindings.diagnostics, *deploys.diagnostics),
        deploys=tuple(deploys.changes),
        live=compare_live(desired, actual, inventory),
    )


def is_error(problem: Diagnostic) -> bool:
    """Whether a finding stands in the way of what it is about."""
    return problem.severity is Severity.ERROR


# --- uploads --------------------------------------------------------------------------------------------------------


def _groups(desired: Desired) -> dict[str, list[CertificateName]]:
    """Declared certificates by content: those with the same content share one entry."""
    groups: dict[str, list[CertificateName]] = defaultdict(list)
    for name in sorted(desired.bundles):
        groups[desired.bundles[name].digest].append(name)
    return groups


def _same_content_twice(desired: Desired) -> list[Diagnostic]:
    """One content can't be a CA and a leaf: the store holds it once."""
    found: list[Diagnostic] = []
    for names in _groups(desired).values():
        kinds = {desired.declaration.certificates[name].ca for name in names}
        if len(kinds) > 1:
            for name in names:
                message = f"{_together(names)} have the same content, but not all of them say `ca = true`"
                pointer = Pointer(desired.declaration.path, ("certificates", name))
                hint = "the store holds one content once; make them agree"
                found.append(Diagnostic(Severity.ERROR, "same-content", message, pointer, hint, name))
    return found


def _together(names: list[CertificateName]) -> str:
    more = len(names) - _MOST_NAMED
    return " and ".join((*names[:_MOST_NAMED], f"{more:,} more") if more > 0 else names)


def _diff_uploads(
    desired: Desired, inventory: Inventory, blocked: frozenset[str], now: datetime
) -> tuple[list[Upload], list[Diagnostic]]:
    uploads: list[Upload] = []
    problems: list[Diagnostic] = []
    for digest, names in _groups(desired).items():
        if any(name in inventory.current or name in blocked for name in names):
            continue
        found = [*_check_upload(desired, names, now), *_same_leaf(desired, inventory, names)]
        older = find_going_back(desired, names, _previous(inventory, names))
        problems.extend(found if older is None else [*found, older])
        if not any(is_error(problem) for problem in found):
            uploads.append(_upload(desired, inventory, digest, names))
    return uploads, problems


def _check_upload(desired: Desired, names: list[CertificateName], now: datetime) -> list[Diagnostic]:
    """The full checks, once a content; each finding is said of every certificate that shares it."""
    first = desired.declaration.certificates[names[0]]
    found = list(check_for_upload(desired.bundles[names[0]], ca=first.ca, path=first.path, now=now))
    keys = [name for name in names if desired.declaration.certificates[name].key is not None]
    if not first.ca and not keys:
        message = f"{names[0]!r} is not in the store and has no `private_key`, so it can't be uploaded"
        pointer = Pointer(desired.declaration.path, ("certificates", names[0]))
        hint = 'add `private_key = { env = "NAME" }` or the path of a key file'
        found.append(Diagnostic(Severity.ERROR, "key-missing", message, pointer, hint))
    return [replace(problem, certificate=name) for problem in found for name in names]


def _same_leaf(desired: Desired, inventory: Inventory, names: list[CertificateName]) -> list[Diagnostic]:
    """A stored entry with this leaf and another chain: to the store it may be the same certificate."""
    leaf = desired.bundles[names[0]].fingerprint
    same = [entry for entry in inventory.entries.values() if entry.bundle and entry.bundle.fingerprint == leaf]
    message = "the store has the leaf of {!r} already, with another chain, as {}"
    hint = "the store may refuse it as stored already; give the chain that is stored, or a renewed certificate"
    pointer = Pointer(desired.declaration.path, ("certificates", names[0], "certificate"))
    return [
        Diagnostic(Severity.WARNING, "same-leaf", message.format(names[0], entry.id), pointer, hint, names[0])
        for entry in same
    ]


def _upload(desired: Desired, inventory: Inventory, digest: str, names: list[CertificateName]) -> Upload:
    previous = _previous(inventory, names)
    bundle = desired.bundles[names[0]]
    old = previous.bundle if previous else None
    return Upload(
        certificate=names[0],
        digest=digest,
        name=mark_name(desired.declaration.stack, names[0], digest),
        reasons=(Reason.CONTENT_CHANGED if previous else Reason.MISSING,),
        differences=certificate_differences(old, bundle) if old else (),
        shared_with=tuple(names[1:]),
    )


def _previous(inventory: Inventory, names: list[CertificateName]) -> Entry | None:
    """The newest entry that these certificates leave behind."""
    left = [leaving.entry for leaving in inventory.leaving if leaving.certificate in names]
    timed = [(entry.uploaded_on, entry.id, entry) for entry in left if entry.uploaded_on is not None]
    return max(timed)[2] if timed else (left[0] if left else None)


# --- what is there --------------------------------------------------------------------------------------------------


def _adopted(desired: Desired, inventory: Inventory | None) -> tuple[Adopted, ...]:
    if inventory is None:
        return ()
    return tuple(
        Adopted(name, entry, is_ours(read_mark(entry), desired.declaration))
        for name, entry in sorted(inventory.current.items())
    )


def _stored_dates(desired: Desired, inventory: Inventory | None, now: datetime) -> list[Diagnostic]:
    """Dates of what is stored already (all that is declared, when offline), and renewals that are due."""
    found: list[Diagnostic] = []
    for name in sorted(desired.bundles):
        if inventory is not None and name not in inventory.current:
            continue
        bundle, declared = desired.bundles[name], desired.declaration.certificates[name]
        dates = check_dates(bundle, path=declared.path, now=now)
        found.extend(replace(problem, certificate=name) for problem in dates)
        due = None if dates else find_due(desired, name, now)
        found.extend([due] if due is not None else [])
    return found


def _unknown_certificates(desired: Desired, inventory: Inventory | None) -> tuple[Unknown, ...]:
    if inventory is not None:
        return ()
    message = "only the store knows whether this content is there"
    return tuple(Unknown(name, None, None, None, message) for name in sorted(desired.bundles))
