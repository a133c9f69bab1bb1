"""Taking over what is there: `status --orphans`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import typer

from reconciler.cli.session import Format, Session


def show_orphans(session: Session, out: Path | None, *, metrics: bool = False) -> NoReturn:
    """What of store and wrangler files does not belong together; ends the command. There are no `metrics` of it."""
    from reconciler.app import PlanRequest, plan
    from reconciler.core.errors import Severity, UsageError
    from reconciler.core.orphans import find_orphans, unreferenced
    from reconciler.core.plan import exit_code_of
    from reconciler.documents.orphans import orphans_document
    from reconciler.outputs.orphans import render_orphans

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
