"""`history`: what was done in this checkout."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from reconciler.cli.session import Format, FormatOption, OutOption, Session, command
from reconciler.records.history import history_document
from reconciler.system.journal import read_journal
from reconciler.views.text.history import render_history


@command(example="mtlsctl history --limit 3")
def history(
    session: Session,
    output_format: FormatOption = Format.TEXT,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Show the newest N runs.")] = 20,
    out: OutOption = None,
) -> None:
    """Show the runs that changed something from this checkout, newest first: when, what they did, how they ended.

    A run that was killed stands here as one that never ended. The store is not asked.
    """
    document = history_document(read_journal(session.open_project().folder), limit=limit)
    if output_format is Format.JSON:
        session.emit_document(document, out)
    else:
        session.emit(render_history(document, session.style(sys.stdout)), out)
