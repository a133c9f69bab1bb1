"""Drift that only `--unused` shows: unused certificates, one private key in several certificates, and bindings that
nothing declares and that can't work or use certificates that are not managed here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.escape import to_paste, toml_text
from reconciler.model import (
    ById,
    CertificateName,
    Condition,
    Declaration,
    Entry,
    EntryId,
    Sweep,
    UserKind,
    WranglerFile,
)
from reconciler.model.identifiers import is_of_other_store, is_placeholder
from reconciler.model.ownership import CUSTOM, is_other_stacks, is_ours, read_mark
from reconciler.model.words import names_text
from reconciler.plan.assessment import Assessment, BindingRow, CertificateRow, EntryRow, UpToDate, Waits
from reconciler.plan.binding_findings import bind_some, placeholder_left, to_declare
from reconciler.plan.coverage import of_live, of_unused
from reconciler.plan.inventory import Role
from reconciler.plan.plan import Plan
from reconciler.plan.users import users_by_entry
from reconciler.reports.drift import Drift, DriftFinding, State, Subject, drift_key
from reconciler.reports.drift_findings import (
    binding_key,
    binding_undeclared,
    closest,
    ended,
    entry_key,
    id_text,
    named,
    previews_by_hand,
)
from reconciler.x509.certificates import key_digest

_MOST_NAMED = 3
_SAID_BY_PLAN = frozenset({Code.PLACEHOLDER_LEFT, Code.ENTRY_MISSING})


def find_unused(plan: Plan) -> tuple[EntryId, ...]:
    """The IDs to search the tree for before `join_unused`: nothing that mtls.toml declares has them."""
    return tuple(row.entry.id for row in _unused(plan.assessment))


def join_unused(drift: Drift, plan: Plan, sweep: Sweep) -> Drift:
    """The drift with what `--unused` adds. `sweep`: which files have the IDs of `find_unused`."""
    assessment, known = plan.assessment, {finding.key for finding in drift.findings}
    found = (*_undeclared(assessment), *_shared_keys(assessment), *_unused_entries(assessment, sweep))
    joined = drift.joined((one for one in found if one.key not in known), _not_managed(assessment))
    told = {(one.code, one.where) for one in joined.findings if one.code in _SAID_BY_PLAN}
    diagnostics = tuple(one for one in joined.diagnostics if (one.code, one.where) not in told)
    return replace(
        joined, unused=True, diagnostics=diagnostics, not_checked=(*of_live(drift.not_checked), *of_unused(sweep))
    )


def worker_undeclared(file: WranglerFile) -> Diagnostic:
    """A wrangler file that mtls.toml does not declare, so that none of its bindings is checked."""
    number = sum(len(environment.bindings) for environment in file.environments.values())
    message = f"mtls.toml does not declare {file.path}, which has {number} binding{'' if number == 1 else 's'}"
    hint = "run `mtlsctl init --update` to add it"
    return Diagnostic(Severity.WARNING, Code.WORKER_UNDECLARED, message, Place(file.path), hint)


# --- bindings that nothing declares ---------------------------------------------------------------------------------


def _undeclared(assessment: Assessment) -> Iterator[DriftFinding]:
    for row in (*assessment.bindings, *assessment.previews):
        if row.declared is None and row.found is not None and not row.elsewhere:
            is_broken = row.entry is None or row.entry.ca
            finding = _broken(row, assessment) if is_broken else _working(row, assessment)
            if finding is not None:
                yield finding


def _broken(row: BindingRow, assessment: Assessment) -> DriftFinding:
    """A binding that can't work, whoever manages it: no client certificate is uploaded with its ID."""
    text, declaration = row.found_id or "", assessment.desired.declaration
    store = declaration.store
    what = id_text(row, store.kind, assessment.actual.asked)
    if row.entry is not None:
        what = f"{named(row.entry)}, a CA, which a Worker can't use"
        return _finding(row, Code.ENTRY_IS_CA, what, _bind_some(row, declaration))
    if is_placeholder(text, store.kind):
        said = placeholder_left(declaration, row.at, row.text, text, row.pointer)
        fix = previews_by_hand("NAME") if row.is_preview else said.hint
        return _finding(row, Code.PLACEHOLDER_LEFT, what, fix or "")
    if is_of_other_store(text, store.kind):
        what += f", an ID from a Cloudflare account, but this project uses {store.title}"
        fix = f'set `kind = "cloudflare"` in `[store]`; {store.title} changes nothing in such a file'
        return _finding(row, Code.ID_OF_OTHER_STORE, what, fix)
    meant = closest(text, (one.entry for one in assessment.entries))
    if meant is None:
        return _finding(row, Code.ENTRY_MISSING, what, _bind_some(row, declaration))
    known = assessment.names.get(meant.id)
    if row.is_preview:
        fix = previews_by_hand("NAME")
    else:
        value = f'"{known}"' if known is not None else f'{{ id = "{meant.id}" }}'
        fix = to_declare(declaration, row.at, value, lambda where: f"add this {where}, then run `mtlsctl apply`")
    return _finding(row, Code.ENTRY_MISSING, what, f"did you mean {named(meant)}? {fix}")


def _working(row: BindingRow, assessment: Assessment) -> DriftFinding | None:
    """A binding of a client certificate, unless it is expected: in a file where another stack binds too, and in
    previews, which can't be declared."""
    entry, now, declaration = row.entry, assessment.now, assessment.desired.declaration
    name = assessment.names.get(entry.id) if entry is not None else None
    if row.is_preview:
        current = assessment.by_name.get(name) if name is not None else None
        is_current = current is not None and current.entry == entry
        return None if name is None or is_current else binding_undeclared(declaration, row, name, now)
    if entry is None or not declaration.workers[row.at.worker].exclusive:
        return None
    if name is not None:
        return binding_undeclared(declaration, row, name, now)
    what = f"{named(entry)}{ended(entry, now)}, which is not managed here"
    if ended(entry, now):
        return _finding(row, Code.ENTRY_EXPIRED, what, f"{_RENEW_HERE}; or {bind_some(declaration, row.at)}")
    return _finding(row, Code.ENTRY_FOREIGN, what, "declare it: run `mtlsctl init --update`")


def _finding(row: BindingRow, code: Code, what: str, hint: str) -> DriftFinding:
    return DriftFinding(
        state=State.UNEXPECTED,
        subject=Subject.BINDING,
        key=binding_key(row),
        message=f"{row.text} has {what}",
        hint=hint,
        where=row.pointer,
        at=row.at,
        found=row.found_id,
        code=code,
    )


def _bind_some(row: BindingRow, declaration: Declaration) -> str:
    """How to declare the binding with another certificate; previews can't be declared."""
    return previews_by_hand("NAME") if row.is_preview else bind_some(declaration, row.at)


# --- certificates that are used as declared, and not managed here -----------------------------------------------------


def _not_managed(assessment: Assessment) -> Iterator[Diagnostic]:
    """Notes, no drift: what is used may be as declared though it is not managed by this stack."""
    declaration = assessment.desired.declaration
    owned = assessment.inventory.owned if assessment.inventory is not None else {}
    for entry_id, rows in assessment.uses.items():
        entry, used = assessment.entry(entry_id), [row for row in rows if _is_expected(row, assessment)]
        if not used or entry is None or entry.ca or entry.id in owned:
            continue
        mark, name = read_mark(entry), assessment.names.get(entry.id)
        if not is_ours(mark, declaration):
            stack = mark.stack if mark is not None and is_other_stacks(mark, declaration) else None
            yield _note(assessment, entry, used, name, stack)


def _is_expected(row: BindingRow, assessment: Assessment) -> bool:
    if row.declared is not None:
        return isinstance(row.verdict, UpToDate)
    return row.is_preview or not assessment.desired.declaration.workers[row.at.worker].exclusive


def _note(
    assessment: Assessment, entry: Entry, rows: Sequence[BindingRow], name: CertificateName | None, stack: str | None
) -> Diagnostic:
    uses = f"{names_text([row.text for row in rows], _MOST_NAMED)} {'uses' if len(rows) == 1 else 'use'} it"
    what, pointer = f"{named(entry)}{ended(entry, assessment.now)}", rows[0].pointer
    if stack is not None:
        message = f"{what} is managed by the stack {stack!r}, and {uses}"
        hint = "when that stack renews it, change its ID here, too"
    elif name is not None:
        message = f"{what} is used as {name!r}, but is not in its `supersedes`: it is kept when {name!r} is renewed"
        hint = f"to have it deleted after the renewal, {_supersede(assessment.by_name[name], entry)}"
        pointer = Pointer(assessment.desired.declaration.path, ("certificates", name))
    else:
        message, hint = f"{what} is not managed here, and {uses}", _RENEW_HERE
    return Diagnostic(Severity.INFO, Code.ENTRY_FOREIGN, message, pointer, hint, name)


_RENEW_HERE = "to renew it here, run `mtlsctl init --update --certificates certs`, which declares its certificate"


# --- one key in several certificates ----------------------------------------------------------------------------------


def _shared_keys(assessment: Assessment) -> Iterator[DriftFinding]:
    """Client certificates by their public key. Renewals of one certificate under one name are one certificate."""
    by_key: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for row in assessment.entries:
        entry = row.entry
        digest = key_digest(entry.bundle.leaf) if entry.bundle and entry.type == CUSTOM and not entry.ca else None
        if digest is not None:
            by_key[digest][assessment.names.get(entry.id) or entry.name or entry.id].append(entry)
    for digest, holders in by_key.items():
        if len(holders) > 1:
            yield _shared_key(assessment, digest, [entry for held in holders.values() for entry in held])


def _shared_key(assessment: Assessment, digest: str, entries: Sequence[Entry]) -> DriftFinding:
    listed = names_text(list(map(named, entries)), _MOST_NAMED)
    rows = [row for entry in entries for row in assessment.uses.get(entry.id, ())]
    return DriftFinding(
        state=State.SHARED,
        subject=Subject.KEY,
        key=drift_key(Subject.KEY, digest),
        message=f"{len(entries)} certificates have the same private key: {listed}",
        hint="have all but one of them reissued, each with a key of its own: one leak would affect all of them",
        where=rows[0].pointer if rows else None,
        follows=tuple(sorted({binding_key(row) for row in rows})),
        entries=tuple(entry.id for entry in entries),
        code=Code.KEY_SHARED,
    )


# --- unused certificates ----------------------------------------------------------------------------------------------


def _unused(assessment: Assessment) -> Iterator[EntryRow]:
    """Client certificates that nothing declared uses, or is to use, except those that wait to be deleted.

    Users of a CA, and of what other stacks uploaded, are not in the files of this stack. Users in the account are known
    if live Workers were read.
    """
    declaration, users = assessment.desired.declaration, users_by_entry(assessment.actual)
    by_id = {row.target.id for row in assessment.bindings if isinstance(row.target, ById)}
    bound = {row.certificate for row in assessment.users}
    to_be_bound = {row.entry.id for row in assessment.certificates if row.entry and bound & {*row.same_content}}
    used = {*assessment.uses, *by_id, *to_be_bound}
    for row in assessment.entries:
        entry, is_leaving = row.entry, row.role in (Role.SUPERSEDED, Role.ORPHANED)
        if entry.type != CUSTOM or entry.ca or entry.id in used:
            continue
        if is_other_stacks(read_mark(entry), declaration):
            continue
        is_used = any(user.kind is not UserKind.FILE for user in users.get(entry.id, ()))
        if _is_kept_for_good(row) if is_leaving else not is_used:
            yield row


def _is_kept_for_good(row: EntryRow) -> bool:
    """Whether its certificate is no longer declared, and nothing deletes it by itself."""
    conditions = (Condition.PRUNE_OFF, Condition.PRUNE_NOT_REQUESTED)
    return isinstance(row.verdict, Waits) and row.verdict.condition in conditions


def _unused_entries(assessment: Assessment, sweep: Sweep) -> Iterator[DriftFinding]:
    for row in _unused(assessment):
        entry, name = row.entry, assessment.names.get(row.entry.id)
        files, state = sweep.mentions.get(entry.id, ()), State.UNUSED
        if files:
            state = State.UNEXPECTED
            listed = ", ".join(files[:_MOST_NAMED]) + (", ..." if len(files) > _MOST_NAMED else "")
            has = "has" if len(files) == 1 else "have"
            message = f"no declared Worker uses {named(entry)}, but {listed} {has} its ID"
            above = max(_parents(file) for file in files)
            option = f" --from {'/'.join(['..'] * above)}" if above else ""
            hint = f"declare that Worker: run `mtlsctl init --update{option}`; or remove the ID there"
        elif name is not None and name in assessment.by_name:
            message = f"no binding uses {name!r}, {named(entry)}"
            hint = f"bind it, or remove it from mtls.toml; keep it if something else uses `mtlsctl output {name}`"
        elif name is not None:
            message = f"{named(entry)} is of {name!r}, which mtls.toml no longer declares"
            allow = "" if assessment.desired.declaration.policy.prune else "set `prune = true` in `[policy]` and "
            hint = f"to delete it, {allow}run `mtlsctl apply --prune`; or declare it again"
        else:
            unread = "" if sweep.complete else f", as far as it could be searched ({sweep.unread[0]} could not)"
            message = f"nothing in this tree uses {named(entry)}{unread}"
            hint = _delete_or_supersede(entry, assessment)
        yield DriftFinding(
            state=state,
            subject=Subject.ENTRY,
            key=entry_key(entry.id),
            message=message,
            hint=hint,
            certificate=name,
            found=entry.id,
            code=Code.ENTRY_UNREFERENCED,
        )


def _parents(path: str) -> int:
    """How many folders above that of mtls.toml a path begins."""
    return sum(part == ".." for part in path.split("/"))


def _delete_or_supersede(entry: Entry, assessment: Assessment) -> str:
    """How to delete it, or to let the certificate replace it that was uploaded later under the same name."""
    for row in sorted(assessment.certificates, key=lambda row: row.name):
        if row.entry and entry.name and row.entry.name == entry.name and _is_older(entry, row.entry):
            return f"to have it deleted, {_supersede(row, entry)}"
    delete = f"wrangler mtls-certificate delete --id {entry.id}"
    return f"delete it if neither Hyperdrive nor another repository uses it:\n{delete}"


def _supersede(row: CertificateRow, entry: Entry) -> str:
    """How to name an upload in the `supersedes` of a certificate, which may have that line already."""
    if row.declared.supersedes:
        return f"add {toml_text(entry.id)} to the `supersedes` of `[certificates.{row.name}]`"
    return to_paste(f"add this to `[certificates.{row.name}]`", [f'supersedes = ["{entry.id}"]'], names=(entry.id,))


def _is_older(entry: Entry, other: Entry) -> bool:
    if entry.uploaded_on is None or other.uploaded_on is None:
        return False
    return entry.uploaded_on < other.uploaded_on
