"""A plan as the counts that GitLab shows in a merge request: its report of the kind `terraform`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

from reconciler.model import Action
from reconciler.plan.plan import PlanFacts
from reconciler.views.table import Display

_KINDS = {
    Action.UPLOAD: "create",
    Action.BIND: "update",
    Action.REBIND: "update",
    Action.UNBIND: "update",
    Action.DEPLOY: "update",
    Action.UPDATE: "update",
    Action.RETIRE: "delete",
}
"""A proof changes nothing. What is deleted is an uploaded certificate; a file with one binding less is updated."""


def show_counts(plan: PlanFacts, _display: Display) -> str:
    """`{"create":1,"update":2,"delete":0}`."""
    return write_counts((plan,))


def write_counts(plans: Iterable[PlanFacts]) -> str:
    """The counts of these plans together."""
    kinds = Counter(_KINDS.get(change.action) for plan in plans for change in plan.changes)
    return json.dumps({kind: kinds[kind] for kind in ("create", "update", "delete")}, separators=(",", ":")) + "\n"
