"""Warnings about what protects uploads and bindings from being removed by mistake; they decide nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.model import Action, BindingChange, Declaration, Desired, Entry, Gate, Policy, Reason
from reconciler.model.ownership import former_stack_of, read_mark
from reconciler.model.words import environment_text, names_text
from reconciler.plan.assessment import BindingRow, Held, Pending, Waits
from reconciler.plan.inventory import Inventory, Leaving
from reconciler.plan.policy import (
    deletes_ceiling,
    duration_text,
    grace_of,
    is_raised,
    lifetime_of,
    most_deletes,
    most_unbinds,
)

_DEFAULT = Policy()
_MOST_NAMED = 4


def find_rails(desired: Desired, inventory: Inventory | None, bindings: Sequence[BindingRow]) -> Iterator[Diagnostic]:
    """Yield what a reviewer must know of a plan that removes something; nothing offline, where that is unknown."""
    if inventory is None:
        return
    declaration = desired.declaration
    yield from _nothing_declared(declaration, inventory)
    yield from _stack_shared(declaration, inventory)
    yield from _former_stacks(declaration, inventory)
    weak = (*_of_retires(declaration, inventory.leaving, len(inventory.owned)), *_of_unbinds(declaration, bindings))
    if weak:
        yield Diagnostic(
            Severity.WARNING,
            Code.POLICY_WEAK,
            "something is to be removed, now or later, and mtls.toml allows more of that than the defaults do:"
            f" {', '.join(weak)}",
            Pointer(declaration.path, ("policy",)),
            "check that the removal and these settings are both meant; MTLSCTL_MAX_DELETES and MTLSCTL_MIN_GRACE are"
            " limits that no mtls.toml can change",
        )


def own_bindings(bindings: Iterable[BindingRow]) -> Sequence[BindingRow]:
    """The bindings in wrangler files that use a certificate of this stack, or should use one."""
    ours = (row for row in bindings if row.found is not None and not row.elsewhere)
    return [row for row in ours if row.certificate is not None or is_unbind(row)]


def is_unbind(row: BindingRow) -> bool:
    """Whether a binding would be removed, now or later."""
    change = row.verdict.change if isinstance(row.verdict, Pending | Waits | Held) else None
    return isinstance(change, BindingChange) and change.action is Action.UNBIND


def too_many_unbinds(declaration: Declaration, over: Sequence[BindingChange], count: int) -> Diagnostic:
    """The error that some of `count` bindings are not removed, because one run removes only so many."""
    first = over[0].at
    more = f" and {len(over) - 1} more" if len(over) > 1 else ""
    return Diagnostic(
        Severity.ERROR,
        Code.TOO_MANY_UNBINDS,
        f"{count} binding{'' if count == 1 else 's'} would be removed, but one run removes at most"
        f" {count - len(over)}; kept: {first.binding} in {first.config} ({environment_text(first.environment)}){more}",
        Pointer(declaration.path, ("policy", "max_unbinds")),
        f"if all of them are meant to be removed, run `mtlsctl apply --allow-unbinds {count}`; else declare them in"
        " mtls.toml again",
    )


def _of_retires(declaration: Declaration, leaving: Collection[Leaving], uploads: int) -> Iterator[str]:
    """Yield the settings that let an old upload be deleted earlier, if there is one."""
    if not leaving:
        return
    policy, certificates = declaration.policy, declaration.certificates
    if policy.prune and any(one.reason is Reason.ORPHANED for one in leaving):
        yield "`prune = true`"
    own = {one.certificate: certificates[one.certificate] for one in leaving if one.certificate in certificates}
    short = {one.certificate for one in leaving if _is_kept_shortly(one, declaration)}
    if any(name not in own or own[name].grace is None for name in short):
        yield _grace_text(policy.grace, policy)
    yield from _of_deletes(policy, uploads)
    if policy.rollback_versions < _DEFAULT.rollback_versions:
        yield f"`rollback_versions = {policy.rollback_versions}`"
    for name, one in own.items():
        if one.grace is not None and name in short:
            yield f"{_grace_text(one.grace, policy)} of {name}"
        is_proved = Gate.RETIRE in (policy.verify_before if one.verify_before is None else one.verify_before)
        if Gate.RETIRE in policy.verify_before and not is_proved:
            yield f"`verify_before` of {name}"
    for label, worker in declaration.workers.items():
        if worker.undeployed:
            names = sorted(map(environment_text, worker.undeployed))
            yield f"`deployed = false` of {label} ({names_text(names, _MOST_NAMED)})"


def _of_deletes(policy: Policy, uploads: int) -> Iterator[str]:
    """Yield `max_deletes` where it allows more than by default, within the limit of the operator."""
    (allowed, share), ceiling = most_deletes(policy, uploads), deletes_ceiling(policy, uploads)
    is_lowered = ceiling is not None and ceiling < allowed
    if min(allowed, allowed if ceiling is None else ceiling) > (_DEFAULT.max_deletes or 0):
        setting = f"`max_deletes = {allowed}`" if share is None else f'`max_deletes = "{share}%"` ({allowed})'
        yield f"`max_deletes` (MTLSCTL_MAX_DELETES lowers it to {ceiling})" if is_lowered else setting


def _is_kept_shortly(leaving: Leaving, declaration: Declaration) -> bool:
    """Whether its grace period is shorter than by default, or than a third of a lifetime that is only days long."""
    declared, bundle = declaration.certificates.get(leaving.certificate), leaving.entry.bundle
    grace = grace_of(declaration.policy, declared.grace if declared is not None else None)
    return grace < min(_DEFAULT.grace, lifetime_of(bundle) / 3 if bundle is not None else _DEFAULT.grace)


def _grace_text(grace: timedelta, policy: Policy) -> str:
    """The setting as it is in mtls.toml, or that the operator raised it."""
    if is_raised(grace, policy):
        return f"`grace` (MTLSCTL_MIN_GRACE raises it to {duration_text(grace)})"
    return f'`grace = "{duration_text(grace)}"`'


def _of_unbinds(declaration: Declaration, bindings: Sequence[BindingRow]) -> Iterator[str]:
    limit = declaration.policy.max_unbinds
    if limit is None or not any(map(is_unbind, bindings)):
        return
    if limit > most_unbinds(_DEFAULT, len(own_bindings(bindings))):
        yield f"`max_unbinds = {limit}`"


def _nothing_declared(declaration: Declaration, inventory: Inventory) -> Iterator[Diagnostic]:
    if _declares(declaration) or not inventory.owned:
        return
    count = len(inventory.owned)
    yield Diagnostic(
        Severity.WARNING,
        Code.NOTHING_DECLARED,
        "mtls.toml declares no certificate and no binding, but"
        f" {count} uploaded certificate{' has' if count == 1 else 's have'} the mark of this stack,"
        f" {declaration.stack!r}",
        Pointer(declaration.path, ()),
        "if mtls.toml was emptied by mistake, restore it; if another repository uses this stack name, choose another"
        " `stack` here",
    )


def _declares(declaration: Declaration) -> bool:
    workers = declaration.workers.values()
    return bool(declaration.certificates) or any(any(worker.environments.values()) for worker in workers)


def _stack_shared(declaration: Declaration, inventory: Inventory) -> Iterator[Diagnostic]:
    """Signs that another repository uploads under this stack, or still under a former one.

    No history is read, so a certificate that was removed lately has the same signs; the texts name both.
    """
    marks = ((entry, read_mark(entry)) for entry in inventory.entries.values())
    ours = [(entry, mark.certificate) for entry, mark in marks if mark is not None and mark.stack == declaration.stack]
    declared = [entry for entry, name in ours if inventory.owned.get(entry.id, name) in declaration.certificates]
    orphans = {one.entry.id for one in inventory.leaving if one.reason is Reason.ORPHANED}
    own = [(entry, name) for entry, name in ours if entry.id in orphans]
    newest, latest = _times(entry for entry, _ in own), _times(declared)
    if _declares(declaration) and newest and (not latest or latest[-1] < newest[-1]):
        names = names_text(list(dict.fromkeys(name for _, name in own)), _MOST_NAMED)
        yield _shared(
            declaration,
            ("stack",),
            f"mtls.toml does not declare {names}, but uploads of that name have the mark of this stack,"
            f" {declaration.stack!r}; the newest is from {newest[-1]:%Y-%m-%d %H:%M} UTC, later than all declared ones",
            "if this was removed from mtls.toml, ignore the warning; if another repository uses the same stack name,"
            " choose another `stack` for one of the two before you run `mtlsctl apply --prune`",
        )
    first = _times(entry for entry, _ in ours)
    for index, stack in enumerate(declaration.former_stacks):
        theirs = (one for one in inventory.entries.values() if former_stack_of(one, declaration) == stack)
        after = _times(theirs)
        if first and after and first[0] < after[-1]:
            yield _shared(
                declaration,
                ("former_stacks", index),
                f"the stack {stack!r} in `former_stacks` seems to be in use: its newest upload is from"
                f" {after[-1]:%Y-%m-%d %H:%M} UTC, after the first one of {declaration.stack!r}",
                f"if another repository uses {stack!r}, remove it from `former_stacks`; else ignore this",
            )


def _shared(declaration: Declaration, keys: tuple[str | int, ...], message: str, hint: str) -> Diagnostic:
    return Diagnostic(Severity.WARNING, Code.STACK_SHARED, message, Pointer(declaration.path, keys), hint)


def _former_stacks(declaration: Declaration, inventory: Inventory) -> Iterator[Diagnostic]:
    """What a rename left: uploads that no stack manages now, or, once there are none, the former name itself."""
    current = {entry.id for entry in inventory.current.values()}
    is_uploaded = bool(current) and inventory.current.keys() == declaration.certificates.keys()
    for index, stack in enumerate(declaration.former_stacks):
        where = Pointer(declaration.path, ("former_stacks", index))
        theirs = [one for one in inventory.entries.values() if former_stack_of(one, declaration) == stack]
        left = [one for one in theirs if one.id not in inventory.owned and one.id not in current]
        if left:
            marked = [f"{mark.certificate} ({one.id})" for one in left if (mark := read_mark(one)) is not None]
            message = f"no stack manages these uploads of the former stack {stack!r}, which mtls.toml does not declare"
            yield Diagnostic(
                Severity.WARNING,
                Code.FORMER_STACK_LEFT,
                f"{message}: {names_text(marked, _MOST_NAMED)}",
                where,
                f"if another repository uses {stack!r}, ignore this; else declare them again, or delete those that"
                " `mtlsctl drift --unused` lists",
            )
        elif not theirs and is_uploaded:
            yield Diagnostic(
                Severity.INFO,
                Code.FORMER_STACK_LEFT,
                f"no upload has the mark of the former stack {stack!r} any more",
                where,
                f"remove {stack!r} from `former_stacks`",
            )


def _times(entries: Iterable[Entry]) -> list[datetime]:
    return sorted(entry.uploaded_on for entry in entries if entry.uploaded_on is not None)
