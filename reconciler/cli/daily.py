"""`status`, `explain`, `output` and `doctor`: what people ask every day."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.session import Format, FormatOption, OutOption, Session, command

if TYPE_CHECKING:
    from reconciler.findings.diagnostics import Diagnostic
    from reconciler.runs.plan import Planned
    from reconciler.runs.project import Project


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, example="mtlsctl status --format prometheus --out /var/lib/node_exporter/mtlsctl.prom", asks=True)(
        status
    )
    command(app, example="mtlsctl explain billing", asks=True)(explain)
    command(app, example="mtlsctl output billing", asks=True)(output)
    command(app, example="mtlsctl doctor")(doctor)


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
        from reconciler.cli.takeover import show_orphans

        show_orphans(session, out, metrics=output_format is StatusFormat.PROMETHEUS)
    from reconciler.plan.plan import exit_code_of
    from reconciler.reports.status import make_status
    from reconciler.views.json.status import status_document
    from reconciler.views.text.status import render_status

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
    from reconciler.reports.metrics import make_metrics
    from reconciler.version import __version__
    from reconciler.views.prometheus.metrics import render_metrics

    return render_metrics(make_metrics(planned.plan, planned.desired, planned.actual, __version__))


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
    from reconciler.reports.explain import explain as explain_name
    from reconciler.views.json.explain import explain_document
    from reconciler.views.text.explain import render_explanation

    project = session.open_project()
    planned = _look(project)
    found = explain_name(name, planned.plan, planned.desired, planned.actual)
    if output_format is Format.JSON:
        session.emit_document(explain_document(found, project.place), out)
    else:
        style = session.style(sys.stdout)
        session.emit(render_explanation(found, style, findings=session.findings(found.diagnostics, style)), out)


def output(
    session: Session,
    name: Annotated[str, typer.Argument(help="A declared certificate.")],
    output_format: FormatOption = Format.TEXT,
    out: OutOption = None,
) -> None:
    """Print the id of a certificate's entry.

    Alone on a line, for a pipeline, Terraform or Hyperdrive. Exit 1 where the certificate is not stored yet.
    """
    from reconciler.findings.escape import printable
    from reconciler.reports.current import find_current
    from reconciler.views.json.output import output_document

    planned = _look(session.open_project())
    current = find_current(name, planned.plan, planned.desired)
    if output_format is Format.JSON:
        session.emit_document(output_document(current), out)
    else:
        session.emit(f"{printable(current.entry.id)}\n", out)


def doctor(
    session: Session,
    output_format: FormatOption = Format.TEXT,
    out: OutOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no server.")] = False,
) -> None:
    """Check this machine and checkout.

    Versions, files and their permissions, the local store, private keys, the environment and what killed runs
    left behind; each finding with its cure. With an account, which permission each command needs and which the token
    has, as far as reading tells. Works without an mtls.toml too. Changes nothing.
    """
    from reconciler.plan.plan import exit_code_of
    from reconciler.runs.doctor.examine import examine
    from reconciler.views.json.diagnostics import diagnostics_document
    from reconciler.views.text.doctor import render_checkup

    found = examine(session.open_project, environ=os.environ, file_named=session.file is not None, offline=offline)
    if output_format is Format.JSON:
        project = session.project
        session.emit_document(diagnostics_document(found, project.place if project else lambda _: None), out)
    else:
        style = session.style(sys.stdout)
        session.emit(render_checkup(found, style, findings=session.findings(_worth(found), style)), out)
    raise typer.Exit(exit_code_of(found))


def _look(project: Project) -> Planned:
    """One look at everything: the plan, with what it was made from."""
    from reconciler.runs.plan import PlanRequest, plan

    return plan(project, PlanRequest())


def _worth(diagnostics: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """Those that somebody should act on."""
    from reconciler.findings.diagnostics import Severity

    return tuple(problem for problem in diagnostics if problem.severity is not Severity.INFO)
