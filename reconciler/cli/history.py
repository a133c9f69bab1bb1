"""`history`: what was done in this checkout, and by whom."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from reconciler.cli.session import OutOption, Session, command, moment
from reconciler.desired.durations import parse_duration
from reconciler.desired.rules import Refused
from reconciler.records.history import HistoryDocument, history_document
from reconciler.runs.journal import read_journal

_NEWEST = 20


def _begin(text: str, now: datetime) -> datetime:
    """The time of `--since`: in UTC, or as long ago as a duration."""
    try:
        return now - parse_duration(text)
    except Refused:
        pass
    try:
        return moment(text)
    except typer.BadParameter as error:
        message = f"{text!r} is neither a date, such as 2027-01-31, nor a duration, such as 30d"
        raise typer.BadParameter(message, param_hint="--since") from error


@command(example="mtlsctl history --limit 3\nmtlsctl history --since 30d --format markdown", shows=(HistoryDocument,))
def history(
    session: Session,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="Show the newest N runs (default: 20; with --since, all)."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="Show the runs since TIME: a date in UTC, such as 2027-01-31, or a duration, such as 30d.",
        ),
    ] = None,
    out: OutOption = None,
) -> None:
    """Show the runs that changed something from this checkout.

    Lists the newest first: when it ran, who ran it, what it did, how it ended. A run that was killed has no end. Asks
    no server.
    """
    project = session.open_project()
    begin = _begin(since, project.clock.now()) if since is not None else None
    newest = _NEWEST if limit is None and begin is None else limit
    session.show(history_document(read_journal(project.folder), limit=newest, since=begin), out)
