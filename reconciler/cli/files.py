"""`validate` and `schema`: what can be said of files alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.session import Format, FormatOption, OutOption, Session, command


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, example="mtlsctl validate --format json")(validate)
    command(app, example="mtlsctl schema --out schemas/mtls.schema.json")(schema)


def validate(session: Session, output_format: FormatOption = Format.TEXT, out: OutOption = None) -> None:
    """Check every file; the store is not asked.

    Looks at mtls.toml, the certificates, the keys that are at hand and their pairs, and the wrangler files.
    """
    from reconciler.plan.plan import exit_code_of
    from reconciler.runs.validate import validate as check
    from reconciler.views.json.diagnostics import diagnostics_document
    from reconciler.views.text.findings import count_findings

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


def schema(
    session: Session,
    name: Annotated[str, typer.Argument(help="mtls, or a document: plan, outcome, status, ...")] = "mtls",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it to a file instead.")] = None,
    all_into: Annotated[
        Path | None, typer.Option("--all", metavar="FOLDER", help="Write every schema into a folder.")
    ] = None,
) -> None:
    """Print the JSON Schemas.

    That of mtls.toml makes editors complete and check the file; the others are of the documents that are written.
    """
    from reconciler import keys
    from reconciler.findings.errors import UsageError
    from reconciler.views.json.schemas import all_schemas

    schemas = all_schemas(keys.KINDS)
    if all_into is not None:
        for file, text in schemas.items():
            session.write(all_into / file, text)
        return
    wanted = f"{name}.schema.json"
    if wanted not in schemas:
        known = ", ".join(file.removesuffix(".schema.json") for file in schemas)
        raise UsageError(f"there is no schema {name!r}", hint=f"there are: {known}")
    if out is not None:
        session.write(out, schemas[wanted])
    else:
        session.emit(schemas[wanted])
