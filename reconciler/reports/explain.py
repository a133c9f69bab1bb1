"""Why something is planned or not, for a name that a person asks about. Repeats what a plan decided.

A name may be that of several things at once, a certificate and a Worker for example; then all of them are explained.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import UsageError
from reconciler.findings.suggest import suggest
from reconciler.model import Actual, CertificateName, Desired, EntryId, Listing
from reconciler.plan.inventory import Inventory, take_inventory
from reconciler.plan.plan import Plan
from reconciler.reports.explain_bindings import BindingStory, tell_bindings
from reconciler.reports.explain_certificates import CertificateStory, tell_certificate
from reconciler.reports.explain_entries import EntryStory, Role, tell_entry


class Subject(StrEnum):
    """What a name turned out to be."""

    CERTIFICATE = "certificate"
    BINDING = "binding"
    WORKER = "worker"
    ENTRY = "entry"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What there is to say of a name. `diagnostics`: the errors and warnings that concern what is explained."""

    name: str
    subjects: tuple[Subject, ...]
    certificates: tuple[CertificateStory, ...]
    bindings: tuple[BindingStory, ...]
    entries: tuple[EntryStory, ...]
    diagnostics: tuple[Diagnostic, ...]


def explain(name: str, plan: Plan, desired: Desired, actual: Actual) -> Explanation:
    """The explanation of a certificate, binding, Worker or entry id. UsageError where nothing has this name.

    The plan must have asked the store, and looked at everything.
    """
    listing = actual.listing or Listing(())
    inventory = take_inventory(desired, listing, actual.files)
    stories = tell_bindings(plan, desired, actual)
    subjects = _subjects(name, desired, actual, inventory, stories)
    if not subjects:
        known = _known_names(desired, inventory, stories)
        message = f"{name!r} is no certificate, binding or Worker of {desired.declaration.path}, and no entry's id"
        raise UsageError(message, hint=suggest(name, known))
    bindings = tuple(story for story in stories if _is_about(name, story, subjects, inventory))
    ids = _entry_ids(name, subjects, inventory)
    entries = tuple(tell_entry(entry_id, plan, desired, actual, inventory) for entry_id in ids)
    certificates = tuple(
        tell_certificate(certificate, plan, desired, listing, actual.files)
        for certificate in _certificates(name, subjects, bindings, inventory, desired)
    )
    return Explanation(
        name=name,
        subjects=subjects,
        certificates=certificates,
        bindings=bindings,
        entries=entries,
        diagnostics=tuple(_findings(plan, certificates, bindings, entries)),
    )


def _subjects(
    name: str, desired: Desired, actual: Actual, inventory: Inventory, stories: Iterable[BindingStory]
) -> tuple[Subject, ...]:
    """Everything that has this name. An id counts where the store knows it, or where some file has it."""
    declaration = desired.declaration
    known_ids = {*inventory.entries, *actual.asked, *(story.found for story in stories), *_wanted_ids(stories)}
    holds = {
        Subject.CERTIFICATE: name in declaration.certificates,
        Subject.BINDING: any(story.binding == name for story in stories),
        Subject.WORKER: name in declaration.workers,
        Subject.ENTRY: name in known_ids,
    }
    return tuple(subject for subject, is_one in holds.items() if is_one)


def _wanted_ids(stories: Iterable[BindingStory]) -> set[EntryId]:
    return {story.wanted for story in stories if story.wanted is not None}


def _known_names(desired: Desired, inventory: Inventory, stories: Iterable[BindingStory]) -> set[str]:
    declaration = desired.declaration
    names: set[str] = {*declaration.certificates, *declaration.workers, *(story.binding for story in stories)}
    return names | set(inventory.entries)


def _is_about(name: str, story: BindingStory, subjects: tuple[Subject, ...], inventory: Inventory) -> bool:
    """A binding that nobody declares is about the certificate whose entry it presents."""
    owner = inventory.owned.get(EntryId(story.found)) if story.found and not story.declared else None
    asked: dict[Subject, bool] = {
        Subject.CERTIFICATE: name in (story.certificate, owner),
        Subject.BINDING: story.binding == name,
        Subject.WORKER: story.worker == name,
        Subject.ENTRY: name in (story.found, story.wanted),
    }
    return any(asked[subject] for subject in subjects)


def _entry_ids(name: str, subjects: tuple[Subject, ...], inventory: Inventory) -> tuple[EntryId, ...]:
    """The entry that was asked for, and everything that a certificate that was asked for leaves behind or owns."""
    ids: list[EntryId] = [EntryId(name)] if Subject.ENTRY in subjects else []
    if Subject.CERTIFICATE in subjects:
        current = inventory.current.get(CertificateName(name))
        owned = (entry_id for entry_id, owner in inventory.owned.items() if owner == name)
        ids.extend(entry_id for entry_id in owned if current is None or entry_id != current.id)
    return tuple(dict.fromkeys(ids))


def _certificates(
    name: str,
    subjects: tuple[Subject, ...],
    bindings: tuple[BindingStory, ...],
    inventory: Inventory,
    desired: Desired,
) -> tuple[CertificateName, ...]:
    """The certificate that was asked for, those that a binding shall present, those whose current entry it is."""
    names: list[CertificateName] = []
    if Subject.CERTIFICATE in subjects:
        names.append(CertificateName(name))
    if Subject.BINDING in subjects:
        names.extend(story.certificate for story in bindings if story.binding == name and story.certificate)
    if Subject.ENTRY in subjects:
        names.extend(certificate for certificate, entry in inventory.current.items() if entry.id == name)
    return tuple(found for found in dict.fromkeys(names) if found in desired.declaration.certificates)


def _findings(
    plan: Plan,
    certificates: tuple[CertificateStory, ...],
    bindings: tuple[BindingStory, ...],
    entries: tuple[EntryStory, ...],
) -> Iterable[Diagnostic]:
    """What the plan found about these, the plan's order kept."""
    names = {story.name for story in certificates}
    names |= {story.certificate for story in entries if story.certificate and story.role is not Role.CURRENT}
    held = {problem for story in bindings for problem in story.problems}
    for problem in plan.diagnostics:
        if problem.severity is not Severity.INFO and (problem.certificate in names or problem in held):
            yield problem
