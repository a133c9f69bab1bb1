"""`mtlsctl.diagnostics/1`: findings alone, from `validate` and from every run that input stopped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic, Resolve
from reconciler.records.base import DiagnosticPart, JsonPart, diagnostic_part, to_json
from reconciler.reports.checks import Checkup, RunFailure, Validation
from reconciler.views.table import Display


class DiagnosticsDocument(JsonPart):
    """`valid`: there is no error among the findings."""

    format: Literal["mtlsctl.diagnostics/1"] = "mtlsctl.diagnostics/1"
    valid: bool
    diagnostics: tuple[DiagnosticPart, ...]


def diagnostics_document(diagnostics: Iterable[Diagnostic], resolve: Resolve) -> DiagnosticsDocument:
    """Findings as their document."""
    parts = tuple(diagnostic_part(diagnostic, resolve) for diagnostic in diagnostics)
    return DiagnosticsDocument(valid=all(part.severity is not Severity.ERROR for part in parts), diagnostics=parts)


def show_diagnostics(report: Validation | Checkup | RunFailure, display: Display) -> str:
    """What was found, or why a run stopped."""
    return to_json(diagnostics_document(report.diagnostics, display.place))
