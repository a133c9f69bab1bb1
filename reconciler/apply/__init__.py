"""Walks a plan by phase: create, bind, deploy, prove, retire. Every effect passes a port.

A step that fails stops what depends on it and nothing else. Whatever moment this is stopped at, the next run finds out
from the store and the files what is left to do; nothing here resumes from memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.apply.bindings import bind_all
from reconciler.apply.deploys import deploy_all
from reconciler.apply.proofs import prove_before_retires, prove_before_uploads
from reconciler.apply.retires import retire_all
from reconciler.apply.run import Observer, Run, World
from reconciler.apply.uploads import check_keys, upload_all
from reconciler.model import Change, Desired, Phase, Verify
from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.plan.plan import Plan

__all__ = ["ALL_PHASES", "Observer", "World", "apply_plan"]

ALL_PHASES = tuple(Phase)
_WALK = (
    ({Phase.UPLOAD}, check_keys),
    ({Phase.UPLOAD, Phase.VERIFY}, prove_before_uploads),
    ({Phase.UPLOAD}, upload_all),
    ({Phase.BIND}, bind_all),
    ({Phase.DEPLOY}, deploy_all),
    ({Phase.RETIRE, Phase.VERIFY}, prove_before_retires),
    ({Phase.RETIRE}, retire_all),
)
"""What is done in which phases. A proof belongs to what it stands before: asking for that phase asks for the proof."""


def apply_plan(plan: Plan, desired: Desired, world: World, phases: Sequence[Phase] = ALL_PHASES) -> Outcome:
    """Carry out a plan made in this run, in the given phases. Never raises for what a step met; see `Outcome`."""
    run = Run(plan, desired, world, phases)
    interrupted = False
    try:
        for asked, carry_out in _WALK:
            if asked & set(phases):
                carry_out(run)
        run.findings.extend(world.store.look_back())
    except KeyboardInterrupt:
        interrupted = True
    steps = (run.steps.get(index) or _not_ended(run, index, change) for index, change in enumerate(plan.changes))
    return Outcome(plan, tuple(steps), tuple(run.findings), interrupted)


def _not_ended(run: Run, index: int, change: Change) -> Step:
    guarded = Phase(change.before) if isinstance(change, Verify) else change.phase
    if not {change.phase, guarded} & set(run.phases):
        note = f"the phase {change.phase} was not asked for"
    elif index in run.under_way:
        note = "it was under way when the run was interrupted; the next run looks at what is there"
    else:
        note = "the run was interrupted"
    return Step(change, StepStatus.NOT_STARTED, note=note)
