"""`forecast`: what falls due when."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from reconciler.cli.session import Format, FormatOption, OutOption, Session, command

DaysOption = Annotated[int, typer.Option("--days", metavar="N", min=1, max=3650, help="How far to look.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, example="mtlsctl forecast --days 120", asks=True)(forecast)


def forecast(
    session: Session,
    days: DaysOption = 120,
    output_format: FormatOption = Format.TEXT,
    out: OutOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Read files only: dates, but no quota.")] = False,
) -> None:
    """Show what falls due when, against the quota.

    When each certificate is to be renewed, whose it is and where it is bound. A renewal needs an entry beside the old
    one until that is retired: so also how many entries the account will hold, and when they do not fit. What this rests
    on is said. Looks at what a plan looks at, opens no private key and changes nothing.
    """
    from reconciler.findings.codes import Severity
    from reconciler.plan.plan import exit_code_of
    from reconciler.reports.forecast import make_forecast
    from reconciler.runs.plan import PlanRequest, plan
    from reconciler.views.json.forecast import forecast_document
    from reconciler.views.text.forecast import render_forecast

    project = session.open_project()
    planned = plan(project, PlanRequest(offline=offline))
    found = make_forecast(planned.plan, days)
    if output_format is Format.JSON:
        session.emit_document(forecast_document(found, project.place), out)
    else:
        style = session.style(sys.stdout)
        errors = tuple(problem for problem in found.diagnostics if problem.severity is Severity.ERROR)
        worth = (*errors, *found.findings)
        findings = session.findings(worth, style) if worth else ""
        session.emit(render_forecast(found, style, findings=findings), out)
    raise typer.Exit(exit_code_of(found.diagnostics))
