"""Changes as parts of documents: in a plan, an outcome, a journal and an adoption."""

from __future__ import annotations

from typing import assert_never

from reconciler.model import (
    Action,
    BindingChange,
    Change,
    Deploy,
    Difference,
    HostnamesAddress,
    HyperdriveAddress,
    HyperdriveField,
    Phase,
    Reason,
    Retire,
    ToPresent,
    Update,
    Upload,
    Verify,
)
from reconciler.records.base import JsonPart, UtcTime


class PresentPart(JsonPart):
    """What one binding uses after a deploy; `live` is what each live version uses now, null for nothing.

    `later`: the content digest that it will use once that certificate has begun. `older`: true if `id` was uploaded
    before what is live now.
    """

    binding: str
    certificate: str | None = None
    content_digest: str | None = None
    id: str | None = None
    live: tuple[str | None, ...]
    later: str | None = None
    older: bool | None = None


class IdentityPart(JsonPart):
    """What a binding gets by its ID: the `name` of the uploaded certificate, and the `stack` and `certificate`
    in that name."""

    name: str
    stack: str | None = None
    certificate: str | None = None
    subject: str | None = None


class ChangePart(JsonPart):
    """One change. `environment` is left out for the top level, `after` while the id is not known yet.

    `not_before`: when the certificate of a binding begins, for which `apply` waits. `leaf`: of an upload of several
    certificates, the fingerprint of the first. `hyperdrive`: the label of a Hyperdrive configuration in mtls.toml, and
    `hyperdrive_id` its ID; of its `field`, `before` and `after` are the IDs or the modes. `zone`: as in mtls.toml, of
    `hostnames` that are added to the CA `after`, which has those of `listed`; `before` is the CA that they trust.
    """

    action: Action
    phase: Phase
    reasons: tuple[Reason, ...]
    certificate: str | None = None
    content_digest: str | None = None
    leaf: str | None = None
    name: str | None = None
    shared_with: tuple[str, ...] | None = None
    worker: str | None = None
    config: str | None = None
    environment: str | None = None
    binding: str | None = None
    before: str | None = None
    after: str | None = None
    identity: IdentityPart | None = None
    remote: bool | None = None
    not_before: UtcTime | None = None
    uploaded_on: UtcTime | None = None
    script: str | None = None
    built: str | None = None
    serving: tuple[str, ...] | None = None
    presents: tuple[PresentPart, ...] | None = None
    origin: str | None = None
    hyperdrive: str | None = None
    hyperdrive_id: str | None = None
    field: HyperdriveField | None = None
    zone: str | None = None
    zone_id: str | None = None
    hostnames: tuple[str, ...] | None = None
    listed: tuple[str, ...] | None = None
    differences: tuple[Difference, ...] | None = None


def change_part(change: Change) -> ChangePart:
    """One change as its part of a document."""
    match change:
        case Upload():
            return _upload_part(change)
        case BindingChange():
            return _binding_part(change)
        case Deploy():
            return _deploy_part(change)
        case Update():
            return _update_part(change)
        case Verify():
            return _verify_part(change)
        case Retire():
            return _retire_part(change)
        case _:
            assert_never(change)


def _upload_part(change: Upload) -> ChangePart:
    return ChangePart(
        action=change.action,
        phase=change.phase,
        reasons=change.reasons,
        certificate=change.certificate,
        content_digest=change.digest,
        leaf=change.leaf,
        name=change.name,
        shared_with=change.shared_with or None,
        differences=change.differences or None,
    )


def _binding_part(change: BindingChange) -> ChangePart:
    return ChangePart(
        action=change.action,
        phase=change.phase,
        reasons=change.reasons,
        certificate=change.certificate,
        content_digest=change.digest,
        worker=change.at.worker,
        config=change.at.config,
        environment=change.at.environment,
        binding=change.at.binding,
        before=change.before,
        after=change.after,
        identity=None if change.identity is None else IdentityPart.made_from(change.identity),
        remote=change.remote,
        not_before=change.not_before,
        differences=change.differences or None,
    )


def _deploy_part(change: Deploy) -> ChangePart:
    return ChangePart(
        action=change.action,
        phase=change.phase,
        reasons=change.reasons,
        worker=change.at.worker,
        config=change.at.config,
        environment=change.at.environment,
        script=change.script,
        built=change.built,
        serving=change.serving,
        presents=tuple(_present_part(one) for one in change.bindings),
    )


def _update_part(change: Update) -> ChangePart:
    drive = change.at if isinstance(change.at, HyperdriveAddress) else None
    zone = change.at if isinstance(change.at, HostnamesAddress) else None
    return ChangePart(
        action=change.action,
        phase=change.phase,
        reasons=change.reasons,
        certificate=change.certificate,
        content_digest=change.digest,
        hyperdrive=drive.label if drive is not None else None,
        hyperdrive_id=drive.config if drive is not None else None,
        field=drive.field if drive is not None else None,
        zone=zone.zone if zone is not None else None,
        zone_id=zone.zone_id if zone is not None else None,
        hostnames=change.names if zone is not None else None,
        listed=change.listed if zone is not None else None,
        before=change.before,
        after=change.after,
        differences=change.differences or None,
    )


def _verify_part(change: Verify) -> ChangePart:
    return ChangePart(
        action=change.action,
        phase=change.phase,
        reasons=change.reasons,
        certificate=change.certificate,
        content_digest=change.digest,
        origin=change.origin,
    )


def _retire_part(change: Retire) -> ChangePart:
    return ChangePart(
        action=change.action,
        phase=change.phase,
        reasons=change.reasons,
        certificate=change.certificate,
        content_digest=change.digest,
        name=change.entry.name,
        before=change.entry.id,
        uploaded_on=change.entry.uploaded_on,
    )


def _present_part(one: ToPresent) -> PresentPart:
    return PresentPart.made_from(one, content_digest=one.digest, older=one.older or None)
