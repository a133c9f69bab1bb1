"""Everything that a plan is made from, as one value: the same inputs give the same plan, when and wherever it is made.

A run collects it while it reads; a recording keeps it, and `replay` makes the plan again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime

from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import Actual, Desired, EntryId, Live, Policy, Sweep
from reconciler.model.calls import Calls, expect_calls
from reconciler.plan.assess import judge, needs, see
from reconciler.plan.assessment import NO_OPTIONS, Assessment, PlanOptions
from reconciler.plan.guards import hold
from reconciler.plan.live import count_versions
from reconciler.plan.plan import ALL, Plan, Selection, make_plan
from reconciler.plan.weakened import Weakened
from reconciler.version import __version__


@dataclass(frozen=True, slots=True)
class CallsMade:
    """The calls of a server that a plan made: until live Workers were read, and in all."""

    before: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInputs:
    """What was read, and what was asked for. `actual`: also the tree and live Workers, as far as they were read.

    `findings`: those of reading the files. `allow_deletes`, `allow_unbinds`: instead of the limits of the policy. `at`:
    the plan is a preview. `show_live`: it has a row for each binding of a live Worker. `refuses`: what must not be done
    now is an error. `calls` None: no server was called. `weakened`, `compared`: what the comparison with another
    revision found, and the findings about it.
    """

    desired: Desired
    actual: Actual
    now: datetime
    ask: PlanOptions = NO_OPTIONS
    findings: tuple[Diagnostic, ...] = ()
    selection: Selection = ALL
    allow_deletes: int | None = None
    allow_unbinds: int | None = None
    at: bool = False
    show_live: bool = False
    refuses: bool = False
    calls: CallsMade | None = None
    commit: str | None = None
    weakened: tuple[Weakened, ...] | None = None
    compared: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Recording:
    """The inputs of a plan as they are kept in a file. `places`: where the findings of that plan pointed to.

    `pseudonyms`: every name was replaced. `version`: the one of mtlsctl that recorded it.
    """

    inputs: PlanInputs
    places: Mapping[Pointer, Place] = field(default_factory=dict)
    pseudonyms: bool = False
    version: str = __version__


def judge_first(inputs: PlanInputs) -> Assessment:
    """The rows as far as the files and the list tell, before anything that costs more is read."""
    actual = replace(inputs.actual, sweep=None, live=None)
    return judge(inputs.desired, actual, inputs.now, inputs.ask, inputs.findings)


def draw(inputs: PlanInputs, assessment: Assessment) -> Plan:
    """The plan of these rows, without what a run must not do now."""
    made = make_plan(
        assessment,
        inputs.selection,
        allow_deletes=inputs.allow_deletes,
        allow_unbinds=inputs.allow_unbinds,
        at=inputs.at,
        show_live=inputs.show_live,
    )
    findings = (*inputs.compared, *made.diagnostics)
    return replace(
        made, calls=_count_calls(inputs, made), commit=inputs.commit, weakened=inputs.weakened, diagnostics=findings
    )


def replay(inputs: PlanInputs) -> Plan:
    """The plan that was made from these inputs, marked as one that can't be applied."""
    actual = inputs.actual
    found = see(see(judge_first(inputs), sweep=actual.sweep), live=actual.live)
    return replace(hold(draw(inputs, found), refuses=inputs.refuses), replayed=True)


def under(inputs: PlanInputs, policy: Policy, findings: tuple[Diagnostic, ...]) -> PlanInputs:
    """The same inputs with another `[policy]`, and the findings about that.

    What the recorded run did not read because its own policy did not need it stays unread: what depends on it is kept.
    """
    declaration = inputs.desired.declaration
    desired = replace(inputs.desired, declaration=replace(declaration, policy=policy))
    read = (*(one for one in inputs.findings if not _is_about_policy(one)), *filter(_is_about_policy, findings))
    changed = replace(inputs, desired=desired, findings=read, weakened=None, compared=())
    sweep, live = inputs.actual.sweep, inputs.actual.live
    searched, asked = _looked_for(inputs, sweep)
    tree, _ = _looked_for(changed, sweep)
    sweep = sweep if tree <= searched else None
    _, retiring = _looked_for(changed, sweep)
    is_deep = policy.rollback_versions <= declaration.policy.rollback_versions
    if live is not None and not (retiring <= asked and is_deep):
        live = replace(live, whole=False)
    return replace(changed, actual=replace(inputs.actual, sweep=sweep, live=live))


def _looked_for(inputs: PlanInputs, sweep: Sweep | None) -> tuple[frozenset[EntryId], frozenset[EntryId]]:
    """The IDs that the tree is searched for, and those whose users are read after that."""
    first = judge_first(inputs)
    then = needs(see(first, sweep=sweep)).live
    return frozenset(needs(first).tree), frozenset(entry.id for entry in then)


def _is_about_policy(finding: Diagnostic) -> bool:
    return isinstance(finding.where, Pointer) and finding.where.keys[:1] == ("policy",)


def _count_calls(inputs: PlanInputs, made: Plan) -> Calls | None:
    if inputs.calls is None:
        return None
    actual, total = made.assessment.actual, inputs.calls.total
    entries = len(actual.listing.entries) if actual.listing else 0
    again = total - inputs.calls.before - _versions(actual.live)
    return expect_calls(made.changes, made=total, again=again, entries=entries)


def _versions(live: Live | None) -> int:
    return 0 if live is None else count_versions(live)
