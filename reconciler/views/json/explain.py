"""`mtlsctl.explain/1`: why something is planned or not. The sentences are for people; everything else is stable."""

from __future__ import annotations

from typing import Literal

from reconciler.findings.diagnostics import Resolve
from reconciler.model import (
    Action,
    Condition,
    Gate,
    HostnamesAddress,
    HyperdriveAddress,
    HyperdriveField,
    User,
    UserKind,
)
from reconciler.plan.inventory import Preference, Role
from reconciler.plan.retire import Judged
from reconciler.plan.wording import REQUIREMENTS
from reconciler.records.base import DiagnosticPart, JsonPart, UtcTime, diagnostic_part
from reconciler.records.plan import LivePart, NotCheckedPart, live_part, not_checked_part
from reconciler.reports.explain import Explanation, NameKind, explain_command
from reconciler.reports.explain_bindings import BindingStory, UpdateStory
from reconciler.reports.explain_certificates import CertificateStory
from reconciler.reports.explain_entries import EntryStory
from reconciler.views.json.document import as_view


class UserPart(JsonPart):
    """What uses a certificate, in addition to the bindings that are shown."""

    kind: UserKind
    name: str
    id: str | None = None
    detail: str | None = None


class CertificateStoryPart(JsonPart):
    """One declared certificate: its content, its upload, and why that one (`chosen`). `ours`: under our mark."""

    certificate: str
    path: str
    ca: bool
    owner: str | None = None
    content_digest: str | None = None
    fingerprint: str | None = None
    serial: str | None = None
    not_after: UtcTime | None = None
    renew_from: UtcTime | None = None
    entry: str | None = None
    name: str | None = None
    ours: bool
    chosen: Preference | None = None
    action: Action | None = None
    what: str
    why: str
    key_needed: bool
    key_why: str
    shared_with: tuple[str, ...] | None = None
    origin: str | None = None
    proved_before: tuple[Gate, ...] | None = None
    users: tuple[UserPart, ...] | None = None


class BindingStoryPart(JsonPart):
    """One binding. `found` and `wanted` are ids; `action` is left out where nothing would happen."""

    worker: str
    config: str
    environment: str | None = None
    binding: str
    declared: bool
    certificate: str | None = None
    found: str | None = None
    wanted: str | None = None
    action: Action | None = None
    what: str
    why: str


class HyperdriveStoryPart(JsonPart):
    """One declared field of a Hyperdrive configuration. `found` and `wanted` are IDs, or modes of `sslmode`."""

    hyperdrive: str
    hyperdrive_id: str
    field: HyperdriveField
    certificate: str | None = None
    found: str | None = None
    wanted: str | None = None
    action: Action | None = None
    what: str
    why: str


class HostnamesStoryPart(JsonPart):
    """The hostnames of a zone that are to trust one CA. `found` and `wanted` are IDs of CAs; `lacking`: the hostnames
    that do not trust the wanted one yet."""

    zone: str
    zone_id: str
    certificate: str
    hostnames: tuple[str, ...]
    lacking: tuple[str, ...]
    found: str | None = None
    wanted: str | None = None
    action: Action | None = None
    what: str
    why: str


class ConditionPart(JsonPart):
    """What must hold before an old certificate is retired. `holds` is left out where it was not checked. `detail` says
    why it does not hold, and `hint` what would make it hold."""

    condition: Condition
    requirement: str
    holds: bool | None = None
    detail: str | None = None
    until: UtcTime | None = None
    hint: str | None = None


class EntryStoryPart(JsonPart):
    """One uploaded certificate. `conditions` only where it is to leave; `newer` and `renew_from` of one bound by id.

    `since`: when its grace period ended, where it is kept nevertheless.
    `stack`: where its name says that it was uploaded.
    """

    entry: str
    name: str | None = None
    subject: str | None = None
    role: Role
    certificate: str | None = None
    stack: str | None = None
    not_after: UtcTime | None = None
    renew_from: UtcTime | None = None
    newer: str | None = None
    users: tuple[UserPart, ...] | None = None
    what: str
    why: str
    since: UtcTime | None = None
    conditions: tuple[ConditionPart, ...] | None = None


class ExplainDocument(JsonPart):
    """Everything that has the name, with what follows from it. Without `live` live Workers were not read."""

    format: Literal["mtlsctl.explain/1"] = "mtlsctl.explain/1"
    name: str
    subjects: tuple[NameKind, ...]
    certificates: tuple[CertificateStoryPart, ...]
    bindings: tuple[BindingStoryPart, ...]
    hyperdrives: tuple[HyperdriveStoryPart, ...] | None = None
    hostnames: tuple[HostnamesStoryPart, ...] | None = None
    entries: tuple[EntryStoryPart, ...]
    live: tuple[LivePart, ...] | None = None
    not_checked: tuple[NotCheckedPart, ...]
    diagnostics: tuple[DiagnosticPart, ...]


def explain_document(explanation: Explanation, resolve: Resolve) -> ExplainDocument:
    """An explanation as its document."""
    drives = (story for story in explanation.updates if isinstance(story.at, HyperdriveAddress))
    zones = (story for story in explanation.updates if isinstance(story.at, HostnamesAddress))
    return ExplainDocument.made_from(
        explanation,
        certificates=tuple(map(_certificate, explanation.certificates)),
        bindings=tuple(map(_binding, explanation.bindings)),
        hyperdrives=tuple(map(_hyperdrive, drives)) or None,
        hostnames=tuple(map(_hostnames, zones)) or None,
        entries=tuple(map(_entry, explanation.entries)),
        live=None if explanation.live is None else tuple(map(live_part, explanation.live)),
        not_checked=tuple(not_checked_part(one, explain_command(explanation.name)) for one in explanation.not_checked),
        diagnostics=tuple(diagnostic_part(problem, resolve) for problem in explanation.diagnostics),
    )


show_explanation = as_view(explain_document)


def _certificate(story: CertificateStory) -> CertificateStoryPart:
    return CertificateStoryPart.made_from(
        story,
        story.due,
        certificate=story.name,
        content_digest=story.digest,
        entry=story.entry.id if story.entry else None,
        name=story.entry.name if story.entry else None,
        shared_with=story.shared_with or None,
        proved_before=story.proved_before or None,
        users=tuple(map(_user, story.users)) or None,
    )


def _binding(story: BindingStory) -> BindingStoryPart:
    return BindingStoryPart.made_from(story, story.at, declared=story.declared is not None)


def _hyperdrive(story: UpdateStory) -> HyperdriveStoryPart:
    return HyperdriveStoryPart.made_from(story, story.at, hyperdrive=story.at.label, hyperdrive_id=story.at.holder[1])


def _hostnames(story: UpdateStory) -> HostnamesStoryPart:
    return HostnamesStoryPart.made_from(story, story.at, certificate=story.at.part)


def _entry(story: EntryStory) -> EntryStoryPart:
    return EntryStoryPart.made_from(
        story,
        story.entry,
        entry=story.id,
        users=tuple(map(_user, story.users)) or None,
        conditions=tuple(map(_condition, story.conditions)) or None,
    )


def _user(user: User) -> UserPart:
    return UserPart.made_from(user, detail=user.detail or None)


def _condition(judged: Judged) -> ConditionPart:
    return ConditionPart.made_from(judged, requirement=REQUIREMENTS[judged.condition])
