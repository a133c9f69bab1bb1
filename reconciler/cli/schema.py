"""`schema`: the JSON Schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler import keys
from reconciler.cli.session import Session, command
from reconciler.findings.errors import UsageError
from reconciler.views.json.schemas import SCHEMAS, all_schemas, schema_text


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
    if all_into is not None:
        for file, text in all_schemas(keys.KINDS).items():
            session.write(all_into / file, text, over_tracked=True)
        return
    wanted = f"{name}.schema.json"
    if wanted not in SCHEMAS:
        known = ", ".join(file.removesuffix(".schema.json") for file in SCHEMAS)
        raise UsageError(f"there is no schema {name!r}", hint=f"use one of these: {known}")
    text = schema_text(wanted, keys.KINDS)
    if out is not None:
        session.write(out, text, over_tracked=True)
    else:
        session.emit(text)
