"""`mtlsctl.orphans/1`: what of store and wrangler files does not belong together, each with what mends it."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from reconciler.findings.diagnostics import Resolve
from reconciler.model import BindingAddress
from reconciler.records.base import DiagnosticPart, JsonPart, UtcTime, diagnostic_part
from reconciler.records.plan import StorePart
from reconciler.reports.orphan_findings import Orphan
from reconciler.reports.orphans import Orphans
from reconciler.views.json.document import as_view


class OrphanPart(DiagnosticPart):
    """One finding. `hint` is the line or the command that mends it; `entries` are the ids that it is about."""

    entries: tuple[str, ...]
    places: tuple[BindingAddress, ...]


class OrphansDocument(JsonPart):
    """`summary` counts the findings by their code. `diagnostics`: what a plan says beside."""

    format: Literal["mtlsctl.orphans/1"] = "mtlsctl.orphans/1"
    stack: str
    store: StorePart
    made: UtcTime
    summary: dict[str, int]
    findings: tuple[OrphanPart, ...]
    diagnostics: tuple[DiagnosticPart, ...]


def orphans_document(orphans: Orphans, resolve: Resolve) -> OrphansDocument:
    """The findings as their document."""
    return OrphansDocument(
        stack=orphans.stack,
        store=StorePart(kind=orphans.store.kind, account_id=orphans.store.account_id),
        made=orphans.made,
        summary=dict(Counter(orphan.finding.code for orphan in orphans.findings)),
        findings=tuple(_part(orphan, resolve) for orphan in orphans.findings),
        diagnostics=tuple(diagnostic_part(problem, resolve) for problem in orphans.diagnostics),
    )


show_orphans = as_view(orphans_document)


def _part(orphan: Orphan, resolve: Resolve) -> OrphanPart:
    return OrphanPart(
        **diagnostic_part(orphan.finding, resolve).model_dump(),
        entries=orphan.entries,
        places=orphan.spots,
    )
