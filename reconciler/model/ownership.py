"""Marks: the owner of an uploaded certificate is recorded in its name in the store."""

from __future__ import annotations

import re
from functools import lru_cache

from reconciler.findings.values import dataclass
from reconciler.model import CertificateName, Declaration, Entry, Identity
from reconciler.x509.certificates import MOST_KNOWN

_MARK = re.compile(r"([a-z0-9][a-z0-9-]{0,31})\.([a-z0-9][a-z0-9-]{0,47})\.([0-9a-f]{12})")

CUSTOM = "custom"
"""The type of certificates that people upload; Gateway and Access have other types in the same list."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The stack that uploaded an entry, and the certificate that it is for."""

    stack: str
    certificate: CertificateName


def mark_name(stack: str, certificate: CertificateName, digest: str) -> str:
    """The name of an upload: `{stack}.{certificate}.{first 12 hex of the content digest}`."""
    return f"{stack}.{certificate}.{digest[:12]}"


@lru_cache(maxsize=MOST_KNOWN)
def read_mark(entry: Entry) -> Mark | None:
    """The mark of an entry, or None. A name counts only if its last part matches the entry's own content."""
    found = _MARK.fullmatch(entry.name)
    if found is None or entry.type != CUSTOM or entry.bundle is None:
        return None
    stack, certificate, short = found.groups()
    return Mark(stack, CertificateName(certificate)) if entry.bundle.digest.startswith(short) else None


def identity_of(entry: Entry) -> Identity:
    """What an entry is, for a person who sees its ID."""
    mark = read_mark(entry)
    if mark is None:
        return Identity(entry.name, subject=entry.subject)
    return Identity(entry.name, mark.stack, mark.certificate, entry.subject)


def is_ours(mark: Mark | None, declaration: Declaration) -> bool:
    """Whether this stack manages the entry. Marks of former stacks count only for certificates declared here."""
    if mark is None:
        return False
    if mark.stack == declaration.stack:
        return True
    return mark.stack in declaration.former_stacks and mark.certificate in declaration.certificates


def former_stack_of(entry: Entry, declaration: Declaration) -> str | None:
    """The former stack whose mark an entry has; None for the mark of this stack, and for any other."""
    mark = read_mark(entry)
    return mark.stack if mark is not None and mark.stack in declaration.former_stacks else None


def is_other_stacks(mark: Mark | None, declaration: Declaration) -> bool:
    """Whether another stack manages the entry. Former stacks are not other stacks, even for undeclared names."""
    return mark is not None and mark.stack != declaration.stack and mark.stack not in declaration.former_stacks
