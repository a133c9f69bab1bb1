"""What is said of what does not belong together: each finding with its place, and the line or command that mends it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.model import (
    BindingAddress,
    ByCertificate,
    ById,
    CertificateName,
    Desired,
    Entry,
    EntryId,
    StoreSettings,
    Sweep,
)
from reconciler.plan.assessment import BindingRow, CertificateRow
from reconciler.plan.binding_findings import bindings_table, toml_key, undeclared_binding

_ALIKE = 0.85
"""Two random ids agree in less than half of their characters; one that was copied badly, in nearly all."""

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Orphan:
    """One thing that does not belong. `entries`: the ids that it is about, as far as the store knows them."""

    finding: Diagnostic
    entries: tuple[EntryId, ...] = ()
    spots: tuple[BindingAddress, ...] = ()


# --- ids without an entry -------------------------------------------------------------------------------------------


def missing(
    row: BindingRow, *, asked: bool, entries: Sequence[Entry], names: Mapping[EntryId, CertificateName]
) -> Orphan:
    """An id that the store does not have, or that is not written as ids are."""
    text = row.found_id or ""
    why = "which is not in the store" if asked else "which is not written as the store writes ids"
    meant = _meant(text, entries)
    near = f"did you mean {meant.id} ({meant.name or 'no name'})? " if meant is not None else ""
    name = names.get(meant.id) if meant is not None else None
    hint = near + _line_for(row, f'"{name}"' if name else f'{{ id = "{meant.id}" }}' if meant else None)
    message = f"{row.text} has {text}, {why}"
    finding = Diagnostic(Severity.WARNING, Code.ENTRY_MISSING, message, row.pointer, hint)
    return Orphan(finding, spots=(row.at,))


def _meant(text: str, entries: Sequence[Entry]) -> Entry | None:
    """The entry whose id is most like the text."""
    by_id = {entry.id: entry for entry in entries if not entry.ca}
    plain = text.strip().lower()
    near = get_close_matches(plain, by_id, n=1, cutoff=_ALIKE)
    return by_id[EntryId(near[0])] if near else None


def placeholder(row: BindingRow, declared: Container[str]) -> Orphan:
    """Nothing that could be an id of this store stands there. A certificate that is called so may be meant."""
    message = f"{row.text} has the placeholder {row.found_id!r}"
    name = row.at.binding.lower().replace("_", "-")
    hint = _line_for(row, f'"{name}"' if name in declared else None)
    finding = Diagnostic(Severity.WARNING, Code.PLACEHOLDER_LEFT, message, row.pointer, hint)
    return Orphan(finding, spots=(row.at,))


def is_ca(row: BindingRow, entry: Entry) -> Orphan:
    """The id of an entry that no Worker can present."""
    message = f"{row.text} has {_told(entry)}, which is a CA; a Worker can't present one"
    finding = Diagnostic(Severity.WARNING, Code.ENTRY_IS_CA, message, row.pointer, _line_for(row, None))
    return Orphan(finding, (entry.id,), (row.at,))


def of_other_store(row: BindingRow, store: StoreSettings) -> Orphan:
    """A store that marks its ids can't know those of an account."""
    message = f"{row.text} is {row.found_id}, the id of a real account, but this project uses {store.title}"
    hint = f'set `kind = "cloudflare"` in `[store]`; {store.title} changes nothing in such a file'
    finding = Diagnostic(Severity.WARNING, Code.ID_OF_OTHER_STORE, message, row.pointer, hint)
    return Orphan(finding, spots=(row.at,))


def _line_for(row: BindingRow, value: str | None) -> str:
    """What puts the right id there: `apply`, where the binding is declared; else the line that declares it."""
    if row.is_preview:
        return f"write the id into {row.at.config} by hand: `mtlsctl output NAME`"
    if row.declared is not None and not isinstance(row.declared.target, ById):
        return f"`mtlsctl apply` writes the id of {row.declared.target.certificate!r}"
    if row.declared is not None:
        return f"put the right id into {_table(row)} of mtls.toml, then run `mtlsctl apply`"
    line = toml_key(row.at.binding) + " = " + (value or '"NAME"')
    return f"declare it, and run `mtlsctl apply`:\n{_table(row)}\n{line}"


# --- entries that are used ------------------------------------------------------------------------------------------


def expired(
    desired: Desired, entry: Entry, ended: datetime, name: CertificateName | None, rows: Sequence[BindingRow]
) -> Orphan:
    """Its chain has ended, and bindings still present it."""
    declared = desired.declaration.certificates.get(name) if name is not None else None
    renew = f"replace {declared.path} by a renewed certificate, then run `mtlsctl apply`" if declared else None
    mend = renew or f"renew it where it is managed; {_take_over(entry)}"
    message = f"{_told(entry)} expired on {ended:%Y-%m-%d %H:%M} UTC, and {_places(rows)} still {_present(rows)} it"
    finding = Diagnostic(Severity.WARNING, Code.ENTRY_EXPIRED, message, rows[0].pointer, mend, name)
    return Orphan(finding, (entry.id,), tuple(row.at for row in rows))


def foreign(
    desired: Desired, entry: Entry, name: CertificateName | None, rows: Sequence[BindingRow], stack: str | None
) -> Orphan:
    """Bindings present an entry that this stack did not upload and was not handed."""
    places = f"{_places(rows)} {_present(rows)} it"
    pointer = rows[0].pointer
    if stack is not None:
        message = f"{_told(entry)} belongs to the stack {stack!r}, and {places}"
        hint = "that stack rotates it: its id here has to be changed then, too"
    elif name is not None:
        message = f"{_told(entry)} is adopted as {name!r}, but not handed over: it stays when that is renewed"
        hint = f'hand it over:\n[certificates.{name}]\nsupersedes = ["{entry.id}"]'
        pointer = Pointer(desired.declaration.path, ("certificates", name))
    else:
        message = f"{_told(entry)} is not ours, and {places}"
        hint = _mend_use(entry, rows)
    finding = Diagnostic(Severity.INFO, Code.ENTRY_FOREIGN, message, pointer, hint, name)
    return Orphan(finding, (entry.id,), tuple(row.at for row in rows))


def _mend_use(entry: Entry, rows: Sequence[BindingRow]) -> str:
    """What to do about uses of somebody else's entry: the undeclared ones first, for the others say what they mean."""
    for row in rows:
        if row.declared is None and not row.is_preview:
            line = f'{toml_key(row.at.binding)} = {{ id = "{entry.id}" }}'
            return f"declare it as managed elsewhere:\n{_table(row)}\n{line}"
    for row in rows:
        if row.declared is not None and isinstance(row.declared.target, ByCertificate):
            return f"`mtlsctl apply` writes the id of {row.declared.target.certificate!r} there"
    return _take_over(entry)


def shared_key(entries: Sequence[Entry], rows: Sequence[BindingRow]) -> Orphan:
    """Whoever has the one key has all of them."""
    told = ", ".join(_told(entry) for entry in entries[:_MOST_NAMED])
    more = f" and {len(entries) - _MOST_NAMED} more" if len(entries) > _MOST_NAMED else ""
    message = f"one private key is used by {len(entries)} entries: {told}{more}"
    hint = "have all but one of them issued again, each with a key of its own; a leak would cost all of them"
    pointer = rows[0].pointer if rows else None
    finding = Diagnostic(Severity.WARNING, Code.KEY_SHARED, message, pointer, hint)
    return Orphan(finding, tuple(entry.id for entry in entries), tuple(row.at for row in rows))


def undeclared(row: BindingRow, owner: CertificateName) -> Orphan:
    """A binding of an entry of ours that mtls.toml does not declare."""
    if row.is_preview:
        message = f"{row.text} presents an entry of {owner!r}; previews are not managed"
        hint = f"keep its id right by hand: `mtlsctl output {owner}`"
        finding = Diagnostic(Severity.WARNING, Code.UNDECLARED_BINDING, message, row.pointer, hint, owner)
    else:
        finding = undeclared_binding(row.at, row.index, owner)
    return Orphan(finding, (EntryId(row.found_id or ""),), (row.at,))


def newer(problem: Diagnostic) -> Orphan:
    """As the plan says it."""
    return Orphan(problem)


# --- entries without a use ------------------------------------------------------------------------------------------


def unreferenced(
    desired: Desired,
    entry: Entry,
    name: CertificateName | None,
    certificates: Sequence[CertificateRow],
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
        hint = _mend_foreign(entry, certificates)
    finding = Diagnostic(Severity.INFO, Code.ENTRY_UNREFERENCED, message, None, hint)
    return Orphan(finding, (entry.id,))


def _mend_foreign(entry: Entry, certificates: Sequence[CertificateRow]) -> str:
    """Delete it, or hand it over to the certificate that was uploaded later under the same name."""
    delete = f"wrangler mtls-certificate delete --id {entry.id}"
    for row in sorted(certificates, key=lambda row: row.name):
        if row.entry and entry.name and row.entry.name == entry.name and _is_older(entry, row.entry):
            return f'hand it over, and it is retired:\n[certificates.{row.name}]\nsupersedes = ["{entry.id}"]'
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


def _places(rows: Iterable[BindingRow]) -> str:
    texts = [row.text for row in rows]
    more = f" and {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
    return ", ".join(texts[:_MOST_NAMED]) + more


def _present(rows: Sequence[BindingRow]) -> str:
    return "presents" if len(rows) == 1 else "present"


def _table(row: BindingRow) -> str:
    """The header of the table in mtls.toml that declares it, or would."""
    return bindings_table(row.at.worker, row.at.environment)
