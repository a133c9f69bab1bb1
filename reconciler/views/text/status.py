"""A status as text: when the first calls fail, a row for each certificate, then details of what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from reconciler.findings.escape import printable, shell_command
from reconciler.model import Condition, Retire, SiteAddress, UserKind, Waiting
from reconciler.plan.assessment import ByIdRow
from reconciler.plan.guards import frozen_text
from reconciler.plan.inventory import Role
from reconciler.plan.live import LiveState
from reconciler.plan.plan import next_of
from reconciler.plan.users import Use
from reconciler.reports.current import Current
from reconciler.reports.kept import KeptEntry
from reconciler.reports.outage import first_of
from reconciler.reports.status import BoundAt, ByIdStatus, CertificateStatus, Standing, Status, Urgency
from reconciler.views.table import Display
from reconciler.views.text.findings import show_findings, to_act_on
from reconciler.views.text.layout import Cell, cells, labelled, table, wrapped
from reconciler.views.text.lines import counted, until_text
from reconciler.views.text.names import ShownNames
from reconciler.views.text.plan import (
    counts_text,
    describe,
    live_row_lines,
    not_checked_lines,
    store_text,
    without_repeated_reasons,
)
from reconciler.views.text.plan_groups import old_text
from reconciler.views.text.style import Style

_LABEL = 9
_UNREAD = "its wrangler file could not be read"
_BOUND = {Standing.IN_PLACE, Standing.UNDECLARED}
_MOST_USES = 10
_MOST_FIRST = 3
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


_STATES = {
    Urgency.EXPIRED: "expired",
    Urgency.DUE: "due",
    Urgency.UNREADABLE: "dates unknown",
    Urgency.LATER: "ok",
}
HEADS = ("CERTIFICATE", "EXPIRES", "RENEW FROM", "USED BY", "OWNER", "STATE")
_MOST_NEEDED = {"CERTIFICATE": 20, "OWNER": 12, "STATE": 16}
"""So much of a cell is shown before columns are left out: names are shortened, and a long state has its own line."""
_LEFT_OUT_FIRST = ("OWNER", "RENEW FROM", "USED BY")


def show_status(status: Status, display: Display) -> str:
    """A status with its findings."""
    findings = show_findings(to_act_on(status.diagnostics), display)
    return render_status(status, display.style, findings=findings, width=display.width)


def show_current(current: Current, _display: Display) -> str:
    """The id of the current entry, alone on a line."""
    return f"{printable(current.entry.id)}\n"


def render_status(status: Status, style: Style, *, findings: str = "", width: int | None = None) -> str:
    """The whole status. `findings`: those that need attention, as `render_findings` shows them."""
    return "\n".join(_lines(status, style, findings, width)) + "\n"


def time_text(time: datetime) -> str:
    """A moment for a person, to the minute."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


def distance_text(time: datetime, now: datetime) -> str:
    """How far a moment is from another: `in 30 days`, `5 hours ago`; whole units, rounded down."""
    away = abs(time - now)
    count, unit = (away.days, "day") if away >= timedelta(days=2) else (int(away.total_seconds() // 3600), "hour")
    text = f"{count} {unit}{'' if count == 1 else 's'}" if count else "less than an hour"
    return f"in {text}" if time >= now else f"{text} ago"


def _lines(status: Status, style: Style, findings: str, width: int | None) -> Iterator[str]:
    names = names_of(status, width)
    yield from _outage_lines(status, names, style, width)
    text = f"{printable(status.stack)} on {store_text(status.store, width)}, {time_text(status.made)}"
    text += f", only {', '.join(map(printable, status.about))}" if status.about else ""
    yield from map(style.dim, wrapped(text, width))
    yield ""
    yield from _table_lines(status, names, style, width)
    for item in status.certificates:
        if status.asked or _needs_detail(item, status):
            yield from _certificate_lines(item, status, names, style, width)
    for kept in status.orphaned:
        yield ""
        yield style.bold(f"{printable(kept.waiting.certificate or '')} (removed from mtls.toml)")
        yield from _kept_lines(kept, names, width)
        yield from use_lines(_not_told(kept.waiting, status.uses), names, width)
    for one in status.by_id:
        if status.asked or one.urgency is not Urgency.LATER or any(_is_wrong(place) for place in one.places):
            yield ""
            yield from by_id_lines(one, status.made, names, style, width)
    yield from _live_lines(status, names, style, width)
    yield from _attention_lines(status, style, findings, width)
    yield ""
    yield from not_checked_lines(status.not_checked, "status", style, width)
    yield from _count_lines(status, names, style, width)


def names_of(status: Status, width: int | None) -> ShownNames:
    """What a status calls things."""
    return ShownNames(width, _ids(status), _places(status))


def _ids(status: Status) -> Iterator[str | None]:
    for item in status.certificates:
        yield item.entry.id if item.entry is not None else None
        yield from (place.found for place in item.places)
    kept = (*status.orphaned, *(one for item in status.certificates for one in item.waiting))
    yield from (one.waiting.entry.id for one in kept if one.waiting.entry is not None)
    for one in status.by_id:
        yield from (one.row.id, one.row.newer.id if one.row.newer is not None else None)
        yield from (place.found for place in one.places)
    yield from (use.entry.id for use in status.uses)
    for row in status.live or ():
        yield from (row.desired, row.file, *(one.id for one in row.live))


def _places(status: Status) -> Iterator[SiteAddress]:
    yield from (place.at for item in status.certificates for place in item.places)
    yield from (place.at for one in status.by_id for place in one.places)
    yield from (one.at for one in status.outages if isinstance(one.at, SiteAddress))
    yield from (row.at for row in status.live or ())


def _listed(texts: Sequence[str]) -> str:
    """`A, B and C`; of many the first ones, and how many more there are."""
    shown = list(texts)
    if len(shown) > _MOST_FIRST:
        shown[_MOST_FIRST - 1 :] = [f"{len(shown) - _MOST_FIRST + 1} more"]
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]


def _outage_lines(status: Status, names: ShownNames, style: Style, width: int | None) -> Iterator[str]:
    """When the first calls fail, or that they do; the first thing that a person wants to know."""
    is_failing = status.outage is not None and status.outage.failing
    yield from map(style.bad if is_failing else str, wrapped(outage_text(status, names), width))


def outage_text(status: Status, names: ShownNames) -> str:
    """The same, as a sentence."""
    outage, unread = status.outage, sum(one.unread for one in status.outages)
    missing = f"{counted(unread, 'setting')} of Hyperdrive or hostnames could not be read" if unread else ""
    if outage is None or outage.time is None:
        if missing:
            return f"{missing}, so no outage can be predicted."
        return "No declared binding uses an uploaded certificate, so no outage can be predicted."
    if outage.failing:
        more = sum(one.failing for one in status.outages) - 1
        others = f" and {more} more" if more > 0 else ""
        return f"CALLS FAIL NOW through {names.user(outage.at)}{others}: its certificate is not valid."
    known = [(names.user(one.at), one.time) for one in status.outages if one.time is not None]
    where = _listed([name for name, time in known if time_text(time) == time_text(outage.time)])
    when = f"{time_text(outage.time)} ({distance_text(outage.time, status.made)})"
    doubt = f", or earlier, because {missing}" if missing else ""
    return f"If nothing is done, calls fail from {when}{doubt}: first {where}."


# --- the table --------------------------------------------------------------------------------------------------------


def _table_lines(status: Status, names: ShownNames, style: Style, width: int | None) -> Iterator[str]:
    """A row for each certificate, the most urgent first, those that are bound by their ID among them."""
    found = [row for _, row in rows_of(status, names, style)]
    if not found:
        yield "No certificate is declared." if not status.hidden else "No certificate is in that state."
        return
    shown, left_out = _columns(found, width)
    head = [Cell(text, style.bold) for text in HEADS]
    yield from table([[row[index] for index in shown] for row in (head, *found)], width, indent="")
    if left_out:
        text = f"Left out: {', '.join(left_out)} (--wide)."
        yield style.dim(text)


def rows_of(status: Status, names: ShownNames, style: Style) -> list[tuple[Urgency, list[Cell]]]:
    """The cells below HEADS with how urgent they are, the most urgent first."""
    rows = [(item.urgency, _row(item, status, style)) for item in status.certificates]
    rows += [(item.urgency, _row_by_id(item, status.made, names, style)) for item in status.by_id]
    order = list(Urgency)
    removed = ((Urgency.LATER, _row_removed(kept)) for kept in status.orphaned)
    return [*sorted(rows, key=lambda one: order.index(one[0])), *removed]


def _columns(rows: list[list[Cell]], width: int | None) -> tuple[list[int], list[str]]:
    """The columns that fit, and the names of the others."""
    widths = [max(cells(head), *(cells(row[index].text) for row in rows)) for index, head in enumerate(HEADS)]
    for head, most in _MOST_NEEDED.items():
        index = HEADS.index(head)
        widths[index] = min(widths[index], most)
    shown = list(range(len(HEADS)))
    left_out: list[str] = []
    for name in _LEFT_OUT_FIRST:
        if width is None or sum(widths[index] + 2 for index in shown) - 2 <= width:
            break
        shown.remove(HEADS.index(name))
        left_out.append(name)
    return shown, left_out


def _row(item: CertificateStatus, status: Status, style: Style) -> list[Cell]:
    due, next_due = item.due, item.renewed or item.due
    return [
        Cell(printable(item.certificate), shrinks=True),
        Cell(expires_text(due.not_after if due is not None else None, status.made)),
        Cell(f"{next_due.renew_from:%Y-%m-%d}" if next_due is not None else "-"),
        Cell(
            _used_by(
                item.places,
                sum(one.certificate == item.certificate and one.role is Role.CURRENT for one in status.uses),
            )
        ),
        Cell(printable(item.owner) if item.owner else "-", shrinks=True),
        Cell(", ".join(_state(item, status)), _paint(item.urgency, style)),
    ]


def _row_by_id(item: ByIdStatus, now: datetime, names: ShownNames, style: Style) -> list[Cell]:
    row = item.row
    whose = f"stack {printable(row.mark.stack)}" if row.mark is not None and row.owner is None else "-"
    states = [] if item.urgency is Urgency.LATER else [_STATES[item.urgency]]
    states.append(
        "not managed here" if row.owner is None else f"{_RELATIONS.get(row.role, 'of')} {printable(row.owner)}"
    )
    return [
        Cell(f"{names.id(row.id)} (by ID)"),
        Cell(expires_text(row.not_after, now)),
        Cell(f"{row.renew_from:%Y-%m-%d}" if row.renew_from is not None else "-"),
        Cell(_used_by(item.places, 0)),
        Cell(whose, shrinks=True),
        Cell(", ".join(states), _paint(item.urgency, style)),
    ]


def _row_removed(kept: KeptEntry) -> list[Cell]:
    name = Cell(printable(kept.waiting.certificate or ""), shrinks=True)
    return [name, Cell("-"), Cell("-"), Cell("-"), Cell("-", shrinks=True), Cell("removed, 1 kept")]


def expires_text(time: datetime | None, now: datetime) -> str:
    """`in 24 d   2026-12-23`, for a column."""
    return "unknown" if time is None else f"{away_text(time, now):<8}  {time:%Y-%m-%d}"


def away_text(time: datetime | None, now: datetime) -> str:
    """`in 24 d`, `3 h ago`."""
    if time is None:
        return "unknown"
    away = abs(time - now)
    number, unit = (away.days, "d") if away >= timedelta(days=2) else (int(away.total_seconds() // 3600), "h")
    text = f"{number or '<1'} {unit}"
    return f"in {text}" if time >= now else f"{text} ago"


def _used_by(places: Iterable[BoundAt], others: int) -> str:
    bindings = sum(place.standing in {Standing.IN_PLACE, Standing.UNDECLARED, Standing.WAITING} for place in places)
    texts = [counted(bindings, "binding")] if bindings else []
    texts += [counted(others, "other")] if others else []
    return ", ".join(texts) or "-"


def _state(item: CertificateStatus, status: Status) -> Iterator[str]:
    """`ok` where nothing but time has to pass."""
    unread = sum(place.standing is Standing.UNREAD for place in item.places)
    wrong = sum(map(_is_wrong, item.places)) - unread
    undeployed = _needs_deploy(item, status)
    if item.urgency is not Urgency.LATER or (_is_applied(item) and not undeployed):
        yield _STATES[item.urgency]
    if undeployed:
        yield "not deployed"
    if item.due is not None and item.due.renewed:
        yield "renewed, not in use yet"
    if item.entry is None:
        yield "not uploaded"
    elif wrong:
        yield f"{counted(wrong, 'binding')} {'differs' if wrong == 1 else 'differ'}"
    if unread:
        yield f"{counted(unread, 'binding')} unknown"
    kept = sum(one.waiting.entry is not None for one in item.waiting)
    if kept:
        yield f"{kept} old kept"
    waiting = [one.waiting for one in item.waiting if one.waiting.entry is None]
    if waiting:
        first = next_of(waiting)
        until = f" until {first:%Y-%m-%d}" if first is not None else ""
        yield f"{counted(len(waiting), 'change')} {'waits' if len(waiting) == 1 else 'wait'}{until}"


def _needs_deploy(item: CertificateStatus, status: Status) -> bool:
    """Whether a live version uses another certificate than the wrangler file; False if none was read."""
    rows = status.live or ()
    return any(row.state is LiveState.NEEDS_DEPLOY and row.certificate == item.certificate for row in rows)


def _is_applied(item: CertificateStatus) -> bool:
    """Whether it is uploaded, and every binding uses it."""
    is_renewed = item.due is not None and item.due.renewed
    return item.entry is not None and not is_renewed and not any(map(_is_wrong, item.places))


def _is_wrong(place: BoundAt) -> bool:
    return place.standing not in {Standing.IN_PLACE, Standing.WAITING}


def _count_lines(status: Status, names: ShownNames, style: Style, width: int | None) -> Iterator[str]:
    yield from map(_paint(worst_of(status), style), wrapped(count_text(status, names), width))


def worst_of(status: Status) -> Urgency:
    """How urgent the most urgent certificate is."""
    found = [item.urgency for item in status.certificates] + [one.urgency for one in status.by_id]
    return min(found, key=list(Urgency).index, default=Urgency.LATER)


def count_text(status: Status, names: ShownNames) -> str:
    """How many there are of each state, and which is the first to expire."""
    ends = [(item.due.not_after, printable(item.certificate)) for item in status.certificates if item.due is not None]
    ends += [(item.row.not_after, names.id(item.row.id)) for item in status.by_id if item.row.not_after is not None]
    first = min((end for end, _ in ends if end >= status.made), default=None)
    text = f"{counts_of(status)}."
    if first is not None:
        alike = sorted(name for end, name in ends if time_text(end) == time_text(first))
        text += f" Expires first: {_listed(alike)} {distance_text(first, status.made)}."
    if status.hidden:
        text += f" {counted(status.hidden, 'certificate')} not shown."
    return text


def counts_of(status: Status) -> str:
    """`3 ok, 1 due, 0 expired`."""
    found = [item.urgency for item in status.certificates] + [one.urgency for one in status.by_id]
    not_applied = sum(item.urgency is Urgency.LATER and not _is_applied(item) for item in status.certificates)
    later = [item for item in status.certificates if item.urgency is Urgency.LATER and _is_applied(item)]
    undeployed = sum(_needs_deploy(item, status) for item in later)
    foreign = sum(one.urgency is Urgency.LATER and one.row.owner is None for one in status.by_id)
    counts = [f"{found.count(Urgency.LATER) - not_applied - undeployed - foreign} ok"]
    counts += [f"{foreign} not managed here"] if foreign else []
    counts += [f"{not_applied} not applied"] if not_applied else []
    counts += [f"{undeployed} not deployed"] if undeployed else []
    counts += [f"{found.count(urgency)} {_STATES[urgency]}" for urgency in (Urgency.DUE, Urgency.EXPIRED)]
    unknown = found.count(Urgency.UNREADABLE)
    counts += [f"{unknown} unknown"] if unknown else []
    return ", ".join(counts)


# --- what is wrong, or was asked for ----------------------------------------------------------------------------------


def _needs_detail(item: CertificateStatus, status: Status) -> bool:
    """Whether something is wrong that no pending change fixes, or a change waits; the others are for `mtlsctl plan`."""
    is_stuck = any(one.since is not None for one in item.waiting)
    is_wrong = not any(status.changes.values()) and any(map(_is_wrong, item.places))
    is_waiting = any(one.waiting.entry is None for one in item.waiting)
    is_early = is_waiting or _needs_deploy(item, status)
    return item.urgency is not Urgency.LATER or is_stuck or is_wrong or is_early


def _field(
    label: str, text: str, width: int | None, *, paint: Callable[[str], str] = str, indent: str = "  "
) -> Iterator[str]:
    return labelled(f"{label:<{_LABEL}}", text, width, paint=paint, indent=indent)


def _certificate_lines(
    item: CertificateStatus, status: Status, names: ShownNames, style: Style, width: int | None
) -> Iterator[str]:
    yield ""
    yield style.bold(printable(item.certificate))
    yield from _when_lines(item, status.made, width)
    if item.entry is not None:
        name = printable(item.entry.name) or "without a name"
        yield from _field("uploaded", f"{names.id(item.entry.id)} {name}", width)
    else:
        yield from _field("uploaded", "no", width, paint=style.warn)
    if item.owner:
        yield from _field("owner", printable(item.owner), width)
    outage = first_of(one for one in status.outages if one.certificate == item.certificate)
    if outage is not None and outage.time is not None:
        text = f"{time_text(outage.time)} ({distance_text(outage.time, status.made)})"
        when = "since" if outage.failing else "from"
        yield from _field("outage", f"{when} {text}", width, paint=style.bad if outage.failing else str)
    for place in item.places:
        label, text, paint = _place_text(place, item, names, style)
        yield from _field(label, text, width, paint=paint)
    of_current = [one for one in status.uses if one.certificate == item.certificate and one.role is Role.CURRENT]
    yield from use_lines(of_current, names, width)
    yield from _waiting_lines([one.waiting for one in item.waiting if one.waiting.entry is None], width)
    for kept in item.waiting:
        if kept.waiting.entry is None:
            continue
        used = any(place.standing is Standing.WAITING and place.found == kept.waiting.entry.id for place in item.places)
        yield from _kept_lines(kept, names, width, used=used)
        yield from use_lines(_not_told(kept.waiting, status.uses), names, width)


def _waiting_lines(waits: Iterable[Waiting], width: int | None) -> Iterator[str]:
    """For what the changes of a certificate wait, and until when; the bindings have lines of their own."""
    alike = Counter((printable(wait.detail), until_text(wait)) for wait in waits)
    for (detail, until), number in alike.items():
        verb = "waits" if number == 1 else "wait"
        yield from _field("waiting", f"{counted(number, 'change')} {verb}{until.removeprefix(',')}: {detail}", width)


def _not_told(wait: Waiting, uses: Iterable[Use]) -> Iterator[Use]:
    """Who still uses what waits, but for those that it says it waits for."""
    told, entry = _TOLD.get(wait.condition, frozenset()), wait.entry
    if entry is not None:
        yield from (one for one in uses if one.entry.id == entry.id and one.user.kind not in told)


def use_lines(uses: Iterable[Use], names: ShownNames, width: int | None, *, indent: str = "  ") -> Iterator[str]:
    """Who else uses a certificate, a line each up to a number."""
    found = tuple(uses)
    for use in found[:_MOST_USES]:
        old = "" if use.role is Role.CURRENT else f": {names.id(use.entry.id)}"
        yield from _field("used by", f"{printable(use.user.text)}{old}", width, indent=indent)
    if len(found) > _MOST_USES:
        yield from _field("", f"and {len(found) - _MOST_USES} more; see --format json", width, indent=indent)


def by_id_lines(item: ByIdStatus, now: datetime, names: ShownNames, style: Style, width: int | None) -> Iterator[str]:
    """One uploaded certificate that bindings name by its id."""
    row = item.row
    yield style.bold(f"{names.id(row.id)} (by ID)")
    yield from _field("expires", _when_by_id(row, now), width)
    if row.entry is not None:
        yield from _field("name", printable(row.entry.name) or "none", width)
    if row.entry is not None and row.entry.subject is not None:
        yield from _field("subject", printable(row.entry.subject), width)
    yield from _field("stack", whose(row), width)
    if row.newer is not None:
        newer = f"{names.id(row.newer.id)} ({printable(row.newer.name) or 'no name'})"
        yield from _field("newer", newer, width)
    for place in item.places:
        label = "bound" if place.standing in _BOUND else "not bound"
        yield from _field(label, f"{names.binding(place.at)}{standing_text(place, names)}", width)


def standing_text(place: BoundAt, names: ShownNames) -> str:
    """What is to be known of a binding behind its name."""
    match place.standing:
        case Standing.IN_PLACE:
            return ""
        case Standing.WAITING:
            return f": {names.id(place.found)}, until it becomes valid"
        case Standing.UNDECLARED:
            return ": mtls.toml does not declare it"
        case Standing.MISSING:
            return ": the file has no such binding"
        case Standing.UNREAD:
            return f": {_UNREAD}"
        case Standing.OTHER_ID:
            return f": it has {names.id(place.found)}"


def whose(row: ByIdRow) -> str:
    """Which stack manages what is bound by its id, as far as its name says."""
    stack = printable(row.mark.stack) if row.mark is not None else "unknown"
    relation = "not managed here" if row.owner is None else f"{_RELATIONS.get(row.role, 'of')} {printable(row.owner)}"
    return f"{stack} ({relation})"


def _when_by_id(row: ByIdRow, now: datetime) -> str:
    if row.not_after is None:
        return "unknown" if row.entry is not None else "unknown: no uploaded certificate with this ID was found"
    renew = f", renew from {row.renew_from:%Y-%m-%d}" if row.renew_from is not None else ""
    return f"{time_text(row.not_after)} ({distance_text(row.not_after, now)}){renew}"


def _live_lines(status: Status, names: ShownNames, style: Style, width: int | None) -> Iterator[str]:
    """The bindings of which live Workers use something else than the wrangler files name."""
    rows = [row for row in status.live or () if row.state is not LiveState.IN_SYNC]
    if not rows:
        return
    yield ""
    yield style.bold("Live Workers")
    for row in without_repeated_reasons(rows[:_MOST_USES]):
        yield from live_row_lines(row, style, names, width)
    if len(rows) > _MOST_USES:
        yield f"  and {len(rows) - _MOST_USES} more; see `mtlsctl plan --live`"


def _paint(urgency: Urgency, style: Style) -> Callable[[str], str]:
    painters = {Urgency.EXPIRED: style.bad, Urgency.DUE: style.warn, Urgency.UNREADABLE: style.bad}
    return painters.get(urgency, style.good)


def _when_lines(item: CertificateStatus, now: datetime, width: int | None) -> Iterator[str]:
    """The dates of the certificate in use; then those of the one that replaces it, if it has been renewed."""
    if item.due is None:
        yield from _field("expires", "unknown: its file can't be used", width)
        return
    text = f"{time_text(item.due.not_after)} ({distance_text(item.due.not_after, now)})"
    if item.renewed is None:
        yield from _field("expires", f"{text}, renew from {item.due.renew_from:%Y-%m-%d}", width)
        return
    yield from _field("in use", f"an older one, which expires {text}", width)
    begins = f"valid from {time_text(item.begins)}, " if item.begins is not None and item.begins > now else ""
    until = f"expires {time_text(item.renewed.not_after)}, renew from {item.renewed.renew_from:%Y-%m-%d}"
    yield from _field("new", f"{begins}{until}", width)


def _place_text(
    place: BoundAt, item: CertificateStatus, names: ShownNames, style: Style
) -> tuple[str, str, Callable[[str], str]]:
    where, found = names.binding(place.at), names.id(place.found)
    match place.standing:
        case Standing.IN_PLACE:
            return "bound", where, str
        case Standing.WAITING:
            return "bound", f"{where}: {found}, until the new certificate becomes valid", str
        case Standing.UNDECLARED:
            old = "" if item.entry and place.found == item.entry.id else f"an older certificate, {found}, and "
            return "bound", f"{where}: {old}mtls.toml does not declare it", style.warn
        case Standing.MISSING:
            return "not bound", f"{where}: the file has no such binding", style.warn
        case Standing.UNREAD:
            return "unknown", f"{where}: {_UNREAD}", style.warn
        case Standing.OTHER_ID:
            return "not bound", f"{where}: it has {found}", style.warn


def _kept_lines(kept: KeptEntry, names: ShownNames, width: int | None, *, used: bool = False) -> Iterator[str]:
    """Why an old certificate is kept; then since when and what would end that, where there is anything to say."""
    wait = kept.waiting
    is_entry = wait.entry is not None
    what = (
        f"{names.id(wait.change.entry.id)} {old_text(wait.change, used=used)}"
        if isinstance(wait.change, Retire)
        else f"{wait.change.action} {describe(wait.change)}"
    )
    yield from _field("kept" if is_entry else "waiting", f"{what}: {names.text(wait.detail)}{until_text(wait)}", width)
    since = kept_since_text(kept.since) if kept.since is not None else None
    told = [text for text in (since, hint_text(kept.hint)) if text is not None]
    if told:
        yield from _field("", "; ".join(told), width)


def kept_since_text(since: datetime) -> str:
    """Since when an old certificate is kept although its grace period ended."""
    return f"kept since {since:%Y-%m-%d}, when its grace period ended"


def hint_text(hint: str | None) -> str | None:
    """What would let an old certificate be deleted."""
    return f"to have it deleted, {printable(hint)}" if hint is not None else None


def _attention_lines(status: Status, style: Style, findings: str, width: int | None) -> Iterator[str]:
    if findings:
        yield ""
        yield findings
    failed, texts = failed_text(status), pending_texts(status)
    if failed or texts:
        yield ""
    if failed:
        yield from map(style.bad, wrapped(failed, width))
    for text in texts:
        yield from map(style.bold, wrapped(text, width))


def failed_text(status: Status) -> str:
    """The conditions of `--fail-on` that hold; empty without any."""
    return f"Failed on: {', '.join(map(printable, status.failed_on))}." if status.failed_on else ""


def _is_due(item: CertificateStatus) -> bool:
    """Whether its declared file has no successor yet."""
    return item.due is not None and not item.due.renewed and item.urgency in {Urgency.DUE, Urgency.EXPIRED}


def pending_texts(status: Status) -> list[str]:
    """What is to be done, with the command for it."""
    counts = counts_text(status.changes.items())
    to_deploy = {row.at.site for row in status.live or () if row.state is LiveState.NEEDS_DEPLOY}
    texts = []
    renewable = [one.certificate for one in status.certificates if one.renews and _is_due(one)]
    if renewable:
        command = shell_command(("mtlsctl", "renew", renewable[0] if len(renewable) == 1 else "--due"))
        texts.append(f"{counted(len(renewable), 'certificate')} to renew. Next: {command}")
    if to_deploy:
        workers = counted(len(to_deploy), "Worker")
        held = None if status.freeze is None else frozen_text(status.freeze)
        now = "run `mtlsctl apply --deploy`, or deploy with wrangler" if held is None else f"a freeze holds it {held}"
        texts.append(f"{workers} to deploy: {now}.")
    if counts:
        texts.append(f"Pending: {counts}. Next: mtlsctl plan")
    return texts
