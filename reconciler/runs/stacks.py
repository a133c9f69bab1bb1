"""Runs one command over several stacks: each stack by itself, and what they share of an account only once."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Pointer
from reconciler.findings.errors import ReconcilerError, UsageError
from reconciler.findings.exits import ExitCode
from reconciler.findings.suggest import suggest
from reconciler.findings.values import dataclass
from reconciler.model import Act, DeclaredCertificate, Desired, HyperdriveAddress, StoreSettings
from reconciler.model.renewal import DeclaredIssuer
from reconciler.plan.assessment import UpdateRow
from reconciler.reports.checks import RunFailure
from reconciler.reports.stacks import StackResult, Stacks, join
from reconciler.runs.ledger import Account, Ledger, account_of
from reconciler.runs.plan import Planned, PlanRequest, plan
from reconciler.runs.project import Project, project_at
from reconciler.stores import Connections, StoreContext
from reconciler.system.clock import SystemClock


@dataclass(frozen=True, slots=True)
class Member:
    """One stack of a run. `file`: its mtls.toml, seen from the working directory. `stack`: its name. `store`: where its
    certificates are. `act`: the most that a fleet may do. `problem`: why nothing can be done with it. `former_stacks`:
    its earlier names. `secret_variables`: those that its keys are read from. `renewing`: the certificates that renew
    themselves, each with its issuer."""

    file: str
    project: Project
    stack: str | None = None
    store: StoreSettings | None = None
    act: Act = Act.ALL
    problem: ReconcilerError | None = None
    former_stacks: tuple[str, ...] = ()
    secret_variables: frozenset[str] = frozenset()
    renewing: tuple[tuple[DeclaredCertificate, DeclaredIssuer], ...] = ()

    def result(self, report: object, exit_code: ExitCode) -> StackResult:
        """What the run came to for this stack."""
        account = None if self.store is None else self.store.account
        place, within = self.project.place, self.project.within
        return StackResult(self.file, self.stack, report, exit_code, place, within, account=account)

    def failure(self, error: ReconcilerError) -> StackResult:
        """Why the run stopped for this stack."""
        return self.result(RunFailure(error.diagnostics()), error.exit_code)


Make = Callable[[Project], tuple[object, ExitCode] | None]
"""What a command does for one stack: its report, and its exit code; None where what was asked about is of another."""


def open_members(
    files: Sequence[Path], *, cwd: Path, environ: Mapping[str, str], context: StoreContext
) -> tuple[Member, ...]:
    """The stacks of these files, absolute paths, as `read_members`."""
    ledger = Ledger(Connections(SystemClock(), context))
    return read_members(
        [
            (
                Path(os.path.relpath(file, cwd)).as_posix(),
                project_at(file, environ=environ, context=context, ledger=ledger),
            )
            for file in files
        ]
    )


def read_members(projects: Sequence[tuple[str, Project]]) -> tuple[Member, ...]:
    """The stacks of these projects, each with its file. One whose mtls.toml can't be used has a problem; and all that
    have the name of another one in the same account, because each would delete what the other uploaded."""
    members: list[Member] = []
    by_name: dict[tuple[Account, str], list[int]] = defaultdict(list)
    by_config: dict[tuple[Account, str], list[int]] = defaultdict(list)
    for file, project in projects:
        member = Member(file, project)
        try:
            declaration = project.declaration()[0]
        except ReconcilerError as error:
            members.append(replace(member, problem=error))
            continue
        account = account_of(declaration.store, project.folder)
        by_name[account, declaration.stack].append(len(members))
        for one in declaration.hyperdrives:
            by_config[account, one.config].append(len(members))
        members.append(
            replace(
                member,
                stack=declaration.stack,
                store=declaration.store,
                act=declaration.fleet_act,
                former_stacks=declaration.former_stacks,
                secret_variables=declaration.secret_variables,
                renewing=tuple(
                    (one, declaration.issuers[one.renew.issuer])
                    for one in declaration.certificates.values()
                    if one.renew is not None
                ),
            )
        )
    for alike in (indexes for indexes in by_name.values() if len(indexes) > 1):
        for index in alike:
            others = [members[other].file for other in alike if other != index]
            members[index] = replace(members[index], problem=_twice(members[index], others))
    for (_, config), alike in by_config.items():
        for index in set(alike) if len(set(alike)) > 1 else ():
            others = [members[other].file for other in sorted({*alike} - {index})]
            problem = members[index].problem or _declared_twice(members[index], _of_config(config), others)
            members[index] = replace(members[index], problem=problem)
    return tuple(members)


def run_each(command: str, members: Iterable[Member], make: Make) -> Stacks:
    """What a command comes to for each stack. An error stops only its stack."""
    made = (_made(member, make) for member in members)
    return join(command, [one for one in made if one is not None])


def _made(member: Member, make: Make) -> StackResult | None:
    try:
        if member.problem is not None:
            raise member.problem
        found = make(member.project)
        return None if found is None else member.result(*found)
    except ReconcilerError as error:
        return member.failure(error)


def plan_all(members: Sequence[Member], request: PlanRequest) -> Stacks:
    """The plan of each stack, or why there is none, as `plan_each` makes them."""
    found = plan_each(members, lambda member: plan(member.project, request), request.only)
    results = (
        one if isinstance(one, StackResult) else member.result(one.plan, one.plan.exit_code)
        for member, one in zip(members, found, strict=True)
    )
    return join("plan", tuple(results))


def plan_each(
    members: Sequence[Member], make: Callable[[Member], Planned], only: Sequence[str] = ()
) -> tuple[Planned | StackResult, ...]:
    """What `make` plans for each stack, or why there is no plan. The plans of an account fit into its quota together.

    UsageError if a pattern of `only` matches nothing in any stack.
    """
    found: list[Planned | StackResult] = []
    for member in members:
        try:
            if member.problem is not None:
                raise member.problem
            planned = make(member)
            take(member.project, planned)
            found.append(planned)
        except ReconcilerError as error:
            found.append(member.failure(error))
    _demand_matched(only, found)
    return tuple(_one_owner(members, found))


@dataclass(frozen=True, slots=True)
class _Owned:
    """Something of an account that one stack owns. `key`: its identity; `where`: its place in mtls.toml."""

    key: tuple[str, ...]
    what: str
    where: tuple[str, ...]
    code: Code


def _of_config(config: str) -> _Owned:
    what = f"the Hyperdrive configuration {config!r}"
    return _Owned(("hyperdrive", config), what, ("hyperdrive",), Code.HYPERDRIVE_DECLARED_TWICE)


def _owned(row: UpdateRow, desired: Desired) -> _Owned:
    """What a row is about; the list of a CA by the content of the CA, which another stack may give another name."""
    if isinstance(row.at, HyperdriveAddress):
        return _of_config(row.at.config)
    bundle, zone, ca = desired.bundles.get(row.at.ca), row.at.zone_id, row.at.ca
    what = f"the list of the CA {ca!r} in the zone {row.at.zone!r}"
    key = ("hostnames", zone, bundle.digest if bundle is not None else "")
    return _Owned(key, what, ("hostnames", row.at.zone, ca), Code.HOSTNAMES_DECLARED_TWICE)


def _one_owner(members: Sequence[Member], found: Sequence[Planned | StackResult]) -> Iterator[Planned | StackResult]:
    """The same; an error for each stack with something that another one declares, perhaps under its other name: the
    account tells only now which ID has which name."""
    owners: dict[tuple[Account, tuple[str, ...]], dict[int, _Owned]] = defaultdict(dict)
    for index, (member, one) in enumerate(zip(members, found, strict=True)):
        if isinstance(one, Planned):
            account = account_of(one.desired.declaration.store, member.project.folder)
            for owned in (_owned(row, one.desired) for row in one.plan.assessment.updates):
                owners[account, owned.key].setdefault(index, owned)
    for index, (member, one) in enumerate(zip(members, found, strict=True)):
        shared = next((alike for alike in owners.values() if index in alike and len(alike) > 1), {})
        others = [members[other].file for other in shared if other != index]
        yield member.failure(_declared_twice(member, shared[index], others)) if others else one


def take(project: Project, planned: Planned) -> None:
    """Count what a plan uploads and deletes, so that the plans of an account that come later fit into its quota."""
    declaration = planned.desired.declaration
    if project.ledger is not None:
        project.ledger.take(account_of(declaration.store, project.folder), planned.plan.changes, declaration)


def _demand_matched(only: Sequence[str], found: Sequence[Planned | StackResult]) -> None:
    """Raise UsageError for a pattern that matches nothing; not if a stack could not be read, which may have it."""
    planned = [one for one in found if isinstance(one, Planned)]
    if len(planned) < len(found):
        return
    for pattern in only:
        if all(pattern in one.unmatched for one in planned):
            known = {name for one in planned for name in one.desired.declaration.certificates}
            message = f"`--only {pattern}` matches no declared certificate of any of the {len(planned)} stacks"
            raise UsageError(message, hint=suggest(pattern, known))


def _twice(member: Member, others: Sequence[str]) -> ReconcilerError:
    """The error for a stack whose name others have, too."""
    message = f"the stack {member.stack!r} is also that of {', '.join(others)}, in the same account"
    hint = "give each mtls.toml its own `stack`; else each would delete what the other uploads"
    where = Pointer(member.project.name, ("stack",))
    return ReconcilerError(message, hint=hint, where=where, code=Code.STACK_TWICE)


def _declared_twice(member: Member, owned: _Owned, others: Sequence[str]) -> ReconcilerError:
    """The error for a stack that declares what others declare, too."""
    message = f"{owned.what} is also declared in {', '.join(others)}, in the same account"
    hint = "declare it in one of them, so that one stack owns it"
    where = Pointer(member.project.name, owned.where)
    return ReconcilerError(message, hint=hint, where=where, code=owned.code)
