"""`validate` and `doctor`: checks of the files, the machine and the account."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from reconciler.cli.session import OutOption, Session, command
from reconciler.findings.exits import ExitCode
from reconciler.plan.plan import exit_code_of
from reconciler.reports.checks import Checkup, Validation
from reconciler.runs.doctor.examine import examine
from reconciler.runs.project import Project
from reconciler.runs.validate import validate as check


@command(example="mtlsctl validate --format json\nmtlsctl validate --all", shows=(Validation,))
def validate(session: Session, out: OutOption = None) -> None:
    """Check mtls.toml, its files, and keys in git; ask no server.

    Reads the certificates, the wrangler files and the private keys that are available, and checks that each key fits
    its certificate. Reports private keys that git tracks: those that mtls.toml names, and any next to a certificate.
    """

    def make(project: Project) -> tuple[Validation, ExitCode]:
        found = check(project)
        again = () if session.is_over_several else ("mtlsctl", "validate", *session.selection)
        return Validation(found, again), exit_code_of(found)

    session.end_with(make, out, again=True)


@command(example="mtlsctl doctor", shows=(Checkup,))
def doctor(
    session: Session,
    out: OutOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no server.")] = False,
) -> None:
    """Check this machine, this checkout and the API token.

    Checks versions, files and their permissions, the local store, private keys, the environment, and what killed runs
    left behind; shows a fix for each problem. With an account, shows which permission each command needs and which the
    token has, as far as reading can show it. Works without an mtls.toml. Changes nothing.
    """
    found = examine(session.open_project, environ=os.environ, file_named=session.file is not None, offline=offline)
    session.show(Checkup(found), out)
    raise typer.Exit(exit_code_of(found))
