"""What the reports of a CI system are made of: the errors and warnings of a report, and how it drifted."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from posixpath import dirname, join, normpath

from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.escape import printable
from reconciler.findings.values import dataclass
from reconciler.plan.plan import PlanFacts
from reconciler.plan.renewing import Renewals
from reconciler.reports.checks import RunFailure, Validation
from reconciler.reports.drift import Drift, DriftFinding
from reconciler.reports.left import Applied
from reconciler.views.table import Display
from reconciler.views.text.findings import place_lines, to_act_on

Checked = PlanFacts | Applied | Validation | Drift | Renewals | RunFailure
"""The reports that have findings."""


class Weight(StrEnum):
    """How bad a finding is, in the words of GitLab's Code Quality report."""

    ERROR = "critical"
    DRIFT = "major"
    WARNING = "minor"
    NOTE = "info"

    @property
    def fails(self) -> bool:
        """Whether it makes the command fail."""
        return self in {Weight.ERROR, Weight.DRIFT}


@dataclass(frozen=True, slots=True)
class Found:
    """One finding. `check`: its code, or how it drifted. `key`: the same for the same thing in every run."""

    weight: Weight
    check: str
    key: tuple[str, ...]
    message: str
    hint: str | None
    where: Pointer | Place | None
    certificate: str | None


def found_in(report: Checked) -> Iterator[Found]:
    """The errors and warnings of a report in its order, each once; of drift also what drifted."""
    diagnostics = report.outcome.problems if isinstance(report, Applied) else report.diagnostics
    for one in dict.fromkeys(to_act_on(diagnostics)):
        yield _of_diagnostic(one)
    if isinstance(report, Drift):
        yield from map(_of_drift, report.findings)


def _of_diagnostic(one: Diagnostic) -> Found:
    """Its key has no wording where it has a place: `expires in 24 days` is another text each day."""
    where = one.where
    keys = where.keys if isinstance(where, Pointer) else ()
    place = () if where is None else (where.path, *map(str, keys))
    known = (one.certificate or "", *place) if one.certificate or place else (one.message,)
    weight = Weight.ERROR if one.is_error else Weight.WARNING
    return Found(weight, str(one.code), (str(one.code), *known), one.message, one.hint, where, one.certificate)


def _of_drift(one: DriftFinding) -> Found:
    weight = Weight.DRIFT if one.fails else Weight.NOTE
    check = str(one.code) if one.code is not None else f"drift-{one.state}"
    return Found(weight, check, (one.key,), one.message, one.hint, one.where, one.certificate)


def place_of(found: Found, display: Display) -> Place:
    """Where it is, from the root of the repository; mtls.toml if it has no place."""
    place = display.place(found.where)
    if place is None:
        return Place(printable(display.file), 1)
    path = normpath(join(dirname(display.file), place.path))
    return Place(printable(path), place.line or 1, place.column)


def block(found: Found, display: Display) -> str:
    """What happened, where, and what to do, as lines."""
    head = f"{found.weight.name.lower()}[{printable(found.check)}]: {printable(found.message)}"
    lines = place_lines(found.where, found.hint, display.place, folder=dirname(display.file))
    return "\n".join((head, *lines))
