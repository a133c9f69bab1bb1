"""`verify`: whether certificates work, proved level by level."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from reconciler.cli.session import OutOption, Session, command
from reconciler.cli.terminal import ask
from reconciler.findings.errors import UsageError
from reconciler.proof.levels import OFFLINE, Level, Verification
from reconciler.runs.verify.certificates import VerifyRequest
from reconciler.runs.verify.certificates import verify as prove


class LevelName(StrEnum):
    """The levels of `--level`."""

    FILES = "files"
    WRANGLER = "wrangler"
    ORIGIN = "origin"
    RUNTIME = "runtime"
    EDGE = "edge"


@command(example="mtlsctl verify billing --level origin", shows=(Verification,), asks=True)
def verify(
    session: Session,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Certificates, or globs (default: all).")
    ] = None,
    level: Annotated[
        list[LevelName] | None,
        typer.Option(
            "--level",
            metavar="LEVEL",
            help="Run only files, wrangler, origin, runtime or edge; require it (repeatable).",
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Call no origin and no account: run files and wrangler.")
    ] = False,
    run_project: Annotated[
        bool,
        typer.Option("--run-project", help="Run the project's wrangler, its build and its workerd without asking."),
    ] = False,
    out: OutOption = None,
) -> None:
    """Prove that certificates work.

    Runs four levels. files: the certificate, its key and its chain are valid. wrangler: the project's own wrangler
    would deploy the right IDs. origin: calls the URL of `verify` with the certificate, with none and with a throw-away
    one, to prove that the origin accepts this certificate and no other. runtime: a real Worker on this machine calls
    the URL.

    A fifth level runs only with --level edge: a throw-away Worker at Cloudflare calls the URL with the uploaded
    certificate. The token needs `Workers Scripts Write` for it. The Worker is deleted again.

    wrangler and runtime run programs of this checkout. So they run only if you name them with --level, use
    --run-project, set MTLSCTL_RUN_PROJECT=1, or say yes at the terminal. Do that only in a checkout that you trust.

    Sends a few GET requests to the declared URL, which may be production. Exits with 0 if proved, 1 if rejected, 3 if
    inconclusive. A level that can't run is skipped; if its key is missing, or if --level names it, it is inconclusive.
    """
    levels = frozenset(Level(one) for one in level) if level else None
    if offline and levels and levels - OFFLINE:
        wrong = next(one for one in Level if one in levels - OFFLINE)
        raise UsageError(
            f"`--offline` sends nothing, but the level {wrong} does", hint="use only one of the two options"
        )
    request = VerifyRequest(tuple(names or ()), levels, offline, run_project, _may_run)
    found = prove(session.open_project(), request, session.log)
    session.show(found, out)
    raise typer.Exit(found.exit_code)


_QUESTION = """\
verify can also run this project's own wrangler with its build, and its workerd. These are programs of this checkout,
and can do what you can do. Without them, the levels wrangler and runtime are skipped.
Run them? [y/N]: """


def _may_run() -> bool:
    """What a person answers; no without a terminal."""
    if not sys.stdin.isatty() or not sys.stderr.isatty():
        return False
    return ask(_QUESTION, unchanged="nothing was verified").strip().lower() in {"y", "yes"}
