"""Wires a drift: the plan, and what `--live` and `--unused` read in addition. Decides nothing."""

from __future__ import annotations

from reconciler.reports.drift import Drift
from reconciler.reports.drift_live import join_live
from reconciler.reports.drift_look import make_drift
from reconciler.reports.drift_unused import find_unused, join_unused, worker_undeclared
from reconciler.runs.init.survey import undeclared
from reconciler.runs.plan import PlanRequest, plan
from reconciler.runs.project import Project


def find_drift(project: Project, *, live: bool | None, unused: bool = False) -> Drift:
    """What differs from mtls.toml now. `live`: read live Workers; None: as the policy says. `unused`: search the tree,
    too."""
    planned = plan(project, PlanRequest(live=live))
    found = make_drift(planned.plan)
    if planned.plan.live is not None:
        found = join_live(found, planned.plan)
    if unused:
        found = join_unused(found, planned.plan, project.files.sweep(find_unused(planned.plan)))
        actual = planned.plan.assessment.actual
        found = found.joined((), map(worker_undeclared, undeclared(project, actual.files, actual.broken)))
    return found
