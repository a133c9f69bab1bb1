"""`verify`: whether certificates work, proved level by level."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.session import Format, FormatOption, OutOption, Session, command

if TYPE_CHECKING:
    from reconciler.proof.levels import Verification


class LevelName(StrEnum):
    """The levels of `--level`."""

    FILES = "files"
    WRANGLER = "wrangler"
    ORIGIN = "origin"
    RUNTIME = "runtime"


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    command(app, example="mtlsctl verify billing --level origin", asks=True)(verify)


def verify(
    session: Session,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Certificates, or globs; without any, all.")
    ] = None,
    level: Annotated[
        list[LevelName] | None, typer.Option("--level", help="Only this level, and it must be run; repeatable.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Send nothing: the levels files and wrangler.")] = False,
    output_format: FormatOption = Format.TEXT,
    out: OutOption = None,
) -> None:
    """Prove that certificates work.

    files: the certificate, its key and its chain are fit. wrangler: the project's own wrangler would deploy the right
    ids. origin: the URL of `verify` is called with the certificate, with none and with a throw-away one; that shows
    whether it accepts this one, and only this one. runtime: a real Worker on this machine (workerd) calls it.

    It sends requests to production: a GET of the declared URL, a few times. Exit 0: proved. 1: refuted. 3: open. A
    level that can't be run says so and proves nothing; one that lacks the key, or that --level names, is open.
    """
    from reconciler.findings.errors import UsageError
    from reconciler.proof.levels import OFFLINE, Level
    from reconciler.runs.verify.certificates import VerifyRequest
    from reconciler.runs.verify.certificates import verify as prove
    from reconciler.views.json.verify import verify_document
    from reconciler.views.text.verify import render_verification

    levels = frozenset(Level(one) for one in level) if level else None
    if offline and levels and levels - OFFLINE:
        wrong = next(one for one in Level if one in levels - OFFLINE)
        raise UsageError(f"`--offline` sends nothing, and the level {wrong} does", hint="take one of them")
    request = VerifyRequest(tuple(names or ()), levels, offline)
    project = session.open_project()
    found = prove(project, request, session.log)
    if output_format is Format.JSON:
        session.emit_document(verify_document(found, project.place), out)
    else:
        style = session.style(sys.stdout)
        session.emit(render_verification(found, style, findings=_findings(session, found)), out)
    raise typer.Exit(found.exit_code)


def _findings(session: Session, found: Verification) -> str:
    """What somebody should act on, notes left out."""
    from reconciler.findings.diagnostics import Severity

    told = [
        *found.diagnostics,
        *(one for proof in found.certificates for level in proof.levels for one in level.findings),
    ]
    worth = tuple(one for one in told if one.severity is not Severity.INFO)
    return session.findings(worth, session.style(sys.stdout)) if worth else ""
