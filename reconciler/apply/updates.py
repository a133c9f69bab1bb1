"""What is live at once, after the deploys: each user is updated by one call with all its changes, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import assert_never

from reconciler.apply.bindings import blocked_step
from reconciler.apply.hostnames import add_hostnames
from reconciler.apply.hyperdrives import update_hyperdrive
from reconciler.apply.run import Run, attempt_together
from reconciler.findings.errors import ReconcilerError
from reconciler.model import EntryId, HostnamesAddress, HyperdriveAddress, Phase, Update
from reconciler.model.errors import StoreClosed
from reconciler.plan.outcome import Step, StepStatus

_Changes = Sequence[tuple[int, Update]]


def update_all(run: Run) -> None:
    """Update what is planned. One that fails stops no other."""
    changes = [(index, change) for index, change in run.of(Phase.UPDATE) if isinstance(change, Update)]
    for _, group in groupby(changes, key=lambda item: item[1].at.holder):
        _update(run, list(group))


def _update(run: Run, group: _Changes) -> None:
    values = {index: change.after or run.uploaded.get(change.digest or "") for index, change in group}
    missing = next((change for index, change in group if values[index] is None), None)
    if missing is not None:
        blocked = blocked_step(run, missing)
        for index, change in group:
            run.steps[index] = Step(change, StepStatus.NOT_STARTED, note=blocked.note, blocked=blocked.blocked)
        return
    if run.stopped:
        for index, _ in group:
            run.leave(index)
        return
    begun = run.start_all(index for index, _ in group)
    if len(begun) < len(group):
        error = ReconcilerError(f"another change of {group[0][1].at.holder_text} could not be recorded")
        for index in begun:
            run.end(index, run.failure(index, error))
        return
    attempt_together(run, partial(_steps, run, [(index, change, values[index] or "") for index, change in group]))


def _steps(run: Run, group: Sequence[tuple[int, Update, str]]) -> Mapping[int, Step]:
    """The steps of a group that was begun, by their index; none if an interrupt stopped its calls."""
    try:
        note = _make(run, [(change, value) for _, change, value in group])
    except StoreClosed:
        return {}
    except ReconcilerError as error:
        return {index: run.failure(index, error) for index, _, _ in group}
    return {
        index: Step(change, StepStatus.DONE, entry=EntryId(value) if change.digest is not None else None, note=note)
        for index, change, value in group
    }


def _make(run: Run, changes: Sequence[tuple[Update, str]]) -> str | None:
    """A note on how it went. ReconcilerError if what is updated is not as it should be now, or may not be changed."""
    (first, value), at = changes[0], changes[0][0].at
    match at:
        case HyperdriveAddress():
            return update_hyperdrive(run, at, changes)
        case HostnamesAddress():
            return add_hostnames(run, at, first, EntryId(value))
        case _:
            assert_never(at)
