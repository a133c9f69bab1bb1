"""What is known of a fleet, as values: the stacks that it has, and how each of them is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.exits import ExitCode
from reconciler.model import Act
from reconciler.model.fleet import Look, LookState
from reconciler.plan.plan import Plan
from reconciler.reports.checks import RunFailure
from reconciler.reports.drift_look import make_drift
from reconciler.reports.outage import find_outages, first_of


def look_of(plan: Plan, now: datetime) -> Look:
    """What is remembered of a plan that was made online."""
    errors = [one.message for one in plan.diagnostics if one.is_error]
    drift = sum(finding.fails for finding in make_drift(plan).findings)
    outage = first_of(find_outages(plan.assessment))
    if plan.exit_code is ExitCode.BLOCKED:
        state = LookState.BLOCKED
    elif plan.exit_code is not ExitCode.OK:
        state = LookState.FAILED
    else:
        state = LookState.CHANGES if plan.changes else LookState.DRIFT if drift else LookState.OK
    return Look(
        time=now,
        state=state,
        changes={action: count for action, count in plan.summary.items() if count},
        drift=drift,
        outage=outage.time if outage is not None else None,
        digest=plan.digest,
        message=errors[0] if errors else None,
    )


def failed_look(report: object, now: datetime) -> Look:
    """What is remembered of a look that an error stopped."""
    found = report.diagnostics if isinstance(report, RunFailure) else ()
    return Look(now, LookState.FAILED, message=next((one.message for one in found if one.is_error), None))


# --- the stacks -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FleetStack:
    """One stack of the list. `stack` and `account` None: its mtls.toml could not be read. `alias`: of the account.
    `problem`: why nothing can be done with it."""

    file: str
    stack: str | None
    account: str | None
    alias: str | None
    credential: str
    tags: tuple[str, ...]
    act: Act
    look: timedelta
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class FleetList:
    """The stacks of a fleet, in the order of fleet.toml."""

    fleet: str
    stacks: tuple[FleetStack, ...]
    diagnostics: tuple[Diagnostic, ...] = ()
