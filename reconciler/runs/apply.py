"""Carries out a plan: wires the ports, keeps the journal, and plans again before anything is retired."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from reconciler.apply import Observer, World, apply_plan
from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import GuardError, ReconcilerError
from reconciler.findings.exits import ExitCode
from reconciler.findings.values import dataclass
from reconciler.model import Change, Condition, Deploy, EntryId, Phase, Retire
from reconciler.model.ports import Clock
from reconciler.plan.freeze import frozen
from reconciler.plan.guards import frozen_text
from reconciler.plan.live import NOBODY
from reconciler.plan.outcome import Outcome, Step
from reconciler.records.journal import Actor
from reconciler.reports.left import ToDeploy, find_left
from reconciler.runs.actor import find_actor
from reconciler.runs.handshake import Proving
from reconciler.runs.journal import Journal, Keep, Nowhere
from reconciler.runs.ledger import account_of
from reconciler.runs.plan import Planned, plan
from reconciler.runs.project import Project
from reconciler.runs.verify.edge import open_edge
from reconciler.system.person import host_name, user_name

LookBack = Callable[[], Iterable[Diagnostic]]
"""As `look_back` of a store."""


def parse_waves(text: str) -> tuple[int | None, ...]:
    """`1,5,all`: how many Workers are deployed at a time, None for all that are left. ValueError for another text."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part == "all" or re.fullmatch(r"[1-9]\d{0,4}", part) for part in parts) or "all" in parts[:-1]:
        raise ValueError(text)
    return tuple(None if part == "all" else int(part) for part in parts)


def apply(
    project: Project,
    planned: Planned,
    observer: Observer,
    phases: Sequence[Phase] = tuple(Phase),
    *,
    command: str = "apply",
    waves: Sequence[int | None] = (None,),
    tell: Callable[[str], None] = lambda _: None,
    demand_lock: Callable[[], None] = lambda: None,
    keep: Keep = lambda _: None,
    later: list[LookBack] | None = None,
) -> Outcome:
    """Carry out a plan that was made in this run, under the lock of the checkout, and write the journal.

    `tell`: shows a line to the user. `demand_lock`: raises LockedError once the lock is lost; asked before each change.
    `keep`: keeps the record of this run, however it ends.
    `later`: gets what compares the uploads with the list, instead of doing it here; it reads the whole list.
    """
    demand_lock()  # a person may have thought about the plan for long
    _demand_no_freeze(planned, project.clock.now())
    made = planned.plan
    project.files.tidy()
    journal = Journal(project.lines, clock=project.clock, keep=keep)
    reason = planned.request.freeze_reason
    digest = made.digest
    journal.begin(command=command, stack=made.stack, plan_digest=digest, actor=actor_of(project), freeze_reason=reason)
    store = project.stores.open_store(made.store)
    world = World(
        store=store,
        files=project.files,
        keys=project.key_sources,
        observer=_Both(journal, observer),
        still_safe=partial(_retirable, project, planned),
        deployer=partial(project.deployers.open, planned.desired.declaration),
        prover=Proving(project.files, project.provers.prober),
        edge=partial(open_edge, project, planned.desired.declaration, tell),
        now=project.clock.now,
        waves=waves,
        wait_until=partial(_wait_until, project.clock, tell),
        settle=journal.settle,
        stopping=partial(_stopping, tell),
        demand_lock=demand_lock,
        looks_back=later is None,
    )
    if later is not None:
        later.append(store.look_back)
    try:
        outcome = apply_plan(made, planned.desired, world, phases)
    except KeyboardInterrupt:  # a second one, while the results after the first were written down
        journal.end(exit_code=ExitCode.INTERRUPTED, interrupted=True)
        raise
    except Exception:  # a bug: what is done is evidence all the same
        journal.end(exit_code=ExitCode.FAILED, interrupted=False)
        raise
    journal.end(exit_code=outcome.exit_code, interrupted=outcome.interrupted)
    return replace(outcome, findings=(*outcome.findings, *journal.findings))


def _demand_no_freeze(planned: Planned, now: datetime) -> None:
    """GuardError if a freeze began since the plan was made, which was shown without it."""
    rules = planned.desired.declaration.policy.freezes
    if planned.request.freeze_reason is None and frozen(rules, planned.plan.made) is None:
        began = frozen(rules, now)
        if began is not None:
            raise GuardError(
                f"a freeze began after the plan was made, {frozen_text(began)}; nothing was changed",
                hint="run this again to see what may be changed all the same",
                code=Code.FREEZE,
            )


def apply_nothing(project: Project, planned: Planned, command: str, keep: Keep) -> Outcome:
    """The outcome of a run that has nothing to do. Its record has no steps, and the journal leaves it out."""
    project.files.tidy()  # a killed run may have left temporary files, even if nothing is left to do
    outcome = Outcome.of_nothing(planned.plan)
    journal = Journal(Nowhere(), clock=project.clock, keep=keep)
    made = planned.plan
    journal.begin(command=command, stack=made.stack, plan_digest=made.digest, actor=actor_of(project))
    journal.end(exit_code=outcome.exit_code, interrupted=False)
    return replace(outcome, findings=journal.findings)


def actor_of(project: Project) -> Actor:
    """Who runs this, as far as this machine and its pipeline say."""
    return find_actor(project.environ, user_name(), host_name())


def demand_programs(project: Project, planned: Planned, phases: Sequence[Phase]) -> None:
    """Raise ReconcilerError if a program is missing that the deploys of a plan need, before anything is changed."""
    deploys = [change for change in planned.plan.changes if isinstance(change, Deploy) and change.phase in phases]
    if deploys:
        configs = [change.built or change.at.config for change in deploys]
        try:
            project.deployers.open(planned.desired.declaration).demand_programs(configs)
        except ReconcilerError as error:
            error.message += "; nothing was changed"
            error.hint = f"{error.hint}; or run this without `--deploy`, and deploy by hand"
            raise


def left_to_deploy(planned: Planned, outcome: Outcome) -> tuple[ToDeploy, ...]:
    """What must still be deployed after this run, without what a freeze holds."""
    left = find_left(outcome.steps, planned.plan.assessment.live, planned.plan.store, planned.actual.files)
    waits = (one.change for one in outcome.plan.waiting if one.condition is Condition.FROZEN)
    held = {(change.at.config, change.at.environment) for change in waits if isinstance(change, Deploy)}
    return tuple(one for one in left if (one.at.config, one.at.environment) not in held)


def _wait_until(clock: Clock, tell: Callable[[str], None], time: datetime) -> None:
    if clock.now() < time:
        tell(f"Waiting until {time:%H:%M:%S} UTC, when the new certificate becomes valid")
        clock.wait_until(time)


def _stopping(tell: Callable[[str], None], changes: Sequence[Change], patience_s: float) -> None:
    """Say what an interrupted run waits for."""
    counts = Counter(change.action for change in changes)
    words = [f"{count} {action}{'' if count == 1 else 's'}" for action, count in counts.items()]
    quit_now = "Press Ctrl-C again to quit now."
    tell(f"Stopping: {' and '.join(words)} in progress, up to {patience_s:.0f} s. {quit_now}")


def _retirable(project: Project, planned: Planned, uploaded: bool) -> frozenset[EntryId]:
    """The IDs that a plan made now would retire, because files may have changed while a person read the plan.

    The list of this run is used again if this run uploaded nothing for this stack, and if the list is younger than
    lists lag, so that a new one would have nothing new. Each entry is also read by its ID just before its deletion.
    """
    request = replace(planned.request, live=False, deploy=NOBODY, again=True)
    lag = timedelta(seconds=project.stores.open_reader(planned.plan.store).lag_s)
    ledger, account = project.ledger, account_of(planned.plan.store, project.folder)
    read = planned.plan.made if ledger is None else ledger.read_at(account)
    is_fresh = not uploaded and read is not None and project.clock.now() - read < lag
    listing = planned.actual.listing if is_fresh and ledger is None else None
    if ledger is not None and not is_fresh:
        ledger.forget(account)
    again = plan(replace(project, sources={}), request, listing).plan
    over_limit = (wait.change for wait in again.waiting if wait.condition is Condition.MAX_DELETES)
    return frozenset(change.entry.id for change in (*again.changes, *over_limit) if isinstance(change, Retire))


@dataclass(frozen=True, slots=True)
class _Both:
    """Passes each step to the journal and to another observer."""

    journal: Journal
    other: Observer

    def started(self, change: Change) -> None:
        self.journal.started(change)
        self.other.started(change)

    def finished(self, step: Step) -> None:
        self.journal.finished(step)
        self.other.finished(step)
