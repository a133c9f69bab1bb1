"""`mtlsctl.init/1` and `mtlsctl.export/1`: what was taken over, and what a store holds as it could be declared."""

from __future__ import annotations

from typing import Literal

from reconciler.findings.diagnostics import Resolve
from reconciler.model import Action, ByCertificate, ById
from reconciler.records.base import DiagnosticPart, JsonPart, UtcTime, diagnostic_part
from reconciler.records.changes import ChangePart, change_part
from reconciler.records.plan import StorePart
from reconciler.takeover.adoption import AdoptedBinding, Adoption
from reconciler.takeover.proposed import Proposal, ProposedCertificate
from reconciler.views.json.document import as_view


class TakenCertificatePart(JsonPart):
    """A certificate that is declared now, and the upload that has its content."""

    certificate: str
    path: str
    entry: str
    name: str
    ca: bool


class TakenBindingPart(JsonPart):
    """A binding that is declared now: with a certificate by its name, or by its ID."""

    worker: str
    config: str
    environment: str | None = None
    binding: str
    certificate: str | None = None
    entry: str | None = None


class TakenHyperdrivePart(JsonPart):
    """One Hyperdrive configuration that is declared now. `config`: its name or ID."""

    hyperdrive: str
    config: str
    certificate: str | None = None
    ca: str | None = None


class TakenHostnamesPart(JsonPart):
    """The hostnames of a zone that are declared now to trust a CA. `zone`: its name or ID."""

    zone: str
    certificate: str
    hostnames: tuple[str, ...]


class InitDocument(JsonPart):
    """`changes`: what a plan of the result would do; none where everything could be taken over as it is."""

    format: Literal["mtlsctl.init/1"] = "mtlsctl.init/1"
    file: str
    updated: bool
    stack: str
    store: StorePart
    written: tuple[str, ...]
    certificates: tuple[TakenCertificatePart, ...]
    bindings: tuple[TakenBindingPart, ...]
    hyperdrives: tuple[TakenHyperdrivePart, ...] | None = None
    hostnames: tuple[TakenHostnamesPart, ...] | None = None
    changes: tuple[ChangePart, ...]
    pending: dict[Action, int]
    findings: tuple[DiagnosticPart, ...]


def init_document(adoption: Adoption, resolve: Resolve) -> InitDocument:
    """What was done, as a document."""
    return InitDocument.made_from(
        adoption,
        certificates=tuple(
            TakenCertificatePart.made_from(one, certificate=one.name, entry=one.entry.id, name=one.entry.name)
            for one in adoption.proposal.certificates
        ),
        bindings=tuple(map(_binding, adoption.bindings)),
        hyperdrives=tuple(
            TakenHyperdrivePart.made_from(one, hyperdrive=one.label) for one in adoption.proposal.hyperdrives
        )
        or None,
        hostnames=tuple(
            TakenHostnamesPart(zone=zone.zone, certificate=ca, hostnames=names)
            for zone in adoption.proposal.zones
            for ca, names in zone.cas.items()
        )
        or None,
        changes=tuple(map(change_part, adoption.plan.changes)),
        pending=adoption.plan.summary,
        findings=tuple(diagnostic_part(finding, resolve) for finding in adoption.findings),
    )


show_adoption = as_view(init_document)


def _binding(binding: AdoptedBinding) -> TakenBindingPart:
    target = binding.target
    return TakenBindingPart.made_from(
        binding.at,
        certificate=target.certificate if isinstance(target, ByCertificate) else None,
        entry=target.id if isinstance(target, ById) else None,
    )


# --- export -----------------------------------------------------------------------------------------------------------


class ExportedPart(JsonPart):
    """One certificate as it could be declared. `path`: the file of its PEM. `supersedes`: what is handed over."""

    certificate: str
    path: str
    ca: bool
    supersedes: tuple[str, ...]
    entry: str
    name: str
    fingerprint: str
    content_digest: str
    not_after: UtcTime
    uploaded_on: UtcTime | None = None
    pem: str


class ExportDocument(JsonPart):
    """Every uploaded certificate. `others`: those that can't be declared, in words."""

    format: Literal["mtlsctl.export/1"] = "mtlsctl.export/1"
    stack: str
    store: StorePart
    certificates: tuple[ExportedPart, ...]
    others: tuple[str, ...]


def export_document(proposal: Proposal, _resolve: Resolve) -> ExportDocument:
    """A proposal of everything, as a document."""
    exported = (part for one in proposal.certificates if (part := _exported(one)) is not None)
    return ExportDocument.made_from(proposal, certificates=tuple(exported))


show_proposal = as_view(export_document)


def _exported(certificate: ProposedCertificate) -> ExportedPart | None:
    entry, bundle = certificate.entry, certificate.entry.bundle
    if bundle is None:
        return None
    return ExportedPart.made_from(
        certificate,
        bundle,
        entry,
        certificate=certificate.name,
        entry=entry.id,
        name=entry.name,
        content_digest=bundle.digest,
        pem=bundle.pem(),
    )
