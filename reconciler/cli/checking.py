"""`validate` and `doctor`: whether files, machine and account are in order."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from reconciler.cli.session import Format, FormatOption, OutOption, Session, command
from reconciler.findings.diagnostics import Severity
from reconciler.plan.plan import exit_code_of
from reconciler.runs.doctor.checks import examine
from reconciler.runs.validate import validate as check
from reconciler.views.json.diagnostics import diagnostics_document
from reconciler.views.text.findings import count_findings, render_checkup


@command(example="mtlsctl validate --format json")
def validate(session: Session, output_format: FormatOption = Format.TEXT, out: OutOption = None) -> None:
    """Check every file; the store is not asked.

    Looks at mtls.toml, the certificates, the keys that are at hand and their pairs, and the wrangler files.
    """
    project = session.open_project()
    found = check(project)
    if output_format is Format.JSON:
        session.emit_document(diagnostics_document(found, project.place), out)
    else:
        style = session.style(sys.stdout)
        counted = count_findings(found)
        summary = style.bold(f"{counted}.") if counted else style.good("Everything checked is in order.")
        text = session.findings(found, style) + "\n\n" if found else ""
        session.emit(f"{text}{summary}\n", out)
    raise typer.Exit(exit_code_of(found))


@command(example="mtlsctl doctor")
def doctor(
    session: Session,
    output_format: FormatOption = Format.TEXT,
    out: OutOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no server.")] = False,
) -> None:
    """Check this machine and checkout.

    Versions, files and their permissions, the embedded store, private keys, the environment and what killed runs
    left behind; each finding with its cure. With an account, which permission each command needs and which the token
    has, as far as reading tells. Works without an mtls.toml too. Changes nothing.
    """
    found = examine(session.open_project, environ=os.environ, file_named=session.file is not None, offline=offline)
    if output_format is Format.JSON:
        project = session.project
        session.emit_document(diagnostics_document(found, project.place if project else lambda _: None), out)
    else:
        style = session.style(sys.stdout)
        worth = tuple(problem for problem in found if problem.severity is not Severity.INFO)
        session.emit(render_checkup(found, style, findings=session.findings(worth, style)), out)
    raise typer.Exit(exit_code_of(found))
