"""`schema`: the JSON Schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler import keys
from reconciler.cli.session import Session, command
from reconciler.findings.errors import UsageError
from reconciler.views.json.schemas import all_schemas


@command(example="mtlsctl schema --out schemas/mtls.schema.json")
def schema(
    session: Session,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="mtls, or a document: plan, outcome, status, ...")
    ] = "mtls",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the schema to FILE instead.")] = None,
    all_into: Annotated[
        Path | None, typer.Option("--all", metavar="FOLDER", help="Write every schema into FOLDER.")
    ] = None,
) -> None:
    """Print the JSON Schemas.

    With the schema of mtls.toml, editors complete and check that file. The others describe the JSON that mtlsctl
    writes.
    """
    schemas = all_schemas(keys.KINDS)
    if all_into is not None:
        for file, text in schemas.items():
            session.write(all_into / file, text, over_tracked=True)
        return
    wanted = f"{name}.schema.json"
    if wanted not in schemas:
        known = ", ".join(file.removesuffix(".schema.json") for file in schemas)
        raise UsageError(f"there is no schema {name!r}", hint=f"use one of these: {known}")
    if out is not None:
        session.write(out, schemas[wanted], over_tracked=True)
    else:
        session.emit(schemas[wanted])
