"""`mtlsctl.code/1`: what the code of a finding means. The sentences are for people; everything else is stable."""

from __future__ import annotations

from typing import Literal

from reconciler.findings.codes import Code, Severity
from reconciler.records.base import JsonPart, to_json
from reconciler.views.table import Display


class CodeDocument(JsonPart):
    """`severities`: those that its findings may have. `exit_code`: of a run that an error of it stops, else 0."""

    format: Literal["mtlsctl.code/1"] = "mtlsctl.code/1"
    code: str
    severities: tuple[Severity, ...]
    exit_code: int
    meaning: str
    cure: str


def show_code(code: Code, _: Display) -> str:
    """A code as JSON."""
    return to_json(code_document(code))


def code_document(code: Code) -> CodeDocument:
    """A code as its document."""
    return CodeDocument(
        code=code,
        severities=code.severities,
        exit_code=code.exit_code,
        meaning=code.meaning,
        cure=code.cure,
    )
