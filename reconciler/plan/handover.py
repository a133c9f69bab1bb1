"""Which entries are managed by this stack: by their mark, by a former name, or handed over in `supersedes`."""

from __future__ import annotations

from collections.abc import Container, Iterator

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import CertificateName, Declaration, Desired, Entry, EntryId
from reconciler.model.identifiers import IdKind, kind_of_id
from reconciler.model.ownership import CUSTOM, is_other_stacks, is_ours, read_mark


@dataclass(frozen=True, slots=True)
class Owned:
    """The entries that this stack manages, each with the declared or former certificate that it is of.

    `handed_over`: notes on items of `supersedes` that were deleted since; they need no attention.
    """

    entries: dict[EntryId, CertificateName]
    handed_over: tuple[Diagnostic, ...]


def find_owned(
    desired: Desired, entries: tuple[Entry, ...], stored: Container[CertificateName], problems: list[Diagnostic]
) -> Owned:
    """Every entry that this stack manages; findings are added to `problems`. `stored`: certificates with a current
    entry."""
    declaration = desired.declaration
    former = _former_names(declaration)
    owned: dict[EntryId, CertificateName] = {}
    done: list[Diagnostic] = []
    marks = [(entry, mark) for entry in entries if (mark := read_mark(entry)) is not None]
    for entry, mark in marks:
        if is_ours(mark, declaration):
            owned[entry.id] = former.get(mark.certificate, mark.certificate)
        elif mark.stack in declaration.former_stacks and mark.certificate in former:
            owned[entry.id] = former[mark.certificate]
    marked = {mark.certificate for _, mark in marks}
    uploaded = {mark.certificate for _, mark in marks if is_ours(mark, declaration)}
    for name, item, index in _superseded_items(declaration):
        handed_over = _handed_over(declaration, entries, name, item, index, problems)
        for entry in handed_over:
            owned.setdefault(entry.id, name)
        named = any(item in (entry.id, entry.name) for entry in entries)
        if named or CertificateName(item) in marked:
            continue
        # Once the certificate is uploaded, a handover usually ends with the deletion of the other one.
        is_new = name in desired.bundles and name not in stored and name not in uploaded
        (problems if is_new else done).append(_superseded_nothing(declaration, name, item, index, is_new=is_new))
    return Owned(owned, tuple(done))


def _superseded_nothing(
    declaration: Declaration, name: CertificateName, item: str, index: int, *, is_new: bool
) -> Diagnostic:
    """No entry has this ID or name: misspelled if the certificate `is_new`, else deleted after the handover."""
    where = declaration.store.title
    message = f"no certificate in {where} has the ID or name {item!r}, which `supersedes` of {name!r} lists"
    deleted, corrected = "remove it if that certificate was deleted already", "correct it if it is misspelled"
    return Diagnostic(
        Severity.WARNING if is_new else Severity.INFO,
        Code.SUPERSEDES_NOTHING,
        message,
        Pointer(declaration.path, ("certificates", name, "supersedes", index)),
        f"{corrected}; {deleted}" if is_new else f"{deleted}; {corrected}",
        name,
    )


def _superseded_items(declaration: Declaration) -> Iterator[tuple[CertificateName, str, int]]:
    for name, certificate in declaration.certificates.items():
        for index, item in enumerate(certificate.supersedes):
            yield name, item, index


def _former_names(declaration: Declaration) -> dict[CertificateName, CertificateName]:
    """The current name of each certificate by its former name. No declared name is among the former ones."""
    items = _superseded_items(declaration)
    return {CertificateName(item): name for name, item, _ in items if kind_of_id(item) is IdKind.PLACEHOLDER}


def _handed_over(
    declaration: Declaration,
    entries: tuple[Entry, ...],
    name: CertificateName,
    item: str,
    index: int,
    problems: list[Diagnostic],
) -> tuple[Entry, ...]:
    """The foreign entry that an item of `supersedes` hands over; empty if it was deleted, or can't be handed over."""
    by_id = kind_of_id(item) is not IdKind.PLACEHOLDER
    found = [entry for entry in entries if (entry.id == item if by_id else entry.name == item)]
    found = [entry for entry in found if not is_ours(read_mark(entry), declaration)]
    pointer = Pointer(declaration.path, ("certificates", name, "supersedes", index))
    if len(found) > 1:
        ids = ", ".join(sorted(entry.id for entry in found))
        message = f"{item!r} in `supersedes` of {name!r} matches {len(found)} uploaded certificates"
        hint = f"names are not unique; write the ID instead: {ids}"
        problems.append(Diagnostic(Severity.ERROR, Code.SUPERSEDES_AMBIGUOUS, message, pointer, hint, name))
        return ()
    for entry in found:
        mark = read_mark(entry)
        refusal = None
        if is_other_stacks(mark, declaration):
            refusal = f"belongs to the stack {mark.stack!r}" if mark else None
        elif entry.type != CUSTOM:
            refusal = f"is managed by Cloudflare (type {entry.type!r})"
        elif entry.ca != declaration.certificates[name].ca:
            refusal = "is a CA" if entry.ca else "is not a CA"
        if refusal is not None:
            message = f"{item!r} in `supersedes` of {name!r} {refusal}; it is left as it is"
            hint = "remove it from `supersedes`"
            problems.append(Diagnostic(Severity.WARNING, Code.SUPERSEDES_REFUSED, message, pointer, hint, name))
            return ()
    return tuple(found)
