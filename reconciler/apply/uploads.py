"""The first phase: all keys are checked before anything changes, then missing certificates are uploaded.

A key is opened twice and not kept in between: once to check it, and once for its upload.
"""

from __future__ import annotations

from functools import partial

from reconciler.apply.keys import check_key, open_key
from reconciler.apply.run import Effect, Run, attempt_all, expired_meanwhile
from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Pointer
from reconciler.findings.errors import ReconcilerError
from reconciler.model import CertificateName, Entry, Phase, Upload
from reconciler.model.errors import AlreadyStored, StoreError
from reconciler.model.ownership import CUSTOM, is_other_stacks, read_mark
from reconciler.model.ports import NewEntry
from reconciler.plan.outcome import Step, StepStatus


def check_keys(run: Run) -> None:
    """Open every key that will be needed; an invalid one fails only its own upload."""
    for index, change in run.of(Phase.UPLOAD):
        if not isinstance(change, Upload):
            continue
        try:
            run.findings.extend(check_key(run, _names(change)))
        except ReconcilerError as error:
            if run.start(index):
                run.end(index, run.failure(index, error))


def upload_all(run: Run) -> None:
    """Upload the certificates that are still to be uploaded after the check of the keys."""
    uploads = [(index, change) for index, change in run.of(Phase.UPLOAD) if isinstance(change, Upload)]
    attempt_all(run, [(index, partial(_prepare, run, upload)) for index, upload in uploads])


def _names(upload: Upload) -> tuple[CertificateName, ...]:
    return (upload.certificate, *upload.shared_with)


def _prepare(run: Run, upload: Upload) -> Effect:
    if run.is_late(upload):
        where = Pointer(run.desired.declaration.path, ("certificates", upload.certificate, "certificate"))
        raise expired_meanwhile(f"{upload.certificate!r} was not uploaded", where)
    bundle = run.desired.bundles[upload.certificate]
    ca = run.desired.declaration.certificates[upload.certificate].ca
    return partial(_upload, run, upload, NewEntry(upload.name, ca, bundle, open_key(run, _names(upload))))


def _upload(run: Run, upload: Upload, new: NewEntry) -> Step:
    note = None
    try:
        entry = run.world.store.upload(new)
    except AlreadyStored as refused:
        entry = _find_content(run, upload, refused, ca=new.ca)
        note = "it was already uploaded"
    if entry.bundle is None or entry.bundle.digest != upload.digest:
        raise StoreError(
            f"{upload.certificate!r} was stored as {entry.id}, but with a different content",
            hint="run `mtlsctl plan`, and check that certificate; nothing was bound to it",
        )
    _demand_leaf(run, upload, entry)
    return Step(upload, StepStatus.DONE, entry=entry.id, note=note)


def _demand_leaf(run: Run, upload: Upload, entry: Entry) -> None:
    """StoreError if the entry has the right certificates, but presents another one than the declared leaf."""
    if not entry.ca and not entry.has_leaf_of(run.desired.bundles[upload.certificate]):
        raise StoreError(
            f"the certificates of {upload.certificate!r} are stored as {entry.id}, but with another one first",
            hint="run `mtlsctl plan` to see what to do; nothing was bound to it",
            code=Code.LEAF_DIFFERS,
        )


def _find_content(run: Run, upload: Upload, refused: AlreadyStored, *, ca: bool) -> Entry:
    """The existing entry that made an upload fail: another run's, or our own whose reply was lost."""
    entries = (refused.entry,) if refused.entry is not None else run.world.store.list_entries().entries
    same = [entry for entry in entries if entry.bundle is not None and entry.bundle.digest == upload.digest]
    for entry in same:
        if is_other_stacks(read_mark(entry), run.desired.declaration):
            raise StoreError(
                f"another stack has just uploaded the same certificate as {upload.certificate!r}:"
                f" {entry.id} ({entry.name!r})",
                hint="run `mtlsctl plan` to see what to do",
            )
        if entry.ca is ca and entry.type == CUSTOM:
            return entry
    if same:
        kind = f"{same[0].type} {'CA' if same[0].ca else 'leaf'}"
        raise StoreError(
            f"the certificate of {upload.certificate!r} is stored as {same[0].id}, a {kind}, which can't be used",
            hint="run `mtlsctl plan` to see what to do",
        )
    leaf = run.desired.bundles[upload.certificate].fingerprint
    kin = [entry for entry in entries if entry.bundle is not None and entry.bundle.fingerprint == leaf]
    named = "; with the same leaf it shows " + ", ".join(f"{entry.id} ({entry.name!r})" for entry in kin) if kin else ""
    raise StoreError(
        f"{upload.certificate!r} was refused as already stored, but the list does not show it{named}",
        hint="run `mtlsctl apply` again in a minute; the list may lag",
    )
