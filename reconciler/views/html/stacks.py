"""A run over several stacks as one page: each stack below its heading, what failed first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.plan.plan import Plan
from reconciler.reports.checks import RunFailure
from reconciler.reports.drift import Drift
from reconciler.reports.forecast import Forecast
from reconciler.reports.left import Applied
from reconciler.reports.stacks import StackResult, Stacks
from reconciler.reports.status import Status
from reconciler.views.html.checks import failure_report
from reconciler.views.html.drift import drift_report
from reconciler.views.html.forecast import forecast_report
from reconciler.views.html.outcome import applied_report
from reconciler.views.html.page import Note, PageReport, Tone, show_page
from reconciler.views.html.plan import plan_report
from reconciler.views.html.status import status_report
from reconciler.views.table import Display
from reconciler.views.text.stacks import by_urgency, display_of, state_of

_REPORTS: Mapping[type, Callable[[Any, Display], PageReport]] = {
    Plan: plan_report,
    Applied: applied_report,
    Status: status_report,
    Drift: drift_report,
    Forecast: forecast_report,
}


def show_stacks(stacks: Stacks, display: Display) -> str:
    """The page of all stacks, with a link to each."""
    found = [one for one in by_urgency(stacks) if type(one.report) in {RunFailure, *_REPORTS}]
    return show_page([_report(one, stacks.command, display_of(one, display)) for one in found], stacks.command)


def _report(result: StackResult, command: str, display: Display) -> PageReport:
    if isinstance(result.report, RunFailure):
        return _failed(result, result.report, command, display)
    report = _REPORTS[type(result.report)](result.report, display)
    note = (("Note", result.note),) if result.note else ()
    return replace(report, facts=(("File", result.file), *note, *report.facts))


def _failed(result: StackResult, failure: RunFailure, command: str, display: Display) -> PageReport:
    return replace(
        failure_report(replace(failure, command=command), display),
        stack=result.stack or result.file,
        title=Note(state_of(result), Tone.BAD),
        facts=(("File", result.file),),
    )
