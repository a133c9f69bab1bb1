"""Uploaded certificates that bindings refer to by `{ id = ... }`: managed elsewhere, so only watched here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.escape import printable, to_paste
from reconciler.model import Actual, ById, CertificateName, Declaration, Desired, Entry, EntryId
from reconciler.model.ownership import Mark, read_mark
from reconciler.model.words import names_text
from reconciler.plan.assessment import BindingRow, ByIdRow
from reconciler.plan.binding_findings import bindings_table, declared_at, toml_key
from reconciler.plan.inventory import Inventory, Role, Roles
from reconciler.plan.policy import DEFAULT_RENEW_BEFORE, count_back, renewal_lead
from reconciler.x509.chains import Window

_MOST_NAMED = 3
_NOT_OURS = frozenset({Role.FOREIGN, Role.OTHER_STACK})


def judge_by_id(
    desired: Desired,
    actual: Actual,
    inventory: Inventory | None,
    roles: Roles,
    bindings: Iterable[BindingRow],
    now: datetime,
) -> tuple[tuple[ByIdRow, ...], tuple[Diagnostic, ...]]:
    """A row for each, in the order of its first binding, and the findings. `inventory` None: offline."""
    found = inventory.current.items() if inventory is not None else ()
    current = {entry.id: name for name, entry in sorted(found, reverse=True)}
    by_id: dict[EntryId, list[BindingRow]] = defaultdict(list)
    declared: dict[CertificateName, list[BindingRow]] = defaultdict(list)
    for binding in bindings:
        entry_id = _id_of(desired.declaration, binding, roles)
        if entry_id is not None and entry_id not in current:
            by_id[entry_id].append(binding)
        elif entry_id is not None:
            declared[current[entry_id]].append(binding)
    listed = inventory.entries if inventory is not None else {}
    by_name = _by_stem(listed.values()) if by_id else {}
    rows: list[ByIdRow] = []
    for entry_id, of_id in by_id.items():
        entry = listed.get(entry_id) or actual.asked.get(entry_id)
        role, owner = roles.get(entry_id, (Role.UNKNOWN, None))
        mark = read_mark(entry) if entry is not None else None
        newer: Entry | None = None
        if role is Role.SUPERSEDED and inventory is not None and owner is not None:
            newer = inventory.current.get(owner)
        elif entry is not None and mark is not None:
            newer = _newer(entry, mark, by_name.get(_stem(entry.name), ()), now)
        renew_from = _renew_from(entry, desired.declaration, now)
        window = entry.window(now) if entry is not None else Window(None, None)
        row = ByIdRow(entry_id, entry, role, owner, mark, renew_from, newer, tuple(of_id), window)
        rows.append(replace(row, findings=tuple(_findings(desired.declaration, row, now))))
    by_name_instead = [_by_name_instead(desired.declaration, of_name, name) for name, of_name in declared.items()]
    return tuple(rows), (*by_name_instead, *(found for row in rows for found in row.findings))


def _id_of(declaration: Declaration, row: BindingRow, roles: Roles) -> EntryId | None:
    """The ID that a binding is declared to use, or has without being declared; None if it is not managed by ID.

    If other stacks bind in the file too (`exclusive = false`), undeclared bindings are left to them.
    """
    if row.elsewhere:
        return None
    if isinstance(row.target, ById):
        return row.target.id
    if row.declared is None and row.found is not None and declaration.workers[row.at.worker].exclusive:
        entry_id = EntryId(row.found.certificate_id)
        return entry_id if roles.get(entry_id, (Role.UNKNOWN, None))[0] in _NOT_OURS else None
    return None


def _renew_from(entry: Entry | None, declaration: Declaration, now: datetime) -> datetime | None:
    """When the renewal of an uploaded certificate is due; without its PEM, a share of its lifetime is unknown."""
    ends, wanted = entry.window(now).ends if entry is not None else None, declaration.policy.renew_before
    if entry is None or ends is None:
        return None
    if entry.bundle is not None:
        return count_back(ends, renewal_lead(entry.bundle, wanted))
    known = wanted.duration if wanted is not None else None
    return count_back(ends, DEFAULT_RENEW_BEFORE if known is None else known)


def _stem(name: str) -> str:
    """The beginning that all marks of one certificate of one stack share."""
    return name.rpartition(".")[0]


def _by_stem(entries: Iterable[Entry]) -> Mapping[str, Sequence[Entry]]:
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        found[_stem(entry.name)].append(entry)
    return found


def _newer(entry: Entry, mark: Mark, alike: Iterable[Entry], now: datetime) -> Entry | None:
    """The newest upload under the same mark that is later than `entry`; one that is valid now is preferred.

    One that has expired is not returned.
    """
    uploaded = entry.uploaded_on
    later = [
        (other.window(now).contains(now), other.uploaded_on, other.id, other)
        for other in alike
        if uploaded is not None
        and other.uploaded_on is not None
        and other.uploaded_on > uploaded
        and not other.ca
        and read_mark(other) == mark
        and not other.window(now).has_ended(now)
    ]
    return max(later, key=lambda one: one[:3])[3] if later else None


# --- findings -------------------------------------------------------------------------------------------------------


def _findings(declaration: Declaration, row: ByIdRow, now: datetime) -> Iterator[Diagnostic]:
    """At most one finding: a newer certificate is more useful to know than the date of the renewal.

    An expired certificate is reported elsewhere: if it is in use, and if a binding would be changed to it.
    """
    if row.newer is not None:
        yield _outdated(declaration, row, row.newer, now)
    elif row.role is Role.SUPERSEDED and row.owner is not None:  # its successor is not uploaded yet
        yield replace(_by_name_instead(declaration, row.bindings, row.owner), certificate=None)
    elif row.is_due(now) and not row.has_ended(now):
        yield _due(declaration, row, now)


def _by_name_instead(declaration: Declaration, rows: Sequence[BindingRow], name: CertificateName) -> Diagnostic:
    """Bindings that are declared by the ID of a declared certificate, so that no renewal reaches them."""
    uses = f"{_places(rows)} {'are' if len(rows) > 1 else 'is'} bound by the ID of {name!r}"
    message = f"{uses}, so a renewal would not change {'them' if len(rows) > 1 else 'it'}"
    where, lines = _lines(rows, "certificate", name)
    hint = to_paste(f"bind it by its name {where}", lines, names=_names(rows))
    return Diagnostic(Severity.WARNING, Code.BY_ID_DECLARED, message, declared_at(declaration, rows[0].at), hint, name)


def _outdated(declaration: Declaration, row: ByIdRow, newer: Entry, now: datetime) -> Diagnostic:
    uses = f"{_places(row.bindings)} {'use' if len(row.bindings) > 1 else 'uses'}"
    end = f"; {row.id} {_end(row, now)}" if row.is_due(now) else ""
    if row.role is Role.SUPERSEDED and row.owner is not None:
        message = f"{uses} {row.id}, an old certificate of {row.owner!r}; the current one is {newer.id}{end}"
        where, lines = _lines(row.bindings, "certificate", row.owner)
        hint = to_paste(f"bind the certificate by its name {where}", lines, names=_names(row.bindings))
    else:
        of = f"the stack {row.mark.stack!r}" if row.mark is not None else "its stack"
        name = f" under the name {row.mark.certificate!r}" if row.mark is not None else ""
        message = f"{uses} {row.id} of {of}, which uploaded a newer certificate{name}: {newer.id}{_on(newer)}{end}"
        hint = _change_id(row, newer, now)
    return Diagnostic(Severity.WARNING, Code.BY_ID_OUTDATED, message, _pointer(declaration, row), hint)


def _on(entry: Entry) -> str:
    return f" ({entry.uploaded_on:%Y-%m-%d})" if entry.uploaded_on is not None else ""


def _change_id(row: ByIdRow, newer: Entry, now: datetime) -> str:
    """The lines with the new ID, and the time to write them if it is not valid yet."""
    begins = newer.window(now).begins
    when = f" once it is valid ({begins:%Y-%m-%d %H:%M} UTC)" if begins is not None and begins > now else ""
    where, lines = _lines(row.bindings, "id", newer.id)
    if not lines:
        return f"write {newer.id} into {printable(_undeclared_in(row))}{when}"
    return to_paste(f"change the ID {where}{when}", lines, names=_names(row.bindings))


def _names(rows: Iterable[BindingRow]) -> Iterator[str | None]:
    for one in rows:
        yield from (one.at.environment, one.at.binding)


def _lines(rows: Iterable[BindingRow], key: str, target: EntryId | CertificateName) -> tuple[str, list[str]]:
    """Where in mtls.toml to bind `target` instead, and the lines; with headers only if they are of several tables."""
    tables: dict[str, list[str]] = defaultdict(list)
    for one in rows:
        if one.declared is not None:
            remote = one.declared.remote
            more = f", remote = {str(remote).lower()}" if remote is not None else ""
            value = f'{{ {key} = "{target}"{more} }}' if more or key == "id" else f'"{target}"'
            tables[bindings_table(one.at.worker, one.at.environment)].append(f"{toml_key(one.at.binding)} = {value}")
    if len(tables) == 1:
        ((table, lines),) = tables.items()
        return f"in `{table}`", lines
    return "in mtls.toml", [line for table, lines in tables.items() for line in (table, *lines)]


def _due(declaration: Declaration, row: ByIdRow, now: datetime) -> Diagnostic:
    name = row.entry.name if row.entry is not None else ""
    since = f"has been due for renewal since {row.renew_from:%Y-%m-%d} and {_end(row, now)}"
    uses = f"{_places(row.bindings)} {'use' if len(row.bindings) > 1 else 'uses'}"
    message = f"{row.id} ({name or 'no name'}) {since}; {uses} it by its ID"
    where = f"by the stack {row.mark.stack!r}" if row.mark is not None and row.owner is None else "elsewhere"
    place = "mtls.toml" if any(one.declared is not None for one in row.bindings) else _undeclared_in(row)
    hint = f"it is managed {where}: have it renewed there, then change the ID in {place}"
    return Diagnostic(Severity.WARNING, Code.BY_ID_DUE, message, _pointer(declaration, row), hint)


def _end(row: ByIdRow, now: datetime) -> str:
    return f"{'expired' if row.has_ended(now) else 'expires'} on {row.not_after:%Y-%m-%d %H:%M} UTC"


def _places(rows: Iterable[BindingRow]) -> str:
    return names_text([one.text for one in rows], _MOST_NAMED)


def _undeclared_in(row: ByIdRow) -> str:
    return ", ".join(dict.fromkeys(one.at.config for one in row.bindings if one.declared is None))


def _pointer(declaration: Declaration, row: ByIdRow) -> Pointer:
    declared = next((one for one in row.bindings if one.declared is not None), None)
    return declared_at(declaration, declared.at) if declared is not None else row.bindings[0].pointer
