"""Why a binding changes, stays or is blocked, in sentences. A view of the rows, which decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import assert_never

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.values import dataclass
from reconciler.model import (
    Action,
    BindingAddress,
    BindingChange,
    ByCertificate,
    ById,
    CertificateName,
    DeclaredBinding,
    Entry,
    EntryId,
    HyperdriveAddress,
    Reason,
    UpdateAddress,
)
from reconciler.model.ownership import identity_of
from reconciler.model.words import names_text
from reconciler.plan.assessment import (
    Assessment,
    BindingRow,
    Held,
    Kept,
    Need,
    Pending,
    Unseen,
    UpdateRow,
    UpToDate,
    Waits,
)
from reconciler.plan.wording import wait_text


@dataclass(frozen=True, slots=True)
class BindingStory:
    """One binding of one environment. `declared`: its target in mtls.toml. `found`: its ID in the wrangler file.

    `action` None: nothing would happen. `what` and `why`: one clause each. `problems`: the errors that block it.
    """

    at: BindingAddress
    declared: ByCertificate | ById | None
    found: str | None
    wanted: EntryId | None
    action: Action | None
    what: str
    why: str
    problems: tuple[Diagnostic, ...] = ()

    @property
    def certificate(self) -> CertificateName | None:
        """The declared certificate that it should use; None if it is declared by ID."""
        return self.declared.certificate if isinstance(self.declared, ByCertificate) else None


def tell_bindings(assessment: Assessment) -> tuple[BindingStory, ...]:
    """Every declared binding, then every other one in declared wrangler files."""
    declared = [row for row in assessment.bindings if row.declared is not None]
    others = [row for row in assessment.bindings if row.declared is None]
    return tuple(_tell(row) for row in (*declared, *sorted(others, key=lambda row: row.at.worker)))


@dataclass(frozen=True, slots=True)
class UpdateStory:
    """One declared field of a Hyperdrive configuration, or the hostnames of a zone that are to trust one CA.

    `found` and `wanted`: IDs, or modes of `sslmode`. `names`: what it is found by. `hostnames`: the declared ones, and
    `lacking` those of them that do not trust the CA. `action` None: nothing would happen. `what` and `why`: one clause
    each. `problems`: the errors that block it.
    """

    at: UpdateAddress
    certificate: CertificateName | None
    found: str | None
    wanted: str | None
    action: Action | None
    what: str
    why: str
    names: frozenset[str]
    hostnames: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    problems: tuple[Diagnostic, ...] = ()


def tell_updates(assessment: Assessment) -> tuple[UpdateStory, ...]:
    """Everything declared that is updated at once."""
    configs = {one.label: one.config for one in assessment.desired.declaration.hyperdrives}
    return tuple(_tell_update(row, configs) for row in assessment.updates)


def _tell_update(row: UpdateRow, configs: Mapping[str, str]) -> UpdateStory:
    change = row.verdict.change if isinstance(row.verdict, Pending) else None
    what, why = _update_clauses(row)
    config = configs.get(row.at.label) if isinstance(row.at, HyperdriveAddress) else None
    names = {row.at.label, config, row.at.place[1], row.certificate, row.owner, row.found_id, row.wanted, *row.names}
    return UpdateStory(
        at=row.at,
        certificate=row.certificate,
        found=row.found_id,
        wanted=row.wanted,
        action=change.action if change is not None else None,
        what=what,
        why=why,
        names=frozenset(name for name in names if name is not None),
        hostnames=row.names,
        lacking=row.lacking,
        problems=row.verdict.by if isinstance(row.verdict, Held) else (),
    )


def _update_clauses(row: UpdateRow) -> tuple[str, str]:
    """What happens to what is updated at once, and why."""
    would = f"would get {row.wanted or f'the ID of the new upload of {row.certificate}'}"
    has = f"it is {row.found_id}" if row.found_id is not None else "it is not set"
    if row.names:
        would = f"would be added: {names_text(row.lacking)}"
        has = f"they trust {row.found_id}" if row.found_id is not None else f"they do not trust {row.certificate} yet"
    match row.verdict:
        case Pending():
            return would, has
        case UpToDate():
            of = f", the current ID of {row.certificate}" if row.certificate is not None else ""
            return "up to date", has + of
        case _:
            return _clauses_without_change(row.verdict, has)


def _clauses_without_change(verdict: Held | Waits | Unseen | Kept, why_kept: str) -> tuple[str, str]:
    """What happens to something that can't be changed now, or is not to be, and why."""
    match verdict:
        case Held(by):
            return "nothing is planned", _messages(by)
        case Waits(condition=condition, facts=facts, until=until):
            return f"waits until {until:%Y-%m-%d %H:%M} UTC" if until else "waits", wait_text(condition, facts)
        case Unseen(need):
            return "nothing is planned", _UNSEEN[need]
        case Kept():
            return "nothing is planned", why_kept
        case _:
            assert_never(verdict)


def _tell(row: BindingRow) -> BindingStory:
    verdict = row.verdict
    change = verdict.change if isinstance(verdict, Pending) else None
    what, why = _clauses(row)
    return BindingStory(
        at=row.at,
        declared=row.target,
        found=row.found_id,
        wanted=row.wanted,
        action=change.action if change is not None else None,
        what=what,
        why=why,
        problems=verdict.by if isinstance(verdict, Held) else (),
    )


def _clauses(row: BindingRow) -> tuple[str, str]:
    """What happens to a binding, and why."""
    match row.verdict:
        case Pending(change) if isinstance(change, BindingChange):
            return change_clauses(change)
        case Pending(change):
            return f"would be changed by {change.action}", " and ".join(change.reasons)
        case UpToDate():
            target = "" if row.declared is None else f", {_as_declared(row.declared, row.entry)}"
            return "up to date", f"{row.at.config} has {row.found_id}{target}"
        case _:
            why = f"mtls.toml does not declare it, and {row.found_id} is not managed here"
            return _clauses_without_change(row.verdict, _messages(row.findings) or why)


_UNSEEN = {
    Need.STORE: "the list of uploaded certificates was not read",
    Need.FILE: "its file could not be read",
    Need.TREE: "the other files of this tree were not searched",
    Need.LIVE: "live Workers were not read",
}


def _messages(found: Iterable[Diagnostic]) -> str:
    return "; ".join(dict.fromkeys(problem.message for problem in found))


def _as_declared(binding: DeclaredBinding, entry: Entry | None) -> str:
    match binding.target:
        case ById():
            return "the ID in mtls.toml" + (f": {identity_of(entry).text}" if entry is not None else "")
        case ByCertificate(certificate):
            return f"the current ID of {certificate}"


def change_clauses(change: BindingChange) -> tuple[str, str]:
    """What a planned change does to a binding, and why."""
    after = f"the ID {change.after}" if change.after else "the ID of the new upload"
    after += f", {change.identity.text}" if change.identity is not None else ""
    what = {
        Action.BIND: f"would be added with {after}",
        Action.REBIND: f"would get {after}",
        Action.UNBIND: "would be removed",
    }.get(change.action, str(change.action))
    return what, " and ".join(_reason_clause(reason, change) for reason in change.reasons)


def _reason_clause(reason: Reason, change: BindingChange) -> str:
    has = f"{change.at.config} has {change.before or 'an empty ID'}"
    match reason:
        case Reason.MISSING:
            return f"{change.at.config} does not have this binding"
        case Reason.PLACEHOLDER_ID:
            return f"{has}, which is a placeholder"
        case Reason.UNKNOWN_ID:
            return f"{has}, which is not the ID of an uploaded certificate"
        case Reason.CONTENT_CHANGED:
            return f"{has}, another version of {change.certificate}"
        case Reason.WRONG_ID if change.certificate is None:
            return f"{has}, which is not the ID in mtls.toml"
        case Reason.WRONG_ID:
            return f"{has}, which is not an uploaded version of {change.certificate}"
        case Reason.REMOTE_DIFFERS:
            return "its `remote` differs from mtls.toml"
        case Reason.REMOVED:
            return f"mtls.toml does not declare it, and it uses {change.certificate} of this stack"
        case _:
            return str(reason)
