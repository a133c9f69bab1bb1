"""The public facts of each declared certificate, so that rules of others can decide about a plan. Judges nothing."""

from __future__ import annotations

from datetime import datetime

from reconciler.findings.values import dataclass
from reconciler.model import CertificateName
from reconciler.plan.assessment import CertificateRow
from reconciler.x509.certificates import key_digest, key_kind, public_key_of, quiet
from reconciler.x509.chains import window_of

MOST_NAMES = 100
"""Of one certificate; as many as public CAs allow. A file could have thousands, and the plan could not be read back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicFacts:
    """One declared certificate whose file could be read: what its leaf says, and the digest of the whole file.

    `names_left_out`: how many alternative names there are after the first 100. `serial`: hexadecimal, as openssl has
    it. `valid_from`, `valid_until`: when the leaf and its intermediates are valid. `key`: such as `EC P-256`, and its
    parts, the size in bits; None if its type is not supported. `key_digest`: SHA-256 of the public key, equal for two
    certificates of one private key.
    """

    certificate: CertificateName
    owner: str | None = None
    path: str
    ca: bool
    subject: str
    subject_alternative_names: tuple[str, ...]
    names_left_out: int | None = None
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    key: str | None = None
    key_type: str | None = None
    key_size: int | None = None
    key_digest: str | None = None
    fingerprint: str
    content_digest: str


def facts_of(row: CertificateRow, now: datetime) -> PublicFacts | None:
    """The facts of a certificate; None if its file can't be used. Takes a few tenths of a millisecond."""
    bundle = row.bundle
    if bundle is None:
        return None
    with quiet():
        facts, window = bundle.facts(), window_of(bundle, now=now, ca=row.declared.ca)
        key, digest = public_key_of(bundle.leaf), key_digest(bundle.leaf)
    kind = key_kind(key) if digest is not None else None
    names = facts.subject_alternative_names
    return PublicFacts(
        certificate=row.name,
        owner=row.declared.owner,
        path=row.declared.path,
        ca=row.declared.ca,
        subject=facts.subject,
        subject_alternative_names=names[:MOST_NAMES],
        names_left_out=len(names) - MOST_NAMES if len(names) > MOST_NAMES else None,
        issuer=facts.issuer,
        serial=facts.serial,
        not_before=bundle.not_before,
        not_after=bundle.not_after,
        valid_from=window.begins,
        valid_until=window.ends,
        key=kind,
        key_type=kind.partition(" ")[0] if kind is not None else None,
        key_size=getattr(key, "key_size", None),
        key_digest=digest,
        fingerprint=facts.fingerprint,
        content_digest=bundle.digest,
    )
