"""`--record FILE` of `apply` and `retire`: what keeps the record of a run in a file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.planning import demand_own_file
from reconciler.cli.session import Session
from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileError
from reconciler.records.base import to_json
from reconciler.records.history import HistoryDocument
from reconciler.runs.journal import NO_RUN, Keep
from reconciler.system.files import read_named

RecordOption = Annotated[
    Path | None,
    typer.Option("--record", metavar="FILE", help="Keep the record of this run in FILE: who, when, and each step."),
]

_RECORD = re.compile(rb'(?:\s*\{\s*"format"\s*:\s*"mtlsctl\.history/|\Z)')
_LARGEST = 10_000_000
"""Bytes of a record that is replaced; a step has a few hundred."""


def record_keeper(session: Session, record: Path | None, *others: Path | None) -> Keep:
    """What writes the record of this run to its file. UsageError for one that another option names, too."""
    demand_own_file("--record", record, *others)

    def keep(document: HistoryDocument) -> None:
        if record is not None:
            _demand_record(record)
            session.write(record, to_json(document), option="--record")

    return keep


def joined(keep: Keep) -> Callable[[], Keep]:
    """What gives each stack of a run its own keeper; all of them keep one record together, the newest run first."""
    latest: list[HistoryDocument] = []

    def keeper() -> Keep:
        index = len(latest)
        latest.append(NO_RUN)

        def keep_own(document: HistoryDocument) -> None:
            latest[index] = document
            runs = tuple(run for one in reversed(latest) for run in one.runs)
            keep(document.model_copy(update={"runs": runs}))

        return keep_own

    return keeper


def _demand_record(path: Path) -> None:
    """FileError if there is something else than a record: it may be an input of this run that was not read yet."""
    if os.path.lexists(path) and not _RECORD.match(read_named(path, limit=_LARGEST)):
        raise FileError(
            f"`--record {path}` would overwrite a file that is not the record of a run",
            hint="name a new file, such as record.json",
            where=Place(str(path)),
            code=Code.OUT_REFUSED,
        )
