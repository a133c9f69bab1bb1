"""The rate budget that this process shares with others, by the variables of the operator."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.model.budget import RateBudget

DATABASE_URL = "MTLSCTL_DATABASE_URL"
BUDGET = "MTLSCTL_BUDGET"


def open_budget(environ: Mapping[str, str]) -> RateBudget | None:
    """The budget that MTLSCTL_BUDGET names; None without that variable. ReconcilerError if it can't be shared.

    Connects to nothing yet.
    """
    name, url = environ.get(BUDGET), environ.get(DATABASE_URL)
    if not name:
        return None
    if not url:
        raise ReconcilerError(
            f"{BUDGET} names a rate budget, but {DATABASE_URL} is not set",
            hint=f"set {DATABASE_URL} to the address of the PostgreSQL that has it, or unset {BUDGET}",
            code=Code.DATABASE,
        )
    try:
        from reconciler.postgres.budget import PostgresBudget
    except ModuleNotFoundError as error:
        raise extra_missing(BUDGET, error) from error
    return PostgresBudget(url, name)


def extra_missing(what: str, error: ModuleNotFoundError) -> ReconcilerError:
    """The error if the extra for PostgreSQL is not installed."""
    return ReconcilerError(
        f"{what} needs {error.name}, which is not installed",
        hint="install mtlsctl again with it, in its checkout: pipx install --force '.[fleet]'",
        code=Code.EXTRA,
    )
