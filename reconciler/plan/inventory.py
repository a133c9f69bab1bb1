"""The role of each entry for this declaration: current, superseded, orphaned, not managed by this stack, and so on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import (
    Actual,
    ByCertificate,
    CertificateName,
    Declaration,
    Desired,
    Entry,
    EntryId,
    Listing,
    Reason,
    WorkerLabel,
    WranglerFile,
)
from reconciler.model.ownership import CUSTOM, is_other_stacks, is_ours, read_mark
from reconciler.plan.handover import find_owned
from reconciler.x509.certificates import subject_text

_NEVER = datetime.max.replace(tzinfo=UTC)


class Role(StrEnum):
    """The role of an uploaded certificate for this declaration, in the words of the reconciler's rules."""

    CURRENT = "current"
    SUPERSEDED = "superseded"
    ORPHANED = "orphaned"
    NEWER = "newer"
    DUPLICATE = "duplicate"
    UNDECIDED = "undecided"
    OTHER_STACK = "other-stack"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Leaving:
    """An entry of this stack that is no longer wanted.

    `successor`: the current entry of its certificate, if there is one; of an orphan, a later one with its subject.
    """

    entry: Entry
    certificate: CertificateName
    reason: Reason
    successor: Entry | None


@dataclass(frozen=True, slots=True)
class Inventory:
    """All entries by their role. `current`: by declared certificate. `refused`: by certificate, why none can be used.

    `owned`: the certificate of each entry that this stack manages, by its mark or handed over. `handed_over`: notes on
    items of `supersedes` that were deleted since; not in `diagnostics`, where they would be reported for ever.
    """

    entries: Mapping[EntryId, Entry]
    current: Mapping[CertificateName, Entry]
    refused: Mapping[CertificateName, Diagnostic]
    leaving: tuple[Leaving, ...]
    owned: Mapping[EntryId, CertificateName]
    diagnostics: tuple[Diagnostic, ...]
    handed_over: tuple[Diagnostic, ...] = ()


def take_inventory(desired: Desired, listing: Listing, files: Mapping[WorkerLabel, WranglerFile]) -> Inventory:
    """The inventory by rules 1, 2 and 4 of the reconciler."""
    declaration = desired.declaration
    problems: list[Diagnostic] = []
    current, refused = _find_wanted(desired, listing.entries, _bound_ids(declaration, files), problems)
    found = find_owned(desired, listing.entries, current, problems)
    owned = found.entries
    wanted_digests = {bundle.digest for bundle in desired.bundles.values()}
    leaving: list[Leaving] = []
    newest: dict[str, Entry] | None = None
    for entry in listing.entries:
        certificate = owned.get(entry.id)
        if certificate is None or entry.bundle is None or entry.bundle.digest in wanted_digests:
            continue
        if certificate not in declaration.certificates:
            newest = _newest_by_subject(listing.entries, owned) if newest is None else newest
            leaving.append(Leaving(entry, certificate, Reason.ORPHANED, _renewal_of(entry, newest)))
            continue
        if certificate not in desired.bundles:
            continue  # its file can't be read, so this may be the declared entry itself
        successor = current.get(certificate)
        if successor is not None and not is_older(entry, successor):
            problems.append(_newer_entry(declaration, entry, certificate, successor))
            continue
        leaving.append(Leaving(entry, certificate, Reason.SUPERSEDED, successor))
    return Inventory(
        entries={entry.id: entry for entry in listing.entries},
        current=current,
        refused=refused,
        leaving=tuple(leaving),
        owned=owned,
        diagnostics=tuple(problems),
        handed_over=found.handed_over,
    )


RoleOf = Callable[[Entry], tuple[Role, CertificateName | None]]
Roles = Mapping[EntryId, tuple[Role, CertificateName | None]]
"""The role of each entry, and the declared or former certificate that it is of."""


def role_finder(desired: Desired, inventory: Inventory) -> RoleOf:
    """A function that returns the role of an entry, and the declared or former certificate that it is of."""
    current = {entry.id: name for name, entry in reversed(list(inventory.current.items()))}
    wanted = {bundle.digest: name for name, bundle in sorted(desired.bundles.items(), reverse=True)}
    leaving = {one.entry.id: one for one in inventory.leaving}

    def role(entry: Entry) -> tuple[Role, CertificateName | None]:
        if entry.id in leaving:
            one = leaving[entry.id]
            return (Role.SUPERSEDED if one.reason is Reason.SUPERSEDED else Role.ORPHANED), one.certificate
        if entry.id in current:
            return Role.CURRENT, current[entry.id]
        if entry.bundle is not None and entry.bundle.digest in wanted:
            return Role.DUPLICATE, wanted[entry.bundle.digest]
        owner = inventory.owned.get(entry.id)
        if owner is not None:
            return (Role.NEWER if owner in desired.bundles else Role.UNDECIDED), owner
        return (Role.OTHER_STACK if is_other_stacks(read_mark(entry), desired.declaration) else Role.FOREIGN), None

    return role


def _newest_by_subject(entries: Iterable[Entry], owned: Mapping[EntryId, CertificateName]) -> dict[str, Entry]:
    """By subject the latest entry of this stack; made once, and only if there are orphans."""
    timed = [(one.uploaded_on, one.id, one) for one in entries if one.id in owned and one.uploaded_on is not None]
    in_order = (one for _, _, one in sorted(timed, key=lambda item: item[:2]))
    return {subject_text(one.bundle.leaf): one for one in in_order if one.bundle is not None}


def _renewal_of(entry: Entry, newest: Mapping[str, Entry]) -> Entry | None:
    """The latest entry of this stack that was uploaded after `entry` for the same subject; None if there is none.

    An orphan may have shared its content with a certificate that is still declared and was rotated since, because the
    mark names only one of them. Its grace period then begins with that rotation.
    """
    later = newest.get(subject_text(entry.bundle.leaf)) if entry.bundle else None
    return later if later is not None and is_older(entry, later) else None


def is_older(entry: Entry, successor: Entry) -> bool:
    """Whether an entry was uploaded before another; False if a time is unknown, so that the entry is kept."""
    if entry.uploaded_on is None or successor.uploaded_on is None:
        return False
    return entry.uploaded_on < successor.uploaded_on


def _newer_entry(declaration: Declaration, entry: Entry, certificate: CertificateName, current: Entry) -> Diagnostic:
    return Diagnostic(
        Severity.WARNING,
        Code.NEWER_ENTRY,
        f"{declaration.store.title} has a newer certificate for {certificate!r}, {entry.id} ({entry.name!r}), uploaded"
        f" after the declared one ({current.id}); it is kept",
        Pointer(declaration.path, ("certificates", certificate, "certificate")),
        "pull first: a newer commit may have uploaded it. After a revert this is expected: it is kept so that you can"
        " roll forward, until a later upload replaces it",
        certificate,
    )


# --- wanted ---------------------------------------------------------------------------------------------------------


def _bound_ids(declaration: Declaration, files: Mapping[WorkerLabel, WranglerFile]) -> set[str]:
    """The IDs in wrangler files of bindings that are declared by certificate name."""
    found: set[str] = set()
    for worker in declaration.workers.values():
        file = files.get(worker.label)
        for environment, bindings in worker.environments.items():
            there = file.environments.get(environment) if file else None
            for binding in bindings:
                at = there.find(binding.binding) if there and isinstance(binding.target, ByCertificate) else None
                if at is not None:
                    found.add(at.certificate_id)
    return found


def _find_wanted(
    desired: Desired, entries: Iterable[Entry], bound: set[str], problems: list[Diagnostic]
) -> tuple[dict[CertificateName, Entry], dict[CertificateName, Diagnostic]]:
    by_content: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.bundle is not None:
            by_content[entry.bundle.digest].append(entry)
    current: dict[CertificateName, Entry] = {}
    refused: dict[CertificateName, Diagnostic] = {}
    for name, bundle in desired.bundles.items():
        same = by_content.get(bundle.digest, [])
        doubts = {entry.id: _why_not(desired, name, entry) for entry in same}
        good = [entry for entry in same if doubts[entry.id] is None]
        if good:
            current[name] = good[0] if len(good) == 1 else _preferred(desired.declaration, good, bound)
            if current[name].bundle != bundle:
                problems.append(_order_differs(desired.declaration, name, current[name]))
        elif same:
            refused[name] = next(doubt for doubt in doubts.values() if doubt is not None)
            problems.append(refused[name])
    return current, refused


def _preferred(declaration: Declaration, entries: list[Entry], bound: set[str]) -> Entry:
    return min(entries, key=lambda entry: _preference(declaration, entry, bound))


def _preference(declaration: Declaration, entry: Entry, bound: set[str]) -> tuple[bool, bool, datetime, str]:
    """The sort key of several entries with the same content: bound first, then marked, then oldest, then by ID."""
    marked = is_ours(read_mark(entry), declaration)
    return entry.id not in bound, not marked, entry.uploaded_on or _NEVER, entry.id


class Preference(StrEnum):
    """Why an uploaded certificate is the current one among those with the same content."""

    ONLY = "only"
    BOUND = "bound"
    MARKED = "marked"
    OLDEST = "oldest"
    FIRST_ID = "first-id"


def preference_of(desired: Desired, actual: Actual, name: CertificateName, current: Entry) -> Preference:
    """Why `current` is preferred over the other entries with the same content."""
    digest = desired.bundles[name].digest
    entries = actual.listing.entries if actual.listing else ()
    others = (entry for entry in entries if entry.bundle and entry.bundle.digest == digest)
    usable = [entry for entry in others if entry.id != current.id and not _why_not(desired, name, entry)]
    if not usable:
        return Preference.ONLY
    bound = _bound_ids(desired.declaration, actual.files)
    mine = _preference(desired.declaration, current, bound)
    next_best = min(_preference(desired.declaration, entry, bound) for entry in usable)
    ranks = (Preference.BOUND, Preference.MARKED, Preference.OLDEST, Preference.FIRST_ID)
    return next(rank for rank, own, other in zip(ranks, mine, next_best, strict=True) if own != other)


def _why_not(desired: Desired, name: CertificateName, entry: Entry) -> Diagnostic | None:
    """Why an entry with the right content still can't be used; an error, because entries can't be changed."""
    declaration = desired.declaration
    pointer = Pointer(declaration.path, ("certificates", name))
    declared = declaration.certificates[name]
    mark = read_mark(entry)

    def refuse(code: Code, message: str, hint: str) -> Diagnostic:
        return Diagnostic(Severity.ERROR, code, message, pointer, hint, name)

    if entry.type != CUSTOM:
        return refuse(
            Code.ENTRY_MANAGED,
            f"{name!r} is already uploaded as {entry.id}, but Cloudflare manages that one (type {entry.type!r})",
            "it belongs to Gateway or Access, so it can't be bound; declare another certificate",
        )
    if entry.ca != declared.ca:
        kind = "a CA" if entry.ca else "a leaf certificate"
        return refuse(
            Code.ENTRY_CA_DIFFERS,
            f"{name!r} is already uploaded as {entry.id}, but as {kind}, which can't be changed",
            f"set `ca = {str(entry.ca).lower()}`, or delete that upload where it was made and run again",
        )
    if is_other_stacks(mark, declaration):
        stack = mark.stack if mark else ""
        by_id = f'bind it with `{{ id = "{entry.id}" }}`'
        otherwise = (
            f"remove it here, and let {stack!r} declare what uses it: a CA can't be bound" if entry.ca else by_id
        )
        return refuse(
            Code.ENTRY_OF_OTHER_STACK,
            f"{name!r} is already uploaded as {entry.id}, which belongs to the stack {stack!r}",
            f"if {stack!r} is a former name of this stack, add it to `former_stacks`; else {otherwise}",
        )
    if not declared.ca and not entry.has_leaf_of(desired.bundles[name]):
        return refuse(
            Code.LEAF_DIFFERS,
            f"the certificates of {name!r} are already uploaded as {entry.id}, but with another one first:"
            f" a Worker would use {entry.subject}",
            f"check that {declared.path} begins with the leaf; if it does, get a renewed certificate,"
            " or delete that upload where it was made and run again",
        )
    return None


def _order_differs(declaration: Declaration, name: CertificateName, entry: Entry) -> Diagnostic:
    return Diagnostic(
        Severity.WARNING,
        Code.CHAIN_ORDER,
        f"the uploaded copy of {name!r} ({entry.id}) has its certificates in another order than the file",
        Pointer(declaration.path, ("certificates", name, "certificate")),
        "the leaf must come first in a handshake; if the uploaded order is wrong, upload a renewed certificate",
        name,
    )
