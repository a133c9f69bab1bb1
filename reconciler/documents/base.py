"""What every JSON document has in common: strict shapes, absent keys left out, times in UTC, places resolved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer

from reconciler.core.errors import Diagnostic, Place, Pointer, Severity

Resolve = Callable[[Pointer | Place | None], Place | None]
"""Turns where a finding is into file, line and column; the shell has the files, this room does not."""


def time_text(time: datetime) -> str:
    """RFC 3339 in UTC, `2027-02-01T00:00:00Z`."""
    return time.isoformat().replace("+00:00", "Z")


UtcTime = Annotated[datetime, PlainSerializer(time_text, return_type=str)]


class Document(BaseModel):
    """One JSON document or a part of one. Unknown keys are refused, so that reading back is as strict as writing."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class DiagnosticPart(Document):
    """One finding. `line` and `column` count from 1."""

    severity: Severity
    code: str
    message: str
    path: str | None = None
    line: int | None = None
    column: int | None = None
    hint: str | None = None
    certificate: str | None = None


def diagnostic_part(diagnostic: Diagnostic, resolve: Resolve) -> DiagnosticPart:
    """A finding with its place."""
    place = resolve(diagnostic.where)
    return DiagnosticPart(
        severity=diagnostic.severity,
        code=diagnostic.code,
        message=diagnostic.message,
        path=place.path if place else None,
        line=place.line if place else None,
        column=place.column if place else None,
        hint=diagnostic.hint,
        certificate=diagnostic.certificate,
    )


def to_json(document: Document) -> str:
    """The text of a document: two spaces, one final newline, absent keys left out, ASCII only.

    ASCII, so that no control or direction character of somebody's name can act on the terminal that shows it.
    """
    text = document.model_dump_json(indent=2, exclude_none=True, ensure_ascii=True)
    return text.replace("\x7f", "\\u007f") + "\n"
