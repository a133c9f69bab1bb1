"""Carries out a plan phase by phase: upload, bind, deploy, update, verify, retire. Every effect passes a port.

A failed step stops the steps that depend on it and nothing else. After a stop at any moment, the next run reads from
the store and the files what is left to do; nothing is resumed from memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.apply.bindings import bind_all
from reconciler.apply.deploys import deploy_all
from reconciler.apply.proofs import prove_before_bindings, prove_before_retires, prove_before_uploads
from reconciler.apply.retires import retire_all
from reconciler.apply.run import Observer, Run, World
from reconciler.apply.updates import update_all
from reconciler.apply.uploads import check_keys, upload_all
from reconciler.findings.errors import LockedError
from reconciler.model import Change, Desired, Phase, Verify
from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.plan.plan import Plan

__all__ = ["ALL_PHASES", "Observer", "World", "apply_plan"]

ALL_PHASES = tuple(Phase)
_WALK = (
    ({Phase.UPLOAD}, check_keys),
    ({Phase.UPLOAD, Phase.VERIFY}, prove_before_uploads),
    ({Phase.UPLOAD}, upload_all),
    ({Phase.BIND, Phase.VERIFY}, prove_before_bindings),
    ({Phase.BIND}, bind_all),
    ({Phase.DEPLOY}, deploy_all),
    ({Phase.UPDATE}, update_all),
    ({Phase.RETIRE, Phase.VERIFY}, prove_before_retires),
    ({Phase.RETIRE}, retire_all),
)
"""The functions of a run, in order, each with the phases in which it runs. A proof runs with the phase that it
guards."""


def apply_plan(plan: Plan, desired: Desired, world: World, phases: Sequence[Phase] = ALL_PHASES) -> Outcome:
    """The outcome of a plan made in this run, carried out in the given phases. Errors of steps are part of the
    outcome."""
    run = Run(plan, desired, world, phases)
    ended, interrupted = "the run was interrupted", False
    try:
        for asked, carry_out in _WALK:
            if asked & set(phases):
                carry_out(run)
        if world.looks_back:
            run.findings.extend(world.store.look_back())
    except LockedError as error:
        ended = "the run lost its lock"
        run.findings.extend(error.diagnostics())
    except KeyboardInterrupt:
        interrupted = True
    steps = (run.steps.get(index) or _not_ended(run, index, change, ended) for index, change in enumerate(plan.changes))
    return Outcome(plan, tuple(steps), tuple(run.findings), interrupted)


def _not_ended(run: Run, index: int, change: Change, ended: str) -> Step:
    status = StepStatus.NOT_STARTED
    guarded = Phase(change.before) if isinstance(change, Verify) else change.phase
    if not {change.phase, guarded} & set(run.phases):
        note = f"the phase {change.phase} was not requested"
    elif index in run.under_way:
        status = StepStatus.UNFINISHED
        note = f"it was in progress when {ended}; the next run checks its result"
    else:
        note = ended
    return Step(change, status, note=note)
