"""`status`, `explain`, `output`, `drift` and `forecast`: what people ask every day."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from reconciler.cli.planning import LiveOption
from reconciler.cli.session import Format, FormatOption, OutOption, Session, command
from reconciler.findings.diagnostics import Diagnostic, Severity
from reconciler.findings.errors import UsageError
from reconciler.findings.escape import printable
from reconciler.plan.plan import exit_code_of
from reconciler.reports.current import find_current
from reconciler.reports.drift_live import join_live
from reconciler.reports.drift_look import make_drift
from reconciler.reports.explain import explain as explain_name
from reconciler.reports.forecast import make_forecast
from reconciler.reports.metrics import make_metrics
from reconciler.reports.orphans import find_orphans, unreferenced
from reconciler.reports.status import make_status
from reconciler.runs.plan import Planned, PlanRequest, plan
from reconciler.runs.project import Project
from reconciler.version import __version__
from reconciler.views.json.drift import drift_document
from reconciler.views.json.explain import explain_document
from reconciler.views.json.forecast import forecast_document
from reconciler.views.json.orphans import orphans_document
from reconciler.views.json.status import output_document, status_document
from reconciler.views.prometheus.metrics import render_metrics
from reconciler.views.text.drift import render_drift
from reconciler.views.text.explain import render_explanation
from reconciler.views.text.forecast import render_forecast
from reconciler.views.text.orphans import render_orphans
from reconciler.views.text.status import render_status

DaysOption = Annotated[int, typer.Option("--days", metavar="N", min=1, max=3650, help="How far to look.")]


class StatusFormat(StrEnum):
    """How a status is printed."""

    TEXT = "text"
    JSON = "json"
    PROMETHEUS = "prometheus"


StatusFormatOption = Annotated[
    StatusFormat, typer.Option("--format", help="Text for people, JSON, or metrics for node-exporter's textfiles.")
]
OrphansOption = Annotated[
    bool, typer.Option("--orphans", help="What does not belong together in store and wrangler files instead.")
]


@command(example="mtlsctl status --format prometheus --out /var/lib/node_exporter/mtlsctl.prom", asks=True)
def status(
    session: Session,
    output_format: StatusFormatOption = StatusFormat.TEXT,
    out: OutOption = None,
    orphans: OrphansOption = False,
) -> None:
    """Show what is due, bound and waiting.

    Every declared certificate, the most urgent first: its entry, its end, its owner, where it is bound and where not
    yet, what waits and until when. What needs attention comes last. Opens no private key and changes nothing.

    With `--orphans` instead: entries that nothing refers to, ids that lead nowhere or to what is not ours, keys in
    several certificates, what has expired and is still bound; each with the line or the command that mends it.
    """
    if orphans:
        _show_orphans(session, out, metrics=output_format is StatusFormat.PROMETHEUS)
    project = session.open_project()
    planned = _look(project)
    found = make_status(planned.plan, planned.desired, planned.actual.files)
    if output_format is StatusFormat.JSON:
        session.emit_document(status_document(found, project.place), out)
    elif output_format is StatusFormat.PROMETHEUS:
        session.emit(_metrics_text(planned), out)
    else:
        style = session.style(sys.stdout)
        findings = session.findings(_worth(found.diagnostics), style)
        session.emit(render_status(found, style, findings=findings), out)
    raise typer.Exit(exit_code_of(found.diagnostics))


def _metrics_text(planned: Planned) -> str:
    """What is looked at, as metrics."""
    return render_metrics(make_metrics(planned.plan, planned.desired, planned.actual, __version__))


@command(example="mtlsctl explain billing", asks=True)
def explain(
    session: Session,
    name: Annotated[str, typer.Argument(help="A certificate, a binding, a Worker's label, or an entry's id.")],
    output_format: FormatOption = Format.TEXT,
    out: OutOption = None,
) -> None:
    """Say why something is planned, or not.

    Which entry a certificate has and why that one, what would happen to each binding, and each condition that an old
    entry still waits for. Opens no private key and changes nothing.
    """
    project = session.open_project()
    planned = _look(project)
    found = explain_name(name, planned.plan, planned.desired, planned.actual)
    if output_format is Format.JSON:
        session.emit_document(explain_document(found, project.place), out)
    else:
        style = session.style(sys.stdout)
        session.emit(render_explanation(found, style, findings=session.findings(found.diagnostics, style)), out)


@command(example="mtlsctl output billing", asks=True)
def output(
    session: Session,
    name: Annotated[str, typer.Argument(help="A declared certificate.")],
    output_format: FormatOption = Format.TEXT,
    out: OutOption = None,
) -> None:
    """Print the id of a certificate's entry.

    Alone on a line, for a pipeline, Terraform or Hyperdrive. Exit 1 where the certificate is not stored yet.
    """
    planned = _look(session.open_project())
    current = find_current(name, planned.plan, planned.desired)
    if output_format is Format.JSON:
        session.emit_document(output_document(current), out)
    else:
        session.emit(f"{printable(current.entry.id)}\n", out)


@command(example="mtlsctl drift --format json --out drift.json", asks=True)
def drift(
    session: Session, output_format: FormatOption = Format.TEXT, out: OutOption = None, live: LiveOption = False
) -> None:
    """Show what is not as declared; exit 2 where anything is.

    Certificates, bindings and entries that changed, are missing, or are there without being declared: in the store, in
    the wrangler files, in the certificate files; with `--live` in what serves too. Each has a key that stays the same
    from run to run. Looks at what a plan looks at, opens no private key and changes nothing.
    """
    project = session.open_project()
    planned = plan(project, PlanRequest(live=live))
    found = make_drift(planned.plan, planned.desired, planned.actual)
    if live:
        found = join_live(found, planned.plan, planned.desired, planned.actual)
    if output_format is Format.JSON:
        session.emit_document(drift_document(found, project.place), out)
    else:
        style, folder = session.style(sys.stdout), os.path.relpath(project.folder)
        worth = tuple(problem for problem in found.diagnostics if problem.severity is not Severity.INFO)
        findings = session.findings(worth, style) if worth else ""
        session.emit(render_drift(found, project.place, style, folder=folder, findings=findings), out)
    raise typer.Exit(found.exit_code)


@command(example="mtlsctl forecast --days 120", asks=True)
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
    project = session.open_project()
    planned = plan(project, PlanRequest(offline=offline))
    found = make_forecast(planned.plan, planned.desired, planned.actual, days)
    if output_format is Format.JSON:
        session.emit_document(forecast_document(found, project.place), out)
    else:
        style = session.style(sys.stdout)
        errors = tuple(problem for problem in found.diagnostics if problem.severity is Severity.ERROR)
        worth = (*errors, *found.findings)
        findings = session.findings(worth, style) if worth else ""
        session.emit(render_forecast(found, style, findings=findings), out)
    raise typer.Exit(exit_code_of(found.diagnostics))


def _look(project: Project) -> Planned:
    """One look at everything: the plan, with what it was made from."""
    return plan(project, PlanRequest())


def _worth(diagnostics: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """Those that somebody should act on."""
    return tuple(problem for problem in diagnostics if problem.severity is not Severity.INFO)


def _show_orphans(session: Session, out: Path | None, *, metrics: bool = False) -> NoReturn:
    """What of store and wrangler files does not belong together; ends the command. There are no `metrics` of it."""
    if metrics:
        message = "`status --orphans` has no metrics"
        raise UsageError(message, hint="leave out one of `--orphans` and `--format prometheus`")
    project = session.open_project()
    planned = plan(project, PlanRequest())
    sweep = project.files.sweep(unreferenced(planned.desired, planned.actual))
    found = find_orphans(planned.plan, planned.desired, planned.actual, sweep)
    if session.format is Format.JSON:
        session.emit_document(orphans_document(found, project.place), out)
    else:
        style, folder = session.style(sys.stdout), os.path.relpath(project.folder)
        errors = tuple(problem for problem in found.diagnostics if problem.severity is Severity.ERROR)
        findings = session.findings(errors, style) if errors else ""
        session.emit(render_orphans(found, project.place, style, folder=folder, findings=findings), out)
    raise typer.Exit(exit_code_of(found.diagnostics))
