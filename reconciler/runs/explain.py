"""Decides whether `explain` is about a name of the project, the code of a finding, or a condition."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.findings.codes import Code, find_code
from reconciler.findings.errors import ReconcilerError, UsageError
from reconciler.findings.suggest import nearest
from reconciler.model import Action, Condition, Declaration
from reconciler.model.identifiers import is_short_id
from reconciler.plan.outcome import StepStatus
from reconciler.plan.wording import find_condition
from reconciler.records.journal import StepFinished
from reconciler.runs.journal import read_journal
from reconciler.runs.project import Project


def word_meant(name: str, open_project: Callable[[], Project]) -> Code | Condition | None:
    """The code or condition with this name; None if there is none, or if mtls.toml declares the name.

    Without an mtls.toml, or with one that can't be read, nothing is declared.
    """
    word = find_code(name) or find_condition(name)
    if word is None:
        return None
    try:
        declaration, _ = open_project().declaration()
    except ReconcilerError:
        return word
    return None if _declares(declaration, name) else word


def suggest_word(error: UsageError, name: str) -> UsageError:
    """The error, with the closest code or condition in its hint, if one is close."""
    near = nearest(name, (*Code, *Condition))
    if near is None:
        return error
    meant = f"did you mean the {'code' if find_code(near) else 'condition'} `{near}`?"
    return UsageError(error.message, hint=f"{meant} If not: {error.hint}" if error.hint else meant)


def tell_deleted(error: UsageError, name: str, open_project: Callable[[], Project]) -> UsageError:
    """The error; of an ID that a run of this checkout deleted, it says when."""
    if not is_short_id(name):
        return error
    for event in reversed(read_journal(open_project().folder).events):
        if not isinstance(event, StepFinished) or event.status is not StepStatus.DONE:
            continue
        change = event.change
        if change.action is Action.RETIRE and (change.before or "").startswith(name):
            serial = f" (serial {change.serial})" if change.serial is not None else ""
            message = (
                f"{change.before} of {change.certificate!r}{serial} was deleted on {event.time:%Y-%m-%d %H:%M} UTC"
            )
            return UsageError(message, hint="run `mtlsctl history` to see that run")
    return error


def _declares(declaration: Declaration, name: str) -> bool:
    bindings = (one for worker in declaration.workers.values() for one in worker.environments.values())
    return (
        name in declaration.certificates
        or name in declaration.workers
        or any(binding.binding == name for table in bindings for binding in table)
    )
