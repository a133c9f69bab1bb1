"""A status as text: what is urgent first, what a person should do last, nearest to the prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from reconciler.findings.escape import printable
from reconciler.model import Condition, UserKind, Waiting
from reconciler.model.words import environment_text
from reconciler.plan.assessment import ByIdRow
from reconciler.plan.inventory import Role
from reconciler.plan.live import LiveState
from reconciler.plan.users import Use
from reconciler.reports.current import Current
from reconciler.reports.kept import KeptEntry
from reconciler.reports.outage import first_of
from reconciler.reports.status import BoundAt, ByIdStatus, CertificateStatus, Standing, Status, Urgency
from reconciler.views.table import Display
from reconciler.views.text.findings import show_findings, to_act_on
from reconciler.views.text.plan import describe, live_row_lines, not_checked_lines
from reconciler.views.text.style import Style

_HEADS = {
    Urgency.EXPIRED: "expired:",
    Urgency.DUE: "due for renewal:",
    Urgency.UNREADABLE: "with a file that can't be used:",
    Urgency.LATER: "not due yet:",
}
_SIGNS = {Urgency.EXPIRED: "x", Urgency.DUE: "!", Urgency.UNREADABLE: "?", Urgency.LATER: "="}
_ROW = "      {:<9} {}"
_BOUND = {Standing.IN_PLACE, Standing.UNDECLARED}
_MOST_USES = 10
_TOLD = {
    Condition.NAMED_IN_FILE: frozenset({UserKind.FILE}),
    Condition.USED_ELSEWHERE: frozenset({UserKind.HYPERDRIVE, UserKind.HOSTNAMES, UserKind.SERVICE}),
}
"""The users that a sentence about what waits names itself, all of them."""
_RELATIONS = {
    Role.SUPERSEDED: "an old certificate of",
    Role.ORPHANED: "a certificate of the former",
    Role.NEWER: "a newer certificate of",
    Role.DUPLICATE: "the same content as",
}


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
    yield _outage_line(status, style)
    yield style.bold(f"Status of the stack {printable(status.stack)} on {status.store.title}, {time_text(status.made)}")
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
                yield from _certificate_lines(item, status, width, style)
    if status.orphaned:
        yield ""
        yield style.bold("of certificates that are no longer declared:")
        for kept in status.orphaned:
            why, *more = _kept_lines(kept)
            yield f"  . {printable(kept.waiting.certificate or '')}: {why}"
            yield from (f"      {line}" for line in more)
            yield from use_lines(_not_told(kept.waiting, status.uses))
    yield from _by_id_lines(status, style)
    yield from _live_lines(status, style)
    yield ""
    yield from not_checked_lines(status.not_checked, "status", style)
    yield from _attention_lines(status, style, findings)


def _outage_line(status: Status, style: Style) -> str:
    """When the first calls fail, or that they do; the first thing that a person wants to know."""
    outage = status.outage
    if outage is None or outage.time is None:
        return "No declared binding uses an uploaded certificate, so no outage can be predicted."
    where = place_text(outage.at.binding, outage.at.config, outage.at.environment)
    more = sum(one.failing for one in status.outages) - 1
    if outage.failing:
        others = f" and {more} more" if more > 0 else ""
        return style.bad(f"CALLS FAIL NOW through {where}{others}: its certificate is not valid.")
    when = f"{time_text(outage.time)} ({distance_text(outage.time, status.made)})"
    return f"If nothing is done, calls fail from {when}: first {where}."


def _certificate_lines(item: CertificateStatus, status: Status, width: int, style: Style) -> Iterator[str]:
    paint = _paint(item.urgency, style)
    head = paint(f"  {_SIGNS[item.urgency]} {printable(item.certificate):<{width}}")
    yield f"{head}  {_when(item, status.made)}"
    entry = printable(item.entry.id) if item.entry else style.warn("not stored")
    yield _ROW.format("entry", entry)
    if item.owner:
        yield _ROW.format("owner", printable(item.owner))
    outage = first_of(one for one in status.outages if one.certificate == item.certificate)
    if outage is not None and outage.time is not None:
        text = f"{time_text(outage.time)} ({distance_text(outage.time, status.made)})"
        yield _ROW.format("outage", style.bad(f"since {text}") if outage.failing else f"from {text}")
    for place in item.places:
        yield _place_line(place, item, style)
    of_current = [one for one in status.uses if one.certificate == item.certificate and one.role is Role.CURRENT]
    yield from use_lines(of_current)
    for kept in item.waiting:
        why, *more = _kept_lines(kept)
        yield _ROW.format("waiting", why)
        yield from (_ROW.format("", line) for line in more)
        yield from use_lines(_not_told(kept.waiting, status.uses))


def _not_told(wait: Waiting, uses: Iterable[Use]) -> Iterator[Use]:
    """Who still uses what waits, but for those that it says it waits for."""
    told, entry = _TOLD.get(wait.condition, frozenset()), wait.entry
    if entry is not None:
        yield from (one for one in uses if one.entry.id == entry.id and one.user.kind not in told)


def use_lines(uses: Iterable[Use]) -> Iterator[str]:
    """Who else uses a certificate, a line each up to a number."""
    found = tuple(uses)
    for use in found[:_MOST_USES]:
        old = "" if use.role is Role.CURRENT else f": {printable(use.entry.id)}"
        yield _ROW.format("used by", f"{printable(use.user.text)}{old}")
    if len(found) > _MOST_USES:
        yield _ROW.format("", f"and {len(found) - _MOST_USES} more; see --format json")


def _by_id_lines(status: Status, style: Style) -> Iterator[str]:
    """What is bound by its id: nobody renews it here, so its end is all there is to watch."""
    if not status.by_id:
        return
    yield ""
    yield style.bold("bound by id:")
    for item in status.by_id:
        yield from by_id_lines(item, status.made, _paint(item.urgency, style))


def by_id_lines(item: ByIdStatus, now: datetime, paint: Callable[[str], str]) -> Iterator[str]:
    """One uploaded certificate that bindings name by its id."""
    row = item.row
    yield f"{paint(f'  {_SIGNS[item.urgency]} {printable(row.id)}')}  {_when_by_id(row, now)}"
    if row.entry is not None:
        yield _ROW.format("name", printable(row.entry.name) or "none")
    yield _ROW.format("stack", whose(row))
    if row.newer is not None:
        yield _ROW.format("newer", f"{printable(row.newer.id)} ({printable(row.newer.name) or 'no name'})")
    for place in item.places:
        where = place_text(place.at.binding, place.at.config, place.at.environment)
        yield _ROW.format("bound" if place.standing in _BOUND else "not bound", where + _aside(place))


def _aside(place: BoundAt) -> str:
    match place.standing:
        case Standing.IN_PLACE:
            return ""
        case Standing.WAITING:
            return f": {printable(place.found or '')}, until it becomes valid"
        case Standing.UNDECLARED:
            return ": mtls.toml does not declare it"
        case Standing.MISSING:
            return ": the file has no such binding"
        case Standing.OTHER_ID:
            return f": it has {printable(place.found or 'an empty id')}"


def whose(row: ByIdRow) -> str:
    """Which stack manages what is bound by its id, as far as its name says."""
    stack = printable(row.mark.stack) if row.mark is not None else "unknown"
    relation = "not managed here" if row.owner is None else f"{_RELATIONS.get(row.role, 'of')} {printable(row.owner)}"
    return f"{stack} ({relation})"


def _when_by_id(row: ByIdRow, now: datetime) -> str:
    if row.not_after is None:
        return "its end is not known" if row.entry is not None else "it is not known here, nor when it ends"
    end = (
        f"{'ended' if row.has_ended(now) else 'ends'} {time_text(row.not_after)} ({distance_text(row.not_after, now)})"
    )
    since = "since" if row.is_due(now) else "from"
    return f"{end}, due {since} {row.renew_from:%Y-%m-%d}" if row.renew_from is not None else end


def _live_lines(status: Status, style: Style) -> Iterator[str]:
    """The bindings of which live Workers use something else than the wrangler files name."""
    rows = [row for row in status.live or () if row.state is not LiveState.IN_SYNC]
    if not rows:
        return
    yield ""
    yield style.bold("live Workers:")
    for row in rows[:_MOST_USES]:
        yield from live_row_lines(row, style)
    if len(rows) > _MOST_USES:
        yield f"  and {len(rows) - _MOST_USES} more; see `mtlsctl plan --live`"


def _paint(urgency: Urgency, style: Style) -> Callable[[str], str]:
    painters = {Urgency.EXPIRED: style.bad, Urgency.DUE: style.warn, Urgency.UNREADABLE: style.bad}
    return painters.get(urgency, style.good)


def _when(item: CertificateStatus, now: datetime) -> str:
    if item.due is None:
        return "its end is not known"
    ended = item.urgency is Urgency.EXPIRED
    text = f"{'ended' if ended else 'ends'} {time_text(item.due.not_after)} ({distance_text(item.due.not_after, now)})"
    renewed = "; renewed in mtls.toml, but still in use" if item.due.renewed else ""
    return f"{text}, due {'since' if item.due.renew_from <= now else 'from'} {item.due.renew_from:%Y-%m-%d}{renewed}"


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


def _kept_lines(kept: KeptEntry) -> Iterator[str]:
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
    to_deploy = {row.at.site for row in status.live or () if row.state is LiveState.NEEDS_DEPLOY}
    if not counts and not findings and not to_deploy and not status.failed_on:
        yield style.good("Nothing needs attention.")
        return
    if status.failed_on:
        yield style.bad(f"failed on: {', '.join(map(printable, status.failed_on))}")
    yield style.bold("needs attention:")
    if findings:
        yield findings
    if to_deploy:
        workers = "1 Worker" if len(to_deploy) == 1 else f"{len(to_deploy)} Workers"
        yield style.bold(f"{workers} to deploy: run `mtlsctl apply --deploy`, or deploy with wrangler.")
    if counts:
        yield style.bold(f"Changes are pending ({counts}); see `mtlsctl plan`, then run `mtlsctl apply`.")
