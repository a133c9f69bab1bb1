"""Why an existing binding is changed: a list of named checks, in the order in which the reasons are shown."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.findings.values import dataclass
from reconciler.model import CertificateName, DeclaredBinding, Entry, FoundBinding, Reason


@dataclass(frozen=True, slots=True)
class Pair:
    """A binding whose ID is not the wanted one.

    `entry` and its `owner`: the uploaded certificate with the ID that was found. `certificate`: the one that the
    binding should use. `asked` False: offline, so nothing is known about the ID.
    """

    entry: Entry | None
    owner: CertificateName | None
    certificate: CertificateName | None
    placeholder: bool
    asked: bool

    @property
    def is_of_same_certificate(self) -> bool:
        """Whether the ID that was found is of an older or newer entry of the wanted certificate."""
        return self.entry is not None and self.owner is not None and self.owner == self.certificate


def _placeholder(pair: Pair) -> Reason | None:
    return Reason.PLACEHOLDER_ID if pair.placeholder else None


def _unknown_id(pair: Pair) -> Reason | None:
    return Reason.UNKNOWN_ID if pair.asked and not pair.placeholder and pair.entry is None else None


def _content_changed(pair: Pair) -> Reason | None:
    return Reason.CONTENT_CHANGED if pair.is_of_same_certificate else None


def _wrong_id(pair: Pair) -> Reason | None:
    known = pair.entry is not None or not pair.asked
    return Reason.WRONG_ID if known and not pair.placeholder and not pair.is_of_same_certificate else None


REBIND_CHECKS: tuple[Callable[[Pair], Reason | None], ...] = (_placeholder, _unknown_id, _content_changed, _wrong_id)


def rebind_reasons(pair: Pair) -> tuple[Reason, ...]:
    """Every reason that applies; at least one."""
    return tuple(reason for check in REBIND_CHECKS if (reason := check(pair)) is not None)


def is_remote_as_wanted(found: FoundBinding, declared: DeclaredBinding) -> bool:
    """Whether `remote` is as declared, or not declared."""
    return declared.remote is None or found.remote is declared.remote
