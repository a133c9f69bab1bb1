"""The code of a finding as text: what it means, and what to do about it."""

from __future__ import annotations

from reconciler.findings.codes import Code
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
    return "\n".join([style.bold(code), *(f"  {name:<9}  {text}" for name, text in rows.items()), ""])
