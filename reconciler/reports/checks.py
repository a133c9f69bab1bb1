"""Findings as the result of a run: of `validate`, `doctor`, or any run that an error stopped."""

from __future__ import annotations

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.differences import NONE, Differences
from reconciler.findings.values import dataclass


@dataclass(frozen=True, slots=True)
class Validation:
    """The findings about the files, in their order. `again`: the command to run once they are fixed; empty where the
    run over several stacks has it."""

    diagnostics: tuple[Diagnostic, ...]
    again: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checkup:
    """Findings about this machine and checkout. An info is a check that passed, or with a hint one that was skipped."""

    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class RunFailure:
    """Why a run stopped; of a plan that is stale also what differs from the reviewed one. `command`: that of the run,
    if it is known."""

    diagnostics: tuple[Diagnostic, ...]
    differences: Differences = NONE
    command: str = ""
