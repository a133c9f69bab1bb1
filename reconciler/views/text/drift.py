"""Drift as text: by certificate, each difference with its place and its fix, and the command to run next."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from reconciler.findings.codes import Code, Severity
from reconciler.findings.escape import printable
from reconciler.model import BindingChange
from reconciler.reports.drift import Drift, DriftFinding, State, Subject
from reconciler.reports.drift_findings import APPLY
from reconciler.views.table import Display
from reconciler.views.text.findings import place_lines, show_findings
from reconciler.views.text.layout import ShortIds, shortened, wrapped
from reconciler.views.text.lines import counted
from reconciler.views.text.names import ShownNames
from reconciler.views.text.plan import not_checked_lines
from reconciler.views.text.plan_groups import waiting_block
from reconciler.views.text.status import time_text
from reconciler.views.text.style import Style

_SIGNS = {State.MISSING: "-", State.CHANGED: "~", State.UNEXPECTED: "+", State.SHARED: "!", State.UNUSED: "."}
_GROUPS = {
    Subject.ENTRY: "other uploaded certificates",
    Subject.KEY: "private keys",
    Subject.HYPERDRIVE: "Hyperdrive",
    Subject.HOSTNAMES: "hostnames",
}
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def show_drift(drift: Drift, display: Display) -> str:
    """A drift with the findings of its plan: errors, warnings, and which certificates are not managed here."""
    notable = (
        one
        for one in drift.diagnostics
        if one.severity is not Severity.INFO or one.code in {Code.ENTRY_FOREIGN, Code.HOSTNAMES_FOREIGN}
    )
    return "\n".join(_lines(drift, display, show_findings(notable, display))) + "\n"


def _lines(drift: Drift, display: Display, findings: str) -> Iterator[str]:
    style, width = display.style, display.width
    head = f"Drift of {printable(drift.stack)} on {drift.store.title}, {time_text(drift.made)}"
    yield from map(style.bold, wrapped(head, width, then="  "))
    ids = ShortIds((found for one in drift.findings for found in _ID.findall(one.message)), width)
    for name, group in _groups(drift.findings).items():
        yield ""
        yield style.bold(f"  {_fitting(printable(name), width)}")
        for hint, same in groupby(group, lambda one: one.hint):
            for finding in same:
                yield from _finding_lines(finding, name, display, ids)
            if hint != APPLY:
                yield from _fix_lines(hint, width)
    if drift.waiting:
        places = (one.change.at.site for one in drift.waiting if isinstance(one.change, BindingChange))
        kept = (one.entry.id for one in drift.waiting if one.entry is not None)
        yield ""
        yield style.bold("Waiting, which is no drift:")
        yield from waiting_block(drift.waiting, ShownNames(width, kept, places), width, indent="  ")
    if findings:
        yield ""
        yield findings
    yield ""
    yield from not_checked_lines(drift.not_checked, drift.command, style, width)
    is_clean = not drift.findings and not any(problem.is_error for problem in drift.diagnostics)
    yield from map(style.good if is_clean else style.warn, wrapped(f"{counts_text(drift)}.", width, then="  "))
    following = next_text(drift, style)
    if following:
        yield following


def next_text(drift: Drift, style: Style) -> str:
    """The command that fixes what it can, and how much that is; empty where it fixes nothing."""
    fixed = sum(one.apply for one in drift.findings)
    if not fixed:
        return ""
    removed = sum(one.apply and one.code is Code.UNDECLARED_BINDING for one in drift.findings)
    notes = [f"fixes {fixed} of {len(drift.findings)}"] if fixed < len(drift.findings) else []
    notes += [f"removes {counted(removed, 'undeclared binding')}"] if removed else []
    some = f"  ({'; '.join(notes)})" if notes else ""
    return f"{style.bold('Next:')} mtlsctl apply{some}"


def counts_text(drift: Drift) -> str:
    """`Drift: 1 missing, 2 changed; 3 certificates and bindings in sync`."""
    counts = ", ".join(f"{count} {state}" for state, count in drift.summary.items() if state in _SIGNS and count)
    is_part = any(problem.is_error for problem in drift.diagnostics)
    none = "No drift in what could be compared" if is_part else "No drift"
    number = len(drift.waiting)
    waiting = f", {counted(number, 'change')} {'waits' if number == 1 else 'wait'}" if number else ""
    alike = counted(drift.summary[State.IN_SYNC], "certificate or binding", "certificates and bindings")
    return f"{f'Drift: {counts}' if counts else none}; {alike} in sync{waiting}"


def _groups(findings: Sequence[DriftFinding]) -> Mapping[str, list[DriftFinding]]:
    """The findings of each certificate; else of each wrangler file; in the order of the first finding."""
    groups: dict[str, list[DriftFinding]] = {}
    for one in findings:
        name = one.certificate or (one.at.config if one.at is not None else _GROUPS.get(one.subject, one.subject))
        groups.setdefault(name, []).append(one)
    return groups


def _finding_lines(finding: DriftFinding, group: str, display: Display, ids: ShortIds) -> Iterator[str]:
    """One finding below the name of its group; a file that is this name is not named again."""
    sign, style = _SIGNS[finding.state], display.style
    message = finding.message.replace(f" in {group} (", " (", 1)
    text = _ID.sub(lambda found: ids(found[0]), printable(message))
    head, *rest = wrapped(text, display.width, first=f"    {sign} ")
    paint = style.change if finding.state in (State.CHANGED, State.UNUSED) else style.bad
    yield head.replace(sign, paint(sign), 1)
    yield from rest
    yield from (f"    {line}" for line in place_lines(finding.where, None, display.place, folder=display.folder))
    if finding.follows:
        count = len(finding.follows)
        yield f"      affects {count} binding{'' if count == 1 else 's'}"


def _fix_lines(hint: str, width: int | None) -> Iterator[str]:
    """The fix; lines to paste are behind a bar, so that no line of them can start anything."""
    first, *rest = hint.splitlines()
    yield from wrapped(printable(first), width, first="      fix  ")
    yield from (f"        | {printable(line)}" for line in rest)


def _fitting(name: str, width: int | None) -> str:
    return name if width is None else shortened(name, width - len("  "))
