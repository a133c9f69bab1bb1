"""`history`: what was done in this checkout."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.session import OutOption, Session, command
from reconciler.records.history import HistoryDocument, history_document
from reconciler.runs.journal import read_journal


@command(example="mtlsctl history --limit 3", shows=(HistoryDocument,))
def history(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Show the newest N runs.")] = 20,
    out: OutOption = None,
) -> None:
    """Show the runs that changed something from this checkout.

    Lists the newest first: when it ran, what it did, how it ended. A run that was killed has no end. Asks no server.
    """
    session.show(history_document(read_journal(session.open_project().folder), limit=limit), out)
