"""What a run must not do now: changes during a freeze, and removals if mtls.toml declares nothing.

Applied last, after every other limit and after the approval of a saved plan. It only moves changes of the plan to
`waiting`, each with its proofs and judging nothing again, and `PlanFacts.digest` covers the conditions of these. So a
plan has the same digest during a freeze and outside of it, with and without `protect`; and what was reviewed during a
freeze can be applied after it. `protect` itself is a condition of a retire.

A freeze and `protect` are errors only in a run that makes changes for a person: a plan, a report, and a run by schedule
only warn, for they must not fail as long as a freeze lasts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import (
    Action,
    BindingChange,
    CertificateName,
    Change,
    Condition,
    Deploy,
    Entry,
    Retire,
    SiteAddress,
    Update,
    Upload,
    Verify,
)
from reconciler.model.words import names_text
from reconciler.plan.assessment import (
    Assessment,
    BindingRow,
    CertificateRow,
    EntryRow,
    Pending,
    SiteRow,
    UpdateRow,
    UserRow,
    Waits,
    uses_text,
)
from reconciler.plan.freeze import Frozen, frozen
from reconciler.plan.plan import Plan, draw_plan
from reconciler.plan.policy import (
    DEFAULT_RENEW_BEFORE,
    count_back,
    protecting,
    renew_before_of,
    renewal_lead,
)

_MOST_NAMED = 4
_COMPARED = frozenset({Code.GUARD_WEAKENED, Code.GUARDS_NOT_COMPARED})
"""Findings about another revision, which no row of this plan has."""


def hold(found: Plan, *, refuses: bool) -> Plan:
    """The same plan, but what must not be done now waits. `refuses`: that is an error, because a person applies it."""
    assessment = found.assessment
    held = {id(change): wait for change, wait in _held_while_empty(found)}
    freeze, severity = _freeze(assessment), Severity.ERROR if refuses else Severity.WARNING
    notes: list[Diagnostic] = []
    if freeze is not None:
        changes = [one for one in found.changes if not isinstance(one, Verify) and id(one) not in held]
        notes = list(_at_freeze(freeze, changes, assessment, held, severity))
    limited = replace(
        assessment,
        certificates=_waiting(assessment.certificates, held),
        bindings=_waiting(assessment.bindings, held),
        sites=_waiting(assessment.sites, held),
        updates=_waiting(assessment.updates, held),
        entries=_waiting(assessment.entries, held),
    )
    findings = [*notes, *_empty(limited, found), *_protected(limited, found, severity)]
    if not held and not findings:
        return found
    told = {(one.code, one.where) for one in findings}
    limited = replace(
        limited,
        found=tuple(one for one in limited.found if (one.code, one.where) not in told),
        limits=(*limited.limits, *findings),
    )
    drawn = draw_plan(limited, found.selection, at=found.at, show_live=found.live is not None)
    compared = tuple(one for one in found.diagnostics if one.code in _COMPARED)
    diagnostics = (*compared, *drawn.diagnostics)
    return replace(drawn, calls=found.calls, commit=found.commit, weakened=found.weakened, diagnostics=diagnostics)


_Row = TypeVar("_Row", CertificateRow, BindingRow, SiteRow, UpdateRow, EntryRow)


def _waiting(rows: Sequence[_Row], held: Mapping[int, Waits]) -> tuple[_Row, ...]:
    found = ((row, held.get(id(row.verdict.change)) if isinstance(row.verdict, Pending) else None) for row in rows)
    return tuple(row if wait is None else replace(row, verdict=wait) for row, wait in found)


# --- nothing declared -----------------------------------------------------------------------------------------------


def _held_while_empty(found: Plan) -> Iterator[tuple[Change, Waits]]:
    """The removed bindings where no certificate is declared, and the deploys of them. Retires wait already."""
    if found.assessment.desired.declaration.certificates or found.assessment.ask.allow_empty:
        return
    unbinds = [one for one in found.changes if isinstance(one, BindingChange) and one.action is Action.UNBIND]
    sites = {one.at.site for one in unbinds}
    deploys = [one for one in found.changes if isinstance(one, Deploy) and one.at in sites]
    removals: list[Change] = [*unbinds, *deploys]
    for change in removals:
        yield change, Waits(change, Condition.EMPTY)


def _empty(assessment: Assessment, found: Plan) -> Iterator[Diagnostic]:
    """An error for every run: a schedule must not go on quietly after mtls.toml was emptied."""
    changes = _that_wait(assessment, found, Condition.EMPTY)
    if changes:
        declaration = assessment.desired.declaration
        yield Diagnostic(
            Severity.ERROR,
            Code.NOTHING_DECLARED,
            f"mtls.toml declares no certificate, so these are kept: {_counted(changes)}",
            Pointer(declaration.path, ()),
            "if mtls.toml was emptied by mistake, restore it; if all of that is no longer needed, run with"
            " `--allow-empty`",
        )


# --- protect --------------------------------------------------------------------------------------------------------


def _protected(assessment: Assessment, found: Plan, severity: Severity) -> Iterator[Diagnostic]:
    changes = _that_wait(assessment, found, Condition.PROTECTED)
    retires = [change for change in changes if isinstance(change, Retire)]
    if not retires:
        return
    declaration, ask = assessment.desired.declaration, assessment.ask
    policy = declaration.policy
    names = {name for one in retires for name in protecting(one.entry, one.certificate, policy)} - ask.unprotected
    overrides = " ".join(f"--override-protect {name}" for name in sorted(names))
    protected, kept = (names_text(one, _MOST_NAMED) for one in (sorted(names), [one.entry.id for one in retires]))
    count = len(retires)
    yield Diagnostic(
        severity,
        Code.PROTECT,
        f"{count} old upload{'' if count == 1 else 's'} would be deleted now, but {protected}"
        f" {'is' if len(names) == 1 else 'are'} protected; kept: {kept}",
        Pointer(declaration.path, ("policy", "protect") if policy.protect else ()),
        f"if they are no longer needed, run with `{overrides}`",
    )


# --- freezes --------------------------------------------------------------------------------------------------------


def _freeze(assessment: Assessment) -> Frozen | None:
    return frozen(assessment.desired.declaration.policy.freezes, assessment.now)


def frozen_text(freeze: Frozen) -> str:
    """Until when, in its zone and in UTC, and why."""
    why = f" ({freeze.freeze.why})" if freeze.freeze.why is not None else ""
    if freeze.until is None:
        return f"without a known end{why}"
    zone = freeze.freeze.zone
    local = f"{freeze.until.astimezone(zone):%Y-%m-%d %H:%M} {zone}, " if str(zone) != "UTC" else ""
    return f"until {local}{freeze.until:%Y-%m-%d %H:%M} UTC{why}"


def _at_freeze(
    freeze: Frozen, changes: Sequence[Change], assessment: Assessment, held: dict[int, Waits], severity: Severity
) -> Iterator[Diagnostic]:
    """The findings about a freeze; puts what it holds into `held`."""
    if not changes:
        return
    declaration, reason = assessment.desired.declaration, assessment.ask.freeze_reason
    where = Pointer(declaration.path, ("policy", "freeze", freeze.index))
    if reason is not None:
        message = f"changes are frozen {frozen_text(freeze)}, but this run makes them: {_counted(changes)}; {reason}"
        yield Diagnostic(Severity.WARNING, Code.DESPITE_FREEZE, message, where)
        return
    passing = _passing(assessment, changes)
    over = [change for change in changes if id(change) not in passing.changes]
    facts = {"why": freeze.freeze.why or "`[[policy.freeze]]`"}
    held.update({id(change): Waits(change, Condition.FROZEN, freeze.until, facts) for change in over})
    for certificate, text in sorted(passing.reasons.items(), key=lambda one: one[0] or ""):
        yield Diagnostic(Severity.WARNING, Code.DESPITE_FREEZE, text, where, None, certificate)
    if over:
        message = f"changes are frozen {frozen_text(freeze)}; kept back: {_counted(over)}"
        hint = "wait until then; if a change can't wait, run `mtlsctl apply --override-freeze REASON`"
        yield Diagnostic(severity, Code.FREEZE, message, where, hint)


@dataclass(frozen=True, slots=True)
class _Passing:
    """What is changed during a freeze. `changes`: by identity. `reasons`: by certificate; None is one bound by ID."""

    changes: set[int]
    reasons: dict[CertificateName | None, str]


def _passing(assessment: Assessment, changes: Sequence[Change]) -> _Passing:
    """What passes a freeze, because what is in use ends within half of its renewal lead.

    A Worker is deployed as a whole. So where an urgent certificate is deployed, the other changes of that environment
    pass with it, and the uploads that these need; else the deploy would be another one than that of the plan.
    """
    urgent = _urgent(assessment)
    passing, needed = _Passing(set(), {}), set[str | None]()

    def let_pass(change: Change, names: Iterable[CertificateName | None], why: str) -> None:
        passing.changes.add(id(change))
        for name in names:
            passing.reasons.setdefault(name, urgent.get(name, why) if name is not None else why)

    sites: set[SiteAddress] = set()
    for change in changes:
        reasons = _why_deploy(change, urgent, assessment) if isinstance(change, Deploy) else {}
        if isinstance(change, Deploy) and reasons:
            sites.add(change.at)
            passing.reasons.update(reasons)
            let_pass(change, [one.certificate for one in change.bindings if one.differs], _with(change.script))
    rows = {id(row.verdict.change): row for row in assessment.users if isinstance(row.verdict, Pending)}
    for change in changes:
        if not isinstance(change, BindingChange | Update):
            continue
        row = rows[id(change)]
        is_urgent = change.action is not Action.UNBIND and (
            change.certificate in urgent or _ends_soon(row.entry, change.certificate, assessment) is not None
        )
        if is_urgent or (isinstance(change, BindingChange) and change.at.site in sites):
            let_pass(change, [change.certificate], _bound_reason(row, assessment) or _with(_together(row)))
            needed.add(change.digest)
    for change in changes:
        if isinstance(change, Upload):
            names = {change.certificate, *change.shared_with} & urgent.keys()
            if names or change.digest in needed:
                let_pass(change, names, "")
    return passing


def _urgent(assessment: Assessment) -> dict[CertificateName, str]:
    """The declared certificates of which a user uses one that ends soon, with the reason to let them pass."""
    rows = (row for row in assessment.users if row.certificate is not None and not row.elsewhere)
    found = ((row.certificate, _bound_reason(row, assessment)) for row in rows)
    return {name: why for name, why in found if name is not None and why is not None}


def _bound_reason(row: UserRow, assessment: Assessment) -> str | None:
    ends = _ends_soon(row.entry, row.certificate, assessment)
    return None if ends is None else _reason(f"what {uses_text(row)}", ends)


def _why_deploy(
    deploy: Deploy, urgent: Mapping[CertificateName, str], assessment: Assessment
) -> dict[CertificateName | None, str]:
    """What lets a deploy pass, with the reasons: what it replaces ends soon, in the wrangler file or live."""
    found: dict[CertificateName | None, str] = {}
    for one in (one for one in deploy.bindings if one.differs):
        live = [assessment.entry(entry_id) for entry_id in one.live if entry_id is not None]
        ends = [end for entry in live if (end := _ends_soon(entry, one.certificate, assessment)) is not None]
        if one.certificate is not None and one.certificate in urgent:
            found[one.certificate] = urgent[one.certificate]
        elif ends:
            found[one.certificate] = _reason(f"what {deploy.script} uses live", min(ends))
    return found


def _together(row: UserRow) -> str:
    return row.at.text if isinstance(row, UpdateRow) else row.at.config


def _with(what: str) -> str:
    return f"changes are made despite the freeze: they are deployed together with others of {what}, which can't wait"


def _ends_soon(entry: Entry | None, certificate: CertificateName | None, assessment: Assessment) -> datetime | None:
    """The end of a certificate in use, if that is within half of its renewal lead, or of the default; else None."""
    ends = entry.window(assessment.now).ends if entry is not None else None
    if entry is None or ends is None:
        return None
    declaration = assessment.desired.declaration
    before = declaration.policy.renew_before if certificate is None else renew_before_of(declaration, certificate)
    lead = DEFAULT_RENEW_BEFORE
    if entry.bundle is not None:  # a long `renew_before` makes no freeze weaker
        lead = min(renewal_lead(entry.bundle, before), renewal_lead(entry.bundle, None))
    return ends if count_back(ends, lead / 2) <= assessment.now else None


def _reason(what: str, ends: datetime) -> str:
    return f"changes are made despite the freeze: {what} ends on {ends:%Y-%m-%d %H:%M} UTC, too soon to wait"


# --- what all of them say ---------------------------------------------------------------------------------------------


def _that_wait(assessment: Assessment, found: Plan, condition: Condition) -> list[Change]:
    """The selected changes that wait for a condition, each once."""
    waits = (row.verdict for row in assessment.rows if isinstance(row.verdict, Waits))
    changes = (wait.change for wait in waits if wait.condition is condition and found.selection.includes(wait.change))
    return list({id(change): change for change in changes}.values())


def _counted(changes: Sequence[Change]) -> str:
    counts = Counter(change.action for change in changes)
    return ", ".join(
        f"{counts[action]} {action}{'' if counts[action] == 1 else 's'}" for action in Action if counts[action]
    )
