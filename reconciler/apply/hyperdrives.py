"""Hyperdrive configurations, after the deploys: each is updated by one call with all its changes, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from reconciler.apply.bindings import blocked_step
from reconciler.apply.run import Run, expired_meanwhile
from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.model import EntryId, HyperdriveConfig, HyperdriveField, Phase, Update
from reconciler.model.errors import StoreClosed, StoreError, StoreStopped
from reconciler.plan.outcome import Step, StepStatus

_Changes = Sequence[tuple[int, Update]]


def update_all(run: Run) -> None:
    """Update what is planned. One that fails stops no other."""
    changes = [(index, change) for index, change in run.of(Phase.UPDATE) if isinstance(change, Update)]
    for _, group in groupby(changes, key=lambda item: item[1].at.config):
        _update(run, list(group))


def _update(run: Run, group: _Changes) -> None:
    values = {change.at.field: _value(run, change) for _, change in group}
    missing = next((change for _, change in group if values[change.at.field] is None), None)
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
        error = ReconcilerError("another change of this Hyperdrive configuration could not be recorded")
        for index in begun:
            run.end(index, run.failure(index, error))
        return
    try:
        note = _make(run, [change for _, change in group], {one: text for one, text in values.items() if text})
    except ReconcilerError as error:
        for index, _ in group:
            run.end(index, run.failure(index, error))
        return
    for index, change in group:
        value = values[change.at.field]
        entry = EntryId(value) if value is not None and change.at.field is not HyperdriveField.SSLMODE else None
        run.end(index, Step(change, StepStatus.DONE, entry=entry, note=note))


def _value(run: Run, change: Update) -> str | None:
    """The value that a change sets; None if it is unknown because its upload was not made."""
    return change.after or run.uploaded.get(change.digest or "")


def _make(run: Run, changes: Sequence[Update], values: Mapping[HyperdriveField, str]) -> str | None:
    """A note on how it went. ReconcilerError if the configuration does not use the new values now, or may not."""
    store, at = run.world.store, changes[0].at
    before = store.hyperdrive(at.config)
    if before is None or any(before.get(one.at.field) != one.before for one in changes):
        raise _changed(f"the Hyperdrive configuration {at.label} was changed during this run, so it is not updated")
    late = next((one for one in changes if run.is_late(one)), None)
    if late is not None:
        raise expired_meanwhile(f"{late.at.text} was not changed")
    mtls = {**before.mtls, **{field.key: value for field, value in values.items()}}
    try:
        after = store.update_hyperdrive(before, mtls)
    except (StoreClosed, StoreStopped):
        raise
    except StoreError as error:
        _demand_made(run, at.config, mtls, error)
        return f"the update ended with an error ({error.code}), but the configuration has the new values"
    if not _has(after, mtls) and not _has(store.hyperdrive(at.config), mtls):
        raise _changed(f"the Hyperdrive configuration {at.label} is not as it should be after its update")
    return None


def _demand_made(run: Run, config: str, mtls: Mapping[str, object], error: StoreError) -> None:
    """Raise the error of an update unless the configuration is as it should be all the same."""
    try:
        found = run.world.store.hyperdrive(config)
    except StoreError:
        raise error from None
    if not _has(found, mtls):
        raise error


def _has(config: HyperdriveConfig | None, mtls: Mapping[str, object]) -> bool:
    """Whether a configuration has these values; what else Cloudflare adds does not count."""
    return config is not None and all(config.mtls.get(key) == value for key, value in mtls.items())


def _changed(message: str) -> ReconcilerError:
    hint = "run `mtlsctl plan` to see what it uses now"
    return ReconcilerError(message, hint=hint, code=Code.HYPERDRIVE_CHANGED)
