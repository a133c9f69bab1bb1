"""Chooses the stack and the store of a new mtls.toml: from the command line, else from what was found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reconciler.desired.rules import accepts, name_rule
from reconciler.findings.codes import Code
from reconciler.findings.errors import GuardError, UsageError
from reconciler.findings.values import dataclass
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
    """The options of `init`. None: from what was found, or the default.

    `below`: the folder to search for wrangler files and certificates. `save`: the folder, relative to that of
    mtls.toml, for the certificates of entries in use that no file of the tree has.
    """

    stack: str | None = None
    same_stack: bool = False
    kind: StoreKind | None = None
    account: str | None = None
    below: Path | None = None
    save: str | None = None


def choose_stack(project: Project, request: InitRequest) -> str:
    """The name of the stack: from the command line, else from the name of the folder. UsageError if it is not valid."""
    stack = request.stack if request.stack is not None else default_stack(project.folder.name)
    if not accepts(name_rule("stack name", STACK_LENGTH), stack):
        near = fit_name(stack, STACK_LENGTH)
        hint = f"use a name such as `--stack {near or 'payments'}`"
        raise UsageError(f"{stack!r} is not a valid stack name: 1 to 32 characters of a-z, 0-9 and -", hint=hint)
    return stack


def choose_store(project: Project, request: InitRequest, configs: tuple[WranglerFile, ...]) -> StoreSettings:
    """The store: from the command line; else Cloudflare, if the environment has a token or an account, or a wrangler
    file has an ID from an account.

    Its account: from the command line, else from the environment, else from the wrangler files.
    """
    account = request.account or project.environ.get(ACCOUNT_VARIABLE) or _only_account(configs)
    problem = account_problem(request.account) if request.account is not None else None
    if problem is not None:
        raise UsageError(f"`--account` is not an account ID: it {problem.cause}", hint=problem.hint)
    named = (request.account, project.environ.get(TOKEN_VARIABLE), project.environ.get(ACCOUNT_VARIABLE))
    speaks = any(named) or _has_account_ids(configs)
    kind = request.kind or (StoreKind.CLOUDFLARE if speaks else StoreKind.LOCAL)
    return StoreSettings(kind, account if kind.traits.has_accounts else None)


def open_reader(project: Project, request: InitRequest, store: StoreSettings) -> StoreReader:
    """The reading half of the store. If it was not chosen on the command line, an error mentions the local store."""
    try:
        return project.stores.open_reader(store)
    except StoreError as error:
        of_account = f"use `--account ID`, or set {ACCOUNT_VARIABLE}"  # there is no mtls.toml yet
        hint = of_account if error.code is Code.ACCOUNT_MISSING else error.hint
        if request.kind is None:
            hint = f"{hint}; or use `--store local`, which needs no account"
        raise StoreError(error.message, hint=hint, code=error.code) from error


def _has_account_ids(configs: tuple[WranglerFile, ...]) -> bool:
    """Whether a binding has an ID from a Cloudflare account."""
    return any(
        kind_of_id(found.certificate_id) is IdKind.ACCOUNT
        for file in configs
        for environment in file.environments.values()
        for found in environment.bindings
    )


def _only_account(configs: tuple[WranglerFile, ...]) -> str | None:
    """The account in the wrangler files, if it is the same in all of them; else None."""
    named = {one.account_id for file in configs for one in file.environments.values() if one.account_id}
    accounts = {one for one in named if account_problem(one) is None}  # not a placeholder that a pipeline replaces
    return accounts.pop() if len(accounts) == 1 else None


def writable(store: StoreSettings) -> StoreSettings:
    """The settings for mtls.toml, without an account ID that mtls.toml would refuse."""
    return replace(store, account_id=store.account)


def demand_new(stack: str, listing: Listing) -> None:
    """Raise GuardError if the stack has uploads: two files with one stack name would delete each other's uploads."""
    marked = [entry for entry in listing.entries if (mark := read_mark(entry)) is not None and mark.stack == stack]
    if marked:
        count = "1 uploaded certificate belongs" if len(marked) == 1 else f"{len(marked)} uploaded certificates belong"
        raise GuardError(
            f"{count} to a stack {stack!r} already, such as {marked[0].id} ({marked[0].name})",
            hint="choose another name with `--stack`, or add `--same-stack` if it is this stack and its file was lost",
            code=Code.STACK_TAKEN,
        )
