"""`mtlsctl.diagnostics/1`: findings alone, from `validate` and from every run that input stopped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic, Resolve
from reconciler.findings.differences import NONE, Differences, PlanDifference
from reconciler.records.base import DiagnosticPart, JsonPart, diagnostic_part, to_json
from reconciler.reports.checks import Checkup, RunFailure, Validation
from reconciler.views.table import Display


class DiagnosticsDocument(JsonPart):
    """`valid`: there is no error among the findings.

    `differences`: of a stale plan, what differs from the plan that was reviewed; `more_differences`: how many more.
    """

    format: Literal["mtlsctl.diagnostics/1"] = "mtlsctl.diagnostics/1"
    valid: bool
    diagnostics: tuple[DiagnosticPart, ...]
    differences: tuple[PlanDifference, ...] | None = None
    more_differences: int | None = None


def diagnostics_document(
    diagnostics: Iterable[Diagnostic], resolve: Resolve, differences: Differences = NONE
) -> DiagnosticsDocument:
    """Findings as their document."""
    parts = tuple(diagnostic_part(diagnostic, resolve) for diagnostic in diagnostics)
    return DiagnosticsDocument(
        valid=all(part.severity is not Severity.ERROR for part in parts),
        diagnostics=parts,
        differences=differences.shown or None,
        more_differences=differences.more or None,
    )


def show_diagnostics(report: Validation | Checkup | RunFailure, display: Display) -> str:
    """What was found, or why a run stopped."""
    differences = report.differences if isinstance(report, RunFailure) else NONE
    return to_json(diagnostics_document(report.diagnostics, display.place, differences))
