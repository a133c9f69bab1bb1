"""`mtlsctl.output/1`: the current entry of one certificate, for Terraform, Hyperdrive or a pipeline."""

from __future__ import annotations

from typing import Literal

from reconciler.records.base import JsonPart, UtcTime
from reconciler.reports.current import Current


class OutputDocument(JsonPart):
    """`id` and `name` are the store's; `fingerprint` is SHA-256 of the leaf, `content_digest` of the whole chain."""

    format: Literal["mtlsctl.output/1"] = "mtlsctl.output/1"
    certificate: str
    id: str
    name: str
    fingerprint: str
    content_digest: str
    not_after: UtcTime


def output_document(current: Current) -> OutputDocument:
    """A current entry as its document."""
    return OutputDocument(
        certificate=current.certificate,
        id=current.entry.id,
        name=current.entry.name,
        fingerprint=current.fingerprint,
        content_digest=current.digest,
        not_after=current.not_after,
    )
