"""What a status is about, and which of its rows are shown.

NAME and an owner choose what it is about: everything else is left out, so outages, alarms and the exit code are of
those alone. The other filters only choose which rows are shown: an alarm is never silenced by them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from fnmatch import fnmatchcase

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import UsageError
from reconciler.findings.suggest import suggest
from reconciler.findings.values import dataclass
from reconciler.model import Action, BindingChange, Change
from reconciler.plan.plan import LONGEST_PATTERN, Plan, next_of
from reconciler.reports.status import ByIdStatus, Status, Urgency


@dataclass(frozen=True, slots=True)
class Scope:
    """What a status is about. `names`: names or globs of certificates, or IDs that bindings use. Empty: everything."""

    names: tuple[str, ...] = ()
    owner: str | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return not self.names and self.owner is None

    @property
    def words(self) -> tuple[str, ...]:
        """What was asked for, for a person."""
        return (*self.names, *(() if self.owner is None else (f"owner {self.owner}",)))


def known_here(status: Status, scope: Scope) -> Scope | None:
    """The part of a scope that is of something here, in a run over several stacks; None if that is nothing."""
    names = tuple(name for name in scope.names if _is_known(status, name))
    is_here = bool(names) or not scope.names
    return Scope(names, scope.owner) if is_here and scope.owner in (None, *_owners(status)) else None


def narrow(status: Status, plan: Plan, scope: Scope) -> Status:
    """The status of what a scope names alone. UsageError where one of its names or its owner is of nothing here.

    Findings that are of no certificate stay: they may concern any.
    """
    if scope.is_everything:
        return status
    _demand_known(status, scope)
    certificates = tuple(one for one in status.certificates if _includes(scope, one.certificate, one.owner))
    orphaned = tuple(one for one in status.orphaned if _includes(scope, one.waiting.certificate, None))
    by_id = tuple(one for one in status.by_id if _includes(scope, one.row.id, None))
    names = {one.certificate for one in certificates} | {one.waiting.certificate for one in orphaned}
    ids: set[str | None] = {one.row.id for one in by_id}
    ids |= {one.entry.id for one in certificates if one.entry is not None}
    waits = (*orphaned, *(one for certificate in certificates for one in certificate.waiting))
    kept = {one.waiting.entry.id for one in waits if one.waiting.entry is not None}

    def is_included(change: Change) -> bool:
        is_by_id = isinstance(change, BindingChange) and change.certificate is None and change.after in ids
        return change.certificate in names or is_by_id

    changes = [change for change in plan.changes if is_included(change)]
    waiting = [wait for wait in plan.waiting if is_included(wait.change)]
    return replace(
        status,
        certificates=certificates,
        orphaned=orphaned,
        by_id=by_id,
        changes={action: sum(change.action is action for change in changes) for action in Action},
        diagnostics=_of(status.diagnostics, names, by_id, status.by_id),
        next=next_of(waiting),
        waiting=len(waiting),
        outages=tuple(
            one for one in status.outages if one.certificate in names or (one.entry in ids and one.certificate is None)
        ),
        uses=tuple(one for one in status.uses if one.certificate in names),
        live=None
        if status.live is None
        else tuple(
            row
            for row in status.live
            if row.certificate in names or row.desired in ids or any(one.id in kept for one in row.live)
        ),
        about=scope.words,
        asked=bool(scope.names),
    )


def _includes(scope: Scope, name: str | None, owner: str | None) -> bool:
    is_named = not scope.names or any(fnmatchcase(name or "", pattern) for pattern in scope.names)
    return is_named and scope.owner in (None, owner)


def _of(
    found: Iterable[Diagnostic],
    names: Collection[str | None],
    chosen: Iterable[ByIdStatus],
    by_id: Iterable[ByIdStatus],
) -> tuple[Diagnostic, ...]:
    """The findings of these, and those of no certificate and of no other ID."""
    about = {problem for one in chosen for problem in one.row.findings}
    others = {problem for one in by_id for problem in one.row.findings} - about
    return tuple(one for one in found if (one.certificate is None or one.certificate in names) and one not in others)


def _names(status: Status) -> set[str]:
    removed = (one.waiting.certificate for one in status.orphaned)
    return {*(one.certificate for one in status.certificates), *(name for name in removed if name is not None)}


def _is_known(status: Status, pattern: str) -> bool:
    ids = {one.row.id for one in status.by_id}
    return len(pattern) <= LONGEST_PATTERN and any(fnmatchcase(name, pattern) for name in (*_names(status), *ids))


def _owners(status: Status) -> set[str]:
    return {one.owner for one in status.certificates if one.owner is not None}


def _demand_known(status: Status, scope: Scope) -> None:
    for pattern in scope.names:
        if len(pattern) > LONGEST_PATTERN:
            raise UsageError(
                f"`{pattern[:20]}...` is longer than any name", hint=f"give at most {LONGEST_PATTERN} characters"
            )
        if not _is_known(status, pattern):
            message = f"{pattern!r} is no certificate in mtls.toml, and no ID that a binding there uses"
            raise UsageError(message, hint=suggest(pattern, _names(status)))
    owners = _owners(status)
    if scope.owner is not None and scope.owner not in owners:
        raise UsageError(
            f"no certificate in mtls.toml has the owner {scope.owner!r}", hint=suggest(scope.owner, owners)
        )


def show_only(status: Status, *, due: bool, expired: bool) -> Status:
    """The status with only the rows that are due (the expired ones too), or have expired, and `hidden` the rest."""
    if not due and not expired:
        return status
    wanted = {Urgency.EXPIRED} if expired else {Urgency.EXPIRED, Urgency.DUE}
    certificates = tuple(one for one in status.certificates if one.urgency in wanted)
    by_id = tuple(one for one in status.by_id if one.urgency in wanted)
    names = {one.certificate for one in certificates}
    kept = tuple(problem for problem in _of(status.diagnostics, names, by_id, status.by_id))
    hidden = len(status.certificates) + len(status.by_id) - len(certificates) - len(by_id)
    errors = tuple(problem for problem in status.diagnostics if problem.is_error and problem not in kept)
    return replace(
        status,
        certificates=certificates,
        by_id=by_id,
        orphaned=(),
        diagnostics=(*kept, *errors),
        uses=tuple(one for one in status.uses if one.certificate in names),
        hidden=hidden,
    )
