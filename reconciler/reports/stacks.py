"""What one run over several stacks came to: for each mtls.toml its report, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from posixpath import dirname

from reconciler.findings.diagnostics import Resolve, known_place
from reconciler.findings.exits import ExitCode, strongest
from reconciler.findings.values import dataclass
from reconciler.reports.checks import RunFailure


@dataclass(frozen=True, slots=True)
class StackResult:
    """One stack of a run. `file`: its mtls.toml, as it leads there from the working directory, with `/`. `stack`: its
    name; None if mtls.toml could not be read. `report`: what a command shows of one stack, such as a plan; a
    `RunFailure` if an error stopped it. `exit_code`: that of the command for this stack alone. `place`: where its
    findings are, relative to `folder`. `within`: the file, from the root of the repository. `note`: what else is to be
    said of it, on one line. `is_stack`: false for what is about the whole run, such as fleet.toml. `account`: the ID of
    its account, if that is known.
    """

    file: str
    stack: str | None
    report: object
    exit_code: ExitCode
    place: Resolve = field(default=known_place, compare=False, repr=False)
    within: str = field(default="mtls.toml", compare=False)
    note: str = ""
    is_stack: bool = True
    account: str | None = field(default=None, compare=False)

    @property
    def key(self) -> str | None:
        """What tells it from the other stacks of a repository, of which one in another account may have its name; None
        if mtls.toml could not be read."""
        return self.stack if self.stack is None or self.account is None else f"{self.account[:8]}-{self.stack}"

    @property
    def folder(self) -> str:
        """The folder of mtls.toml, seen from the working directory."""
        return dirname(self.file)

    @property
    def is_failure(self) -> bool:
        """Whether an error stopped this stack before there was a report."""
        return isinstance(self.report, RunFailure)


@dataclass(frozen=True, slots=True)
class Stacks:
    """The results of one command over several stacks, in the order of their files. `exit_code`: of the whole run.
    `again`: the command to run once what failed is fixed; empty if none is shown."""

    command: str
    results: Sequence[StackResult]
    exit_code: ExitCode
    again: tuple[str, ...] = ()


def join(command: str, results: Sequence[StackResult]) -> Stacks:
    """The results of a run, with its exit code."""
    codes = [[one.exit_code for one in results if one.is_stack is is_stack] for is_stack in (True, False)]
    return Stacks(command, tuple(results), code_over(command, *codes))


def code_over(command: str, codes: Sequence[ExitCode], whole: Sequence[ExitCode] = ()) -> ExitCode:
    """The exit code of a run with these codes of its stacks. `whole`: those of what is about the whole run.

    That is the strongest, as within one stack. But where some failed and others did not, `plan` and `apply` end with 5.
    Wrong use, such as a name that one stack does not have, is a failure of that stack only.
    """
    if any(code is not ExitCode.USAGE for code in (*codes, *whole)):
        codes = [ExitCode.FAILED if code is ExitCode.USAGE else code for code in codes]
    code = ExitCode.USAGE if ExitCode.USAGE in codes else strongest((*codes, *whole))
    if code is ExitCode.FAILED and command in _PARTIAL and any(one is not ExitCode.FAILED for one in codes):
        code = ExitCode.PARTIAL
    return code


_PARTIAL = frozenset({"plan", "apply", "fleet plan", "fleet run", "fleet status"})
