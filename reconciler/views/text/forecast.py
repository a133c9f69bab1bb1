"""A forecast as text: a calendar by month, then the entries that it needs, then what both rest on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import TypeVar

from reconciler.findings.codes import Code, Severity
from reconciler.findings.escape import printable
from reconciler.model import SiteAddress
from reconciler.plan.later import times_text
from reconciler.plan.users import Use
from reconciler.reports.forecast import Begin, DueItem, Forecast, Outlook, ToRelease
from reconciler.reports.forecast_entries import Event, ForecastStep
from reconciler.reports.status import Urgency
from reconciler.views.table import Display
from reconciler.views.text.findings import show_findings
from reconciler.views.text.layout import Cell, cells, shortened, spread, wrapped
from reconciler.views.text.lines import counted
from reconciler.views.text.names import ShownNames
from reconciler.views.text.plan import not_checked_lines, store_text
from reconciler.views.text.status import by_id_lines, time_text, use_lines
from reconciler.views.text.style import Style

_OVERDUE = {Urgency.EXPIRED: "x", Urgency.DUE: "!"}
_MAX_STEPS = 40
_MAX_AGAIN = 40
_BEFORE_NAME, _BESIDE_STEP = 16, 44
_MOST_ALONE = 2
"""So many further renewals of a certificate have a line each; of more, all of them share one."""


_OF_DATES = frozenset({Code.BOUND_EXPIRED, Code.VALIDITY_GAP})
"""Warnings that belong into a calendar."""


def show_forecast(forecast: Forecast, display: Display) -> str:
    """A forecast with its findings, and the errors of its plan and what dates make of it."""
    errors = (one for one in forecast.diagnostics if one.severity is Severity.ERROR or one.code in _OF_DATES)
    findings = show_findings((*errors, *forecast.findings), display)
    return render_forecast(forecast, display.style, findings=findings, width=display.width)


def due_text(forecast: Forecast) -> str:
    """`3 certificates due until 2027-03-01`."""
    number = sum(not item.again for item in forecast.calendar)
    return f"{counted(number, 'certificate')} due until {forecast.until:%Y-%m-%d}"


def render_forecast(forecast: Forecast, style: Style, *, findings: str = "", width: int | None = None) -> str:
    """The whole forecast. `findings`: those that need attention, as `render_findings` shows them."""
    return "\n".join(_lines(forecast, style, findings, width)) + "\n"


def _lines(forecast: Forecast, style: Style, findings: str, width: int | None) -> Iterator[str]:
    names = names_of(forecast, width)
    days = (forecast.until - forecast.made).days
    head = f"{printable(forecast.stack)}: {_day(forecast.made)} to {_day(forecast.until)}, {counted(days, 'day')}"
    yield from spread(Cell(head, style.bold), Cell(store_text(forecast.store, width), style.dim), width)
    if forecast.leaf is None:
        yield from map(style.warn, wrapped("OFFLINE: only files were read, so the quota is unknown", width))
    yield from _release_lines(forecast, names, style, width)
    yield from _calendar_lines(forecast, names, style, width)
    yield from _by_id_lines(forecast, names, style, width)
    for kind, outlook, steps in outlooks_of(forecast):
        yield from _outlook_lines(kind, outlook, steps, style, width)
    yield ""
    yield style.bold("Assumptions:")
    for text in forecast.assumptions:
        yield from wrapped(names.text(text), width, first="  - ")
    if findings:
        yield ""
        yield findings
    if forecast.not_checked:
        yield ""
        yield from not_checked_lines(forecast.not_checked, "forecast", style, width)


def names_of(forecast: Forecast, width: int | None) -> ShownNames:
    """What a forecast calls things."""
    return ShownNames(width, _ids(forecast), _places(forecast))


def _ids(forecast: Forecast) -> Iterator[str | None]:
    for one in forecast.by_id:
        yield from (one.row.id, one.row.newer.id if one.row.newer is not None else None)
        yield from (place.found for place in one.places)
    yield from (use.entry.id for use in forecast.uses)


def _places(forecast: Forecast) -> Iterator[SiteAddress]:
    yield from (place.at for item in forecast.calendar for place in item.places)
    yield from (place for one in forecast.begins for place in one.places)
    yield from (place.at for one in forecast.by_id for place in one.places)


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d}"


_Line = TypeVar("_Line", DueItem, ForecastStep)
_Row = tuple[DueItem, ...] | Begin
"""A row of the calendar: renewals of a certificate, or that a certificate becomes valid."""


def _fold(items: Sequence[_Line]) -> Iterator[tuple[_Line, ...]]:
    """What each line shows: one item, or all further renewals of a certificate that has many, where the first is."""
    again: dict[str, list[_Line]] = defaultdict(list)
    for item in items:
        if item.again:
            again[item.certificate].append(item)
    for item in items:
        same = again[item.certificate] if item.again else []
        if len(same) <= _MOST_ALONE:
            yield (item,)
        elif item is same[0]:
            yield tuple(same)


def _series_text(times: Sequence[datetime]) -> str:
    """How many renewals there are at these times, until when, and how far apart."""
    every = _interval_text((times[-1] - times[0]) / (len(times) - 1))
    return f"{len(times)} more renewals until {_day(times[-1])}, about every {every}"


def _interval_text(time: timedelta) -> str:
    """An interval for a person: `day`, `1.3 days`, `30 days`, `8 hours`."""
    units = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)))
    unit, length = next((one for one in units if time >= one[1]), units[-1])
    count = time / length
    number = f"{count:.0f}" if count >= 10 else f"{count:.1f}".removesuffix(".0")
    return unit if number == "1" else f"{number} {unit}s"


def _release_lines(forecast: Forecast, names: ShownNames, style: Style, width: int | None) -> Iterator[str]:
    """The deploys without which old certificates stay."""
    if forecast.releases:
        yield ""
        yield style.bold("Now")
    for one in forecast.releases[:_MAX_STEPS]:
        yield from wrapped(f"{printable(one.certificate)}: {release_text(one, names)}", width, first="  ! ")
    if len(forecast.releases) > _MAX_STEPS:
        yield f"    and {len(forecast.releases) - _MAX_STEPS} more; see --format json"


def release_text(release: ToRelease, names: ShownNames) -> str:
    """What to do so that an old certificate can be deleted, and by when."""
    by = f"by {time_text(release.by)}: " if release.by is not None else ""
    return f"{by}{names.text(release.what)}; else its old certificate stays"


# --- the calendar ---------------------------------------------------------------------------------------------------


def _calendar_lines(forecast: Forecast, names: ShownNames, style: Style, width: int | None) -> Iterator[str]:
    shown = left = 0
    rows: list[_Row] = sorted((*_fold(forecast.calendar), *forecast.begins), key=_time)
    for head, found in groupby(rows, _head):
        yield ""
        yield style.bold(head)
        chosen: list[_Row] = []
        for row in found:
            is_again = not isinstance(row, Begin) and row[0].again
            shown += is_again
            if is_again and shown > _MAX_AGAIN and not isinstance(row, Begin):
                left += len(row)
            else:
                chosen.append(row)
        size = max((cells(printable(_certificate(row))) for row in chosen), default=0)
        for row in chosen:
            if isinstance(row, Begin):
                yield from _begin_lines(row, size, forecast, names, style, width)
                continue
            yield from _item_lines(row, size, names, style, width)
            yield from use_lines(
                (one for one in forecast.uses if _concerns(one, row[0])), names, width, indent="      "
            )
    if left:
        yield f"  ~ and {left} more renewals of renewed certificates; see --format json"
    rest = tuple(rest_texts(forecast))
    yield from ("", *(line for text in rest for line in wrapped(text, width))) if rest else ()


def _time(row: _Row) -> datetime:
    return row.at if isinstance(row, Begin) else row[0].renew_from


def _certificate(row: _Row) -> str:
    return row.certificate if isinstance(row, Begin) else row[0].certificate


def rest_texts(forecast: Forecast) -> Iterator[str]:
    """What is not in the calendar."""
    if not forecast.calendar and not forecast.later and not forecast.unreadable:
        yield "No certificate is declared."
    if forecast.upcoming is not None:
        first = f"{printable(forecast.upcoming.certificate)}, from {_day(forecast.upcoming.renew_from)}"
        more = "more " if forecast.calendar else ""
        noun = "certificate falls" if forecast.later == 1 else "certificates fall"
        yield f"{forecast.later} {more}{noun} due after {_day(forecast.until)}, first {first}."
    for name in forecast.unreadable:
        yield f"When {printable(name)} falls due is not known: its file can't be used."


def _head(row: _Row) -> str:
    is_overdue = not isinstance(row, Begin) and row[0].urgency in _OVERDUE
    return "Due already" if is_overdue else f"{_time(row):%Y-%m}"


def _begin_lines(
    begin: Begin, size: int, forecast: Forecast, names: ShownNames, style: Style, width: int | None
) -> Iterator[str]:
    """When a renewed certificate becomes valid; below it what to do then, and which bindings wait."""
    text = f"becomes valid {time_text(begin.at)}"
    yield from _row_lines("+", begin.at, begin.certificate, text, size, width, style.bold)
    yield from wrapped(begin_text(begin, forecast, names), width, first="      ")


def begin_text(begin: Begin, forecast: Forecast, names: ShownNames) -> str:
    """What to do when a renewed certificate becomes valid, and which bindings wait for it."""
    workers = len({place.site for place in begin.places})
    times = f" {times_text(forecast.deploys)}" if forecast.deploys > 1 else ""
    deploy = f", then deploy {counted(workers, 'Worker')}{times}" if forecast.deploys else ""
    told = f"run mtlsctl apply{deploy if workers else ''}"
    if begin.places:
        told += f"; waiting: {', '.join(map(names.binding, begin.places))}"
    return told


def _row_lines(
    sign: str, time: datetime, certificate: str, text: str, size: int, width: int | None, paint: Callable[[str], str]
) -> Iterator[str]:
    """A row of the calendar, in one line if it fits."""
    name = _name(certificate, width, _BEFORE_NAME)
    label = f"{sign} {_day(time)}  {name}"
    pad = " " * max(size - cells(name), 0)
    room = width - cells(label) - cells(text) - 4 if width is not None else len(pad)
    if room >= 0:
        yield f"  {paint(label)}{pad if room >= len(pad) else ''}  {text}"
    else:
        yield f"  {paint(label)}"
        yield from wrapped(text, width, first="      ")


def _item_lines(
    line: tuple[DueItem, ...], size: int, names: ShownNames, style: Style, width: int | None
) -> Iterator[str]:
    """A row of the calendar; below it who owns the certificate, and where it is bound."""
    item = line[0]
    paint = style.bad if item.urgency is Urgency.EXPIRED else style.warn if item.urgency is Urgency.DUE else style.bold
    sign = "~" if item.again else _OVERDUE.get(item.urgency, ".")
    ends = {Urgency.EXPIRED: "expired", Urgency.DUE: "due, expires"}.get(item.urgency, "falls due, expires")
    text = f"{'due again, would expire' if item.again else ends} {time_text(item.not_after)}"
    if len(line) > 1:
        text = _series_text([one.renew_from for one in line])
    yield from _row_lines(sign, item.renew_from, item.certificate, text, size, width, paint)
    if item.again or len(line) > 1:
        return  # owner and bindings are shown with the first renewal
    owner = f"owner {printable(item.owner)}; " if item.owner else ""
    places = ", ".join(names.binding(place.at) for place in item.places)
    told = f"{owner}{f'used by {places}' if places else 'not bound'}"
    yield from wrapped(told, width, first="      ")


def _name(name: str, width: int | None, other: int) -> str:
    """A name next to so many other columns, or as much of it as there is room for."""
    return printable(name) if width is None else shortened(printable(name), width - other)


def _concerns(use: Use, item: DueItem) -> bool:
    """Whether somebody has to change this user when the certificate is renewed; said once."""
    return use.certificate == item.certificate and not item.again


def _by_id_lines(forecast: Forecast, names: ShownNames, style: Style, width: int | None) -> Iterator[str]:
    """What ends by then and is renewed elsewhere; the ids have to be changed here."""
    for item in forecast.by_id:
        yield ""
        yield from by_id_lines(item, forecast.made, names, style, width)


# --- entries --------------------------------------------------------------------------------------------------------


def _outlook_lines(
    kind: str, outlook: Outlook, steps: list[ForecastStep], style: Style, width: int | None
) -> Iterator[str]:
    yield ""
    yield from map(style.bad if outlook.over else style.bold, wrapped(outlook_text(kind, outlook), width))
    lines = tuple(_fold(steps))
    for line in lines[:_MAX_STEPS]:
        sign, day, what = _step_texts(line, width)
        is_over = max(step.entries for step in line) > outlook.limit
        shown = wrapped(what, width, first=f"  {sign} {day}  ")
        yield from map(style.bad if is_over else str, shown)
    left = sum(map(len, lines[_MAX_STEPS:]))
    if left:
        yield f"    and {left} more steps; see --format json"


def outlooks_of(forecast: Forecast) -> Iterator[tuple[str, Outlook, list[ForecastStep]]]:
    """The kinds of certificates that the account counts, with the uploads and deletions to come."""
    for kind, outlook, ca in (("leaf certificates", forecast.leaf, False), ("CAs", forecast.ca, True)):
        steps = [step for step in forecast.steps if step.ca is ca]
        if outlook is not None and (steps or outlook.now or not ca):
            yield kind, outlook, steps


def outlook_text(kind: str, outlook: Outlook) -> str:
    """How many uploaded certificates of a kind there are over time, and whether the quota suffices."""
    peak = f"peak {outlook.peak:,}" + (f" on {_day(outlook.peak_at)}" if outlook.peak > outlook.now else "")
    text = f"{kind}: {outlook.now:,} of {outlook.limit:,} now, {peak}, {outlook.end:,} at the end"
    return f"{text}: THAT DOES NOT FIT" if outlook.over else text


def _step_texts(line: tuple[ForecastStep, ...], width: int | None) -> tuple[str, str, str]:
    """Sign, day, and what happens, with how many there are then."""
    step, name = line[0], _name(line[0].certificate, width, _BESIDE_STEP)
    if len(line) > 1:
        most = max(one.entries for one in line)
        series = _series_text([one.at for one in line if one.event is Event.RENEWAL])
        return "~", _day(step.at), f"{name}: {series}; peak {most}"
    again = " again" if step.again else ""
    match step.event:
        case Event.UPLOAD:
            what = f"{name} is uploaded"
        case Event.RENEWAL:
            what = f"{name} is renewed{again}"
        case Event.RETIRE:
            what = f"the old certificate of {name} is deleted{again}"
    return "-" if step.event is Event.RETIRE else "+", _day(step.at), f"{what}: {step.entries:,} then"
