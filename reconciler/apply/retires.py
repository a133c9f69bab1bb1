"""The last phase: the plan is made again, and the entries that it still retires are deleted one by one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from reconciler.apply.run import Effect, Run, attempt_all
from reconciler.findings.errors import ReconcilerError
from reconciler.model import Condition, Phase, Retire
from reconciler.model.errors import EntryInUse, EntryNotFound, UseUnknown
from reconciler.plan.outcome import Step, StepStatus
from reconciler.plan.retire import keep


def retire_all(run: Run) -> None:
    """Delete the entries that a plan made now would still retire, and that are unchanged since the plan of this run."""
    retires = [(index, change) for index, change in run.of(Phase.RETIRE) if isinstance(change, Retire)]
    if not retires:
        return
    try:
        safe = run.world.still_safe(bool(run.uploaded))
    except ReconcilerError as error:
        for index, _ in retires:
            if run.start(index):
                run.end(index, run.failure(index, error))
        return
    attempt_all(run, [(index, _prepare(run, retire, is_safe=retire.entry.id in safe)) for index, retire in retires])


def _prepare(run: Run, retire: Retire, *, is_safe: bool) -> Callable[[], Effect]:
    """The effect of a retire. There is nothing to prepare: both of its calls are the store's."""
    return lambda: partial(_retire, run, retire, is_safe=is_safe)


def _retire(run: Run, retire: Retire, *, is_safe: bool) -> Step:
    store, entry_id = run.world.store, retire.entry.id

    def wait(condition: Condition, detail: str) -> Step:
        return Step(retire, StepStatus.WAITING, entry=entry_id, waiting=keep(retire, condition, detail))

    try:
        found = store.get(entry_id)
        if found is None:
            return Step(retire, StepStatus.DONE, entry=entry_id, note="it was already deleted")
        if not is_safe:
            return wait(Condition.CHANGED_MEANWHILE, "a plan made now would no longer delete it")
        if (found.name, found.ca, found.type, found.bundle) != (
            retire.entry.name,
            retire.entry.ca,
            retire.entry.type,
            retire.entry.bundle,
        ):
            return wait(Condition.CHANGED_MEANWHILE, "the certificate changed after the plan was made")
        if run.is_late(retire):
            return wait(Condition.CHANGED_MEANWHILE, "its successor expired during this run")
        store.delete(entry_id)
    except EntryNotFound:
        return Step(retire, StepStatus.DONE, entry=entry_id, note="it was already deleted")
    except EntryInUse as error:
        return wait(Condition.IN_USE, error.message)
    except UseUnknown as error:
        return wait(Condition.LIVE_UNCHECKED, error.message)
    return Step(retire, StepStatus.DONE, entry=entry_id)
