"""An outcome as text: what was done, what was not, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from reconciler.findings.escape import printable
from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.reports.left import Applied, ToDeploy
from reconciler.views.table import Display
from reconciler.views.text.findings import show_findings
from reconciler.views.text.plan import describe, waiting_lines
from reconciler.views.text.style import Style


def show_applied(applied: Applied, display: Display) -> str:
    """What became of a plan, below its own findings; those of the plan were shown with it."""
    outcome = applied.outcome
    problems = (*outcome.findings, *(step.problem for step in outcome.steps if step.problem is not None))
    findings = f"\n{show_findings(problems, display)}\n" if problems else ""
    return f"{findings}\n{render_outcome(outcome, display.style, applied.to_deploy, folder=display.folder)}"


def render_outcome(outcome: Outcome, style: Style, to_deploy: tuple[ToDeploy, ...] = (), *, folder: str = "") -> str:
    """The whole outcome without its findings, which `render_findings` shows. `folder` as there."""
    return "\n".join(_lines(outcome, style, to_deploy, folder)) + "\n"


def step_line(step: Step, style: Style) -> str:
    """One change and how it ended."""
    sign, paint = {
        StepStatus.DONE: ("ok", style.good),
        StepStatus.FAILED: ("FAILED", style.bad),
        StepStatus.NOT_STARTED: ("not started", style.change),
        StepStatus.WAITING: ("waiting", style.change),
        StepStatus.UNPROVED: ("not proved", style.change),
    }[step.status]
    text = f"  {paint(sign)}: {step.change.action} {describe(step.change)}"
    if step.status is StepStatus.DONE and step.entry is not None:
        text += f" -> {printable(step.entry)}"
    return f"{text} ({printable(step.note)})" if step.note else text


def _lines(outcome: Outcome, style: Style, to_deploy: tuple[ToDeploy, ...], folder: str) -> Iterator[str]:
    yield style.bold(f"Applied to the stack {printable(outcome.plan.stack)}")
    for step in outcome.steps:
        if step.status is not StepStatus.WAITING:
            yield step_line(step, style)
    held = tuple(step.waiting for step in outcome.steps if step.waiting is not None)
    yield from waiting_lines(held, style)
    yield from _to_deploy_lines(to_deploy, style, folder)
    counts = [f"{len(outcome.of(status))} {status.replace('-', ' ')}" for status in StepStatus if outcome.of(status)]
    yield ""
    summary = ", ".join(counts) or "Nothing to do"
    kept = sum(one.entry is not None for one in outcome.plan.waiting)
    waiting = len(outcome.plan.waiting) - kept
    later = [f"{waiting} waiting"] if waiting else []
    later += [f"{kept} kept until safe to delete"] if kept else []
    if later:
        summary += f"; {', '.join(later)}, see `mtlsctl plan`"
    if outcome.interrupted:
        summary += "; interrupted: it is safe to run `mtlsctl apply` again, which finishes the job"
    yield (style.good if not outcome.of(StepStatus.FAILED) and not outcome.interrupted else style.bad)(summary + ".")


def _to_deploy_lines(to_deploy: tuple[ToDeploy, ...], style: Style, folder: str) -> Iterator[str]:
    """What is written and does not serve yet."""
    if not to_deploy:
        return
    yield ""
    yield style.bold("to deploy (the files are written; what serves is unchanged until then):")
    for one in to_deploy:
        yield f"  {printable(shlex.join(one.command_from(folder)))}"
