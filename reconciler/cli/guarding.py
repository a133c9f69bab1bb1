"""`guard`: asked by a project's own deploys."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.session import OutOption, Session, command
from reconciler.findings.errors import UsageError
from reconciler.reports.guard import Guard, GuardScope
from reconciler.runs.guard import ENVIRONMENT, GuardRequest, skip, why_nothing_is_deployed
from reconciler.runs.guard import guard as ask
from reconciler.system.clock import SystemClock


@command(example="mtlsctl guard && wrangler deploy\nmtlsctl guard checkout --env production", shows=(Guard,), asks=True)
def guard(
    session: Session,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="A Worker's label, or a wrangler file."),
    ] = None,
    out: OutOption = None,
    environment: Annotated[
        str | None,
        typer.Option("--env", metavar="NAME", help="Limit to this environment; empty for the top level."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Read files only; check no ID.")] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option("--accept-newer", metavar="ID", help="Allow older certificates than ID, after a revert."),
    ] = None,
) -> None:
    """Stop a deploy with outdated certificate IDs; exit 3.

    Run it before `wrangler deploy`, or as the `[build] command` of the wrangler file. It stops the deploy if a binding
    has a placeholder, an ID that the account does not have, or a certificate that has expired, is not valid yet, is not
    the declared one, or is older than one that was uploaded since.

    Checks the wrangler file that wrangler would use here; where wrangler finds no file, all declared ones. Without
    --env, the environment is that of CLOUDFLARE_ENV, or all of them. Under `wrangler dev` it checks nothing.

    If the IDs can't be checked, the deploy is stopped, too. To deploy all the same, set MTLSCTL_SKIP_GUARD to the
    reason; it is logged. Opens no private key. A list of certificates is used for a minute.
    """
    nothing = why_nothing_is_deployed(os.environ)
    if nothing is not None:
        session.show(Guard(SystemClock().now(), GuardScope(frozenset()), skipped=nothing), out)
        return
    project = None
    with contextlib.suppress(UsageError):
        project = session.open_project()
    answer = skip(project, os.environ, SystemClock())
    if answer is None:
        request = GuardRequest(
            cwd=Path.cwd(),
            names=tuple(names or ()),
            environment=environment if environment is not None else os.environ.get(ENVIRONMENT) or None,
            offline=offline,
            accepted=tuple(accept or ()),
        )
        answer = ask(project or session.open_project(), request)
    session.show(answer, out)
    raise typer.Exit(answer.exit_code)
