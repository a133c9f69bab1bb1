"""Runs every check of `doctor`: the machine, the environment, the checkout, and the store.

Each check has a name and returns findings, also for what is in order. A failing check hides no other. Nothing is
changed, and no finding contains the value of a variable that may be a secret.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from reconciler import stores
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import ReconcilerError
from reconciler.model import Declaration, Gate
from reconciler.model.errors import StoreError
from reconciler.plan.gates import has_gate
from reconciler.runs.budget import open_budget
from reconciler.runs.configs import load_configs
from reconciler.runs.doctor.checkout import CHECKS as CHECKOUT_CHECKS
from reconciler.runs.doctor.checkout import cure, well
from reconciler.runs.doctor.machine import MACHINE_CHECKS, Variables
from reconciler.runs.project import Project
from reconciler.stores import StoreContext, Uses
from reconciler.system.discover import git_root

_TOKEN_CODES = frozenset({Code.TOKEN_WHITE_SPACE, Code.TOKEN_MALFORMED, Code.TOKEN_IS_KEY})
_NO_TOKEN = frozenset({Code.TOKEN_OLD_NAME, Code.TOKEN_EMPTY})
_ONCE = frozenset({Code.TOKEN_MISSING, Code.ACCOUNT_MALFORMED})
"""Found by several checks, of which the last knows most."""
_HOPELESS = (
    _TOKEN_CODES
    | _NO_TOKEN
    | _ONCE
    | {Code.TOKEN_UNKNOWN, Code.TOKEN_INACTIVE, Code.ACCOUNT_MISSING, Code.BASE_URL, Code.COMPLIANCE_REGION}
    | {Code.STORE_CONNECTION, Code.STORE_UNREACHABLE, Code.STORE_REPLY, Code.STORE_ACCOUNT, Code.STORE_PERMISSION}
)
"""What stops every command that asks the account, also as a warning of its check."""


def examine(
    open_project: Callable[[], Project], *, environ: Variables, file_named: bool = False, offline: bool = False
) -> tuple[Diagnostic, ...]:
    """All findings in the order of the checks; those of severity info report what is in order, or was not checked.

    With `offline`, no server is called, and what only a server needs is at most a warning.

    `open_project` may raise ReconcilerError: then checks that need a project are left out. That is an error only if the
    command line named a file (`file_named`).
    """
    found: list[Diagnostic] = []
    project: Project | None = None
    declaration: Declaration | None = None
    try:
        project = open_project()
        declaration, warnings = project.declaration()
        found.extend(warnings)
    except ReconcilerError as error:
        found.extend(error.diagnostics() if project or file_named else _no_project(error))
    for name, unreadable, check in _checks(project, declaration, environ, offline=offline):
        found.extend(run_check(name, unreadable, check))
    needs_account = declaration is not None and declaration.store.kind.traits.has_accounts and not offline
    return tuple(dict.fromkeys(_weigh(_once(found), needs_account=needs_account)))


def _once(found: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    """The findings without those that say less about what another one is about."""
    codes = [one.code for one in found]
    for at, one in enumerate(found):
        again = one.code in _ONCE and one.code in codes[at + 1 :]
        known = one.code is Code.TOKEN_MISSING and not _NO_TOKEN.isdisjoint(codes)
        if not again and not known:
            yield one


def _weigh(found: Iterable[Diagnostic], *, needs_account: bool) -> Iterator[Diagnostic]:
    """The findings; with `needs_account`, those are errors that stop every command that asks the account."""
    for one in found:
        hopeless = needs_account and one.severity is Severity.WARNING and one.code in _HOPELESS
        yield replace(one, severity=Severity.ERROR) if hopeless else one


def run_check(name: str, unreadable: Code, check: Callable[[], Iterable[Diagnostic]]) -> tuple[Diagnostic, ...]:
    """The findings of one check. An error in it becomes a finding, too: `unreadable` if the system refuses it."""
    try:
        return tuple(check())
    except ReconcilerError as error:
        return error.diagnostics()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "unknown error"
        return (cure(unreadable, f"{name} could not be checked: {reason}", "check its permissions"),)
    except MemoryError:
        raise  # the other checks have no memory either
    except Exception as error:  # noqa: BLE001 - the other checks go on; the message may quote a secret, the type can't
        message = f"{name} could not be checked: unexpected error in mtlsctl ({type(error).__name__})"
        return (Diagnostic(Severity.ERROR, Code.CHECK_FAILED, message, None, "report this as a bug of mtlsctl"),)


def _no_project(error: ReconcilerError) -> Iterator[Diagnostic]:
    message = f"{error.message}; only the machine and the environment were checked"
    yield Diagnostic(Severity.INFO, Code.DESIRED_STATE, message, None, error.hint)


def _checks(
    project: Project | None, declaration: Declaration | None, environ: Variables, *, offline: bool
) -> Iterator[tuple[str, Code, Callable[[], Iterable[Diagnostic]]]]:
    for name, unreadable, machine_check in MACHINE_CHECKS:
        yield name, unreadable, partial(machine_check, environ, declaration)
    if project is not None:
        yield "desired-state", Code.DESIRED_STATE_UNREADABLE, partial(_desired_state, project)
        for name, unreadable, checkout_check in CHECKOUT_CHECKS:
            yield name, unreadable, partial(checkout_check, project, declaration)
        if declaration is None:
            return
        has_accounts = declaration.store.kind.traits.has_accounts
        if offline and has_accounts:
            yield "account", Code.ACCOUNT_UNREADABLE, _not_asked
            return
        name, unreadable = ("account", Code.ACCOUNT_UNREADABLE) if has_accounts else ("store", Code.STORE_UNREADABLE)
        yield name, unreadable, partial(_connection, project, declaration)


def _desired_state(project: Project) -> Iterator[Diagnostic]:
    root = git_root(project.folder)
    where = f"in the git repository {root}" if root else "outside any git repository"
    yield well(Code.DESIRED_STATE, f"{project.folder / project.name}, {where}")


def _connection(project: Project, declaration: Declaration) -> Iterator[Diagnostic]:
    """Whether the store answers, and what the token may do there.

    Empty if the token, which has its own check, is not valid. Never waits for the rate limit.
    """
    context = StoreContext(project.environ, max_wait_s=0.0, budget=open_budget(project.environ))
    try:
        connection = stores.connect(declaration.store, root=project.folder, clock=project.clock, context=context)
    except StoreError as error:
        if error.code not in _TOKEN_CODES:
            yield Diagnostic(Severity.WARNING, error.code, error.message, None, error.hint)
        return
    uses = Uses(
        cas=any(certificate.ca for certificate in declaration.certificates.values()),
        pages=_has_pages(project, declaration),
        updates=bool(declaration.hyperdrives),
        hostnames=bool(declaration.zones),
        probes=any(has_gate(declaration, name, Gate.BIND) for name in declaration.certificates),
    )
    yield from connection.examine(uses)


def _not_asked() -> Iterator[Diagnostic]:
    """That the account was not checked."""
    message = "the account and the rights of the token were not checked"
    yield Diagnostic(Severity.INFO, Code.ACCOUNT, message, None, "run `mtlsctl doctor` without `--offline`")


def _has_pages(project: Project, declaration: Declaration) -> bool:
    """True if a declared wrangler file is a Pages project's; `validate` reports errors in the files."""
    configs = load_configs(declaration, project.files, {})
    return any(file.pages for file in configs.files.values())
