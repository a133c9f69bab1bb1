"""`drift`: what changed behind the tool's back."""

from __future__ import annotations

import os
import sys

import typer

from reconciler.cli.planning import LiveOption
from reconciler.cli.session import Format, FormatOption, OutOption, Session, command


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, example="mtlsctl drift --format json --out drift.json", asks=True)(drift)


def drift(
    session: Session, output_format: FormatOption = Format.TEXT, out: OutOption = None, live: LiveOption = False
) -> None:
    """Show what is not as declared; exit 2 where anything is.

    Certificates, bindings and entries that changed, are missing, or are there without being declared: in the store, in
    the wrangler files, in the certificate files; with `--live` in what serves too. Each has a key that stays the same
    from run to run. Looks at what a plan looks at, opens no private key and changes nothing.
    """
    from reconciler.findings.codes import Severity
    from reconciler.reports.drift_live import join_live
    from reconciler.reports.drift_look import make_drift
    from reconciler.runs.plan import PlanRequest, plan
    from reconciler.views.json.drift import drift_document
    from reconciler.views.text.drift import render_drift

    project = session.open_project()
    planned = plan(project, PlanRequest(live=live))
    found = make_drift(planned.plan)
    if live:
        found = join_live(found, planned.plan)
    if output_format is Format.JSON:
        session.emit_document(drift_document(found, project.place), out)
    else:
        style, folder = session.style(sys.stdout), os.path.relpath(project.folder)
        worth = tuple(problem for problem in found.diagnostics if problem.severity is not Severity.INFO)
        findings = session.findings(worth, style) if worth else ""
        session.emit(render_drift(found, project.place, style, folder=folder, findings=findings), out)
    raise typer.Exit(found.exit_code)
