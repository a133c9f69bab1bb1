"""What a plan says of renewals: what has expired, what is due, and the entries that renewing needs."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.escape import printable
from reconciler.plan.plan import PlanFacts
from reconciler.plan.quota import QuotaCount
from reconciler.plan.renewals import Due
from reconciler.views.text.style import Style

_MAX_LISTED = 20


def due_lines(plan: PlanFacts, style: Style) -> Iterator[str]:
    """Nothing where nothing is due, but for a plan as of another moment: that was asked for this."""
    by_then = " by then" if plan.at else ""
    expired = [item for item in plan.due if item.has_expired(plan.made)]
    due = [item for item in plan.due if item.is_due(plan.made) and item not in expired]
    if expired:
        yield ""
        yield style.bold(f"expired{by_then}:")
        yield from _listed([style.bad(f"  x {_name(item)} ended {_minute(item)}") for item in expired], "x")
    if due:
        yield ""
        yield style.bold(f"due for renewal{by_then}:")
        lines = [
            style.warn(f"  ! {_name(item)} ends {_minute(item)}, due since {item.renew_from:%Y-%m-%d}") for item in due
        ]
        yield from _listed(lines, "!")
    if (expired or due) and plan.quota is not None:
        for kind, count in (("", plan.quota.leaf), ("CA ", plan.quota.ca)):
            if count.renewals:
                yield _quota_line(kind, count, style)
    if plan.at and plan.due and not expired and not due:
        yield ""
        first = plan.due[0]
        yield f"nothing is due for renewal by then; the first to be is {_name(first)}, from {first.renew_from:%Y-%m-%d}"


def _name(item: Due) -> str:
    return printable(item.certificate)


def _minute(item: Due) -> str:
    return f"{item.not_after:%Y-%m-%d %H:%M} UTC"


def _listed(lines: list[str], sign: str) -> Iterator[str]:
    yield from lines[:_MAX_LISTED]
    if len(lines) > _MAX_LISTED:
        yield f"  {sign} and {len(lines) - _MAX_LISTED} more; see --format json"


def _quota_line(kind: str, count: QuotaCount, style: Style) -> str:
    """Old and new stand side by side until the old ones are retired."""
    together = count.after + count.renewals
    noun = "entry" if count.renewals == 1 else "entries"
    text = f"    renewing needs {count.renewals} {kind}{noun} more for a while: {together} of {count.limit}"
    return style.bad(f"{text}, WHICH DOES NOT FIT") if together > count.limit else text
