"""What `apply` does with plans that are shown: it asks, carries one out, and shows how far it is."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from reconciler.cli.session import Session
from reconciler.cli.terminal import ask, say, tell
from reconciler.findings.errors import DeclinedError, UsageError
from reconciler.findings.values import dataclass
from reconciler.model import Action, Change, Phase
from reconciler.model.progress import Done, uncounted
from reconciler.plan.outcome import Step, StepStatus
from reconciler.plan.plan import Plan
from reconciler.reports.left import Applied
from reconciler.runs.apply import LookBack, apply_nothing, left_to_deploy
from reconciler.runs.apply import apply as carry_out
from reconciler.runs.journal import Keep
from reconciler.runs.plan import Planned
from reconciler.runs.project import Project
from reconciler.views.text.outcome import failure_lines


@dataclass(frozen=True, slots=True)
class Doing:
    """How plans are carried out. `again`: the words of the command that continues. `keep`: keeps the record of the run.
    `allow_commands`: as of the project. `later`: in a run over several stacks, it gets what compares the uploads with
    the list, which is read once, at the end."""

    phases: tuple[Phase, ...]
    again: Sequence[str]
    waves: tuple[int | None, ...] = (None,)
    keep: Keep = lambda _: None
    allow_commands: bool = False
    later: list[LookBack] | None = None

    def is_pending(self, made: Plan) -> bool:
        """Whether there is anything to do in these phases."""
        return any(change.phase in self.phases for change in made.changes)


def perform(session: Session, project: Project, planned: Planned, doing: Doing, held: Callable[[], None]) -> Applied:
    """Carry out a plan. `held`: raises LockedError once the lock is lost."""
    if doing.is_pending(planned.plan):
        with _Watch(session, planned.plan, doing.phases) as watch:
            outcome = carry_out(
                project,
                planned,
                watch,
                doing.phases,
                command=doing.again[0],
                waves=doing.waves,
                tell=session.tell,
                demand_lock=held,
                keep=doing.keep,
                later=doing.later,
            )
    else:
        outcome = apply_nothing(project, planned, doing.again[0], doing.keep)
    return Applied(outcome, left_to_deploy(planned, outcome), ("mtlsctl", *doing.again))


def warn_of_keys(made: Plan, project: Project, phases: tuple[Phase, ...]) -> None:
    """Name the variables of keys that are not set, before the question. Opens no key: that is for after a yes."""
    needed = {Action.UPLOAD: Phase.UPLOAD, Action.VERIFY: Phase.VERIFY}
    for key in made.keys:
        actions = ["proof" if one is Action.VERIFY else "upload" for one in key.actions if needed.get(one) in phases]
        if not actions:
            continue
        fails = f"so the {actions[0]} of {key.certificate} will fail."
        for variable in key.source.variables:
            if not project.environ.get(variable):
                tell(f"warning: ${variable} is not set, {fails}")
        if key.source.source == "stdin" and sys.stdin.isatty():
            tell(f"warning: its key is read from standard input, which is a terminal, {fails}")
        if key.source.needs_command and not project.allow_commands:
            tell(f"warning: its key comes from a command, and `--allow-commands` was not given, {fails}")


def confirm(yes: bool, *, can_save: bool) -> None:
    """Ask the user, unless `--yes` was given; UsageError without a terminal, DeclinedError for no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "the changes need a confirmation, but there is no terminal to ask; nothing was changed",
            hint=f"check the changes above, then run this command again with `--yes`{_SAVE if can_save else ''}",
        )
    answer = ask("\nApply these changes? [y/N]: ", unchanged="nothing was changed")
    if answer.strip().lower() not in {"y", "yes"}:
        raise DeclinedError("declined; nothing was changed")


_SAVE = "; or save a plan with `mtlsctl plan --out`, review it, and run `mtlsctl apply` with it"

_DOING = {
    Phase.UPLOAD: "Uploading",
    Phase.BIND: "Writing bindings",
    Phase.DEPLOY: "Deploying",
    Phase.UPDATE: "Updating",
    Phase.VERIFY: "Verifying",
    Phase.RETIRE: "Deleting",
}


class _Watch:
    """Counts the steps of each phase, and shows at a terminal at once which failed; where there is a log, it has
    them."""

    def __init__(self, session: Session, made: Plan, phases: tuple[Phase, ...]) -> None:
        self._session = session
        self._left = Counter(change.phase for change in made.changes if change.phase in phases)
        self._phase: Phase | None = None
        self._count = ExitStack()
        self._done: Done = uncounted

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._count.close()

    def started(self, change: Change) -> None:
        if change.phase is not self._phase:
            self._count.close()
            self._phase = change.phase
            counting = self._session.progress.counting(_DOING[change.phase], self._left[change.phase])
            self._done = self._count.enter_context(counting)

    def finished(self, step: Step) -> None:
        self._left[step.change.phase] -= 1
        self._done()
        if step.status is StepStatus.FAILED and sys.stderr.isatty() and self._session.log_format is None:
            display = self._session.display(sys.stderr)
            for line in failure_lines(step, display.style, display.width):
                say(line, err=True)
