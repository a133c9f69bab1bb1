"""`mtlsctl.guard/1`: whether a deploy may go ahead, binding by binding."""

from __future__ import annotations

from typing import Literal

from reconciler.findings.diagnostics import Resolve
from reconciler.findings.exits import ExitCode
from reconciler.records.base import DiagnosticPart, JsonPart, UtcTime, diagnostic_part
from reconciler.records.plan import StorePart
from reconciler.reports.guard import Guard, GuardedBinding, GuardVerdict
from reconciler.views.json.document import as_view


class GuardedBindingPart(JsonPart):
    """One binding that would be deployed. `found`: its ID in the wrangler file; `expected`: the ID that it should have,
    if that is known. `code`: of the finding about it. `environment` is left out for the top level."""

    verdict: GuardVerdict
    code: str | None = None
    worker: str
    config: str
    environment: str | None = None
    binding: str
    certificate: str | None = None
    found: str | None = None
    expected: str | None = None


class GuardDocument(JsonPart):
    """The answer to a deploy. `stopped`: it must not go ahead; the exit code is 3.

    `skipped`: why nothing was checked; then there is no `store`. `environment` is empty for the top level, and left out
    if every environment of `files` was judged. `offline`: only files were read. `others`: bindings of another account.
    """

    format: Literal["mtlsctl.guard/1"] = "mtlsctl.guard/1"
    stopped: bool
    made: UtcTime
    skipped: str | None = None
    store: StorePart | None = None
    files: tuple[str, ...]
    environment: str | None = None
    offline: bool
    bindings: tuple[GuardedBindingPart, ...]
    others: int
    diagnostics: tuple[DiagnosticPart, ...]


def guard_document(guard: Guard, resolve: Resolve) -> GuardDocument:
    """The answer as its document."""
    return GuardDocument.made_from(
        guard,
        guard.scope,
        stopped=guard.exit_code is not ExitCode.OK,
        files=tuple(sorted(guard.scope.files)),
        bindings=tuple(map(_binding, guard.bindings)),
        diagnostics=tuple(diagnostic_part(problem, resolve) for problem in guard.diagnostics),
    )


show_guard = as_view(guard_document)


def _binding(one: GuardedBinding) -> GuardedBindingPart:
    row = one.row
    code = one.problem.code if one.problem is not None else None
    return GuardedBindingPart.made_from(
        row.at, row, verdict=one.verdict, code=code, found=row.found_id, expected=row.wanted
    )
