"""Which stack and which store a new mtls.toml is for: as asked for, else as what is there suggests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.desired.rules import accepts, name_rule
from reconciler.findings.codes import Code
from reconciler.findings.errors import GuardError, UsageError
from reconciler.model import Listing, StoreKind, StoreSettings, WranglerFile
from reconciler.model.accounts import account_problem
from reconciler.model.errors import StoreError
from reconciler.model.identifiers import IdKind, kind_of_id
from reconciler.model.ownership import read_mark
from reconciler.model.ports import StoreReader
from reconciler.model.stores import ACCOUNT_VARIABLE, TOKEN_VARIABLE
from reconciler.runs.project import Project
from reconciler.takeover.names import STACK_LENGTH, default_stack, fit_name


@dataclass(frozen=True, slots=True)
class InitRequest:
    """What the command line asks. None: as it is found, or the default.

    `below`: look for wrangler files and certificates there. `save`: a folder for the certificates of entries in use
    that no file of the tree has, relative to that of mtls.toml.
    """

    stack: str | None = None
    same_stack: bool = False
    kind: StoreKind | None = None
    account: str | None = None
    below: Path | None = None
    save: str | None = None


def choose_stack(project: Project, request: InitRequest) -> str:
    """The stack's name: as asked for, else from the name of the folder. UsageError where it can't be one."""
    stack = request.stack if request.stack is not None else default_stack(project.folder.name)
    if not accepts(name_rule("stack name", STACK_LENGTH), stack):
        near = fit_name(stack, STACK_LENGTH)
        hint = f"for example `--stack {near}`" if near else "for example `--stack payments`"
        raise UsageError(f"{stack!r} can't be the name of a stack: 1 to 32 of a-z, 0-9 and -", hint=hint)
    return stack


def choose_store(project: Project, request: InitRequest, configs: tuple[WranglerFile, ...]) -> StoreSettings:
    """The store: as asked for; else an account's, where a token or an id in a wrangler file speaks for one.

    Its account: as asked for, else that of the environment, else the one that the wrangler files name.
    """
    account = request.account or project.environ.get(ACCOUNT_VARIABLE) or _only_account(configs)
    problem = account_problem(request.account) if request.account is not None else None
    if problem is not None:
        raise UsageError(f"`--account` is not an account ID: it {problem.cause}", hint=problem.hint)
    speaks = bool(request.account or project.environ.get(TOKEN_VARIABLE)) or _has_account_ids(configs)
    kind = request.kind or (StoreKind.CLOUDFLARE if speaks else StoreKind.LOCAL)
    return StoreSettings(kind, account if kind.traits.has_accounts else None)


def open_reader(project: Project, request: InitRequest, store: StoreSettings) -> StoreReader:
    """The reading half of the store; where nobody asked for it, a refusal says that there is another."""
    try:
        return project.stores.open_reader(store)
    except StoreError as error:
        if request.kind is not None:
            raise
        hint = f"{error.hint}; or `--store local`, which needs no account"
        raise StoreError(error.message, hint=hint, code=error.code) from error


def _has_account_ids(configs: tuple[WranglerFile, ...]) -> bool:
    """Whether some binding has the id of a real account."""
    return any(
        kind_of_id(found.certificate_id) is IdKind.ACCOUNT
        for file in configs
        for environment in file.environments.values()
        for found in environment.bindings
    )


def _only_account(configs: tuple[WranglerFile, ...]) -> str | None:
    """The account that the wrangler files name, where they all name the same."""
    named = {one.account_id for file in configs for one in file.environments.values() if one.account_id}
    accounts = {one for one in named if account_problem(one) is None}  # not a placeholder that a pipeline replaces
    return accounts.pop() if len(accounts) == 1 else None


def writable(store: StoreSettings) -> StoreSettings:
    """The settings as they can stand in mtls.toml: an account that is none there stays in the environment."""
    return replace(store, account_id=store.account)


def demand_new(stack: str, listing: Listing) -> None:
    """Two files that mark alike would each retire what the other has uploaded."""
    marked = [entry for entry in listing.entries if (mark := read_mark(entry)) is not None and mark.stack == stack]
    if marked:
        count = f"{len(marked)} entr{'y' if len(marked) == 1 else 'ies'}"
        raise GuardError(
            f"the stack {stack!r} marks {count} of this store already, such as {marked[0].id} ({marked[0].name})",
            hint="give another name with `--stack`; or `--same-stack`, if it is this very one and its file was lost",
            code=Code.STACK_TAKEN,
        )
