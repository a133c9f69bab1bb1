"""Marks: what is ours is written in the store itself, in the name of the entry."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reconciler.model import CertificateName, Declaration, Entry

_MARK = re.compile(r"([a-z0-9][a-z0-9-]{0,31})\.([a-z0-9][a-z0-9-]{0,47})\.([0-9a-f]{12})")

CUSTOM = "custom"
"""The type of entries that people upload; Gateway and Access keep their own beside them."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Who uploaded an entry, and for which certificate."""

    stack: str
    certificate: CertificateName


def mark_name(stack: str, certificate: CertificateName, digest: str) -> str:
    """The name under which a certificate is uploaded: `{stack}.{certificate}.{first 12 hex of the content digest}`."""
    return f"{stack}.{certificate}.{digest[:12]}"


def read_mark(entry: Entry) -> Mark | None:
    """The mark of an entry, or None. A name counts only if its last part matches the entry's own content."""
    found = _MARK.fullmatch(entry.name)
    if found is None or entry.type != CUSTOM or entry.bundle is None:
        return None
    stack, certificate, short = found.groups()
    return Mark(stack, CertificateName(certificate)) if entry.bundle.digest.startswith(short) else None


def is_ours(mark: Mark | None, declaration: Declaration) -> bool:
    """Marks of former stacks count as ours only for certificates that are declared here."""
    if mark is None:
        return False
    if mark.stack == declaration.stack:
        return True
    return mark.stack in declaration.former_stacks and mark.certificate in declaration.certificates


def is_other_stacks(mark: Mark | None, declaration: Declaration) -> bool:
    """Whether another stack uploaded it; what a former stack uploaded under an undeclared name is nobody else's."""
    return mark is not None and mark.stack != declaration.stack and mark.stack not in declaration.former_stacks
