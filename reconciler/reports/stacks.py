"""What one run over several stacks came to: for each mtls.toml its report, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.findings.exits import ExitCode
from reconciler.reports.checks import RunFailure


@dataclass(frozen=True, slots=True)
class StackResult:
    """One stack of a run. `file`: its mtls.toml, as it leads there from the working directory, with `/`. `stack`: its
    name; None if mtls.toml could not be read. `report`: what a command shows of one stack, such as a plan; a
    `RunFailure` if an error stopped it. `exit_code`: that of the command for this stack alone.
    """

    file: str
    stack: str | None
    report: object
    exit_code: ExitCode

    @property
    def is_failure(self) -> bool:
        """Whether an error stopped this stack before there was a report."""
        return isinstance(self.report, RunFailure)


@dataclass(frozen=True, slots=True)
class Stacks:
    """The results of one command over several stacks, in the order of their files. `exit_code`: of the whole run."""

    command: str
    results: Sequence[StackResult]
    exit_code: ExitCode
