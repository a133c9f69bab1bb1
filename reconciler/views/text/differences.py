"""What differs between a reviewed plan and the one found now, as text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.findings.differences import Comparison, Differences, PlanDifference
from reconciler.findings.escape import printable
from reconciler.views.table import Display
from reconciler.views.text.lines import counted, led, prose
from reconciler.views.text.style import Style

_LONGEST = 500
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SIGNS = {
    Comparison.DIFFERENT: ("~ different:", ""),
    Comparison.ADDED: ("+ added:", ""),
    Comparison.GONE: ("- gone:", "made already, or not needed any more"),
}


def render_differences(differences: Differences, display: Display) -> str:
    """A line for each change that is not the same in both plans, with its fields, and how many more there are."""
    return "\n".join(_lines(differences, display.style, prose(display.width)))


def _lines(differences: Differences, style: Style, width: int | None) -> Iterator[str]:
    yield "The plan found now, compared with the reviewed one:"
    for one in differences.shown:
        yield from _change_lines(one, style, width)
    if differences.more:
        yield f"  and {counted(differences.more, 'more difference')}"


def _change_lines(one: PlanDifference, style: Style, width: int | None) -> Iterator[str]:
    sign, unknown = _SIGNS[one.difference]
    why = one.detail or unknown
    text = f"{printable(one.what)}{f' ({printable(why)})' if why else ''}"
    yield from led(sign, text, width, paint=style.change, then="      ")
    for field in one.fields or ():
        before, after = _shown(field.reviewed, width), _shown(field.found, width)
        yield from led("   ", f"{printable(field.field.replace('_', ' '))}: {before} -> {after}", width, then=" " * 10)


def _shown(value: str | None, width: int | None) -> str:
    """A value, escaped; at a terminal a digest by its begin, and any other long text cut."""
    if value is None:
        return "none"
    if width is None:
        return printable(value)
    if _DIGEST.fullmatch(value):
        return value[:12]
    return printable(value if len(value) <= _LONGEST else f"{value[:_LONGEST]}...")
