"""Decides whether `explain` is about a name of the project, or about the code of a finding."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.findings.codes import Code, find_code
from reconciler.findings.errors import ReconcilerError, UsageError
from reconciler.findings.suggest import nearest
from reconciler.model import Declaration
from reconciler.runs.project import Project


def code_meant(name: str, open_project: Callable[[], Project]) -> Code | None:
    """The code with this name; None if it is not a code, or if mtls.toml declares the name.

    Without an mtls.toml, or with one that can't be read, nothing is declared.
    """
    code = find_code(name)
    if code is None:
        return None
    try:
        declaration, _ = open_project().declaration()
    except ReconcilerError:
        return code
    return None if _declares(declaration, name) else code


def suggest_code(error: UsageError, name: str) -> UsageError:
    """The error, with the closest code in its hint, if one is close."""
    near = nearest(name, Code)
    if near is None:
        return error
    meant = f"did you mean the code `{near}`?"
    return UsageError(error.message, hint=f"{error.hint}\n{meant}" if error.hint else meant)


def _declares(declaration: Declaration, name: str) -> bool:
    bindings = (one for worker in declaration.workers.values() for one in worker.environments.values())
    return (
        name in declaration.certificates
        or name in declaration.workers
        or any(binding.binding == name for table in bindings for binding in table)
    )
