"""`init` and `export`: adopting what exists."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.session import OutOption, Session, command
from reconciler.cli.terminal import ask, tell
from reconciler.desired.rules import accepts, check_certificate_path
from reconciler.findings.errors import DeclinedError, UsageError
from reconciler.findings.exits import ExitCode
from reconciler.model import StoreKind
from reconciler.model.stores import ACCOUNT_VARIABLE, TOKEN_VARIABLE
from reconciler.runs.init import create
from reconciler.runs.init.settings import InitRequest, choose_stack, choose_store
from reconciler.runs.init.survey import demand_folder
from reconciler.runs.project import Project
from reconciler.system.discover import find_file
from reconciler.takeover.adoption import Adoption
from reconciler.takeover.proposed import Proposal

StackOption = Annotated[
    str | None, typer.Option("--stack", metavar="NAME", help="Name the stack (default: after the folder).")
]
StoreOption = Annotated[
    StoreKind | None,
    typer.Option("--store", help="Choose Cloudflare or the local store (default: Cloudflare if there is a token)."),
]
AccountOption = Annotated[
    str | None,
    typer.Option("--account", metavar="ID", help="Use this Cloudflare account (default: CLOUDFLARE_ACCOUNT_ID)."),
]
FromOption = Annotated[
    Path | None,
    typer.Option("--from", metavar="FOLDER", help="Adopt the wrangler files and certificates in FOLDER."),
]
SaveOption = Annotated[
    str | None,
    typer.Option("--certificates", metavar="FOLDER", help="Write certificates that no file has into FOLDER."),
]


@command(example="mtlsctl init --from .", shows=(Adoption,), asks=True)
def init(
    session: Session,
    below: FromOption = None,
    update: Annotated[
        bool, typer.Option("--update", help="Add what is new to an existing mtls.toml; keep every line.")
    ] = False,
    stack: StackOption = None,
    same_stack: Annotated[
        bool, typer.Option("--same-stack", help="Confirm that uploads of this stack name belong to it.")
    ] = False,
    store: StoreOption = None,
    account: AccountOption = None,
    certificates: SaveOption = None,
    out: OutOption = None,
) -> None:
    """Create an mtls.toml; `--from` adopts what exists.

    With --from it finds the wrangler files in a folder, lists the uploaded certificates, and declares those in use:
    each is matched to a certificate file by content, or bound by its ID. What can't be declared becomes a comment with
    the reason. Uploads nothing, changes no wrangler file, and opens no private key.

    At a terminal it asks for the stack and, without --from and unless the environment has an account or a token, where
    to keep the certificates. Never overwrites an existing mtls.toml.
    """
    request = InitRequest(stack, same_stack, store, account, below, certificates)
    _demand_folder(certificates)
    if update:
        if stack or store or account or same_stack:
            hint = "change them in mtls.toml by hand; `--update` only adds"
            raise UsageError("with `--update`, the existing mtls.toml sets the stack and `[store]`", hint=hint)
        done = create.update(session.open_project(), request)
    else:
        project = session.new_project()
        create.demand_free(project)
        if below is not None:
            demand_folder(project, below)
        done = create.init(project, _asked(project, request))
    session.show(done, out)
    if done.plan.assessment.actual.broken:  # declared wrangler files, of which nothing could be added
        raise typer.Exit(ExitCode.PARTIAL if done.written else ExitCode.FAILED)


@command(example="mtlsctl export --certificates certs > mtls.toml", shows=(Proposal,), asks=True)
def export(
    session: Session,
    out: OutOption = None,
    stack: StackOption = None,
    store: StoreOption = None,
    account: AccountOption = None,
    certificates: SaveOption = None,
) -> None:
    """Print all uploaded certificates as an mtls.toml.

    Declares each certificate of the account, and no Workers. Stack and store are those of an existing mtls.toml.
    --certificates also writes the certificates, which are public; it overwrites no file.
    """
    _demand_folder(certificates)
    request = InitRequest(stack, kind=store, account=account)
    project = _project_here(session)
    proposal = create.export(project, request, certificates or "certs")
    if certificates is not None:
        for path in create.save_all(proposal, Path.cwd()):
            session.log(f"wrote {path}")
    session.show(proposal, out)


def _project_here(session: Session) -> Project:
    """The project of the existing mtls.toml, or a project without one."""
    return session.open_project() if session.file or find_file(Path.cwd()) else session.new_project()


def _demand_folder(certificates: str | None) -> None:
    """Raise UsageError for a folder that mtls.toml does not allow in paths of certificates."""
    if certificates is not None and not accepts(check_certificate_path, f"{certificates}/name.pem"):
        hint = "use a folder of this tree, relative and with /, such as certs"
        raise UsageError(f"`--certificates {certificates}` is not a folder that mtls.toml can name", hint=hint)


# --- questions ------------------------------------------------------------------------------------------------------


def _asked(project: Project, request: InitRequest) -> InitRequest:
    """The request, completed by questions to the user if there is a terminal."""

    def why_no_stack(answer: str) -> str | None:
        try:
            choose_stack(project, replace(request, stack=answer))
        except UsageError as error:
            return f"{error.message}; {error.hint}" if error.hint else error.message
        return None

    def why_no_store(answer: str) -> str | None:
        kinds = [kind.value for kind in StoreKind]
        return None if answer in kinds else f"please answer {' or '.join(kinds)}"

    if not sys.stdin.isatty() or not sys.stderr.isatty():
        return request
    if request.stack is None:
        tell("A stack is everything that this mtls.toml manages. Its name becomes part of the name of each upload.")
        request = replace(request, stack=_ask("Name of the stack", choose_stack(project, request), why_no_stack))
    speaks = any(map(project.environ.get, (ACCOUNT_VARIABLE, TOKEN_VARIABLE))) or request.account is not None
    if request.kind is None and not speaks and request.below is None:  # else the wrangler files show which store it is
        tell(f"Where the certificates are kept: {'; '.join(f'{kind} is {kind.traits.about}' for kind in StoreKind)}.")
        suggested = choose_store(project, request, ()).kind
        request = replace(request, kind=StoreKind(_ask(f"Store: {' or '.join(StoreKind)}", suggested, why_no_store)))
    return request


def _ask(question: str, default: str, why_not: Callable[[str], str | None]) -> str:
    """A valid answer, or the default for an empty one; DeclinedError at the end of the input."""
    while True:
        line = ask(f"{question} [{default}]: ", unchanged="nothing was written")
        if not line:
            raise DeclinedError("no answer; nothing was written")
        answer = line.strip() or default
        why = why_not(answer)
        if why is None:
            return answer
        tell(why)
