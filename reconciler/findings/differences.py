"""What differs between a plan that was reviewed and the one found now, told as changes. Texts only, not escaped."""

from __future__ import annotations

from enum import StrEnum

from reconciler.findings.values import dataclass


class Comparison(StrEnum):
    """Whether a change is in both plans, but is another one; only in the plan found now; or only in the other."""

    DIFFERENT = "different"
    ADDED = "added"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One field that differs between two changes at the same place; None: it has no value there."""

    field: str
    reviewed: str | None = None
    found: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDifference:
    """One change that is not the same in both plans. `what`: the change in words. `entry`: the ID that it deletes.

    `fields`: of a different one. `detail`: why one is missing now, if that is known.
    """

    difference: Comparison
    action: str
    what: str
    certificate: str | None = None
    worker: str | None = None
    config: str | None = None
    environment: str | None = None
    binding: str | None = None
    entry: str | None = None
    fields: tuple[FieldDifference, ...] | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Differences:
    """The differences of two plans, and how many more there are."""

    shown: tuple[PlanDifference, ...] = ()
    more: int = 0


NONE = Differences()
