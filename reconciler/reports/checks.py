"""Findings as the result of a run: of `validate`, of `doctor`, and of any run that an error stopped."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.findings.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True)
class Validation:
    """What is wrong with the files, in their order."""

    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Checkup:
    """What was found on this machine and checkout. An info is a check that passed, or with a hint one not made."""

    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class RunFailure:
    """Why a run stopped."""

    diagnostics: tuple[Diagnostic, ...]
