"""Assessment -> Plan: what is selected, limits, order, due dates, digest. A plan is public: nothing in it is secret."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TypeVar, assert_never

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.escape import shell_command
from reconciler.findings.exits import ExitCode, strongest
from reconciler.findings.values import dataclass
from reconciler.model import (
    Action,
    Adopted,
    BindingChange,
    CertificateName,
    Change,
    Condition,
    Deploy,
    Desired,
    EntryId,
    Gate,
    HostnamesAddress,
    Phase,
    Reason,
    Retire,
    SiteAddress,
    StoreSettings,
    Unknown,
    Update,
    Upload,
    Verify,
    Waiting,
)
from reconciler.model.calls import Calls
from reconciler.model.identifiers import is_placeholder
from reconciler.model.ownership import former_stack_of
from reconciler.model.words import environment_path
from reconciler.plan.assess import limit_retires, limit_unbinds, limit_uploads, scene_of, settle
from reconciler.plan.assessment import (
    Assessment,
    BindingRow,
    EntryRow,
    Need,
    Pending,
    SiteRow,
    Unseen,
    UpdateRow,
    Waits,
)
from reconciler.plan.coverage import ABOUT_LIVE, KeyNeeded, NotChecked, failed_checks, find_keys, find_not_checked
from reconciler.plan.facts import PublicFacts, facts_of
from reconciler.plan.gates import gate_of, proofs_for
from reconciler.plan.later import deletion_time, deploys_text
from reconciler.plan.live import LiveBinding, LiveState, target_of, unread_findings
from reconciler.plan.policy import deletes_ceiling, most_deletes, most_unbinds
from reconciler.plan.quota import Quota, count_quota
from reconciler.plan.rails import own_bindings, too_many_unbinds
from reconciler.plan.renewals import Due
from reconciler.plan.retire import WITH_LIVE, WITH_SWEEP, is_meant
from reconciler.plan.retire_live import lost_rollbacks
from reconciler.plan.weakened import Weakened
from reconciler.plan.wording import wait_text

_OF_TIME = frozenset(
    {
        Condition.NOT_VALID_YET,
        Condition.SUCCESSOR_NOT_VALID,
        Condition.GRACE,
        Condition.EMPTY,
        Condition.PROTECTED,
        *(condition for condition, _ in (*WITH_SWEEP, *WITH_LIVE)),
        Condition.MAX_DELETES,
        Condition.UNPROVED,
        Condition.FROZEN,
    }
)
"""The conditions that depend on time or on what a run may override, and those that are checked only once these hold."""

LONGEST_PATTERN = 200
"""Of a glob for names. A name has 48 characters; to match a long glob can take hours."""


def next_of(waiting: Iterable[Waiting]) -> datetime | None:
    """The earliest known time at which one of these changes may be made."""
    return min((one.until for one in waiting if one.until is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFacts:
    """The contents of a plan, in order, with what a person needs to review it; also all that a saved plan has.

    `partial`: the names of `--only`. `at`: the plan is a preview of another time. `quota` None: offline. `live` None:
    live Workers were not requested. `calls` None: no server was called. `keys`: those that `apply` will need.
    `apply_with`: the arguments of `mtlsctl apply` for this plan; None if `apply` itself made it. `commit`: that of the
    checkout; None outside git. `owners`: of the certificates in `changes` and `waiting`, if mtls.toml names them.
    `weakened`: the guards that are weaker than at the revision of `--base`; None if they were not compared.
    `replayed`: it was made from a recording.
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
    keys: tuple[KeyNeeded, ...] = ()
    not_checked: tuple[NotChecked, ...] = ()
    apply_with: tuple[str, ...] | None = None
    commit: str | None = None
    owners: Mapping[CertificateName, str] = field(default_factory=dict)
    weakened: tuple[Weakened, ...] | None = None
    replayed: bool = False

    @property
    def only(self) -> tuple[str, ...]:
        """The options that limit a command to what this plan is limited to."""
        return tuple(word for name in self.partial for word in ("--only", name))

    @property
    def next_command(self) -> str | None:
        """The command to run next; None if there is none, or if errors must be fixed first."""
        if self.apply_with is None:
            return None
        only = self.only
        if self.at or self.offline:
            return shell_command(("mtlsctl", "plan", *only))
        if self.changes:
            return shell_command(("mtlsctl", "apply", *self.apply_with))
        if any(problem.is_error for problem in self.diagnostics):
            return None
        if any(row.state is LiveState.NEEDS_DEPLOY for row in self.live or ()):
            return "mtlsctl apply --deploy"
        if any(one.condition is Condition.UPDATE_NOT_REQUESTED for one in self.waiting):
            return shell_command(("mtlsctl", "apply", *only, "--deploy"))
        unread = any(one.area in ABOUT_LIVE and one.reason is None for one in self.not_checked)
        return shell_command(("mtlsctl", "plan", "--live", *only)) if unread else None

    @property
    def failed_checks(self) -> tuple[str, ...]:
        """Why something could not be checked; what waits for that is kept."""
        return () if self.offline or self.at else failed_checks(self.waiting, self.not_checked)

    @property
    def exit_code(self) -> ExitCode:
        """1 if errors hold something, 5 if something else can be applied all the same; 3 if only a guard rail does."""
        code = exit_code_of(self.diagnostics)
        return ExitCode.PARTIAL if code is ExitCode.FAILED and self.changes else code

    @property
    def intent(self) -> tuple[Change, ...]:
        """The changes that the digest covers."""
        late = [waiting for waiting in self.waiting if waiting.condition in _OF_TIME]
        return (*self.changes, *(change for waiting in late for change in (waiting.change, *waiting.proofs)))

    @property
    def digest(self) -> str:
        """`sha256:...` of stack, store, account and changes, by `change_key`; the same digest means the same changes.

        It covers the pending changes, and those that wait for a time or for a check that is made only after that time.
        So time alone never changes the digest (rule 13), nor does a guard rail that holds a change only when `apply`
        acts: a freeze, `protect`, or an mtls.toml that declares nothing.
        """
        target = json.dumps([self.stack, self.store.kind, self.store.account_id])
        keys = sorted({json.dumps(change_key(change), sort_keys=True) for change in self.intent})
        return "sha256:" + hashlib.sha256("\n".join((target, *keys)).encode()).hexdigest()

    @property
    def next(self) -> datetime | None:
        """The earliest time at which a waiting change may be made; None if none is known."""
        return next_of(self.waiting)

    @property
    def summary(self) -> dict[Action, int]:
        """The number of changes of each action; every action is a key."""
        return {action: sum(change.action is action for change in self.changes) for action in Action}


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan(PlanFacts):
    """A plan that was read from a file; it has no rows. `certificates` None: an earlier version saved it."""

    certificates: tuple[PublicFacts, ...] | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter of the changes of a plan. `only`: names or globs of certificates; () is all. `retire`: only the retires
    of this certificate or ID."""

    only: tuple[str, ...] = ()
    retire: str | None = None

    def names(self, name: CertificateName | str | None) -> bool:
        """Whether a certificate is selected; with `only`, None is not."""
        return not self.only or (name is not None and any(fnmatchcase(name, pattern) for pattern in self.only))

    def includes(self, change: Change) -> bool:
        """Whether a change is part of the plan."""
        match change:
            case Upload():
                return self.retire is None and any(map(self.names, (change.certificate, *change.shared_with)))
            case BindingChange() | Update():
                return self.retire is None and self.names(change.certificate)
            case Deploy():
                return self.retire is None and (
                    not self.only or any(self.names(one.certificate) for one in change.bindings)
                )
            case Verify():
                return self.names(change.certificate)
            case Retire():
                is_about = self.retire is None or is_meant(change.entry, change.certificate, self.retire)
                return is_about and self.names(change.certificate)
            case _:
                assert_never(change)


ALL = Selection()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(PlanFacts):
    """What `apply` would do, with the rows that explain it."""

    assessment: Assessment
    selection: Selection = ALL

    @property
    def certificates(self) -> tuple[PublicFacts, ...]:
        """The facts of the selected certificates, by name. Computed at each call: only documents have them."""
        rows = (row for row in self.assessment.certificates if self.selection.names(row.name))
        found = (facts_of(row, self.assessment.now) for row in rows)
        return tuple(sorted(filter(None, found), key=lambda one: one.certificate))

    def later_command(self, *, deploy: bool) -> tuple[str, ...]:
        """The command that continues what waits: with the orders of this run, as far as something waits for them."""
        ask = self.assessment.ask
        retires = [wait.change for wait in self.waiting if isinstance(wait.change, Retire)]
        former = {former_stack_of(one.entry, self.assessment.desired.declaration) for one in retires}
        words = ["mtlsctl", "apply"]
        words += ["--prune"] if ask.prune and any(Reason.ORPHANED in one.reasons for one in retires) else []
        words += [word for stack in sorted(ask.take_over) if stack in former for word in ("--take-over", stack)]
        return (*words, *(("--deploy",) if deploy else ()))


def when_text(waiting: Iterable[Waiting]) -> str | None:
    """When to run again for these changes: `from 2026-12-06 10:00 UTC on`; None if no time is known."""
    known = [one for one in waiting if one.until is not None]
    first = next_of(known)
    if first is None:
        return None
    after = ", after the deploys that it waits for" if all(one.once for one in known if one.until == first) else ""
    return f"from {first:%Y-%m-%d %H:%M} UTC on{after}"


def change_key(change: Change) -> dict[str, str]:
    """The facts that make two changes the same: action, content, file, environment, binding, the ID before, a declared
    remote; of a Hyperdrive configuration its ID and the field; of hostnames their zone, the new ones and
    those before; of a proof its origin, and the action that it is made
    before.

    Times, foreign entries, other bytes of files and absolute paths do not count. For a certificate that is managed
    elsewhere, the ID is used instead of the content. A deploy that ends a gradual deployment is another change, and so
    is a deploy of another Worker.
    """
    parts: dict[str, str | None]
    match change:
        case Upload():
            parts = {"digest": change.digest, "leaf": change.leaf}
        case BindingChange():
            parts = {
                "digest": change.digest,
                "id": change.after if change.digest is None else None,
                "config": change.at.config,
                "environment": change.at.environment,
                "binding": change.at.binding,
                "before": change.before,
                "remote": None if change.remote is None else str(change.remote).lower(),
            }
        case Deploy():
            presents = [[one.binding, one.later or one.digest or one.id] for one in change.bindings]
            parts = {
                "config": change.at.config,
                "environment": change.at.environment,
                "script": change.script,
                "presents": json.dumps(sorted(presents, key=str)),
                "over": "a gradual deployment" if len(change.serving) > 1 else None,
            }
        case Update():
            parts = _update_key(change)
        case Verify():
            parts = {"digest": change.digest, "origin": change.origin, "before": str(change.before)}
        case Retire():
            parts = {"digest": change.digest, "before": change.entry.id}
        case _:
            assert_never(change)
    return {"action": str(change.action)} | {key: value for key, value in parts.items() if value is not None}


def _update_key(change: Update) -> dict[str, str | None]:
    if isinstance(change.at, HostnamesAddress):
        names, listed = json.dumps(sorted(change.names)), json.dumps(sorted(change.listed))
        return {"digest": change.digest, "zone": change.at.zone_id, "names": names, "listed": listed}
    return {
        "digest": change.digest,
        "id": change.after if change.digest is None else None,
        "hyperdrive": change.at.config,
        "field": str(change.at.field),
        "before": change.before,
    }


def make_plan(
    assessment: Assessment,
    selection: Selection = ALL,
    *,
    allow_deletes: int | None = None,
    allow_unbinds: int | None = None,
    at: bool = False,
    show_live: bool = False,
) -> Plan:
    """The plan for one run. `allow_deletes`, `allow_unbinds`: instead of the limits of the policy, but not of those of
    the operator. `guards.hold` adds what a run may not do now."""
    judged, policy = settle(assessment), assessment.desired.declaration.policy
    judged = limit_uploads(judged, _selected(judged, selection, Upload))
    judged = _limit_unbinds(judged, selection, allow_unbinds)
    uploads = 0 if judged.inventory is None else len(judged.inventory.owned)
    allowed, share = most_deletes(policy, uploads) if allow_deletes is None else (allow_deletes, None)
    case = "" if allow_deletes is not None else "zero" if allowed == 0 else "" if share is None else "share"
    ceiling = deletes_ceiling(policy, uploads)
    if ceiling is not None and ceiling <= allowed:
        allowed, case = ceiling, "ceiling" if ceiling else "none"
    facts = {"allowed": str(allowed), "case": case, "share": str(share), "uploads": str(uploads)}
    judged = limit_retires(judged, _over_limit(_selected(judged, selection, Retire), allowed, facts))
    return draw_plan(judged, selection, at=at, show_live=show_live)


def draw_plan(assessment: Assessment, selection: Selection, *, at: bool = False, show_live: bool = False) -> Plan:
    """The plan of an assessment to which every limit was applied."""
    desired, listing, now = assessment.desired, assessment.actual.listing, assessment.now
    uploads = sorted(_selected(assessment, selection, Upload), key=lambda upload: upload.certificate)
    bindings = sorted(_selected(assessment, selection, BindingChange), key=_binding_order)
    retires = sorted(_selected(assessment, selection, Retire), key=_oldest_first)
    deploys, left_out = _selected(assessment, selection, Deploy), _left_out(assessment, selection)
    due = sorted(
        (row.due for row in assessment.certificates if row.due is not None and selection.names(row.name)),
        key=lambda due: (due.renew_from, due.certificate),
    )
    changes: tuple[Change, ...] = (
        *proofs_for(desired, uploads, Gate.UPLOAD),
        *uploads,
        *proofs_for(desired, bindings, Gate.BIND),
        *bindings,
        *_deployable((one for one in deploys if one.at not in left_out), uploads),
        *_known_after(_selected(assessment, selection, Update), uploads),
        *proofs_for(desired, retires, Gate.RETIRE),
        *retires,
    )
    keys = find_keys(desired, changes)
    live = _live(assessment, selection) if show_live else None
    findings = (*assessment.findings, *_unread(live or (), assessment), *_lost_rollbacks(assessment, retires))
    elsewhere = _elsewhere(assessment, selection)
    waiting = _waiting(assessment, selection)
    return Plan(
        stack=desired.declaration.stack,
        store=desired.declaration.store,
        changes=changes,
        adopted=_adopted(assessment, selection),
        waiting=waiting,
        unknown=_unknown(assessment, selection),
        due=tuple(due),
        diagnostics=tuple(
            problem
            for problem in findings
            if (problem.certificate is None or selection.names(problem.certificate)) and problem not in elsewhere
        ),
        quota=None if listing is None else count_quota(desired, listing, uploads, retires, tuple(due), now),
        made=now,
        offline=listing is None,
        at=at,
        partial=selection.only,
        live=live,
        keys=keys,
        not_checked=find_not_checked(assessment, keys),
        owners=_owners(desired, (*changes, *(wait.change for wait in waiting))),
        assessment=assessment,
        selection=selection,
    )


def _left_out(assessment: Assessment, selection: Selection) -> set[SiteAddress]:
    """Where a binding that is not selected has to change first: a deploy would make its present ID live."""
    pending = (row.verdict.change for row in assessment.bindings if isinstance(row.verdict, Pending))
    changes = (change for change in pending if isinstance(change, BindingChange))
    return {change.at.site for change in changes if not selection.includes(change)}


_Change = TypeVar("_Change", Upload, BindingChange, Deploy, Update, Retire)


def _selected(assessment: Assessment, selection: Selection, kind: type[_Change]) -> list[_Change]:
    """The selected pending changes of one kind, each once; rows are their only source."""
    wanted = (change for change in assessment.pending if isinstance(change, kind) and selection.includes(change))
    return list({id(change): change for change in wanted}.values())


def _deployable(deploys: Iterable[Deploy], uploads: Iterable[Upload]) -> list[Deploy]:
    """The deploys whose IDs are all known, or will be after these uploads, in the order of files."""
    known = {upload.digest for upload in uploads}
    ready = (one for one in deploys if all(b.id is not None or b.digest in {None, *known} for b in one.bindings))
    return sorted(ready, key=lambda one: (one.at.config, one.at.environment or ""))


def _known_after(changes: Iterable[Update], uploads: Iterable[Upload]) -> list[Update]:
    """Those whose IDs are all known, or will be after these uploads, those of one call together."""
    known = {upload.digest for upload in uploads}
    ready = (one for one in changes if one.after is not None or one.digest in known)
    return sorted(ready, key=lambda change: change.at.order)


def _binding_order(change: BindingChange) -> tuple[str, str, str]:
    return change.at.config, change.at.environment or "", change.at.binding


def _oldest_first(retire: Retire) -> tuple[str, str]:
    return str(retire.entry.uploaded_on), retire.entry.id


def _limit_unbinds(assessment: Assessment, selection: Selection, allow: int | None) -> Assessment:
    """The same, but all except the first bindings that may be removed in one run wait."""
    changes = _selected(assessment, selection, BindingChange)
    unbinds = sorted((one for one in changes if one.action is Action.UNBIND), key=_binding_order)
    declaration = assessment.desired.declaration
    allowed = most_unbinds(declaration.policy, len(own_bindings(assessment.bindings))) if allow is None else allow
    over = unbinds[allowed:]
    if not over:
        return assessment
    held, facts = set(map(id, over)), {"allowed": str(allowed)}

    def waits(change: Change) -> Waits | None:
        return Waits(change, Condition.MAX_UNBINDS, facts=facts) if id(change) in held else None

    return limit_unbinds(assessment, waits, too_many_unbinds(declaration, over, len(unbinds)))


def _over_limit(retires: Sequence[Retire], allowed: int, facts: Mapping[str, str]) -> Callable[[Retire], Waits | None]:
    """A function that lets all but the `allowed` oldest retires wait."""
    held: set[EntryId] = {retire.entry.id for retire in sorted(retires, key=_oldest_first)[allowed:]}

    def waits(retire: Retire) -> Waits | None:
        return Waits(retire, Condition.MAX_DELETES, facts=facts) if retire.entry.id in held else None

    return waits


def _adopted(assessment: Assessment, selection: Selection) -> tuple[Adopted, ...]:
    found = (Adopted(row.name, row.entry, row.ours) for row in assessment.certificates if row.entry is not None)
    return tuple(sorted((one for one in found if selection.names(one.certificate)), key=lambda one: one.certificate))


def _waiting(assessment: Assessment, selection: Selection) -> tuple[Waiting, ...]:
    """The waiting changes, in the order in which they would be made."""
    found: dict[int, Waiting] = {}
    scene = scene_of(assessment)
    for row in assessment.rows:
        wait = row.verdict
        is_left = isinstance(row, SiteRow) and isinstance(wait, Waits) and wait.condition is Condition.NOT_DEPLOYED
        if not isinstance(wait, Waits) or is_left or isinstance(wait.change, Verify):
            continue
        if selection.includes(wait.change):
            detail, proofs = wait_text(wait.condition, wait.facts), _proofs(assessment.desired, wait.change)
            waiting = Waiting(wait.change, wait.condition, detail, wait.until, proofs)
            if isinstance(row, EntryRow) and wait.until is not None:
                time, once = deletion_time(row, scene), deploys_text(row.entry.id, scene)
                waiting = replace(waiting, not_before=time, once=once)
            found[id(wait.change)] = waiting
    return tuple(sorted(found.values(), key=_waiting_order))


def _proofs(desired: Desired, change: Change) -> tuple[Verify, ...]:
    """The proofs that must succeed before a waiting change."""
    gate = gate_of(change)
    return () if gate is None else tuple(proofs_for(desired, (change,), gate))


def _waiting_order(waiting: Waiting) -> tuple[int, str, str, str]:
    change = waiting.change
    phase = list(Phase).index(change.phase)
    match change:
        case Retire():
            return phase, change.entry.name, change.entry.id, ""
        case BindingChange():
            return phase, *_binding_order(change)
        case Upload():
            return phase, change.certificate, "", ""
        case Deploy():
            return phase, change.at.config, change.at.environment or "", ""
        case Update():
            return phase, *change.at.order
        case _:
            assert_never(change)


def _owners(desired: Desired, changes: Iterable[Change]) -> Mapping[CertificateName, str]:
    """The owner of each declared certificate that these changes are about."""
    names = sorted({change.certificate for change in changes if change.certificate is not None})
    found = ((name, desired.declaration.certificates.get(name)) for name in names)
    return {name: one.owner for name, one in found if one is not None and one.owner is not None}


def _unknown(assessment: Assessment, selection: Selection) -> tuple[Unknown, ...]:
    """What an offline plan does not know, because the list of uploaded certificates was not read."""
    if assessment.inventory is not None:
        return ()
    desired = assessment.desired
    names = sorted(row.name for row in assessment.certificates if row.bundle is not None)
    bindings = (
        row for row in assessment.bindings if isinstance(row.verdict, Unseen) and row.verdict.need is Need.STORE
    )
    found = (
        *(Unknown(name, None, "whether it is uploaded") for name in names),
        *(Unknown(row.certificate, row.at, "whether its ID is the current one") for row in bindings),
        *(Unknown(row.certificate, None, _whether(row)) for row in assessment.updates if row.target),
        *(Unknown(None, row.at, _UNDECLARED) for row in assessment.bindings if _may_be_removed(row, desired)),
    )
    return tuple(one for one in found if selection.names(one.certificate))


def _whether(row: UpdateRow) -> str:
    if isinstance(row.at, HostnamesAddress):
        return f"whether the hostnames of the zone {row.at.zone} trust it"
    return f"whether it is {row.text}"


_UNDECLARED = "in the wrangler file, not in mtls.toml: removed if its certificate is of this stack"


def _may_be_removed(row: BindingRow, desired: Desired) -> bool:
    """Whether an online plan would remove an undeclared binding if its certificate has a mark of this stack."""
    worker = desired.declaration.workers[row.at.worker]
    is_of_ours = row.at.environment in worker.environments and worker.exclusive and not row.elsewhere
    is_real = row.found is not None and not is_placeholder(row.found.certificate_id, desired.declaration.store.kind)
    return row.declared is None and is_of_ours and is_real


def _live(assessment: Assessment, selection: Selection) -> tuple[LiveBinding, ...]:
    return tuple(row for row in assessment.live if selection.names(row.certificate))


def _unread(rows: Iterable[LiveBinding], assessment: Assessment) -> Iterator[Diagnostic]:
    """The errors about live versions that were asked for and could not be read (rule 12).

    Not of a Worker that is not live here, nor of one whose deploy already reports it.
    """
    live, told = assessment.actual.live, {one.where for one in assessment.found_live if one.code is Code.LIVE_UNREAD}

    def is_unread(row: LiveBinding) -> bool:
        undeployed = assessment.desired.declaration.workers[row.at.worker].undeployed
        target = target_of(assessment.actual.files[row.at.worker], row.at.environment)
        where = Pointer(row.at.config, environment_path(row.at.environment))
        is_unknown = live is not None and row.state is LiveState.UNKNOWN and target in live.unread
        return is_unknown and row.at.environment not in undeployed and where not in told

    yield from unread_findings(filter(is_unread, rows))


def _lost_rollbacks(assessment: Assessment, retires: Iterable[Retire]) -> Iterator[Diagnostic]:
    """A warning for each deletion that takes a rollback away, which only `--ignore-rollback` allows."""
    if assessment.ask.ignore_rollback is None:
        return
    for retire in retires:
        found = lost_rollbacks(retire.entry.id, retire.certificate, assessment.actual.live)
        if found is not None:
            yield found


def _elsewhere(assessment: Assessment, selection: Selection) -> frozenset[Diagnostic]:
    """The errors of wrangler files that can't be used and whose Workers use none of the selected certificates."""
    workers, broken = assessment.desired.declaration.workers, assessment.actual.broken
    if not selection.only and selection.retire is None:
        return frozenset()
    retired = assessment.names.get(EntryId(selection.retire or "")) or selection.retire

    def is_about(name: CertificateName) -> bool:
        return selection.names(name) and (retired is None or name == retired)

    about = {label for label in broken if any(map(is_about, workers[label].certificates))}
    kept = {problem for label in about for problem in broken[label].problems}
    return frozenset(problem for file in broken.values() for problem in file.problems) - kept


def exit_code_of(diagnostics: Iterable[Diagnostic]) -> ExitCode:
    """The exit code of a run with these findings. Only errors count; warnings do not."""
    errors = [problem for problem in diagnostics if problem.is_error]
    return strongest(
        ExitCode.BLOCKED if problem.code.exit_code is ExitCode.BLOCKED else ExitCode.FAILED for problem in errors
    )


def match_names(desired: Desired, patterns: tuple[str, ...]) -> dict[str, tuple[CertificateName, ...]]:
    """The declared certificates that each pattern names."""
    names = tuple(sorted(desired.declaration.certificates))
    return {pattern: tuple(name for name in names if fnmatchcase(name, pattern)) for pattern in patterns}
