"""What of store and wrangler files does not belong together, as text: by kind, each with what mends it."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Resolve
from reconciler.findings.escape import printable
from reconciler.reports.orphans import ORDER, Orphans
from reconciler.views.table import Display
from reconciler.views.text.findings import place_lines, show_findings
from reconciler.views.text.status import time_text
from reconciler.views.text.style import Style

_HEADS = {
    Code.ENTRY_MISSING: "referenced, and not in the store:",
    Code.ID_OF_OTHER_STORE: "referenced, and of another store:",
    Code.PLACEHOLDER_LEFT: "placeholders:",
    Code.ENTRY_IS_CA: "bound, and a CA:",
    Code.ENTRY_EXPIRED: "expired, and still bound:",
    Code.KEY_SHARED: "one key in several certificates:",
    Code.UNDECLARED_BINDING: "ours, and bound without being declared:",
    Code.NEWER_ENTRY: "newer than what is declared:",
    Code.ENTRY_FOREIGN: "referenced, and not ours:",
    Code.ENTRY_UNREFERENCED: "in the store, and not referenced:",
}


def show_orphans(orphans: Orphans, display: Display) -> str:
    """The findings, with the errors of the plan."""
    errors = (problem for problem in orphans.diagnostics if problem.severity is Severity.ERROR)
    findings = show_findings(errors, display)
    return render_orphans(orphans, display.place, display.style, folder=display.folder, findings=findings)


def render_orphans(orphans: Orphans, resolve: Resolve, style: Style, *, folder: str = "", findings: str = "") -> str:
    """Everything. `findings`: what a plan says beside, as `render_findings` shows it."""
    return "\n".join(_lines(orphans, resolve, style, folder, findings)) + "\n"


def _lines(orphans: Orphans, resolve: Resolve, style: Style, folder: str, findings: str) -> Iterator[str]:
    stack = printable(orphans.stack)
    yield style.bold(
        f"What does not belong together: the stack {stack} on {orphans.store.title}, {time_text(orphans.made)}"
    )
    for code in ORDER:
        chosen = [orphan for orphan in orphans.findings if orphan.finding.code == code]
        if chosen:
            yield ""
            yield style.bold(_HEADS[code])
            for orphan in chosen:
                finding = orphan.finding
                yield f"  . {printable(finding.message)}"
                yield from (f"    {line}" for line in place_lines(finding.where, finding.hint, resolve, folder=folder))
    if findings:
        yield ""
        yield findings
    yield ""
    count = len(orphans.findings)
    yield style.warn(f"{count} finding{'' if count == 1 else 's'}.") if count else style.good("Nothing is orphaned.")
