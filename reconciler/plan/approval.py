"""Checks the plan found now against a saved plan. The saved plan is an approval: only the new plan is carried out."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.findings.codes import Code
from reconciler.findings.differences import Differences
from reconciler.findings.errors import ReconcilerError, StalePlanError
from reconciler.model import Change, Condition, Deploy, Retire, Verify, Waiting
from reconciler.model.ownership import read_mark
from reconciler.plan.assess import limit_changes
from reconciler.plan.assessment import Waits
from reconciler.plan.compare import change_identity, compare_plans, name_of
from reconciler.plan.gates import guards
from reconciler.plan.plan import Plan, PlanFacts, SavedPlan, draw_plan
from reconciler.plan.policy import duration_text

_SHOWN = 3
_SKEW = timedelta(minutes=5)
"""How far the clocks of two machines may differ."""


def demand_appliable(saved: PlanFacts) -> None:
    """Raise ReconcilerError if a saved plan is only a preview."""
    if saved.replayed:
        raise ReconcilerError(
            "the plan was made by `mtlsctl replay` from a recording, so it can't be applied",
            hint="make a plan of what there is now: `mtlsctl plan --out plan.json`",
            code=Code.PLAN_FOR_LOOKING,
        )
    if saved.offline or saved.at:
        how = "--offline" if saved.offline else "--at"
        raise ReconcilerError(
            f"the saved plan was made with `{how}`, so it can't be applied",
            hint="make a plan without that option: `mtlsctl plan --out plan.json`",
            code=Code.PLAN_FOR_LOOKING,
        )


def demand_recent(saved: PlanFacts, now: datetime, max_age: timedelta) -> None:
    """StalePlanError where a saved plan is older than that, or says that it was made later than now."""
    if now - saved.made > max_age:
        raise StalePlanError(
            f"the saved plan is from {saved.made:%Y-%m-%d %H:%M} UTC, older than {duration_text(max_age)}",
            hint="make a new plan and have it approved; `--max-age` allows another age",
        )
    if saved.made - now > _SKEW:
        raise StalePlanError(
            f"the saved plan says that it was made at {saved.made:%Y-%m-%d %H:%M} UTC, which is still to come",
            hint="check the clocks of both machines; make a new plan and have it approved",
        )


def demand_digest(found: Plan, digest: str, saved: SavedPlan | None = None, path: str = "") -> None:
    """Raise StalePlanError if the plan found now is not that of `--digest`. `saved`: a saved plan, from `path`."""
    if found.digest == digest:
        return
    if saved is None:
        raise StalePlanError(
            f"the plan found now has the digest {found.digest}, not {digest}; nothing was changed",
            hint="run `mtlsctl plan --format json` with the same options, such as `--deploy` or `--only`; review it,"
            " and approve its `digest`. A digest does not tell what differs: to see that, keep the reviewed plan"
            " (`mtlsctl plan --out FILE`), and run `mtlsctl apply FILE --digest D`",
        )
    if saved.digest != digest:
        raise StalePlanError(
            f"{path} has the digest {saved.digest}, not {digest}; nothing was changed",
            hint=f"run `mtlsctl show {path}`; apply the plan that was reviewed, with its digest",
        )
    raise _stale(
        f"the plan found now has the digest {found.digest}, not {digest}; nothing was changed",
        "if some of it is done already, make a new plan, or leave `--digest` out: what is done may be missing then",
        compare_plans(found, saved, found.intent, saved.intent),
    )


def approve(found: Plan, saved: Plan | SavedPlan) -> Plan:
    """The plan found now if all its changes are in the saved one; else raises StalePlanError.

    Changes that were made since may be missing, and a gradual deployment may have ended. A change that was waiting when
    the plan was saved still waits, unless only a guard rail held it that has ended, or that this run overrides: who
    approved it saw the change and why it waits, and its digest covers it. `guards.hold` comes after this.
    """
    _demand_same_target(found, saved)
    allowed = {change_identity(change) for change in saved.changes}
    allowed |= {change_identity(replace(change, serving=())) for change in saved.changes if isinstance(change, Deploy)}
    released = {change_identity(one.change) for one in saved.waiting if _is_released(one, found)}
    allowed |= released
    waited = {change_identity(waiting.change) for waiting in saved.waiting} - released
    _demand_same_gates(found, saved)

    def waits(change: Change) -> Waits | None:
        is_held = change_identity(change) in waited and change_identity(change) not in allowed
        return Waits(change, Condition.NOT_IN_PLAN) if is_held else None

    held = limit_changes(found.assessment, waits)
    approved = draw_plan(held, found.selection, at=found.at, show_live=found.live is not None)
    beyond = [change for change in approved.changes if change_identity(change) not in allowed]
    # A proof that no approved change needs belongs to a change that is not in the saved plan; only that is reported.
    changes = [change for change in approved.changes if change_identity(change) in allowed]
    beyond = [one for one in beyond if not isinstance(one, Verify) or any(guards(one, other) for other in changes)]
    if beyond:
        raise _stale(
            "the plan found now has changes that are not in the saved plan:"
            f" {_shortly(beyond, {name_of(one) for one in saved.changes})}; nothing was changed",
            "something changed since the plan was saved: make a new plan and have it approved",
            compare_plans(approved, saved, (*changes, *beyond), saved.changes),
        )
    return replace(approved, calls=found.calls, commit=found.commit)


def _stale(message: str, hint: str, differences: Differences) -> StalePlanError:
    error = StalePlanError(message, hint=hint)
    error.differences = differences
    return error


def _is_released(waiting: Waiting, found: Plan) -> bool:
    """Whether a guard rail that held a change when the plan was saved is no reason to hold it now.

    `protect` that was removed since is not enough: who approved the plan saw that the upload is kept.
    """
    ask = found.assessment.ask
    match waiting.condition, waiting.change:
        case Condition.FROZEN, _:
            return True
        case Condition.EMPTY, _:
            return ask.allow_empty
        case Condition.PROTECTED, Retire() as retire:
            mark = read_mark(retire.entry)
            names = {retire.certificate, retire.entry.name if mark is None else mark.certificate}
            return not names.isdisjoint(ask.unprotected)
        case _:
            return False


def _demand_same_gates(found: Plan, saved: Plan | SavedPlan) -> None:
    """Raise StalePlanError if a proof of the saved plan is missing now, such as after `verify_before` was removed."""
    proofs = {change_identity(change) for change in found.changes}
    lost = [one for one in saved.changes if isinstance(one, Verify) and change_identity(one) not in proofs]
    for proof in lost:
        if any(guards(proof, change) for change in found.changes):
            raise _stale(
                f"the saved plan has a proof that the plan found now lacks: {name_of(proof)}; nothing was changed",
                "`verify` or `verify_before` was changed since: make a new plan and have it approved",
                compare_plans(found, saved, found.changes, saved.changes),
            )


def _demand_same_target(found: Plan, saved: PlanFacts) -> None:
    ours = (found.stack, found.store.kind, found.store.account_id)
    theirs = (saved.stack, saved.store.kind, saved.store.account_id)
    if ours != theirs:
        raise StalePlanError(
            f"the saved plan is for {_target_text(saved)}, but this project is {_target_text(found)}",
            hint="apply it where it was made, or make a new plan",
        )


def _target_text(plan: PlanFacts) -> str:
    account = f" (account {plan.store.account_id})" if plan.store.account_id else ""
    return f"the stack {plan.stack!r} in {plan.store.title}{account}"


def _shortly(changes: list[Change], known: Set[str]) -> str:
    """The changes; of those that the saved plan has with another content, that they are others."""
    names = [name_of(change) for change in changes[:_SHOWN]]
    texts = [f"{name} (another one than in the saved plan)" if name in known else name for name in names]
    more = f", and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return "; ".join(texts) + more
