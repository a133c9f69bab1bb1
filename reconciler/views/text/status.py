"""A status as text: what is urgent first, what a person should do last, nearest to the prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from reconciler.findings.escape import printable
from reconciler.model.words import environment_text
from reconciler.reports.current import Current
from reconciler.reports.kept import Kept
from reconciler.reports.status import BoundAt, CertificateStatus, LiveLook, Standing, Status, Urgency
from reconciler.views.table import Display
from reconciler.views.text.findings import show_findings, to_act_on
from reconciler.views.text.plan import describe
from reconciler.views.text.style import Style

_HEADS = {
    Urgency.EXPIRED: "expired:",
    Urgency.DUE: "due for renewal:",
    Urgency.UNREADABLE: "with a file that can't be used:",
    Urgency.LATER: "not due yet:",
}
_SIGNS = {Urgency.EXPIRED: "x", Urgency.DUE: "!", Urgency.UNREADABLE: "?", Urgency.LATER: "="}
_ROW = "      {:<9} {}"


def show_status(status: Status, display: Display) -> str:
    """A status with its findings."""
    return render_status(status, display.style, findings=show_findings(to_act_on(status.diagnostics), display))


def show_current(current: Current, _display: Display) -> str:
    """The id of the current entry, alone on a line."""
    return f"{printable(current.entry.id)}\n"


def render_status(status: Status, style: Style, *, findings: str = "") -> str:
    """The whole status. `findings`: those that need attention, as `render_findings` shows them."""
    return "\n".join(_lines(status, style, findings)) + "\n"


def time_text(time: datetime) -> str:
    """A moment for a person, to the minute."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


def distance_text(time: datetime, now: datetime) -> str:
    """How far a moment is from another: `in 30 days`, `5 hours ago`; whole units, rounded down."""
    away = abs(time - now)
    count, unit = (away.days, "day") if away >= timedelta(days=2) else (int(away.total_seconds() // 3600), "hour")
    text = f"{count} {unit}{'' if count == 1 else 's'}" if count else "less than an hour"
    return f"in {text}" if time >= now else f"{text} ago"


def place_text(binding: str, config: str, environment: str | None) -> str:
    """A binding's place in one phrase."""
    return f"{printable(binding)} in {printable(config)} ({printable(environment_text(environment))})"


def _lines(status: Status, style: Style, findings: str) -> Iterator[str]:
    yield style.bold(f"Status of the stack {printable(status.stack)} on {status.store.title}, {time_text(status.made)}")
    yield _outage_line(status, style)
    if not status.certificates:
        yield ""
        yield "No certificate is declared."
    width = max((len(printable(item.certificate)) for item in status.certificates), default=0)
    for urgency in Urgency:
        chosen = [item for item in status.certificates if item.urgency is urgency]
        if chosen:
            yield ""
            yield style.bold(_HEADS[urgency])
            for item in chosen:
                yield from _certificate_lines(item, status.made, width, style)
    if status.orphaned:
        yield ""
        yield style.bold("of certificates that are no longer declared:")
        for kept in status.orphaned:
            why, *more = _kept_lines(kept)
            yield f"  . {printable(kept.waiting.certificate or '')}: {why}"
            yield from (f"      {line}" for line in more)
    yield ""
    yield from _attention_lines(status, style, findings)


def _outage_line(status: Status, style: Style) -> str:
    """When the first calls fail, or that they do; the first thing that a person wants to know."""
    checked = " Live Workers were not checked: add --live." if status.live is LiveLook.NOT_CHECKED else ""
    outage = status.outage
    if outage is None or outage.time is None:
        return f"No outage is known: no declared binding uses a certificate that is known.{checked}"
    where = place_text(outage.at.binding, outage.at.config, outage.at.environment)
    more = sum(one.failing for one in status.outages) - 1
    if outage.failing:
        others = f" and {more} more" if more > 0 else ""
        return style.bad(f"CALLS FAIL NOW through {where}{others}: its certificate is not valid.") + checked
    when = f"{time_text(outage.time)} ({distance_text(outage.time, status.made)})"
    return f"If nothing is done, calls fail from {when}: first {where}.{checked}"


def _certificate_lines(item: CertificateStatus, now: datetime, width: int, style: Style) -> Iterator[str]:
    paint = _paint(item.urgency, style)
    head = paint(f"  {_SIGNS[item.urgency]} {printable(item.certificate):<{width}}")
    yield f"{head}  {_when(item, now)}"
    entry = printable(item.entry.id) if item.entry else style.warn("not stored")
    yield _ROW.format("entry", entry)
    if item.owner:
        yield _ROW.format("owner", printable(item.owner))
    for place in item.places:
        yield _place_line(place, item, style)
    for kept in item.waiting:
        why, *more = _kept_lines(kept)
        yield _ROW.format("waiting", why)
        yield from (_ROW.format("", line) for line in more)


def _paint(urgency: Urgency, style: Style) -> Callable[[str], str]:
    painters = {Urgency.EXPIRED: style.bad, Urgency.DUE: style.warn, Urgency.UNREADABLE: style.bad}
    return painters.get(urgency, style.good)


def _when(item: CertificateStatus, now: datetime) -> str:
    if item.due is None:
        return "its end is not known"
    ended = item.urgency is Urgency.EXPIRED
    text = f"{'ended' if ended else 'ends'} {time_text(item.due.not_after)} ({distance_text(item.due.not_after, now)})"
    return f"{text}, due {'since' if item.due.renew_from <= now else 'from'} {item.due.renew_from:%Y-%m-%d}"


def _place_line(place: BoundAt, item: CertificateStatus, style: Style) -> str:
    where = place_text(place.at.binding, place.at.config, place.at.environment)
    found = printable(place.found or "an empty id")
    match place.standing:
        case Standing.IN_PLACE:
            return _ROW.format("bound", where)
        case Standing.WAITING:
            return _ROW.format("bound", f"{where}: {found}, until the new certificate becomes valid")
        case Standing.UNDECLARED:
            old = "" if item.entry and place.found == item.entry.id else f"an older entry, {found}, and "
            return _ROW.format("bound", f"{where}: {style.warn(f'{old}mtls.toml does not declare it')}")
        case Standing.MISSING:
            return _ROW.format("not bound", f"{where}: {style.warn('the file has no such binding')}")
        case Standing.OTHER_ID:
            return _ROW.format("not bound", f"{where}: {style.warn(f'it has {found}')}")


def _kept_lines(kept: Kept) -> Iterator[str]:
    """Why an old certificate is kept; then since when and what would end that, where there is anything to say."""
    wait = kept.waiting
    until = f", until {time_text(wait.until)}" if wait.until else ""
    what = printable(wait.entry.id) if wait.entry is not None else f"{wait.change.action} {describe(wait.change)}"
    yield f"{what}: {printable(wait.detail)}{until}"
    since = kept_since_text(kept.since) if kept.since is not None else None
    told = [text for text in (since, hint_text(kept.hint)) if text is not None]
    if told:
        yield "; ".join(told)


def kept_since_text(since: datetime) -> str:
    """Since when an old certificate is kept although its grace period ended."""
    return f"kept since {since:%Y-%m-%d}, when its grace period ended"


def hint_text(hint: str | None) -> str | None:
    """What would let an old certificate be deleted."""
    return f"to have it deleted, {printable(hint)}" if hint is not None else None


def _attention_lines(status: Status, style: Style, findings: str) -> Iterator[str]:
    counts = ", ".join(f"{count} to {action}" for action, count in status.changes.items() if count)
    if not counts and not findings and not status.failed_on:
        yield style.good("Nothing needs attention.")
        return
    if status.failed_on:
        yield style.bad(f"failed on: {', '.join(map(printable, status.failed_on))}")
    yield style.bold("needs attention:")
    if findings:
        yield findings
    if counts:
        yield style.bold(f"Changes are pending ({counts}); see `mtlsctl plan`, then run `mtlsctl apply`.")
