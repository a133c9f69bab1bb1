"""Drift as text: what is missing, what changed, what nobody declares; each with what mends it."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.diagnostics import Resolve
from reconciler.findings.escape import printable
from reconciler.reports.drift import Drift, DriftFinding, State
from reconciler.views.table import Display
from reconciler.views.text.findings import place_lines, show_findings, to_act_on
from reconciler.views.text.plan import not_checked_lines, waiting_lines
from reconciler.views.text.status import time_text
from reconciler.views.text.style import Style

_SIGNS = {State.MISSING: "-", State.CHANGED: "~", State.UNEXPECTED: "+"}


def show_drift(drift: Drift, display: Display) -> str:
    """A drift with the findings of its plan."""
    findings = show_findings(to_act_on(drift.diagnostics), display)
    return render_drift(drift, display.place, display.style, folder=display.folder, findings=findings)


def render_drift(drift: Drift, resolve: Resolve, style: Style, *, folder: str = "", findings: str = "") -> str:
    """The whole drift. `folder` and `findings` as in `render_status`: the plan's own, as `render_findings` has them."""
    return "\n".join(_lines(drift, resolve, style, folder, findings)) + "\n"


def _lines(drift: Drift, resolve: Resolve, style: Style, folder: str, findings: str) -> Iterator[str]:
    yield style.bold(f"Drift of the stack {printable(drift.stack)} on {drift.store.title}, {time_text(drift.made)}")
    for state in _SIGNS:
        chosen = [finding for finding in drift.findings if finding.state is state]
        if chosen:
            yield ""
            yield style.bold(f"{state}:")
            for finding in chosen:
                yield from _finding_lines(finding, resolve, style, folder)
    yield from waiting_lines(drift.waiting, style)
    if findings:
        yield ""
        yield findings
    yield ""
    counts = ", ".join(f"{count} {state}" for state, count in drift.summary.items() if state in _SIGNS and count)
    in_sync = f"{drift.summary[State.IN_SYNC]} in sync"
    yield from not_checked_lines(drift.not_checked, "drift", style)
    yield style.warn(f"Drift: {counts}; {in_sync}.") if counts else style.good(f"No drift; {in_sync}.")


def _finding_lines(finding: DriftFinding, resolve: Resolve, style: Style, folder: str) -> Iterator[str]:
    paint = style.change if finding.state is State.CHANGED else style.bad
    yield f"{paint(f'  {_SIGNS[finding.state]} {finding.subject}')}: {printable(finding.message)}"
    yield from (f"    {line}" for line in place_lines(finding.where, finding.hint, resolve, folder=folder))
    if finding.follows:
        count = len(finding.follows)
        yield f"      {count} {'binding follows' if count == 1 else 'bindings follow'} it"
