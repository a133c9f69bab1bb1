"""The findings of drift that a plan shows: each with its key, its place, and the command or the line that fixes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from difflib import get_close_matches

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.escape import printable, shell_word
from reconciler.model import (
    BindingAddress,
    CertificateName,
    Condition,
    Declaration,
    DeclaredBinding,
    Entry,
    EntryId,
    Reason,
    Retire,
    StoreKind,
    Update,
)
from reconciler.model.identifiers import is_askable, is_of_other_store, is_placeholder
from reconciler.model.words import names_text
from reconciler.plan.assessment import (
    Assessment,
    BindingRow,
    CertificateRow,
    Held,
    Pending,
    SiteRow,
    UpdateRow,
    Verdict,
    Waits,
)
from reconciler.plan.binding_findings import declared_at, to_declare
from reconciler.plan.wording import wait_text
from reconciler.reports.drift import DriftFinding, State, Subject, drift_key, environment_part

APPLY = "run `mtlsctl apply` to fix it"
"""The fix of a row whose change is planned, where there is nothing to add."""

_IS_DRIFT = frozenset({Condition.FROZEN, Condition.UPDATE_NOT_REQUESTED})
"""What waits for one of these has drifted all the same."""
_ALIKE = 0.85
"""Two random IDs agree in less than half of their characters; one with a typing error, in nearly all."""


def _fix_of(verdict: Verdict, planned: str = APPLY) -> str:
    """The fix of a row: `planned` if its change is planned, else what stands in its way."""
    match verdict:
        case Pending():
            return planned
        case Held(by):
            first = by[0]
            return f"`mtlsctl apply` can't fix it: {first.message}" + (f"; {first.hint}" if first.hint else "")
        case Waits(condition=Condition.FROZEN):
            return "run `mtlsctl apply` after the freeze, or with `--override-freeze REASON`"
        case Waits(condition=condition, facts=facts):
            return f"it waits: {wait_text(condition, facts)}"
        case _:
            return "run `mtlsctl plan` to see why"


def is_right_for_now(row: CertificateRow | BindingRow | UpdateRow) -> bool:
    """Whether a row waits and is as it should be until then. What a freeze holds is drift, as before the freeze, and so
    is what a run was not asked for."""
    return isinstance(row.verdict, Waits) and row.verdict.condition not in _IS_DRIFT


def _is_planned(row: CertificateRow | BindingRow) -> bool:
    return isinstance(row.verdict, Pending)


def _reasons(row: BindingRow) -> tuple[Reason, ...]:
    return row.verdict.change.reasons if isinstance(row.verdict, Pending) else ()


def binding_key(row: BindingRow) -> str:
    """The key of a binding; previews have a place of their own, next to the environments."""
    return _binding_key(row.at, "previews" if row.is_preview else environment_part(row.at.environment))


def _binding_key(at: BindingAddress, place: str) -> str:
    return drift_key(Subject.BINDING, at.config, place, at.binding)


def update_key(row: UpdateRow) -> str:
    """The key of what is updated at once."""
    kind, *place = row.at.place
    return drift_key(Subject(kind), *place)


def update_differs(row: UpdateRow) -> DriftFinding:
    """A Hyperdrive configuration, or a hostname, does not use what mtls.toml declares."""
    change = row.verdict.change if isinstance(row.verdict, Pending | Waits) else None
    message = f"{row.at.text} is {row.found_id or 'not set'}, expected {row.wanted}"
    if row.names:
        verb = "does" if len(row.lacking) == 1 else "do"
        message = (
            f"in the zone {row.at.label}, {names_text(row.lacking)} {verb} not trust {row.certificate}, {row.wanted}"
        )
    return DriftFinding(
        state=State.CHANGED if row.found_id is not None else State.MISSING,
        subject=Subject(row.at.place[0]),
        key=update_key(row),
        message=message,
        hint="run `mtlsctl apply --deploy`: it takes effect at once",
        where=row.pointer,
        certificate=change.certificate if change is not None else row.certificate,
        expected=row.wanted,
        found=row.found_id,
        reasons=change.reasons if isinstance(change, Update) else (),
    )


def named(entry: Entry) -> str:
    """An uploaded certificate in a sentence: its ID, and its name."""
    return f"{entry.id} ({entry.name or 'no name'})"


# --- certificates ---------------------------------------------------------------------------------------------------


def _of_certificate(
    declaration: Declaration, name: CertificateName, state: State, message: str, hint: str, row: CertificateRow | None
) -> DriftFinding:
    """A finding about a declared certificate; `row`: where its file can be read."""
    return DriftFinding(
        state,
        Subject.CERTIFICATE,
        drift_key(Subject.CERTIFICATE, name),
        message,
        hint,
        _certificate_pointer(declaration, name),
        name,
        expected=row.bundle.digest if row is not None and row.bundle else None,
    )


def content_changed(declaration: Declaration, row: CertificateRow, stored: Entry) -> DriftFinding:
    """The file has another certificate than the one that is uploaded."""
    path = row.declared.path
    renewed = _fix_of(row.verdict, "run `mtlsctl apply` to upload it")
    message = f"{path} differs from the uploaded certificate of {row.name!r} ({stored.id})"
    hint = f"{_RENEWED}, {renewed}; if it was changed by mistake, {_restore_inline(path, ca=row.declared.ca)}"
    finding = _of_certificate(declaration, row.name, State.CHANGED, message, hint, row)
    return replace(finding, found=stored.bundle.digest if stored.bundle else None, apply=_is_planned(row))


def content_missing(declaration: Declaration, row: CertificateRow) -> DriftFinding:
    """The certificate of the file is not uploaded."""
    message = f"the certificate {row.name!r} is not uploaded"
    hint = _fix_of(row.verdict, "run `mtlsctl apply` to upload it; it needs the private key")
    finding = _of_certificate(declaration, row.name, State.MISSING, message, hint, row)
    return replace(finding, apply=_is_planned(row))


def file_unusable(declaration: Declaration, name: CertificateName, problem: Diagnostic | None) -> DriftFinding:
    """The certificate's file was deleted, or is not a valid certificate any more."""
    path = declaration.certificates[name].path
    is_missing = problem is not None and problem.code == Code.FILE_MISSING
    why = f": {problem.message}" if problem is not None and not is_missing else ""
    message = f"{path}, the certificate of {name!r}, {'does not exist' if is_missing else f'cannot be used{why}'}"
    state = State.MISSING if is_missing else State.CHANGED
    return _of_certificate(declaration, name, state, message, _restore(path), None)


def entry_unusable(declaration: Declaration, row: CertificateRow, problem: Diagnostic) -> DriftFinding:
    """The certificate is uploaded in a way that can't be used."""
    hint = problem.hint or _fix_of(row.verdict)
    return _of_certificate(declaration, row.name, State.CHANGED, problem.message, hint, row)


# --- uploaded certificates ------------------------------------------------------------------------------------------


def entry_key(entry_id: EntryId) -> str:
    """The key of an uploaded certificate."""
    return drift_key(Subject.ENTRY, entry_id)


def entry_missing(
    declaration: Declaration, entry_id: EntryId, rows: Sequence[BindingRow], entries: Iterable[Entry]
) -> DriftFinding:
    """Bindings by `{ id = ... }` name an ID that does not exist, or was deleted where it is managed."""
    meant = closest(entry_id, entries)
    near = f"did you mean {named(meant)}? " if meant is not None else "it was rotated or deleted where it is managed: "
    return DriftFinding(
        state=State.MISSING,
        subject=Subject.ENTRY,
        key=entry_key(entry_id),
        message=f"mtls.toml binds {entry_id} by its ID, but no uploaded certificate has this ID",
        hint=f"{near}put the right ID into mtls.toml",
        where=declared_at(declaration, rows[0].at),
        expected=entry_id,
        follows=tuple(sorted(map(binding_key, rows))),
    )


def closest(text: str, entries: Iterable[Entry]) -> Entry | None:
    """The uploaded certificate whose ID is most like the text, for a typing error."""
    by_id = {entry.id: entry for entry in entries if not entry.ca}
    near = get_close_matches(text.strip().lower(), by_id, n=1, cutoff=_ALIKE)
    return by_id[EntryId(near[0])] if near else None


def entry_newer(declaration: Declaration, entry: Entry, name: CertificateName, current: Entry) -> DriftFinding:
    """Another checkout uploaded a later certificate than this one declares."""
    return DriftFinding(
        state=State.UNEXPECTED,
        subject=Subject.ENTRY,
        key=entry_key(entry.id),
        message=f"{named(entry)} of {name!r} was uploaded after the declared certificate, {current.id}",
        hint="pull first: a newer commit may have uploaded it",
        where=_certificate_pointer(declaration, name),
        certificate=name,
        expected=current.id,
        found=entry.id,
        code=Code.NEWER_ENTRY,
    )


def entry_retirable(retire: Retire) -> DriftFinding:
    """Nothing needs an old certificate any more, and it is still uploaded: work for `apply`, so no run fails by it."""
    return DriftFinding(
        state=State.UNEXPECTED,
        subject=Subject.ENTRY,
        key=entry_key(retire.entry.id),
        message=f"{named(retire.entry)}, an old certificate of {retire.certificate!r}, is no longer needed",
        hint="run `mtlsctl apply` to delete it",
        certificate=retire.certificate,
        found=retire.entry.id,
        reasons=retire.reasons,
        apply=True,
        fails=False,
    )


# --- environments and bindings --------------------------------------------------------------------------------------


def environment_missing(declaration: Declaration, row: SiteRow) -> DriftFinding:
    """A declared environment was removed from the wrangler file, with all of its bindings."""
    at, place = row.at, environment_part(row.at.environment)
    bindings = (BindingAddress(at.worker, at.config, at.environment, one.binding) for one in _declared_in(row))
    return DriftFinding(
        state=State.MISSING,
        subject=Subject.ENVIRONMENT,
        key=drift_key(Subject.ENVIRONMENT, at.config, place),
        message=f"{at.config} does not have the environment {at.environment!r}",
        hint=f"put it back into {at.config}, or remove it from mtls.toml",
        where=Pointer(declaration.path, ("workers", at.worker, "env", at.environment or ""), at_key=True),
        at=at,
        follows=tuple(sorted(_binding_key(one, place) for one in bindings)),
    )


def _declared_in(row: SiteRow) -> tuple[DeclaredBinding, ...]:
    return row.worker.environments[row.at.environment]


def is_taken(row: BindingRow, assessment: Assessment) -> str | None:
    """The kind of the other binding that has its name, in the same environment."""
    file = assessment.actual.files.get(row.at.worker)
    there = file.environments.get(row.at.environment) if file else None
    return there.taken.get(row.at.binding) if there else None


def binding_missing(declaration: Declaration, row: BindingRow, assessment: Assessment) -> DriftFinding:
    """A declared binding is not in the wrangler file."""
    taken = is_taken(row, assessment)
    why = f": there it is {taken}" if taken else ""
    rename = f"rename one of the two, in mtls.toml or in {row.at.config}"
    return DriftFinding(
        state=State.MISSING,
        subject=Subject.BINDING,
        key=binding_key(row),
        message=f"{row.at.site.text} does not have the binding {row.at.binding}{why}",
        hint=rename if taken else _fix_of(row.verdict),
        where=declared_at(declaration, row.at),
        certificate=row.certificate,
        at=row.at,
        expected=row.wanted,
        reasons=(Reason.MISSING,),
        apply=_is_planned(row),
    )


def binding_changed(declaration: Declaration, row: BindingRow, asked: Collection[EntryId]) -> DriftFinding:
    """A declared binding has another ID, or another `remote`, than it should have; or it is where it can't be."""
    name, found = row.certificate, row.found_id
    wanted = f"the ID of {name!r}" + (f", {row.wanted}" if row.wanted else "") if name else str(row.wanted)
    has, declared = id_text(row, declaration.store.kind, asked), row.declared
    if found == row.wanted and row.found is not None and declared is not None and declared.remote is not None:
        has, wanted = f"remote = {str(row.found.remote).lower()}", f"remote = {str(declared.remote).lower()}"
    return DriftFinding(
        state=State.CHANGED,
        subject=Subject.BINDING,
        key=binding_key(row),
        message=f"{row.text} has {has}, expected {wanted}",
        hint=_fix_of(row.verdict),
        where=declared_at(declaration, row.at),
        certificate=name,
        at=row.at,
        expected=row.wanted,
        found=found,
        reasons=_reasons(row),
        apply=_is_planned(row),
    )


def id_text(row: BindingRow, store: StoreKind, asked: Collection[EntryId]) -> str:
    """The ID that a binding has, for a sentence; of one that no uploaded certificate has, what is wrong with it.

    `asked`: the IDs that were requested by themselves; the list may lack another that exists (rule 6).
    """
    text = row.found_id or ""
    if row.entry is not None or is_of_other_store(text, store):
        return text
    if is_placeholder(text, store):
        return f"the placeholder {text!r}"
    if not is_askable(text, store):
        return f"{text}, which is not a valid ID"
    if EntryId(text) in asked:
        return f"{text}, which no uploaded certificate has"
    return f"{text}, which is not in the list of uploaded certificates (not looked up by itself)"


def binding_undeclared(
    declaration: Declaration, row: BindingRow, owner: CertificateName, now: datetime
) -> DriftFinding:
    """A binding uses a certificate of this stack, and mtls.toml does not declare it."""
    entry, is_planned = row.entry, _is_planned(row)
    remove = "run `mtlsctl apply` to remove it" if is_planned else f"remove it from {printable(row.at.config)}"
    if row.is_preview:
        hint = previews_by_hand(owner)
    elif entry is not None and entry.ca:
        hint = f"a Worker can't use a CA: {remove}"
    else:
        hint = to_declare(declaration, row.at, f'"{owner}"', lambda where: f"declare it: add this {where}; or {remove}")
    return DriftFinding(
        state=State.UNEXPECTED,
        subject=Subject.BINDING,
        key=binding_key(row),
        message=f"{row.text} uses a certificate of {owner!r}{ended(entry, now)}, but mtls.toml does not declare it",
        hint=hint,
        where=Pointer(row.at.config, (*row.table, "mtls_certificates", row.index)),
        certificate=owner,
        at=row.at,
        found=row.found_id,
        reasons=_reasons(row),
        apply=is_planned,
        code=Code.UNDECLARED_BINDING,
    )


def previews_by_hand(name: str) -> str:
    """The fix of a binding of `previews`, which can't be declared."""
    return f"previews are not managed: write the ID there by hand: `mtlsctl output {name}`"


def ended(entry: Entry | None, now: datetime) -> str:
    """What to add to a sentence about an uploaded certificate that has expired."""
    window = entry.window(now) if entry is not None else None
    if window is None or window.ends is None or not window.has_ended(now):
        return ""
    return f", which expired on {window.ends:%Y-%m-%d %H:%M} UTC"


_RENEWED = "if it was renewed, or the key of the uploaded one leaked"


def _restore_inline(path: str, *, ca: bool) -> str:
    """How to restore a file, without a line to copy: where a key leaked, that line would bring it back."""
    key = "" if ca else " and its private key, if that was replaced too"
    return f"restore it (`git checkout -- {shell_word(path)}`, or an earlier commit before `--`){key}"


def _restore(path: str) -> str:
    return (
        f"restore it; if git has it like this already, write an earlier commit before `--`:\n"
        f"git checkout -- {shell_word(path)}"
    )


def _certificate_pointer(declaration: Declaration, name: CertificateName) -> Pointer:
    return Pointer(declaration.path, ("certificates", name, "certificate"))
