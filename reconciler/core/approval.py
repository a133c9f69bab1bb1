"""A saved plan is an approval, not an order: what is found now is carried out, as far as the saved plan allows it."""

from __future__ import annotations

import json
from dataclasses import replace

from reconciler.core.errors import ReconcilerError, StalePlanError
from reconciler.core.model import Change, Condition, Retire, Waiting
from reconciler.core.plan import Plan, change_key
from reconciler.core.retire import keep

_SHOWN = 3


def demand_appliable(saved: Plan) -> None:
    """ReconcilerError where a saved plan was made for looking only."""
    if saved.offline or saved.at:
        how = "--offline" if saved.offline else "--at"
        raise ReconcilerError(
            f"the saved plan was made with `{how}`, for looking only; it can't be applied",
            hint="make a plan without it: `mtlsctl plan --out plan.json`",
            code="plan-for-looking",
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

    Changes that were done meanwhile may be missing. What was waiting when the plan was saved stays waiting.
    """
    _demand_same_target(found, saved)
    allowed = {_key(change) for change in saved.changes}
    waited = {waiting.entry.id for waiting in saved.waiting}
    changes: list[Change] = []
    held: list[Waiting] = []
    beyond: list[Change] = []
    for change in found.changes:
        if _key(change) in allowed:
            changes.append(change)
        elif isinstance(change, Retire) and change.entry.id in waited:
            held.append(keep(change, Condition.NOT_IN_PLAN, "it was waiting when the plan was saved"))
        else:
            beyond.append(change)
    if beyond:
        raise StalePlanError(
            f"{len(beyond)} changes found now are not in the saved plan: {_shortly(beyond)}; nothing was changed",
            hint="the world changed since the plan was saved: make a new one and have it approved",
        )
    return replace(found, changes=tuple(changes), waiting=(*found.waiting, *held))


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


def _key(change: Change) -> str:
    return json.dumps(change_key(change), sort_keys=True)


def _shortly(changes: list[Change]) -> str:
    texts = [" ".join(change_key(change).values()) for change in changes[:_SHOWN]]
    more = f", and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return "; ".join(texts) + more
