"""A saved plan is an approval, not an order: what is found now is carried out, as far as the saved plan allows it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError, StalePlanError
from reconciler.model import BindingChange, Change, Condition, Deploy, Retire, Upload, Verify
from reconciler.model.words import environment_text
from reconciler.plan.assess import limit_changes
from reconciler.plan.assessment import Waits
from reconciler.plan.gates import guards
from reconciler.plan.plan import Plan, PlanFacts, change_key, draw_plan
from reconciler.plan.policy import duration_text

_SHOWN = 3
_SKEW = timedelta(minutes=5)
"""How far the clocks of two machines may differ."""


def demand_appliable(saved: PlanFacts) -> None:
    """ReconcilerError where a saved plan was made for looking only."""
    if saved.offline or saved.at:
        how = "--offline" if saved.offline else "--at"
        raise ReconcilerError(
            f"the saved plan was made with `{how}`, for looking only; it can't be applied",
            hint="make a plan without it: `mtlsctl plan --out plan.json`",
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


def demand_digest(found: Plan, digest: str) -> None:
    """StalePlanError where the plan that was found is not exactly the one of `--digest`."""
    if found.digest != digest:
        raise StalePlanError(
            f"the plan found now has the digest {found.digest}, not {digest}; nothing was changed",
            hint="look at `mtlsctl plan` and approve that one",
        )


def approve(found: Plan, saved: PlanFacts) -> Plan:
    """The plan found now, where every change of it is in the saved one; StalePlanError where one is not.

    Changes that were done meanwhile may be missing, and a gradual deployment may have ended. What was waiting when
    the plan was saved stays waiting.
    """
    _demand_same_target(found, saved)
    allowed = {_key(change) for change in saved.changes}
    allowed |= {_key(replace(change, serving=())) for change in saved.changes if isinstance(change, Deploy)}
    waited = {_key(waiting.change) for waiting in saved.waiting}
    _demand_same_gates(found, saved)

    def waits(change: Change) -> Waits | None:
        is_held = _key(change) in waited and _key(change) not in allowed
        return Waits(change, Condition.NOT_IN_PLAN) if is_held else None

    held = limit_changes(found.assessment, waits)
    approved = draw_plan(held, found.selection, at=found.at, show_live=found.live is not None)
    beyond = [change for change in approved.changes if _key(change) not in allowed]
    # A proof that nothing approved needs is of a change that is beyond the saved plan, and is not told twice.
    changes = [change for change in approved.changes if _key(change) in allowed]
    beyond = [one for one in beyond if not isinstance(one, Verify) or any(guards(one, other) for other in changes)]
    if beyond:
        raise StalePlanError(
            f"the plan found now goes beyond the saved one: {_shortly(beyond)}; nothing was changed",
            hint="the world changed since the plan was saved: make a new one and have it approved",
        )
    return replace(approved, calls=found.calls)


def _demand_same_gates(found: Plan, saved: PlanFacts) -> None:
    """What was approved with a proof before it is not done without: the gate may have left mtls.toml meanwhile."""
    proofs = {_key(change) for change in found.changes}
    lost = [one for one in saved.changes if isinstance(one, Verify) and _key(one) not in proofs]
    for proof in lost:
        if any(guards(proof, change) for change in found.changes):
            raise StalePlanError(
                f"the saved plan has a proof that the plan found now lacks: {_name(proof)}; nothing was changed",
                hint="somebody changed `verify` or `verify_before` since: make a new plan and have it approved",
            )


def _demand_same_target(found: Plan, saved: PlanFacts) -> None:
    ours = (found.stack, found.store.kind, found.store.account_id)
    theirs = (saved.stack, saved.store.kind, saved.store.account_id)
    if ours != theirs:
        raise StalePlanError(
            f"the saved plan is for the stack {saved.stack!r} on the {saved.store.kind} store"
            f" (account {saved.store.account_id}), not for {found.stack!r} on {found.store.kind}"
            f" (account {found.store.account_id})",
            hint="apply it where it was made, or make a new one",
        )


def _name(change: Change) -> str:
    match change:
        case Upload():
            return f"upload {change.certificate}"
        case BindingChange():
            place = f"{change.at.config} ({environment_text(change.at.environment)})"
            return f"{change.action} {change.at.binding} in {place}"
        case Deploy():
            return f"deploy {change.at.config} ({environment_text(change.at.environment)}) as {change.script}"
        case Verify():
            return f"verify {change.certificate} at {change.origin} before the {change.before}"
        case Retire():
            return f"retire {change.entry.id} of {change.certificate}"
        case _:
            assert_never(change)


def _key(change: Change) -> str:
    return json.dumps(change_key(change), sort_keys=True)


def _shortly(changes: list[Change]) -> str:
    texts = [_name(change) for change in changes[:_SHOWN]]
    more = f", and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return "; ".join(texts) + more
