"""Changes -> Plan: order, limits, quota, due dates, digest. A plan is public: nothing in it is secret."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import assert_never

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.exits import ExitCode, strongest
from reconciler.model import (
    Action,
    Adopted,
    BindingChange,
    CertificateName,
    Change,
    Deploy,
    Desired,
    Gate,
    Listing,
    Retire,
    StoreSettings,
    Unknown,
    Upload,
    Verify,
    Waiting,
)
from reconciler.model.calls import Calls
from reconciler.plan.diff import Changes, is_error
from reconciler.plan.gates import proofs_for
from reconciler.plan.live import LiveBinding
from reconciler.plan.quota import Quota, count_quota, within_quota
from reconciler.plan.renewals import Due, due_dates
from reconciler.plan.retire import hold_back, is_meant


@dataclass(frozen=True, slots=True)
class Plan:
    """What `apply` would do, in order, and what a person needs to judge it.

    `partial`: the names of `--only`. `at`: a moment other than now; such a plan is for looking. `quota` None: offline.
    `live` None: nobody asked what serves. `calls` None: no server was asked.
    """

    stack: str
    store: StoreSettings
    changes: tuple[Change, ...]
    adopted: tuple[Adopted, ...]
    waiting: tuple[Waiting, ...]
    unknown: tuple[Unknown, ...]
    due: tuple[Due, ...]
    diagnostics: tuple[Diagnostic, ...]
    quota: Quota | None
    made: datetime
    offline: bool = False
    at: bool = False
    partial: tuple[str, ...] = ()
    live: tuple[LiveBinding, ...] | None = None
    calls: Calls | None = None

    @property
    def digest(self) -> str:
        """`sha256:...` over the changes as two plans are compared; see `change_key`."""
        keys = sorted(json.dumps(change_key(change), sort_keys=True) for change in self.changes)
        return "sha256:" + hashlib.sha256("\n".join(keys).encode()).hexdigest()

    @property
    def summary(self) -> dict[Action, int]:
        """How many changes of each action, all actions named."""
        return {action: sum(change.action is action for change in self.changes) for action in Action}


def change_key(change: Change) -> dict[str, str]:
    """What makes two changes the same: action, content, file, environment, binding, the id before, a declared remote;
    of a proof where it is made, and before what.

    Times, foreign entries, other bytes of files and absolute paths do not matter. A binding to an id that is managed
    elsewhere has no content of ours, so the id itself stands for it. To end a gradual deployment is more than a deploy.
    """
    parts: dict[str, str | None]
    match change:
        case Upload():
            parts = {"digest": change.digest}
        case BindingChange():
            parts = {
                "digest": change.digest,
                "id": change.after if change.digest is None else None,
                "config": change.config,
                "environment": change.environment,
                "binding": change.binding,
                "before": change.before,
                "remote": None if change.remote is None else str(change.remote).lower(),
            }
        case Deploy():
            presents = [[one.binding, one.digest or one.id] for one in change.bindings]
            parts = {
                "config": change.config,
                "environment": change.environment,
                "presents": json.dumps(sorted(presents, key=str)),
                "over": "a gradual deployment" if len(change.serving) > 1 else None,
            }
        case Verify():
            parts = {"digest": change.digest, "origin": change.origin, "before": str(change.before)}
        case Retire():
            parts = {"digest": change.digest, "before": change.entry.id}
        case _:
            assert_never(change)
    return {"action": str(change.action)} | {key: value for key, value in parts.items() if value is not None}


def make_plan(
    changes: Changes,
    desired: Desired,
    listing: Listing | None,
    *,
    now: datetime,
    allow_deletes: int | None = None,
    only: tuple[str, ...] = (),
    at: bool = False,
    show_live: bool = False,
) -> Plan:
    """The plan for one run. `only`: names or globs of certificates; nothing else is planned then."""
    if only:
        changes = _restrict(changes, only)
    uploads, bindings, quota_problems = within_quota(changes.uploads, changes.bindings, desired, listing)
    retires, held_back = _within_limit(changes.retires, desired, allow_deletes)
    due = due_dates(desired, _chosen(desired, only))
    ordered: tuple[Change, ...] = (
        *proofs_for(desired, uploads, Gate.UPLOAD),
        *sorted(uploads, key=lambda upload: upload.certificate),
        *sorted(bindings, key=_binding_order),
        *_deployable(changes.deploys, uploads),
        *proofs_for(desired, retires, Gate.RETIRE),
        *retires,
    )
    return Plan(
        stack=desired.declaration.stack,
        store=desired.declaration.store,
        changes=ordered,
        adopted=changes.adopted,
        waiting=tuple(sorted((*changes.waiting, *held_back), key=lambda wait: (wait.entry.name, wait.entry.id))),
        unknown=changes.unknown,
        due=due,
        diagnostics=(*changes.diagnostics, *quota_problems),
        quota=None if listing is None else count_quota(desired, listing, uploads, retires, due, now),
        made=now,
        offline=listing is None,
        at=at,
        partial=only,
        live=changes.live if show_live else None,
    )


def _deployable(deploys: Iterable[Deploy], uploads: Iterable[Upload]) -> list[Deploy]:
    """Deploys of which every id is known, or will be."""
    known = {upload.digest for upload in uploads}
    ready = (one for one in deploys if all(b.id is not None or b.digest in {None, *known} for b in one.bindings))
    return sorted(ready, key=lambda one: (one.config, one.environment or ""))


def _binding_order(change: BindingChange) -> tuple[str, str, str]:
    return change.config, change.environment or "", change.binding


def exit_code_of(diagnostics: Iterable[Diagnostic]) -> ExitCode:
    """What errors among findings end a run with: warnings and waiting entries are no failure."""
    errors = [problem for problem in diagnostics if is_error(problem)]
    return strongest(
        ExitCode.BLOCKED if problem.code.exit_code is ExitCode.BLOCKED else ExitCode.FAILED for problem in errors
    )


# --- --only ---------------------------------------------------------------------------------------------------------


def match_names(desired: Desired, patterns: tuple[str, ...]) -> dict[str, tuple[CertificateName, ...]]:
    """The declared certificates that each pattern names."""
    names = tuple(sorted(desired.declaration.certificates))
    return {pattern: tuple(name for name in names if fnmatchcase(name, pattern)) for pattern in patterns}


def _chosen(desired: Desired, only: tuple[str, ...]) -> Iterable[CertificateName]:
    """The declared certificates that the plan is about."""
    names = desired.declaration.certificates
    return [name for name in names if not only or any(fnmatchcase(name, pattern) for pattern in only)]


def _restrict(changes: Changes, only: tuple[str, ...]) -> Changes:
    def chosen(name: str | None) -> bool:
        return name is not None and any(fnmatchcase(name, pattern) for pattern in only)

    return replace(
        changes,
        uploads=tuple(up for up in changes.uploads if any(map(chosen, (up.certificate, *up.shared_with)))),
        bindings=tuple(change for change in changes.bindings if chosen(change.certificate)),
        deploys=tuple(one for one in changes.deploys if any(chosen(binding.certificate) for binding in one.bindings)),
        live=tuple(row for row in changes.live if chosen(row.certificate)),
        retires=tuple(retire for retire in changes.retires if chosen(retire.certificate)),
        adopted=tuple(adopted for adopted in changes.adopted if chosen(adopted.certificate)),
        waiting=tuple(wait for wait in changes.waiting if chosen(wait.certificate)),
        unknown=tuple(unknown for unknown in changes.unknown if chosen(unknown.certificate)),
        diagnostics=tuple(p for p in changes.diagnostics if p.certificate is None or chosen(p.certificate)),
    )


def only_retires(changes: Changes, target: str) -> Changes:
    """Of all changes only the retires that `retire NAME|ID` is about, and what of it waits."""
    return replace(
        changes,
        uploads=(),
        bindings=(),
        deploys=(),
        retires=tuple(retire for retire in changes.retires if is_meant(retire.entry, retire.certificate, target)),
        waiting=tuple(wait for wait in changes.waiting if is_meant(wait.entry, wait.certificate, target)),
    )


# --- limits ---------------------------------------------------------------------------------------------------------


def _within_limit(
    retires: Iterable[Retire], desired: Desired, allow_deletes: int | None
) -> tuple[list[Retire], list[Waiting]]:
    """The oldest go first; of more than the limit, the rest waits."""
    allowed = desired.declaration.policy.max_deletes if allow_deletes is None else allow_deletes
    ordered = sorted(retires, key=lambda retire: (str(retire.entry.uploaded_on), retire.entry.id))
    return ordered[:allowed], [hold_back(retire, allowed) for retire in ordered[allowed:]]
