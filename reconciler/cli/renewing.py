"""`renew`: new keys and certificates from declared issuers."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Annotated

import typer

from reconciler.cli.applying import LockTimeoutOption
from reconciler.cli.record import RecordOption, record_keeper
from reconciler.cli.session import OutOption, Session, command, seconds
from reconciler.cli.terminal import say
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import UsageError
from reconciler.plan.renewing import Renewals
from reconciler.runs.journal import NO_RUN
from reconciler.runs.operator import demand_merged
from reconciler.runs.renew import RenewRequest, due_names, preview
from reconciler.runs.renew import renew as carry_out
from reconciler.views.text.findings import show_findings

AllowIssuersOption = Annotated[
    bool, typer.Option("--allow-commands", help="Start the commands of mtls.toml: issuers, sinks, and secrets.")
]


@command(
    example="mtlsctl renew --due\nmtlsctl renew billing --allow-commands\nmtlsctl renew --due --dry-run",
    shows=(Renewals,),
)
def renew(
    session: Session,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Renew certificates matching NAME (glob), due or not.")
    ] = None,
    out: OutOption = None,
    record: RecordOption = None,
    due: Annotated[bool, typer.Option("--due", help="Renew only what is due or has no file yet.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be renewed; ask no issuer, create no key.")
    ] = False,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Create a new key even after a run that did not end (for a leaked key).")
    ] = False,
    allow_commands: AllowIssuersOption = False,
    lock_timeout: LockTimeoutOption = "0s",
) -> None:
    """Renew certificates at their issuers: new key, new file.

    For each certificate with a `renew` table in mtls.toml: creates a private key, has it signed by the issuer, checks
    the answer as it would before an upload, and replaces the certificate file. The key goes into the declared sink, and
    nowhere else. Uploads nothing and changes no binding: commit the new file, then `mtlsctl apply` rotates it.

    It is safe to kill and to run again: the next run goes on with the same key, and reports if a certificate may have
    been issued twice. It does not run on a pull request, and a freeze does not stop it.
    """
    demand_merged(os.environ, "renew")
    keep = record_keeper(session, record, out)
    project = session.open_project()
    project.allow_commands = allow_commands
    request = RenewRequest(tuple(names or ()), due=due, new_key=new_key)
    if not request.names and not due:
        found = due_names(project)
        text = f"these are due: {', '.join(found)}" if found else "none with `renew` is due"
        raise UsageError(f"name the certificates to renew, or use `--due`; {text}", hint="run `mtlsctl renew --due`")
    if dry_run:
        done = preview(project, request)
    else:
        timeout_s = seconds(lock_timeout, "--lock-timeout")
        with project.lock(command="renew", timeout_s=timeout_s, waiting=session.tell) as held:
            keep(NO_RUN)

            reported: list[Diagnostic] = []

            def report(found: Diagnostic) -> None:
                say(show_findings((found,), session.display(sys.stderr)), err=True)
                reported.append(found)

            done = carry_out(project, request, session.tell, report, demand_lock=held, keep=keep)
            if sys.stderr.isatty():
                done = replace(done, reported=tuple(reported))
    session.show(done, out)
    raise typer.Exit(done.exit_code)
