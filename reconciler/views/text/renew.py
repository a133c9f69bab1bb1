"""What a renewal did, or would do, as text."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.escape import printable
from reconciler.plan.renewing import Renewals, RenewReason, RenewStatus, RenewStep
from reconciler.views.table import Display
from reconciler.views.text.findings import show_findings
from reconciler.views.text.layout import labelled, wrapped
from reconciler.views.text.lines import counted, led, next_lines, prose
from reconciler.views.text.plan_groups import difference_texts

_INDENT = "    "


def show_renewals(found: Renewals, display: Display) -> str:
    """A block for each certificate with its old and its new facts, the findings, and what to do next."""
    blocks = ["\n".join(_step(step, display)) for step in found.steps]
    left = [one for one in found.diagnostics if display.width is None or one not in found.reported]
    findings = [show_findings(left, display)] if left else []
    return "\n\n".join((*blocks, *findings, "\n".join(ending_lines(found, display)))) + "\n"


def head_text(found: Renewals) -> str:
    """`2 certificates renewed, 1 failed`."""
    verbs = {
        RenewStatus.RENEWED: "renewed",
        RenewStatus.FAILED: "failed",
        RenewStatus.INTERRUPTED: "interrupted",
        RenewStatus.NOT_STARTED: "not started",
        RenewStatus.PLANNED: "would be renewed",
    }
    counts = [(len(found.of(status)), verb) for status, verb in verbs.items() if found.of(status)]
    if not counts:
        return "nothing to renew"
    (first, verb), *others = counts
    return ", ".join((f"{counted(first, 'certificate')} {verb}", *(f"{count} {word}" for count, word in others)))


def renewals_text(found: Renewals) -> str:
    """The same as a sentence, without its full stop; also of renewals that wait for their merge."""
    waiting = len(found.proposals)
    text = f"{counted(waiting, 'renewal')} proposed before" if waiting and not found.steps else head_text(found)
    return f"{text[0].upper()}{text[1:]}"


def why_text(step: RenewStep) -> str:
    """Why it is renewed, in a phrase."""
    item = step.item
    match item.reason:
        case RenewReason.MISSING:
            return "has no certificate yet"
        case RenewReason.NAMED:
            return "not due yet"
        case RenewReason.EXPIRED:
            return f"expired on {item.due.not_after:%Y-%m-%d %H:%M} UTC" if item.due is not None else "expired"
        case RenewReason.DUE:
            return f"due since {item.due.renew_from:%Y-%m-%d %H:%M} UTC" if item.due is not None else "due"


def _step(step: RenewStep, display: Display) -> Iterator[str]:
    style, width, declared = display.style, prose(display.width), step.item.declared
    sign, paint = {
        RenewStatus.RENEWED: ("ok:", style.good),
        RenewStatus.FAILED: ("FAILED:", style.bad),
        RenewStatus.INTERRUPTED: ("INTERRUPTED:", style.bad),
        RenewStatus.NOT_STARTED: ("not started:", style.change),
        RenewStatus.PLANNED: ("would renew:", style.change),
    }[step.status]
    owner = f", owner {printable(declared.owner)}" if declared.owner is not None else ""
    head = f"{printable(declared.name)}: {why_text(step)}{owner}"
    yield from led(sign, head, width, paint=paint)
    yield from labelled("by      ", printable(step.issuer), width, indent=_INDENT)
    yield from labelled("key in  ", printable(step.sink), width, indent=_INDENT)
    yield from labelled("file    ", printable(declared.path), width, indent=_INDENT)
    for label, text in difference_texts(step.differences):
        yield from labelled(f"{label:<8}", text, width, indent=_INDENT)
    if step.status is RenewStatus.INTERRUPTED:
        when = "after the issuer was asked" if step.asked else "before the issuer was asked"
        yield from wrapped(f"interrupted {when}; run the same command again to continue", width, first=_INDENT)
    if step.continued:
        yield from wrapped("went on with the key of an earlier run", width, first=_INDENT)


def ending_lines(found: Renewals, display: Display) -> Iterator[str]:
    """How much was renewed, the pull requests, and what to do next."""
    style, width = display.style, prose(display.width)
    failed = bool(found.of(RenewStatus.FAILED))
    yield from map(style.bad if failed else style.bold, wrapped(f"{renewals_text(found)}.", width))
    if found.manual:
        names = ", ".join(printable(due.certificate) for due in found.manual)
        yield from wrapped(f"Due, but without `renew`, so you renew them: {names}.", width)
    for one in found.proposals:
        done = "Opened" if one.opened else "Already open"
        yield from wrapped(
            f"{done}: {one.noun} {one.number} for {printable(one.certificate)}: {printable(one.url)}", width
        )
    if found.of(RenewStatus.RENEWED) and not found.proposals:
        places = dict.fromkeys(place for step in found.of(RenewStatus.RENEWED) for place in step.to_commit)
        yield from wrapped(f"Commit {', '.join(map(printable, places))}.", width)
        yield from next_lines(("mtlsctl", "plan"), width)
