"""Walks a plan by phase: create, bind, retire. Every effect passes a port; each precondition is looked at again first.

A step that fails stops what depends on it and nothing else. Whatever moment this is stopped at, the next run finds out
from the store and the files what is left to do; nothing here resumes from memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Protocol

from reconciler.core.errors import (
    AlreadyStored,
    Diagnostic,
    EntryInUse,
    EntryNotFound,
    FileChangedError,
    InputError,
    Pointer,
    ReconcilerError,
    Severity,
    StoreError,
)
from reconciler.core.key_pairs import check_pair, only_key
from reconciler.core.model import (
    Action,
    BindingChange,
    Change,
    Condition,
    Desired,
    Entry,
    EntryId,
    Phase,
    Retire,
    Sweep,
    Upload,
)
from reconciler.core.outcome import Outcome, Status, Step
from reconciler.core.ownership import CUSTOM
from reconciler.core.plan import Plan
from reconciler.core.ports import Files, NewEntry, PrivateKey, Sources, Store
from reconciler.core.retire import keep
from reconciler.wrangler.edit import Edit, RemoveBinding, SetBinding, edit_wrangler
from reconciler.wrangler.formats import MAX_BYTES
from reconciler.wrangler.read import read_wrangler

ALL_PHASES = tuple(Phase)


class Observer(Protocol):
    """Whoever wants to know how it goes: a terminal, a journal."""

    def started(self, change: Change) -> None:
        """Called just before the first effect of a change."""

    def finished(self, step: Step) -> None:
        """Called once for every change that was started, however it ended."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything that `apply` may touch."""

    store: Store
    files: Files
    keys: Sources
    observer: Observer


@dataclass(slots=True)
class _Run:
    """One run's progress: steps by their place in the plan, and the ids that uploads gave."""

    plan: Plan
    desired: Desired
    world: World
    phases: Sequence[Phase]
    steps: dict[int, Step] = field(default_factory=dict)
    uploaded: dict[str, EntryId] = field(default_factory=dict)
    findings: list[Diagnostic] = field(default_factory=list)

    def of(self, phase: Phase) -> Iterator[tuple[int, Change]]:
        """The changes of a phase that have not ended yet, with their places."""
        for index, change in enumerate(self.plan.changes):
            if change.phase is phase and index not in self.steps:
                yield index, change

    def start(self, index: int) -> None:
        self.world.observer.started(self.plan.changes[index])

    def end(self, index: int, step: Step) -> None:
        self.steps[index] = step
        self.world.observer.finished(step)


def apply_plan(plan: Plan, desired: Desired, world: World, phases: Sequence[Phase] = ALL_PHASES) -> Outcome:
    """Carry out a plan made in this run, in the given phases. Never raises for what a step met; see `Outcome`."""
    run = _Run(plan, desired, world, phases)
    interrupted = False
    try:
        _check_keys(run)
        for phase, carry_out in ((Phase.UPLOAD, _upload_all), (Phase.BIND, _bind_all), (Phase.RETIRE, _retire_all)):
            if phase in phases:
                carry_out(run)
    except KeyboardInterrupt:
        interrupted = True
    steps = (run.steps.get(index) or _not_started(run, change) for index, change in enumerate(plan.changes))
    return Outcome(plan, tuple(steps), tuple(run.findings), interrupted)


def _not_started(run: _Run, change: Change) -> Step:
    if change.phase not in run.phases:
        return Step(change, Status.NOT_STARTED, note=f"the phase {change.phase} was not asked for")
    return Step(change, Status.NOT_STARTED, note="the run was interrupted")


def _failed(change: Change, error: ReconcilerError) -> Step:
    problem = next(found for found in error.diagnostics() if found.severity is Severity.ERROR)
    return Step(change, Status.FAILED, problem=replace(problem, certificate=change.certificate))


# --- upload ---------------------------------------------------------------------------------------------------------


def _check_keys(run: _Run) -> None:
    """Open every key that will be needed, before anything changes; a bad one fails its own upload alone."""
    if Phase.UPLOAD not in run.phases:
        return
    for index, change in run.of(Phase.UPLOAD):
        if not isinstance(change, Upload):
            continue
        try:
            key = _open_key(run, change)
        except ReconcilerError as error:
            run.start(index)
            run.end(index, _failed(change, error))
        else:
            run.findings.extend(key.findings if key else ())


def _open_key(run: _Run, upload: Upload) -> PrivateKey | None:
    """The key of an upload, its pair proved; None for a CA."""
    certificates = run.desired.declaration.certificates
    for name in (upload.certificate, *upload.shared_with):
        reference = certificates[name].key
        if reference is None:
            continue
        key = run.world.keys[reference.source].open(reference)
        where = Pointer(run.desired.declaration.path, ("certificates", name, "private_key"))
        problems = check_pair(run.desired.bundles[name], key.pem, where=where)
        run.findings.extend(found for found in problems if found.severity is not Severity.ERROR)
        if any(found.severity is Severity.ERROR for found in problems):
            raise InputError(problems)
        return PrivateKey(only_key(key.pem), key.findings)
    return None


def _upload_all(run: _Run) -> None:
    for index, change in run.of(Phase.UPLOAD):
        if isinstance(change, Upload):
            run.start(index)
            run.end(index, _upload(run, change))


def _upload(run: _Run, upload: Upload) -> Step:
    bundle = run.desired.bundles[upload.certificate]
    ca = run.desired.declaration.certificates[upload.certificate].ca
    note = None
    findings = len(run.findings)
    try:
        key = _open_key(run, upload)
        del run.findings[findings:]  # said when all keys were looked at
        try:
            entry = run.world.store.upload(NewEntry(upload.name, ca, bundle.pem(), key))
        except AlreadyStored:
            entry = _find_content(run.world.store, upload, ca=ca)
            note = "the store had this content already"
        if entry.bundle is None or entry.bundle.digest != upload.digest:
            raise StoreError(
                f"the store says {entry.id} is {upload.certificate!r}, but gives another content back",
                hint="nothing was bound to it; run `mtlsctl plan` and look at the entry",
            )
    except ReconcilerError as error:
        return _failed(upload, error)
    run.uploaded[upload.digest] = entry.id
    return Step(upload, Status.DONE, entry=entry.id, note=note)


def _find_content(store: Store, upload: Upload, *, ca: bool) -> Entry:
    """The entry that stood in the way of an upload: another run's, or our own of which the reply was lost."""
    for entry in store.list_entries().entries:
        same = entry.bundle is not None and entry.bundle.digest == upload.digest
        if same and entry.ca is ca and entry.type == CUSTOM:
            return entry
    raise StoreError(
        f"the store refuses {upload.certificate!r} as stored already, but does not list its content",
        hint="its list may lag behind: run `mtlsctl apply` again in a minute",
    )


# --- bind -----------------------------------------------------------------------------------------------------------


def _bind_all(run: _Run) -> None:
    """File by file: all changes of a wrangler file are one replacement of it."""
    changes = [(index, change) for index, change in run.of(Phase.BIND) if isinstance(change, BindingChange)]
    for path, group in groupby(changes, key=lambda item: item[1].config):
        _bind_file(run, path, list(group))


def _bind_file(run: _Run, path: str, group: list[tuple[int, BindingChange]]) -> None:
    ready: list[tuple[int, BindingChange, Edit]] = []
    for index, change in group:
        edit = _as_edit(run, change)
        if edit is None:
            run.steps[index] = _blocked_step(run, change)
        else:
            ready.append((index, change, edit))
    if not ready:
        return
    for index, _, _ in ready:
        run.start(index)
    try:
        data = run.world.files.read(path, limit=MAX_BYTES)
        stale = _stale(path, data, [change for _, change, _ in ready])
        good = [(index, change, edit) for index, change, edit in ready if change not in stale]
        edited = edit_wrangler(path, data, [edit for _, _, edit in good])
        if edited != data:
            run.world.files.replace(path, old=data, new=edited)
    except ReconcilerError as error:
        for index, change, _ in ready:
            run.end(index, _failed(change, error))
        return
    for index, change, edit in ready:
        if change in stale:
            run.end(index, _failed(change, _changed_meanwhile(change)))
        else:
            entry = EntryId(edit.certificate_id) if isinstance(edit, SetBinding) else None
            run.end(index, Step(change, Status.DONE, entry=entry))


def _as_edit(run: _Run, change: BindingChange) -> Edit | None:
    """The edit of the file; None where the id is not known, for its upload did not happen."""
    if change.action is Action.UNBIND:
        return RemoveBinding(change.environment, change.binding)
    entry = change.after or run.uploaded.get(change.digest or "")
    return None if entry is None else SetBinding(change.environment, change.binding, entry)


def _blocked_step(run: _Run, change: BindingChange) -> Step:
    asked = Phase.UPLOAD in run.phases
    note = f"the upload of {change.certificate!r} failed" if asked else "its upload is in a phase not asked for"
    return Step(change, Status.NOT_STARTED, note=note, blocked=not asked)


def _stale(path: str, data: bytes, changes: list[BindingChange]) -> list[BindingChange]:
    """The changes whose binding is not any more what the plan saw."""
    file = read_wrangler(path, data)

    def now(change: BindingChange) -> str | None:
        environment = file.environments.get(change.environment)
        found = environment.find(change.binding) if environment else None
        return found.certificate_id if found else None

    return [change for change in changes if now(change) != change.before]


def _changed_meanwhile(change: BindingChange) -> FileChangedError:
    return FileChangedError(
        f"{change.binding} in {change.config} changed while this run was under way",
        hint="run `mtlsctl plan` again",
        where=Pointer(change.config, () if change.environment is None else ("env", change.environment)),
    )


# --- retire ---------------------------------------------------------------------------------------------------------


def _retire_all(run: _Run) -> None:
    """Look through the tree again for what is about to go, then delete entry by entry."""
    retires = [(index, change) for index, change in run.of(Phase.RETIRE) if isinstance(change, Retire)]
    if not retires:
        return
    sweep = run.world.files.sweep([retire.entry.id for _, retire in retires])
    for index, retire in retires:
        run.start(index)
        run.end(index, _retire(run.world.store, retire, sweep))


def _retire(store: Store, retire: Retire, sweep: Sweep) -> Step:
    entry_id = retire.entry.id

    def wait(condition: Condition, detail: str) -> Step:
        return Step(retire, Status.WAITING, entry=entry_id, waiting=keep(retire, condition, detail))

    if not sweep.complete:
        return wait(Condition.UNCHECKED, "some wrangler file of this tree could not be looked at")
    if entry_id in sweep.mentions:
        return wait(Condition.NAMED_IN_FILE, f"its id stands in {', '.join(sweep.mentions[entry_id])}")
    try:
        found = store.get(entry_id)
        if found is None:
            return Step(retire, Status.DONE, entry=entry_id, note="it was gone already")
        if (found.name, found.ca, found.type, found.bundle) != (
            retire.entry.name,
            retire.entry.ca,
            retire.entry.type,
            retire.entry.bundle,
        ):
            return wait(Condition.CHANGED_MEANWHILE, "the entry is not what the plan saw")
        store.delete(entry_id)
    except EntryNotFound:
        return Step(retire, Status.DONE, entry=entry_id, note="it was gone already")
    except EntryInUse as error:
        return wait(Condition.IN_USE, f"the store says: {error.message}")
    except ReconcilerError as error:
        return _failed(retire, error)
    return Step(retire, Status.DONE, entry=entry_id)
