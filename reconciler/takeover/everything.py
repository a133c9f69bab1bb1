"""A proposal with every uploaded certificate of an account, for `mtlsctl export`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.model import CertificateName, Entry, Listing, StoreSettings
from reconciler.model.ownership import CUSTOM, read_mark
from reconciler.takeover.names import Names, common_name
from reconciler.takeover.proposed import Proposal, ProposedCertificate

_FALLBACK = "certificate"


def propose_everything(listing: Listing, stack: str, store: StoreSettings, folder: str) -> Proposal:
    """A proposal with one certificate for each content, its file in `folder`; `others` has what can't be declared."""
    names, seen = Names(), dict[str, Entry]()
    certificates: list[ProposedCertificate] = []
    others: list[str] = []
    for entry in sorted(listing.entries, key=_order, reverse=True):
        why = _why_not(entry, stack, seen)
        if why is not None or entry.bundle is None:
            others.append(f"{entry.id} ({entry.name or 'no name'}): {why}")
            continue
        seen[entry.bundle.digest] = entry
        mark = read_mark(entry)
        wished = mark.certificate if mark is not None else entry.name
        name = CertificateName(names.give(wished, common_name(entry.bundle), fallback=_FALLBACK))
        supersedes = () if mark is not None else (entry.id,)
        path = f"{folder}/{name}.pem"
        certificates.append(ProposedCertificate(name, path, entry, entry.ca, supersedes))
    in_order = tuple(sorted(certificates, key=lambda one: one.name))
    return Proposal(stack, store, in_order, others=tuple(reversed(others)))


def _order(entry: Entry) -> tuple[str, str]:
    return str(entry.uploaded_on), entry.id


def _why_not(entry: Entry, stack: str, seen: dict[str, Entry]) -> str | None:
    mark = read_mark(entry)
    if entry.type != CUSTOM:
        return f"managed by Cloudflare (type {entry.type!r})"
    if entry.bundle is None:
        return "can't be read"
    if mark is not None and mark.stack != stack:
        return f"managed by the stack {mark.stack!r}"
    same = seen.get(entry.bundle.digest)
    return None if same is None else f"same content as {same.id}"


def certificate_files(certificates: Sequence[ProposedCertificate]) -> Iterator[tuple[str, str]]:
    """Yield the path and the PEM of each certificate."""
    for certificate in certificates:
        if certificate.entry.bundle is not None:
            yield certificate.path, certificate.entry.bundle.pem()
