"""The code of a finding, or a condition, as text: what it means, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.findings.codes import Code
from reconciler.model import Condition
from reconciler.plan.wording import MEANINGS, REQUIREMENTS
from reconciler.views.table import Display
from reconciler.views.text.style import Style


def show_code(code: Code, display: Display) -> str:
    """A code as text."""
    return render_code(code, display.style)


def render_code(code: Code, style: Style) -> str:
    """A line for each part of its row in the table of codes."""
    rows = {
        "severity": " or ".join(code.severities),
        "exit code": str(int(code.exit_code)),
        "meaning": code.meaning,
        "fix": code.cure,
    }
    return _render(code, rows, style)


def show_condition(condition: Condition, display: Display) -> str:
    """A condition as text."""
    return render_condition(condition, display.style)


def render_condition(condition: Condition, style: Style) -> str:
    """A line each for what must hold, why a change waits for it, and what to do."""
    meaning, cure = MEANINGS[condition]
    requirement = REQUIREMENTS.get(condition)
    rows = {"waits until": requirement} if requirement is not None else {}
    see = {"see": "`mtlsctl explain NAME --live`; the usual order: apply, deploy, retire (docs/how-to/leaked-key.md)"}
    return _render(condition, rows | {"meaning": meaning, "fix": cure} | (see if rows else {}), style)


def _render(name: str, rows: Mapping[str, str], style: Style) -> str:
    size = max(9, *map(len, rows))
    return "\n".join([style.bold(name), *(f"  {label:<{size}}  {text}" for label, text in rows.items()), ""])
