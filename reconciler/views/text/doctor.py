"""A check-up as text: what is well in a line each; what is not stands after it, as findings."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.escape import printable
from reconciler.views.text.findings import count_findings
from reconciler.views.text.style import Style


def render_checkup(diagnostics: Iterable[Diagnostic], style: Style, *, findings: str) -> str:
    """The whole check-up. `findings`: the errors and warnings among them, as `render_findings` shows them."""
    found = tuple(diagnostics)
    notes = [item for item in found if item.severity is Severity.INFO]
    width = max((len(item.code) for item in notes), default=0)
    lines = [style.bold("mtlsctl looked at this machine and checkout")]
    for item in notes:
        sign = style.good("ok") if item.hint is None else style.change("--")
        lines.append(f"  {sign}  {item.code:<{width}}  {printable(item.message)}")
        if item.hint is not None:
            lines.append(f"      {'':<{width}}  hint: {printable(item.hint)}")
    if findings:
        lines += ["", findings]
    counted = count_findings(found)
    lines += ["", style.bold(f"{counted}.") if counted else style.good("Everything looked at is in order.")]
    return "\n".join(lines) + "\n"
