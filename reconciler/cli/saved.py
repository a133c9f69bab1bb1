"""`mtlsctl show`: shows a saved plan. In a file of its own, because `plan` starts faster without the parser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.session import OutOption, Session, command
from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileError
from reconciler.findings.escape import shell_word
from reconciler.plan.plan import SavedPlan
from reconciler.records.saved_plan import MAX_BYTES, read_plan
from reconciler.system.files import read_named


@command(example="mtlsctl show plan.json", shows=(SavedPlan,))
def show(
    session: Session,
    saved: Annotated[Path, typer.Argument(metavar="PLAN", help="A file written by `mtlsctl plan --out`.")],
    out: OutOption = None,
) -> None:
    """Show a saved plan.

    Reads that file only: not mtls.toml, and nothing from Cloudflare or the local store.
    """
    if os.path.isdir(saved):  # noqa: PTH112 - for any name, and never an error
        raise FileError(
            f"{saved} is a folder, not a saved plan",
            hint=f"of the plans of several stacks, show one: mtlsctl show {shell_word(str(saved))}/NAME.plan.json",
            where=Place(str(saved)),
            code=Code.FILE_NOT_REGULAR,
        )
    plan = read_plan(read_named(saved, limit=MAX_BYTES), str(saved))
    session.tell(f"{saved} is {_TRUST}")
    session.show(plan, out)


_TRUST = "not signed: anyone can make one, so use only one from a job that you trust."


def read_saved(session: Session, path: Path) -> SavedPlan:
    """A saved plan that is about to be applied, after a line on where it is from; ReconcilerError if it is not one."""
    plan = read_plan(read_named(path, limit=MAX_BYTES), str(path))
    commit = f" at commit {plan.commit[:12]}" if plan.commit else ""
    made = f"{'a preview of' if plan.at else 'made'} {plan.made:%Y-%m-%d %H:%M} UTC{commit}"
    session.tell(f"{path}: {made}. It is {_TRUST}")
    return plan
