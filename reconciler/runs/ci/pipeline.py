"""What a forge's pipeline provides, and what a run hands to it. One class for each forge, in a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.values import dataclass
from reconciler.model.forges import ForgeName, Proposals
from reconciler.reports.stacks import StackResult, Stacks
from reconciler.runs.ci.settings import CiCommand, CiInputs
from reconciler.views.table import Display


@dataclass(frozen=True, slots=True)
class CiRun:
    """A command that was run, to be published. `displays`: of each stack's result, how its places are found.

    `time`: when it ended. `plan`: the file in which the plan was saved.
    """

    command: CiCommand
    settings: CiInputs
    stacks: Stacks
    displays: Sequence[Display]
    time: datetime
    plan: Path | None = None

    @property
    def results(self) -> Sequence[StackResult]:
        """One for each stack."""
        return self.stacks.results


@dataclass(frozen=True, slots=True)
class Published:
    """`text`: lines for the runner, for stdout. `findings`: what could not be published, which fails no run."""

    text: str = ""
    findings: tuple[Diagnostic, ...] = ()


class Pipeline(Protocol):
    """The runner of one forge: it reads where it runs from the environment, and publishes there."""

    @property
    def scratch(self) -> Path | None:
        """A folder of this job outside the checkout, in which no commit can prepare anything; None if unknown."""

    @property
    def opening(self) -> str:
        """Printed first: from here on, the runner takes no line of the output as a command."""

    @property
    def closing(self) -> str:
        """Printed last before what `publish` returns, which has commands."""

    def demand_safe(self, command: CiCommand) -> None:
        """Raise GuardError if a stranger may have written what this job checked out or downloaded, and it has a
        token."""

    @property
    def base_branch(self) -> str:
        """The branch that is checked out; ReconcilerError if it is none, such as a tag."""

    def open_proposals(self) -> Proposals:
        """Where branches and pull requests are made; ReconcilerError without a token, or if this forge has none."""

    def publish(self, run: CiRun) -> Published:
        """Publish a run: comments, issues, summaries, reports and outputs. Raises nothing for what fails."""


def find_api(
    environ: Mapping[str, str], tokens: Sequence[str], variable: str, otherwise: str
) -> tuple[str, str] | None:
    """The address of the forge's API and the token, of the first of `tokens` that is set; None without one.

    `otherwise`: the address where `variable` has none. ReconcilerError for a variable that can't be used.
    """
    from reconciler.web.http import check_base_url, check_token

    name = next((name for name in tokens if environ.get(name)), None)
    if name is None:
        return None
    token = check_token(name, environ[name])
    return check_base_url(variable, environ.get(variable) or otherwise, f"unset {variable}; the runner sets it"), token


_ROOMS: Mapping[ForgeName, str] = {
    ForgeName.GITHUB: "reconciler.runs.ci.github",
    ForgeName.GITLAB: "reconciler.runs.ci.gitlab",
}


def open_pipeline(forge: ForgeName, environ: Mapping[str, str], tell: Callable[[str], None]) -> Pipeline:
    """The pipeline of a forge, by `open_pipeline` of its module. `tell` gets what is waited for. Calls nothing yet."""
    return cast(Pipeline, import_module(_ROOMS[forge]).open_pipeline(environ, tell))
