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
    store = guard.store
    return GuardDocument(
        stopped=guard.exit_code is not ExitCode.OK,
        made=guard.made,
        skipped=guard.skipped,
        store=StorePart(kind=store.kind, account_id=store.account_id) if store is not None else None,
        files=tuple(sorted(guard.scope.files)),
        environment=guard.scope.environment,
        offline=guard.offline,
        bindings=tuple(map(_binding, guard.bindings)),
        others=guard.others,
        diagnostics=tuple(diagnostic_part(problem, resolve) for problem in guard.diagnostics),
    )


show_guard = as_view(guard_document)


def _binding(one: GuardedBinding) -> GuardedBindingPart:
    row = one.row
    return GuardedBindingPart(
        verdict=one.verdict,
        code=one.problem.code if one.problem is not None else None,
        worker=row.at.worker,
        config=row.at.config,
        environment=row.at.environment,
        binding=row.at.binding,
        certificate=row.certificate,
        found=row.found_id,
        expected=row.wanted,
    )
