"""`mtlsctl.plan/1`: the plan as a document, for review, for pipelines, and for reading it back."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator

from reconciler.findings.diagnostics import Resolve
from reconciler.model import Action, Condition, StoreKind, Waiting
from reconciler.model.calls import Calls
from reconciler.plan.coverage import Area, KeyNeeded, NotChecked
from reconciler.plan.facts import PublicFacts
from reconciler.plan.live import LiveBinding, LiveState, Presented
from reconciler.plan.plan import Plan, PlanFacts, SavedPlan
from reconciler.plan.quota import Quota
from reconciler.plan.renewals import Due
from reconciler.records.base import FIRST_MISTAKE, DiagnosticPart, JsonPart, UtcTime, diagnostic_part, to_json
from reconciler.records.changes import ChangePart, change_part

_Dated = TypeVar("_Dated", Due, PublicFacts)


class StorePart(JsonPart):
    """Where the certificates of the plan are uploaded: the local store, or an account of Cloudflare."""

    kind: StoreKind
    account_id: str | None = None


class AdoptedPart(JsonPart):
    """A declared certificate that is already uploaded. `ours`: under a mark of this stack."""

    certificate: str
    entry: str
    name: str
    ours: bool


class NeededProofPart(JsonPart):
    """A proof at an origin that a change needs before it is made."""

    certificate: str
    content_digest: str
    origin: str


class WaitingPart(ChangePart):
    """A change that waits, and what for. `entry`: what a retire deletes; `verify`: what has to be proved before.

    Of an old certificate that waits for a time, `deleted_not_before`: the earliest time of its deletion;
    `deleted_once`: what live Workers need before it, for a person.
    """

    entry: str | None = None
    condition: Condition
    detail: str
    until: UtcTime | None = None
    deleted_not_before: UtcTime | None = None
    deleted_once: str | None = None
    verify: tuple[NeededProofPart, ...] | None = None


class UnknownPart(JsonPart):
    """Something that an offline plan can't know."""

    certificate: str | None = None
    worker: str | None = None
    environment: str | None = None
    binding: str | None = None
    message: str


class LivePart(JsonPart):
    """One binding from three sides: what mtls.toml declares, what the wrangler file has, what the live versions use."""

    worker: str
    config: str
    environment: str | None = None
    script: str | None = None
    binding: str
    state: LiveState
    certificate: str | None = None
    desired: str | None = None
    file: str | None = None
    live: tuple[Presented, ...]
    detail: str | None = None


class KeyNeededPart(JsonPart):
    """A private key that `apply` will need. `source`, `passphrase`: where mtls.toml says that it is, and the passphrase
    of an encrypted one. `actions`: what needs it."""

    certificate: str
    source: dict[str, str]
    passphrase: dict[str, str] | None = None
    actions: tuple[Action, ...]


class NotCheckedPart(JsonPart):
    """What was not checked. `reason`: why it could not be read; `command` reads it, where one does."""

    area: Area
    detail: str
    reason: str | None = None
    command: str | None = None


class WeakenedPart(JsonPart):
    """A guard that is weaker than at the revision of `--base`. `path`: its keys in mtls.toml, joined by dots."""

    guard: str
    before: str
    after: str
    path: str


def _with_zones(part: _Dated) -> _Dated:
    times = (getattr(part, one.name) for one in fields(part))
    if any(isinstance(time, datetime) and time.tzinfo is None for time in times):
        raise ValueError("times must have a zone")
    return part


_Facts = Annotated[PublicFacts, AfterValidator(_with_zones)]


class PlanDocument(JsonPart):
    """What `mtlsctl apply` would do, in order. `digest` is over the intent: `changes`, and what waits for time.

    `content_hash` is over everything else in the document: an edited one is refused. It is no signature. `commit`: what
    was checked out.

    `next`: the earliest time at which something that waits may be done.
    `certificates`: the public facts of each declared certificate whose file could be read; of those alone that the plan
    is limited to. `owners`: the owner of each certificate in `changes` and `waiting`, if mtls.toml names one.
    `keys`: the private keys that `apply` will need; none was opened. `next_command`: what to run next.
    `weakened`: absent if the guards were not compared with another revision. `replayed`: it was made from a recording,
    and can't be applied.
    """

    format: Literal["mtlsctl.plan/1"] = "mtlsctl.plan/1"
    stack: str
    store: StorePart
    made: UtcTime
    commit: str | None = None
    digest: str
    content_hash: str = ""
    offline: bool = False
    at: bool = False
    replayed: bool | None = None
    partial: tuple[str, ...] | None = None
    weakened: Annotated[tuple[WeakenedPart, ...], FIRST_MISTAKE] | None = None
    changes: Annotated[tuple[ChangePart, ...], FIRST_MISTAKE]
    adopted: Annotated[tuple[AdoptedPart, ...], FIRST_MISTAKE]
    waiting: Annotated[tuple[WaitingPart, ...], FIRST_MISTAKE]
    next: UtcTime | None = None
    unknown: Annotated[tuple[UnknownPart, ...], FIRST_MISTAKE] | None = None
    summary: dict[Action, int]
    quota: Quota | None = None
    calls: Calls | None = None
    due: Annotated[tuple[Annotated[Due, AfterValidator(_with_zones)], ...], FIRST_MISTAKE]
    certificates: Annotated[tuple[_Facts, ...], FIRST_MISTAKE] | None = None
    live: Annotated[tuple[LivePart, ...], FIRST_MISTAKE] | None = None
    owners: dict[str, str] | None = None
    keys: Annotated[tuple[KeyNeededPart, ...], FIRST_MISTAKE]
    not_checked: Annotated[tuple[NotCheckedPart, ...], FIRST_MISTAKE]
    next_command: str | None = None
    diagnostics: Annotated[tuple[DiagnosticPart, ...], FIRST_MISTAKE]


def plan_document(plan: Plan | SavedPlan, resolve: Resolve) -> PlanDocument:
    """A plan as its document."""
    document = PlanDocument.made_from(
        plan,
        content_hash="",
        replayed=plan.replayed or None,
        partial=plan.partial or None,
        weakened=None if plan.weakened is None else tuple(map(WeakenedPart.made_from, plan.weakened)),
        changes=tuple(change_part(change) for change in plan.changes),
        adopted=tuple(AdoptedPart.made_from(item, item.entry, entry=item.entry.id) for item in plan.adopted),
        waiting=tuple(waiting_part(item) for item in plan.waiting),
        unknown=_unknown(plan),
        live=None if plan.live is None else tuple(live_part(row) for row in plan.live),
        owners={str(name): owner for name, owner in plan.owners.items()} or None,
        keys=tuple(map(_key_part, plan.keys)),
        not_checked=tuple(not_checked_part(one, "plan") for one in plan.not_checked),
        diagnostics=tuple(diagnostic_part(problem, resolve) for problem in plan.diagnostics),
    )
    return document.model_copy(update={"content_hash": content_hash(document)})


def content_hash(document: PlanDocument) -> str:
    """`sha256:...` over the document without this hash."""
    text = to_json(document.model_copy(update={"content_hash": ""}), indent=None)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def live_part(row: LiveBinding) -> LivePart:
    """One binding as its part of a document."""
    return LivePart.made_from(row, row.at)


def _key_part(key: KeyNeeded) -> KeyNeededPart:
    secret = key.source.passphrase
    return KeyNeededPart.made_from(
        key, source=dict(key.source.options), passphrase=None if secret is None else dict(secret.options)
    )


def not_checked_part(one: NotChecked, command: str) -> NotCheckedPart:
    """What was not looked at as its part of a document. `command`: the name of the one whose result this is."""
    return NotCheckedPart.made_from(one, command=one.command(command))


def waiting_part(waiting: Waiting) -> WaitingPart:
    """What waits as its part of a document."""
    proofs = (NeededProofPart.made_from(one, content_digest=one.digest) for one in waiting.proofs)
    return WaitingPart.made_from(
        change_part(waiting.change),
        waiting,
        entry=waiting.entry.id if waiting.entry is not None else None,
        deleted_not_before=waiting.not_before,
        deleted_once=waiting.once,
        verify=tuple(proofs) or None,
    )


def _unknown(plan: PlanFacts) -> tuple[UnknownPart, ...] | None:
    return tuple(UnknownPart.made_from(item, item.at) for item in plan.unknown) if plan.offline else None
