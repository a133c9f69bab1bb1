"""What is said of what does not belong together: each finding with its place, and the line or command that mends it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from reconciler.findings.diagnostics import Diagnostic, Pointer, Severity
from reconciler.model import (
    ByCertificate,
    ById,
    CertificateName,
    Desired,
    Entry,
    EntryId,
    EnvironmentName,
    StoreSettings,
    Sweep,
    WorkerLabel,
)
from reconciler.plan.binding_findings import toml_key, undeclared_binding
from reconciler.plan.inventory import Inventory
from reconciler.plan.uses import Use

_ALIKE = 0.85
"""Two random ids agree in less than half of their characters; one that was copied badly, in nearly all."""

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Spot:
    """A binding that a finding is about."""

    worker: WorkerLabel
    config: str
    environment: EnvironmentName
    binding: str


@dataclass(frozen=True, slots=True)
class Orphan:
    """One thing that does not belong. `entries`: the ids that it is about, as far as the store knows them."""

    finding: Diagnostic
    entries: tuple[EntryId, ...] = ()
    spots: tuple[Spot, ...] = ()


# --- ids without an entry -------------------------------------------------------------------------------------------


def missing(use: Use, *, asked: bool, entries: Sequence[Entry], names: Mapping[EntryId, CertificateName]) -> Orphan:
    """An id that the store does not have, or that is not written as ids are."""
    text = use.found.certificate_id
    why = "which is not in the store" if asked else "which is not written as the store writes ids"
    meant = _meant(text, entries)
    near = f"did you mean {meant.id} ({meant.name or 'no name'})? " if meant is not None else ""
    name = names.get(meant.id) if meant is not None else None
    hint = near + _line_for(use, f'"{name}"' if name else f'{{ id = "{meant.id}" }}' if meant else None)
    message = f"{use.text} has {text}, {why}"
    finding = Diagnostic(Severity.WARNING, "entry-missing", message, use.pointer, hint)
    return Orphan(finding, spots=(_spot(use),))


def _meant(text: str, entries: Sequence[Entry]) -> Entry | None:
    """The entry whose id is most like the text."""
    by_id = {entry.id: entry for entry in entries if not entry.ca}
    plain = text.strip().lower()
    near = get_close_matches(plain, by_id, n=1, cutoff=_ALIKE)
    return by_id[EntryId(near[0])] if near else None


def placeholder(use: Use, declared: Container[str]) -> Orphan:
    """Nothing that could be an id of this store stands there. A certificate that is called so may be meant."""
    message = f"{use.text} has the placeholder {use.found.certificate_id!r}"
    name = use.found.binding.lower().replace("_", "-")
    hint = _line_for(use, f'"{name}"' if name in declared else None)
    finding = Diagnostic(Severity.WARNING, "placeholder-left", message, use.pointer, hint)
    return Orphan(finding, spots=(_spot(use),))


def is_ca(use: Use, entry: Entry) -> Orphan:
    """The id of an entry that no Worker can present."""
    message = f"{use.text} has {_told(entry)}, which is a CA; a Worker can't present one"
    finding = Diagnostic(Severity.WARNING, "entry-is-ca", message, use.pointer, _line_for(use, None))
    return Orphan(finding, (entry.id,), (_spot(use),))


def of_other_store(use: Use, store: StoreSettings) -> Orphan:
    """A store that marks its ids can't know those of an account."""
    message = f"{use.text} is {use.found.certificate_id}, the id of a real account, but this project uses {store.title}"
    hint = f'set `kind = "cloudflare"` in `[store]`; {store.title} changes nothing in such a file'
    finding = Diagnostic(Severity.WARNING, "id-of-other-store", message, use.pointer, hint)
    return Orphan(finding, spots=(_spot(use),))


def _line_for(use: Use, value: str | None) -> str:
    """What puts the right id there: `apply`, where the binding is declared; else the line that declares it."""
    if use.table == ("previews",):
        return f"write the id into {use.file.path} by hand: `mtlsctl output NAME`"
    if use.declared is not None and not isinstance(use.declared.target, ById):
        return f"`mtlsctl apply` writes the id of {use.declared.target.certificate!r}"
    if use.declared is not None:
        return f"put the right id into {use.bindings_table} of mtls.toml, then run `mtlsctl apply`"
    line = toml_key(use.found.binding) + " = " + (value or '"NAME"')
    return f"declare it, and run `mtlsctl apply`:\n{use.bindings_table}\n{line}"


# --- entries that are used ------------------------------------------------------------------------------------------


def expired(
    desired: Desired, entry: Entry, ended: datetime, name: CertificateName | None, uses: Sequence[Use]
) -> Orphan:
    """Its chain has ended, and bindings still present it."""
    declared = desired.declaration.certificates.get(name) if name is not None else None
    renew = f"replace {declared.path} by a renewed certificate, then run `mtlsctl apply`" if declared else None
    mend = renew or f"renew it where it is managed; {_take_over(entry)}"
    message = f"{_told(entry)} expired on {ended:%Y-%m-%d %H:%M} UTC, and {_places(uses)} still {_present(uses)} it"
    finding = Diagnostic(Severity.WARNING, "entry-expired", message, uses[0].pointer, mend, name)
    return Orphan(finding, (entry.id,), tuple(map(_spot, uses)))


def foreign(
    desired: Desired, entry: Entry, name: CertificateName | None, uses: Sequence[Use], stack: str | None
) -> Orphan:
    """Bindings present an entry that this stack did not upload and was not handed."""
    places = f"{_places(uses)} {_present(uses)} it"
    pointer = uses[0].pointer
    if stack is not None:
        message = f"{_told(entry)} belongs to the stack {stack!r}, and {places}"
        hint = "that stack rotates it: its id here has to be changed then, too"
    elif name is not None:
        message = f"{_told(entry)} is adopted as {name!r}, but not handed over: it stays when that is renewed"
        hint = f'hand it over:\n[certificates.{name}]\nsupersedes = ["{entry.id}"]'
        pointer = Pointer(desired.declaration.path, ("certificates", name))
    else:
        message = f"{_told(entry)} is not ours, and {places}"
        hint = _mend_use(entry, uses)
    finding = Diagnostic(Severity.INFO, "entry-foreign", message, pointer, hint, name)
    return Orphan(finding, (entry.id,), tuple(map(_spot, uses)))


def _mend_use(entry: Entry, uses: Sequence[Use]) -> str:
    """What to do about uses of somebody else's entry: the undeclared ones first, for the others say what they mean."""
    for use in uses:
        if use.declared is None and use.table != ("previews",):
            line = f'{toml_key(use.found.binding)} = {{ id = "{entry.id}" }}'
            return f"declare it as managed elsewhere:\n{use.bindings_table}\n{line}"
    for use in uses:
        if use.declared is not None and isinstance(use.declared.target, ByCertificate):
            return f"`mtlsctl apply` writes the id of {use.declared.target.certificate!r} there"
    return _take_over(entry)


def shared_key(entries: Sequence[Entry], uses: Sequence[Use]) -> Orphan:
    """Whoever has the one key has all of them."""
    told = ", ".join(_told(entry) for entry in entries[:_MOST_NAMED])
    more = f" and {len(entries) - _MOST_NAMED} more" if len(entries) > _MOST_NAMED else ""
    message = f"one private key is used by {len(entries)} entries: {told}{more}"
    hint = "have all but one of them issued anew, each with a key of its own; a leak would cost all of them"
    pointer = uses[0].pointer if uses else None
    finding = Diagnostic(Severity.WARNING, "key-shared", message, pointer, hint)
    return Orphan(finding, tuple(entry.id for entry in entries), tuple(map(_spot, uses)))


def undeclared(use: Use, owner: CertificateName) -> Orphan:
    """A binding of an entry of ours that mtls.toml does not declare."""
    if use.table == ("previews",):
        message = f"{use.text} presents an entry of {owner!r}; previews are not managed"
        hint = f"keep its id right by hand: `mtlsctl output {owner}`"
        finding = Diagnostic(Severity.WARNING, "undeclared-binding", message, use.pointer, hint, owner)
    else:
        finding = undeclared_binding(use.file, use.found, use.environment, owner)
    return Orphan(finding, (EntryId(use.found.certificate_id),), (_spot(use),))


def newer(problem: Diagnostic) -> Orphan:
    """As the plan says it."""
    return Orphan(problem)


# --- entries without a use ------------------------------------------------------------------------------------------


def unreferenced(
    desired: Desired,
    entry: Entry,
    name: CertificateName | None,
    stock: Inventory,
    sweep: Sweep,
) -> Orphan:
    """Nothing that mtls.toml declares names it."""
    places = sweep.mentions.get(entry.id, ())
    if places:
        listed = ", ".join(places[:_MOST_NAMED]) + (", ..." if len(places) > _MOST_NAMED else "")
        verb = "name" if len(places) > 1 else "names"
        message = f"{_told(entry)} is bound by no declared Worker, but {listed} {verb} it"
        hint = "declare that Worker: `mtlsctl init --update --from .` writes the lines; or take the id out there"
    elif name is not None and name in desired.declaration.certificates:
        message = f"{_told(entry)} is the entry of {name!r}, which no binding presents"
        hint = f"bind it; or leave it, where something else has its id from `mtlsctl output {name}`"
    elif name is not None:
        message = f"{_told(entry)} is ours, and {name!r} is no longer declared"
        hint = "`prune = true` in `[policy]` has it retired after its grace; or declare it again"
    else:
        unread = "" if sweep.complete else f", as far as it could be looked at ({sweep.unread[0]} could not)"
        message = f"nothing in this tree names {_told(entry)}{unread}"
        hint = _mend_foreign(entry, stock)
    finding = Diagnostic(Severity.INFO, "entry-unreferenced", message, None, hint)
    return Orphan(finding, (entry.id,))


def _mend_foreign(entry: Entry, stock: Inventory) -> str:
    """Delete it, or hand it over to the certificate that was uploaded later under the same name."""
    delete = f"wrangler mtls-certificate delete --id {entry.id}"
    for name, current in sorted(stock.current.items()):
        if entry.name and current.name == entry.name and _is_older(entry, current):
            return f'hand it over, and it is retired:\n[certificates.{name}]\nsupersedes = ["{entry.id}"]'
    return f"where nothing else uses it, such as Hyperdrive or another repository: {delete}"


def _is_older(entry: Entry, other: Entry) -> bool:
    if entry.uploaded_on is None or other.uploaded_on is None:
        return False
    return entry.uploaded_on < other.uploaded_on


def _take_over(entry: Entry) -> str:
    line = f'supersedes = ["{entry.id}"]'
    return f"to have it renewed here, declare its certificate, which `mtlsctl export` has, with {line}"


def _told(entry: Entry) -> str:
    return f"{entry.id} ({entry.name or 'no name'})"


def _places(uses: Iterable[Use]) -> str:
    texts = [use.text for use in uses]
    more = f" and {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
    return ", ".join(texts[:_MOST_NAMED]) + more


def _present(uses: Sequence[Use]) -> str:
    return "presents" if len(uses) == 1 else "present"


def _spot(use: Use) -> Spot:
    return Spot(use.worker.label, use.file.path, use.environment, use.found.binding)
