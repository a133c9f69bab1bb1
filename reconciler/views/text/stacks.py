"""A run over several stacks as text: each stack by itself, failures first, then one line for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from reconciler.findings.escape import printable
from reconciler.findings.exits import PRECEDENCE, ExitCode
from reconciler.plan.plan import Plan
from reconciler.reports.checks import RunFailure, Validation
from reconciler.reports.drift import Drift
from reconciler.reports.fleet import differences_of
from reconciler.reports.forecast import Forecast
from reconciler.reports.left import Applied
from reconciler.reports.stacks import StackResult, Stacks
from reconciler.reports.status import Status
from reconciler.views.table import Display, formats_of, render
from reconciler.views.text.drift import counts_text
from reconciler.views.text.findings import count_findings, to_act_on
from reconciler.views.text.forecast import due_text
from reconciler.views.text.layout import Cell, table
from reconciler.views.text.lines import ONCE_FIXED, counted, next_lines
from reconciler.views.text.outcome import head_text
from reconciler.views.text.plan import changes_text
from reconciler.views.text.status import counts_of

STATES = {
    ExitCode.OK: "ok",
    ExitCode.FAILED: "failed",
    ExitCode.CHANGES: "changes",
    ExitCode.BLOCKED: "blocked",
    ExitCode.STALE_PLAN: "stale plan",
    ExitCode.PARTIAL: "failed in part",
    ExitCode.LOCKED: "locked",
    ExitCode.USAGE: "failed",
    ExitCode.INTERRUPTED: "interrupted",
}
"""What an exit code says of one stack."""
_INCOMPLETE = "incomplete"
"""A stack of which something could not be checked."""
_DIFFERS = {Drift: "drift", Status: "alert"}
"""What exit code 2 says of these reports."""
_COUNTED = {"changes": "with changes", "drift": "with drift", "alert": "with an alert"}


def show_stacks(stacks: Stacks, display: Display) -> str:
    """Each stack under its heading; those with nothing to show only in the table below."""
    style = display.style
    parts = []
    for result in by_urgency(stacks):
        if not _is_quiet(result) and "text" in formats_of(type(result.report)):
            shown = render(result.report, "text", display_of(result, display)).strip("\n")
            shown += f"\n{printable(result.note)}" if result.note else ""
            parts.append(f"{style.bold(f'=== {heading_of(result)}')}\n{shown}\n")
    lines = [style.bold(f"{count_stacks(stacks)}."), *_rows(stacks, display)]
    if stacks.again and stacks.exit_code is not ExitCode.OK:
        lines += next_lines(stacks.again, display.width, before=ONCE_FIXED)
    return "\n".join((*parts, *lines)) + "\n"


def heading_of(result: StackResult) -> str:
    """`apps/billing/mtls.toml: stack billing`."""
    return printable(result.file if result.stack is None else f"{result.file}: stack {result.stack}")


def display_of(result: StackResult, display: Display) -> Display:
    """How the report of one stack is shown: its places lead from the same working directory."""
    return replace(display, place=result.place, folder=result.folder, file=result.within)


def state_of(result: StackResult) -> str:
    """How a stack is, in a word or two. A plan with changes, or with checks that failed, is not ok, whatever its exit
    code."""
    if isinstance(result.report, Plan) and result.report.failed_checks and result.report.exit_code is ExitCode.OK:
        return _INCOMPLETE
    if result.exit_code is ExitCode.CHANGES:
        if isinstance(result.report, Plan) and not result.report.changes and differences_of(result.report):
            return _DIFFERS[Drift]
        return _DIFFERS.get(type(result.report), STATES[ExitCode.CHANGES])
    has_changes = isinstance(result.report, Plan) and result.exit_code is ExitCode.OK and result.report.changes
    return STATES[ExitCode.CHANGES if has_changes else result.exit_code]


def by_urgency(stacks: Stacks) -> list[StackResult]:
    """The results, failures first, then what needs attention, then changes."""
    order = [ExitCode.USAGE, *PRECEDENCE, ExitCode.OK]

    def rank(one: StackResult) -> tuple[bool, int, bool]:
        return not one.is_failure, order.index(one.exit_code), state_of(one) == STATES[ExitCode.OK]

    return sorted(stacks.results, key=rank)


def count_stacks(stacks: Stacks) -> str:
    """`40 stacks: 1 failed, 39 ok`, and what is about the whole run: `; fleet.toml failed`."""
    found = by_urgency(stacks)
    counts = Counter(_COUNTED.get(state, state) for state in (state_of(one) for one in found if one.is_stack))
    states = f": {', '.join(f'{count} {state}' for state, count in counts.items())}" if counts else ""
    others = dict.fromkeys(f"; {printable(one.file)} {state_of(one)}" for one in found if not one.is_stack)
    return f"{counted(counts.total(), 'stack')}{states}{''.join(others)}"


def summary_of(report: object) -> str:
    """What a report comes to, in a few words."""
    match report:
        case RunFailure():
            return printable(next((one.message for one in report.diagnostics if one.is_error), "an error"))
        case Plan():
            drift = () if report.changes else differences_of(report)
            guards = ", ".join(dict.fromkeys(printable(one.guard) for one in report.weakened or ()))
            unchecked = "; not everything could be checked" if report.failed_checks else ""
            return (
                (counted(len(drift), "difference") if drift else changes_text(report))
                + unchecked
                + (f"; guards weakened: {guards}" if guards else "")
            )
        case Applied():
            return head_text(report)
        case Status():
            return counts_of(report)
        case Drift():
            return counts_text(report)
        case Forecast():
            return due_text(report)
        case Validation():
            return count_findings(report.diagnostics) or "everything checked is in order"
        case _:
            return ""


_MOST_LINES = 500


def lines_of(stacks: Stacks) -> list[str]:
    """A line for each stack, the most urgent first: what it came to, and what was allowed."""
    found = by_urgency(stacks)
    lines = [f"{one.stack or one.file}: {'; '.join(filter(None, (summary_of(one.report), one.note)))}" for one in found]
    left = len(lines) - _MOST_LINES
    return lines if left <= 0 else [*lines[:_MOST_LINES], f"{left} more"]


def _is_quiet(result: StackResult) -> bool:
    """Whether there is nothing to show of a stack but that all is well."""
    report = result.report
    if result.exit_code is not ExitCode.OK:
        return False
    match report:
        case Plan():
            return not (report.changes or report.waiting or to_act_on(report.diagnostics))
        case Applied():
            return not (report.outcome.steps or report.to_deploy or to_act_on(report.outcome.problems))
        case Drift():
            return not (report.findings or to_act_on(report.diagnostics))
        case Validation():
            return not to_act_on(report.diagnostics)
        case _:
            return False


def _rows(stacks: Stacks, display: Display) -> Iterator[str]:
    style = display.style
    paints = {"ok": style.good, "changes": style.change, "drift": style.change, "blocked": style.warn}
    yield from table(
        [
            (
                Cell(state_of(one), paints.get(state_of(one), style.bad)),
                Cell(printable(one.file), shrinks=True),
                Cell(summary_of(one.report)),
            )
            for one in by_urgency(stacks)
        ],
        display.width,
    )
