"""Why something is planned or not, for a name from the command line. Repeats what a plan decided.

A name can belong to several things, such as a certificate and a Worker; then all of them are explained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import UsageError
from reconciler.findings.escape import shell_command
from reconciler.findings.suggest import nearest, suggest
from reconciler.findings.values import dataclass
from reconciler.model import CertificateName, EntryId
from reconciler.model.identifiers import is_short_id, whole_id
from reconciler.plan.assessment import Assessment
from reconciler.plan.coverage import NotChecked, of_live
from reconciler.plan.inventory import Role
from reconciler.plan.live import LiveBinding
from reconciler.plan.plan import Plan
from reconciler.reports.explain_bindings import BindingStory, UpdateStory, tell_bindings, tell_updates
from reconciler.reports.explain_certificates import CertificateStory, tell_certificate
from reconciler.reports.explain_entries import EntryStory, tell_entry

_MOST_NAMED = 5

DELETED = "if it was an uploaded certificate that was deleted, `mtlsctl history` shows when"
"""The hint for an ID that is unknown."""
_REMOVED = "if it was a certificate that was removed from mtls.toml and deleted, `mtlsctl history` shows when"


class NameKind(StrEnum):
    """What a name belongs to. A certificate that was removed from mtls.toml counts as long as it is uploaded."""

    CERTIFICATE = "certificate"
    BINDING = "binding"
    WORKER = "worker"
    HYPERDRIVE = "hyperdrive"
    HOSTNAMES = "hostnames"
    ENTRY = "entry"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of a name. `diagnostics`: the errors and warnings about what is explained, and notes on items of
    `supersedes` that were deleted since.

    `not_checked`: what was not read about live Workers and other users. `live`: what live Workers use as the explained
    bindings; None if they were not read.
    """

    name: str
    subjects: tuple[NameKind, ...]
    certificates: tuple[CertificateStory, ...]
    bindings: tuple[BindingStory, ...]
    entries: tuple[EntryStory, ...]
    diagnostics: tuple[Diagnostic, ...]
    not_checked: tuple[NotChecked, ...] = ()
    live: tuple[LiveBinding, ...] | None = None
    updates: tuple[UpdateStory, ...] = ()


def explain_command(name: str) -> str:
    """The command that prints the explanation of a name, without `mtlsctl`."""
    return shell_command(("explain", name))


def explain(name: str, plan: Plan) -> Explanation:
    """The explanation of a certificate, binding, Worker, Hyperdrive configuration, zone, hostname or ID. UsageError if
    nothing has this name.

    An upload is also found by its name, if it is the only one with that name.

    A removed certificate has a name as long as it is uploaded. Of an ID, 8 or more characters suffice if they are of no
    other.
    The plan must be online and without a selection.
    """
    assessment = plan.assessment
    stories = tell_bindings(assessment)
    subjects = _subjects(name, assessment, stories, plan.live or ())
    known_ids = _known_ids(assessment, stories)
    whole = None if subjects else whole_id(name, known_ids) or _id_named(name, assessment)
    if whole is not None:
        name, subjects = whole, (NameKind.ENTRY,)
    if not subjects:
        message = (
            f"{name!r} is not a certificate, binding or Worker in {assessment.desired.declaration.path},"
            " and not the ID of an uploaded certificate"
        )
        known = _known_names(assessment, stories)
        is_close = nearest(name, known | known_ids) is not None
        hint = suggest(name, known | known_ids if is_close else known)
        deleted = DELETED if is_short_id(name) else _REMOVED
        raise UsageError(message, hint=hint if is_close else f"{deleted}; else {hint}")
    bindings = tuple(story for story in stories if _is_about(name, story, subjects, assessment))
    ids = dict.fromkeys((*_entry_ids(name, subjects, assessment), *_ids_of(bindings, subjects, assessment)))
    entries = tuple(tell_entry(entry_id, assessment) for entry_id in ids)
    updates = tuple(story for story in tell_updates(assessment) if name in story.names)
    certificates = tuple(
        tell_certificate(certificate, plan) for certificate in _certificates(name, subjects, bindings, assessment)
    )
    return Explanation(
        name=name,
        subjects=subjects,
        certificates=certificates,
        bindings=bindings,
        entries=entries,
        diagnostics=tuple(_findings(plan, certificates, (*bindings, *updates), entries)),
        not_checked=of_live(plan.not_checked),
        live=None if plan.live is None else tuple(_live(name, plan.live, bindings, entries)),
        updates=updates,
    )


def _live(
    name: str, rows: Iterable[LiveBinding], bindings: Iterable[BindingStory], entries: Iterable[EntryStory]
) -> Iterator[LiveBinding]:
    """Yield what live Workers use as these bindings, and where they use these uploads, also undeclared."""
    places, ids = {one.at for one in bindings}, {one.id for one in entries}
    for row in rows:
        if row.at in places or row.at.binding == name or any(one.id in ids for one in row.live):
            yield row


def _subjects(
    name: str, assessment: Assessment, stories: Iterable[BindingStory], live: Iterable[LiveBinding]
) -> tuple[NameKind, ...]:
    """Everything that the name belongs to. An ID counts if it is uploaded, or if a file has it.

    A binding counts also if only a live Worker has it.
    """
    declaration, known_ids = assessment.desired.declaration, _known_ids(assessment, stories)
    holds = {
        NameKind.CERTIFICATE: name in declaration.certificates or name in _owned(assessment).values(),
        NameKind.BINDING: name in {*(one.at.binding for one in stories), *(one.at.binding for one in live)},
        NameKind.WORKER: name in declaration.workers,
        NameKind.HYPERDRIVE: any(name in (one.label, one.config) for one in declaration.hyperdrives),
        NameKind.HOSTNAMES: name in _hostnames(assessment),
        NameKind.ENTRY: name in known_ids,
    }
    return tuple(subject for subject, is_one in holds.items() if is_one)


def _id_named(name: str, assessment: Assessment) -> EntryId | None:
    """The ID of the upload with this name; None if there is none. UsageError if there are several."""
    ids = [row.entry.id for row in assessment.entries if name and row.entry.name == name]
    if len(ids) > 1:
        more = ", ..." if len(ids) > _MOST_NAMED else ""
        message = f"{len(ids)} uploaded certificates have the name {name!r}: {', '.join(ids[:_MOST_NAMED])}{more}"
        raise UsageError(message, hint="explain one of them by its ID")
    return ids[0] if ids else None


def _known_ids(assessment: Assessment, stories: Iterable[BindingStory]) -> set[str]:
    in_files = (text for story in stories for text in (story.found, story.wanted) if text is not None)
    return {*assessment.by_entry, *assessment.actual.asked, *in_files}


def _known_names(assessment: Assessment, stories: Iterable[BindingStory]) -> set[str]:
    declaration = assessment.desired.declaration
    names: set[str] = {*declaration.certificates, *declaration.workers, *(story.at.binding for story in stories)}
    names |= {one.label for one in declaration.hyperdrives} | _hostnames(assessment)
    return names | set(_owned(assessment).values())


def _hostnames(assessment: Assessment) -> set[str]:
    """The declared zones and their hostnames."""
    zones = assessment.desired.declaration.zones
    return {zone.zone for zone in zones} | {name for zone in zones for names in zone.cas.values() for name in names}


def _owned(assessment: Assessment) -> Mapping[EntryId, CertificateName]:
    return assessment.inventory.owned if assessment.inventory is not None else {}


def _is_about(name: str, story: BindingStory, subjects: tuple[NameKind, ...], assessment: Assessment) -> bool:
    """Whether a binding belongs to the name; an undeclared one belongs to the certificate that it uses."""
    owned = _owned(assessment)
    owner = owned.get(EntryId(story.found)) if story.found and not story.declared else None
    asked: dict[NameKind, bool] = {
        NameKind.CERTIFICATE: name in (story.certificate, owner),
        NameKind.BINDING: story.at.binding == name,
        NameKind.WORKER: story.at.worker == name,
        NameKind.HYPERDRIVE: False,
        NameKind.HOSTNAMES: False,
        NameKind.ENTRY: name in (story.found, story.wanted),
    }
    return any(asked[subject] for subject in subjects)


def _entry_ids(name: str, subjects: tuple[NameKind, ...], assessment: Assessment) -> tuple[EntryId, ...]:
    """The ID itself, and the IDs of the other entries that the named certificate owns."""
    ids: list[EntryId] = [EntryId(name)] if NameKind.ENTRY in subjects else []
    if NameKind.CERTIFICATE in subjects:
        row = assessment.by_name.get(CertificateName(name))
        current = row.entry if row is not None else None
        owned = (entry_id for entry_id, owner in _owned(assessment).items() if owner == name)
        ids.extend(entry_id for entry_id in owned if current is None or entry_id != current.id)
    return tuple(dict.fromkeys(ids))


def _ids_of(
    bindings: Iterable[BindingStory], subjects: tuple[NameKind, ...], assessment: Assessment
) -> Iterator[EntryId]:
    """Yield the IDs that the named binding or Worker uses by ID, to explain their owner and expiry."""
    if NameKind.BINDING in subjects or NameKind.WORKER in subjects:
        places = {story.at for story in bindings}
        yield from (row.id for row in assessment.by_id if any(one.at in places for one in row.bindings))


def _certificates(
    name: str, subjects: tuple[NameKind, ...], bindings: tuple[BindingStory, ...], assessment: Assessment
) -> tuple[CertificateName, ...]:
    """The named certificate, those that the named binding should use, and those whose current entry has the ID."""
    names: list[CertificateName] = []
    if NameKind.CERTIFICATE in subjects:
        names.append(CertificateName(name))
    if NameKind.BINDING in subjects:
        names.extend(story.certificate for story in bindings if story.at.binding == name and story.certificate)
    if NameKind.ENTRY in subjects:
        names.extend(row.name for row in assessment.certificates if row.entry is not None and row.entry.id == name)
    return tuple(found for found in dict.fromkeys(names) if found in assessment.by_name)


def _findings(
    plan: Plan,
    certificates: tuple[CertificateStory, ...],
    users: tuple[BindingStory | UpdateStory, ...],
    entries: tuple[EntryStory, ...],
) -> Iterable[Diagnostic]:
    """Yield the findings of the plan about these, in the order of the plan."""
    names = {story.name for story in certificates}
    names |= {story.certificate for story in entries if story.certificate and story.role is not Role.CURRENT}
    held = {problem for story in users for problem in story.problems}
    ids = {story.id for story in entries}
    held |= {problem for row in plan.assessment.by_id if row.id in ids for problem in row.findings}
    for problem in plan.diagnostics:
        if problem.severity is not Severity.INFO and (problem.certificate in names or problem in held):
            yield problem
    inventory = plan.assessment.inventory
    for note in inventory.handed_over if inventory is not None else ():
        if note.certificate in names:
            yield note
