"""`mtlsctl.init/1`: what was taken over, and what there is to know of it."""

from __future__ import annotations

from typing import Literal

from reconciler.findings.diagnostics import Resolve
from reconciler.model import Action, ByCertificate, ById
from reconciler.records.base import DiagnosticPart, JsonPart, diagnostic_part
from reconciler.records.changes import ChangePart, change_part
from reconciler.records.plan import StorePart
from reconciler.takeover.adoption import AdoptedBinding, Adoption


class TakenCertificatePart(JsonPart):
    """A certificate that is declared now, and the entry that has its content."""

    certificate: str
    path: str
    entry: str
    name: str
    ca: bool


class TakenBindingPart(JsonPart):
    """A binding that is declared now: with a certificate by its name, or with an entry by its id."""

    worker: str
    config: str
    environment: str | None = None
    binding: str
    certificate: str | None = None
    entry: str | None = None


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
    changes: tuple[ChangePart, ...]
    pending: dict[Action, int]
    findings: tuple[DiagnosticPart, ...]


def init_document(adoption: Adoption, resolve: Resolve) -> InitDocument:
    """What was done, as a document."""
    return InitDocument(
        file=adoption.file,
        updated=adoption.updated,
        stack=adoption.stack,
        store=StorePart(kind=adoption.store.kind, account_id=adoption.store.account_id),
        written=adoption.written,
        certificates=tuple(
            TakenCertificatePart(
                certificate=one.name, path=one.path, entry=one.entry.id, name=one.entry.name, ca=one.ca
            )
            for one in adoption.proposal.certificates
        ),
        bindings=tuple(map(_binding, adoption.bindings)),
        changes=tuple(map(change_part, adoption.plan.changes)),
        pending=adoption.plan.summary,
        findings=tuple(diagnostic_part(finding, resolve) for finding in adoption.findings),
    )


def _binding(binding: AdoptedBinding) -> TakenBindingPart:
    target = binding.target
    return TakenBindingPart(
        worker=binding.at.worker,
        config=binding.at.config,
        environment=binding.at.environment,
        binding=binding.at.binding,
        certificate=target.certificate if isinstance(target, ByCertificate) else None,
        entry=target.id if isinstance(target, ById) else None,
    )
