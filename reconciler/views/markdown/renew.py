"""A renewal as Markdown: what a reviewer of its pull request approves."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.escape import printable
from reconciler.plan.renewing import Renewals, RenewStep
from reconciler.views.markdown.page import code, findings, listed, page, table, whole, words
from reconciler.views.table import Display
from reconciler.views.text.renew import head_text, show_renewals, why_text


def show_renewals_page(found: Renewals, display: Display) -> str:
    """A table of what changes in each certificate, the errors and warnings, and everything folded."""
    details = show_renewals(found, whole(display))
    return page("renew", found.stack, head_text(found), _parts(found, display), details, display.most_characters)


def _parts(found: Renewals, display: Display) -> Iterator[str]:
    yield from findings(found.diagnostics, display)
    for step in found.steps:
        yield from step_parts(step)
    for one in found.proposals:
        done = "Opened" if one.opened else "Already open"
        yield f"{done}: {one.noun} {one.number} for {code(one.certificate)}: {code(one.url)}"
    if found.manual:
        yield f"Due, but without `renew`: {listed(due.certificate for due in found.manual)}"


def step_parts(step: RenewStep) -> Iterator[str]:
    """One certificate: why it is renewed, who issued it, and a table of its old and new facts."""
    declared = step.item.declared
    owner = f", owner {code(declared.owner)}" if declared.owner is not None else ""
    yield (
        f"**{code(declared.name)}**: {step.status}, {words(why_text(step))}{owner}; issuer {code(step.issuer)}, key in"
        f" {code(step.sink)}, file {code(declared.path)}"
    )
    rows = [[code(one.attribute.replace("_", " ")), _side(one.before), _side(one.after)] for one in step.differences]
    yield from table(("X.509", "Old", "New"), rows)


def _side(text: str | None) -> str:
    return "" if text is None else code(printable(text))
