"""A saved plan is an approval, not an order: what is found now is carried out, as far as the saved plan allows it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import assert_never

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError, StalePlanError
from reconciler.model import BindingChange, Change, Condition, Deploy, Retire, Upload, Verify, Waiting
from reconciler.model.words import environment_text
from reconciler.plan.gates import guards
from reconciler.plan.plan import Plan, change_key
from reconciler.plan.quota import Quota
from reconciler.plan.retire import keep

_SHOWN = 3


def demand_appliable(saved: Plan) -> None:
    """ReconcilerError where a saved plan was made for looking only."""
    if saved.offline or saved.at:
        how = "--offline" if saved.offline else "--at"
        raise ReconcilerError(
            f"the saved plan was made with `{how}`, for looking only; it can't be applied",
            hint="make a plan without it: `mtlsctl plan --out plan.json`",
            code=Code.PLAN_FOR_LOOKING,
        )


def demand_digest(found: Plan, digest: str) -> None:
    """StalePlanError where the plan that was found is not exactly the one of `--digest`."""
    if found.digest != digest:
        raise StalePlanError(
            f"the plan found now has the digest {found.digest}, not {digest}; nothing was changed",
            hint="look at `mtlsctl plan` and approve that one",
        )


def approve(found: Plan, saved: Plan) -> Plan:
    """The plan found now, where every change of it is in the saved one; StalePlanError where one is not.

    Changes that were done meanwhile may be missing, and a gradual deployment may have ended. What was waiting when
    the plan was saved stays waiting.
    """
    _demand_same_target(found, saved)
    allowed = {_key(change) for change in saved.changes}
    allowed |= {_key(replace(change, serving=())) for change in saved.changes if isinstance(change, Deploy)}
    waited = {waiting.entry.id for waiting in saved.waiting}
    changes: list[Change] = []
    held: list[Waiting] = []
    beyond: list[Change] = []
    _demand_same_gates(found, saved)
    approved = [change for change in found.changes if _key(change) in allowed]
    for change in found.changes:
        if isinstance(change, Verify) and not any(guards(change, other) for other in approved):
            continue  # what it stands before is held
        if _key(change) in allowed:
            changes.append(change)
        elif isinstance(change, Retire) and change.entry.id in waited:
            held.append(keep(change, Condition.NOT_IN_PLAN, "it was waiting when the plan was saved"))
        else:
            beyond.append(change)
    if beyond:
        raise StalePlanError(
            f"the plan found now goes beyond the saved one: {_shortly(beyond)}; nothing was changed",
            hint="the world changed since the plan was saved: make a new one and have it approved",
        )
    quota = found.quota and _without_retires(found.quota, held)
    return replace(found, changes=tuple(changes), waiting=(*found.waiting, *held), quota=quota)


def _demand_same_gates(found: Plan, saved: Plan) -> None:
    """What was approved with a proof before it is not done without: the gate may have left mtls.toml meanwhile."""
    proofs = {_key(change) for change in found.changes}
    lost = [one for one in saved.changes if isinstance(one, Verify) and _key(one) not in proofs]
    for proof in lost:
        if any(guards(proof, change) for change in found.changes):
            raise StalePlanError(
                f"the saved plan has a proof that the plan found now lacks: {_name(proof)}; nothing was changed",
                hint="somebody changed `verify` or `verify_before` since: make a new plan and have it approved",
            )


def _without_retires(quota: Quota, held: list[Waiting]) -> Quota:
    """The quota where these entries stay."""
    cas = sum(wait.entry.ca for wait in held)
    leaf = replace(quota.leaf, after=quota.leaf.after + len(held) - cas)
    return Quota(leaf, replace(quota.ca, after=quota.ca.after + cas))


def _demand_same_target(found: Plan, saved: Plan) -> None:
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
            place = f"{change.config} ({environment_text(change.environment)})"
            return f"{change.action} {change.binding} in {place}"
        case Deploy():
            return f"deploy {change.config} ({environment_text(change.environment)})"
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
