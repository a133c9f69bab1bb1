"""`mtlsctl.stacks/1`: what a run over several stacks came to, with each stack's own document."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import JsonValue

from reconciler.records.base import DiagnosticPart, JsonPart, diagnostic_part, to_json
from reconciler.reports.checks import RunFailure
from reconciler.reports.stacks import StackResult, Stacks
from reconciler.views.table import Display, formats_of, render
from reconciler.views.text.stacks import display_of


class StackPart(JsonPart):
    """One stack. `file`: its mtls.toml, seen from the working directory. `stack` is absent if that could not be read.
    `exit_code`: that of the command for this stack alone. `report`: the document of the command for it, whose `format`
    says which; absent if an error stopped this stack. Then `diagnostics` has the error. `note`: of a fleet, what was
    done without a person, or why nothing was.
    """

    file: str
    stack: str | None = None
    exit_code: int
    report: dict[str, JsonValue] | None = None
    diagnostics: tuple[DiagnosticPart, ...] | None = None
    note: str | None = None


class StacksDocument(JsonPart):
    """The stacks in the order of their files. `exit_code`: that of the run."""

    format: Literal["mtlsctl.stacks/1"] = "mtlsctl.stacks/1"
    command: str
    exit_code: int
    stacks: tuple[StackPart, ...]


def show_stacks(stacks: Stacks, display: Display) -> str:
    """The document."""
    parts = tuple(_part(one, display) for one in stacks.results)
    return to_json(StacksDocument(command=stacks.command, exit_code=stacks.exit_code, stacks=parts))


def _part(result: StackResult, display: Display) -> StackPart:
    """Its document; a report without one, such as metrics, is left out."""
    part = StackPart(file=result.file, stack=result.stack, exit_code=result.exit_code, note=result.note or None)
    if isinstance(result.report, RunFailure):
        found = tuple(diagnostic_part(one, result.place) for one in result.report.diagnostics)
        return part.model_copy(update={"diagnostics": found})
    if "json" not in formats_of(type(result.report)):
        return part
    return part.model_copy(update={"report": json.loads(render(result.report, "json", display_of(result, display)))})
