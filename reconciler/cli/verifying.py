"""`verify`: whether certificates work, proved level by level."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from reconciler.cli.session import OutOption, Session, command
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


@command(example="mtlsctl verify billing --level origin", shows=(Verification,), asks=True)
def verify(
    session: Session,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Certificates, or globs; without any, all.")
    ] = None,
    level: Annotated[
        list[LevelName] | None, typer.Option("--level", help="Only this level, and it must be run; repeatable.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Send nothing: the levels files and wrangler.")] = False,
    out: OutOption = None,
) -> None:
    """Prove that certificates work.

    files: the certificate, its key and its chain are fit. wrangler: the project's own wrangler would deploy the right
    ids. origin: the URL of `verify` is called with the certificate, with none and with a throw-away one; that shows
    whether it accepts this one, and only this one. runtime: a real Worker on this machine (workerd) calls it.

    It sends requests to production: a GET of the declared URL, a few times. Exit 0: proved. 1: refuted. 3: open. A
    level that can't be run says so and proves nothing; one that lacks the key, or that --level names, is open.
    """
    levels = frozenset(Level(one) for one in level) if level else None
    if offline and levels and levels - OFFLINE:
        wrong = next(one for one in Level if one in levels - OFFLINE)
        raise UsageError(f"`--offline` sends nothing, and the level {wrong} does", hint="take one of them")
    request = VerifyRequest(tuple(names or ()), levels, offline)
    found = prove(session.open_project(), request, session.log)
    session.show(found, out)
    raise typer.Exit(found.exit_code)
