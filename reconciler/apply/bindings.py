"""The second phase: wrangler files, each changed by one replacement with all its changes."""

from __future__ import annotations

from itertools import groupby

from reconciler.apply.run import Run, expired_meanwhile
from reconciler.findings.diagnostics import Pointer
from reconciler.findings.errors import FileChangedError, ReconcilerError
from reconciler.model import Action, BindingChange, Change, EntryId, Phase, Update, Upload
from reconciler.model.words import environment_path
from reconciler.plan.outcome import Step, StepStatus
from reconciler.wrangler.edit import Edit, RemoveBinding, SetBinding, edit_wrangler
from reconciler.wrangler.formats import MAX_BYTES
from reconciler.wrangler.read import read_wrangler


def bind_all(run: Run) -> None:
    """Bind, rebind and unbind, as far as the certificates are uploaded; last those that become valid only now."""
    changes = [(index, change) for index, change in run.of(Phase.BIND) if isinstance(change, BindingChange)]
    times = {change.not_before for _, change in changes}
    for begins in (None, *sorted(time for time in times if time is not None)):
        now = [item for item in changes if item[1].not_before == begins]
        if begins is not None and any(_as_edit(run, change) is not None for _, change in now):
            run.world.wait_until(begins)
        for path, group in groupby(now, key=lambda item: item[1].at.config):
            _bind_file(run, path, list(group))


def _bind_file(run: Run, path: str, group: list[tuple[int, BindingChange]]) -> None:
    edits: dict[int, tuple[BindingChange, Edit]] = {}
    for index, change in group:
        edit = _as_edit(run, change)
        if edit is None:
            run.steps[index] = blocked_step(run, change)
        else:
            edits[index] = (change, edit)
    ready = [(index, *edits[index]) for index in run.start_all(edits)]
    if not ready:
        return
    try:
        data = run.world.files.read(path, limit=MAX_BYTES)
        problems: dict[BindingChange, ReconcilerError] = {
            change: _changed_meanwhile(change) for change in _stale(path, data, [one for _, one, _ in ready])
        }
        problems |= {change: _expired(change) for _, change, _ in ready if run.is_late(change)}
        edited = edit_wrangler(path, data, [edit for _, change, edit in ready if change not in problems])
        if edited != data:
            run.world.files.replace(path, old=data, new=edited)
    except ReconcilerError as error:
        for index, _, _ in ready:
            run.end(index, run.failure(index, error))
        return
    for index, change, edit in ready:
        if change in problems:
            run.end(index, run.failure(index, problems[change]))
        else:
            entry = EntryId(edit.certificate_id) if isinstance(edit, SetBinding) else None
            run.end(index, Step(change, StepStatus.DONE, entry=entry))


def _as_edit(run: Run, change: BindingChange) -> Edit | None:
    """The edit of the file; None if the id is unknown because its upload was not made."""
    if change.action is Action.UNBIND:
        return RemoveBinding(change.at.environment, change.at.binding)
    entry = change.after or run.uploaded.get(change.digest or "")
    return None if entry is None else SetBinding(change.at.environment, change.at.binding, entry, change.remote)


def blocked_step(run: Run, change: BindingChange | Update) -> Step:
    """The step of a change whose upload was not made."""
    asked = Phase.UPLOAD in run.phases
    what = "failed" if _upload_failed(run, change) else "was not made"
    note = f"the upload of {change.certificate!r} {what}" if asked else "its upload is in a phase not requested"
    return Step(change, StepStatus.NOT_STARTED, note=note, blocked=not asked)


def _upload_failed(run: Run, change: BindingChange | Update) -> bool:
    steps = (run.steps.get(index) for index, other in enumerate(run.plan.changes) if _uploads(other, change))
    return any(step is not None and step.status is StepStatus.FAILED for step in steps)


def _uploads(other: Change, change: BindingChange | Update) -> bool:
    return isinstance(other, Upload) and other.digest == change.digest


def _stale(path: str, data: bytes, changes: list[BindingChange]) -> list[BindingChange]:
    """The changes whose binding is no longer as it was when the plan was made."""
    file = read_wrangler(path, data)

    def now(change: BindingChange) -> str | None:
        environment = file.environments.get(change.at.environment)
        found = environment.find(change.at.binding) if environment else None
        return found.certificate_id if found else None

    return [change for change in changes if now(change) != change.before]


def _expired(change: BindingChange) -> ReconcilerError:
    return expired_meanwhile(f"{change.at.binding} in {change.at.config} was not changed", _environment(change))


def _environment(change: BindingChange) -> Pointer:
    return Pointer(change.at.config, environment_path(change.at.environment))


def _changed_meanwhile(change: BindingChange) -> FileChangedError:
    return FileChangedError(
        f"{change.at.binding} in {change.at.config} changed during this run",
        hint="run `mtlsctl plan` again",
        where=_environment(change),
    )
