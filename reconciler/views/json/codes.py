"""`mtlsctl.code/1` and `mtlsctl.condition/1`: what the code of a finding means, or a condition that a change waits for.

The sentences are for people; everything else is stable.
"""

from __future__ import annotations

from typing import Literal

from reconciler.findings.codes import Code, Severity
from reconciler.model import Condition
from reconciler.plan.wording import MEANINGS, REQUIREMENTS
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


class ConditionDocument(JsonPart):
    """`requirement`: what must hold; left out of those that only a run finds. `meaning`: why a change waits for it."""

    format: Literal["mtlsctl.condition/1"] = "mtlsctl.condition/1"
    condition: Condition
    requirement: str | None = None
    meaning: str
    cure: str


def show_condition(condition: Condition, _: Display) -> str:
    """A condition as JSON."""
    return to_json(condition_document(condition))


def condition_document(condition: Condition) -> ConditionDocument:
    """A condition as its document."""
    meaning, cure = MEANINGS[condition]
    return ConditionDocument(condition=condition, requirement=REQUIREMENTS.get(condition), meaning=meaning, cure=cure)
