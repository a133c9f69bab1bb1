"""`mtlsctl.export/1`: what a store holds, as it could be declared; with the certificates, which are public."""

from __future__ import annotations

from typing import Literal

from reconciler.records.base import JsonPart, UtcTime
from reconciler.records.plan import StorePart
from reconciler.takeover.proposed import Proposal, ProposedCertificate


class ExportedPart(JsonPart):
    """One certificate as it could be declared. `path`: where its PEM would stand. `supersedes`: what is handed over."""

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
    """Every certificate of the store. `others`: entries that can't be declared, in words."""

    format: Literal["mtlsctl.export/1"] = "mtlsctl.export/1"
    stack: str
    store: StorePart
    certificates: tuple[ExportedPart, ...]
    others: tuple[str, ...]


def export_document(proposal: Proposal) -> ExportDocument:
    """A proposal of everything, as a document."""
    return ExportDocument(
        stack=proposal.stack,
        store=StorePart(kind=proposal.store.kind, account_id=proposal.store.account_id),
        certificates=tuple(part for one in proposal.certificates if (part := _part(one)) is not None),
        others=proposal.others,
    )


def _part(certificate: ProposedCertificate) -> ExportedPart | None:
    entry, bundle = certificate.entry, certificate.entry.bundle
    if bundle is None:
        return None
    return ExportedPart(
        certificate=certificate.name,
        path=certificate.path,
        ca=certificate.ca,
        supersedes=certificate.supersedes,
        entry=entry.id,
        name=entry.name,
        fingerprint=bundle.fingerprint,
        content_digest=bundle.digest,
        not_after=bundle.ends,
        uploaded_on=entry.uploaded_on,
        pem=bundle.pem(),
    )
