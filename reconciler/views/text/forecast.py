"""A forecast as text: a calendar by month, then the entries that it needs, then what both rest on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import TypeVar

from reconciler.findings.codes import Code, Severity
from reconciler.findings.escape import printable
from reconciler.plan.users import Use
from reconciler.reports.forecast import DueItem, Forecast, Outlook
from reconciler.reports.forecast_entries import Event, ForecastStep
from reconciler.reports.status import Urgency
from reconciler.views.table import Display
from reconciler.views.text.findings import show_findings
from reconciler.views.text.plan import not_checked_lines
from reconciler.views.text.status import by_id_lines, place_text, time_text, use_lines
from reconciler.views.text.style import Style

_OVERDUE = {Urgency.EXPIRED: "x", Urgency.DUE: "!"}
_ROW = "      {:<9} {}"
_MAX_STEPS = 40
_MAX_AGAIN = 40
_MOST_ALONE = 2
"""So many further renewals of a certificate have a line each; of more, all of them share one."""


_OF_DATES = frozenset({Code.BOUND_EXPIRED, Code.VALIDITY_GAP})
"""Warnings that belong into a calendar."""


def show_forecast(forecast: Forecast, display: Display) -> str:
    """A forecast with its findings, and the errors of its plan and what dates make of it."""
    errors = (one for one in forecast.diagnostics if one.severity is Severity.ERROR or one.code in _OF_DATES)
    findings = show_findings((*errors, *forecast.findings), display)
    return render_forecast(forecast, display.style, findings=findings)


def render_forecast(forecast: Forecast, style: Style, *, findings: str = "") -> str:
    """The whole forecast. `findings`: those that need attention, as `render_findings` shows them."""
    return "\n".join(_lines(forecast, style, findings)) + "\n"


def _lines(forecast: Forecast, style: Style, findings: str) -> Iterator[str]:
    days = (forecast.until - forecast.made).days
    span = f"{_day(forecast.made)} to {_day(forecast.until)} ({days} days)"
    yield style.bold(f"Forecast for the stack {printable(forecast.stack)} on {forecast.store.title}, {span}")
    if forecast.leaf is None:
        yield style.warn("OFFLINE: the store was not asked, so nothing is said of the quota")
    yield from _calendar_lines(forecast, style)
    yield from _by_id_lines(forecast, style)
    for kind, outlook, ca in (("leaf certificates", forecast.leaf, False), ("CAs", forecast.ca, True)):
        steps = [step for step in forecast.steps if step.ca is ca]
        if outlook is not None and (steps or outlook.now or not ca):
            yield from _outlook_lines(kind, outlook, steps, style)
    yield ""
    yield from not_checked_lines(forecast.not_checked, "forecast", style)
    yield style.bold("this supposes that")
    yield from (f"  - {text}" for text in forecast.assumptions)
    if findings:
        yield ""
        yield findings


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d}"


_Line = TypeVar("_Line", DueItem, ForecastStep)


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


# --- the calendar ---------------------------------------------------------------------------------------------------


def _calendar_lines(forecast: Forecast, style: Style) -> Iterator[str]:
    width = max((len(printable(item.certificate)) for item in forecast.calendar), default=0)
    shown = left = 0
    for head, lines in groupby(_fold(forecast.calendar), lambda line: _head(line[0])):
        yield ""
        yield style.bold(f"{head}:")
        for line in lines:
            shown += line[0].again
            if line[0].again and shown > _MAX_AGAIN:
                left += len(line)
            else:
                yield from _item_lines(line, width, style)
                yield from use_lines(one for one in forecast.uses if _concerns(one, line[0]))
    if left:
        yield f"  ~ and {left} more renewals of renewed certificates; see --format json"
    rest = tuple(_rest_lines(forecast))
    yield from ("", *rest) if rest else ()


def _rest_lines(forecast: Forecast) -> Iterator[str]:
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


def _head(item: DueItem) -> str:
    return "due already" if item.urgency in _OVERDUE else f"{item.renew_from:%Y-%m}"


def _item_lines(line: tuple[DueItem, ...], width: int, style: Style) -> Iterator[str]:
    item = line[0]
    paint = style.bad if item.urgency is Urgency.EXPIRED else style.warn if item.urgency is Urgency.DUE else style.bold
    sign = "~" if item.again else _OVERDUE.get(item.urgency, ".")
    head = paint(f"  {sign} {_day(item.renew_from)}  {printable(item.certificate):<{width}}")
    if len(line) > 1:
        yield f"{head}  {_series_text([one.renew_from for one in line])}"
        return
    end = "ended" if item.urgency is Urgency.EXPIRED else "would end" if item.again else "ends"
    yield f"{head}  {end} {time_text(item.not_after)}"
    if item.again:
        return  # owner and bindings are shown with the first renewal
    if item.owner:
        yield _ROW.format("owner", printable(item.owner))
    for place in item.places:
        yield _ROW.format("bound", place_text(place.at.binding, place.at.config, place.at.environment))


def _concerns(use: Use, item: DueItem) -> bool:
    """Whether somebody has to change this user when the certificate is renewed; said once."""
    return use.certificate == item.certificate and not item.again


def _by_id_lines(forecast: Forecast, style: Style) -> Iterator[str]:
    """What ends by then and is renewed elsewhere; the ids have to be changed here."""
    if not forecast.by_id:
        return
    yield ""
    yield style.bold("bound by id:")
    paint = {Urgency.EXPIRED: style.bad, Urgency.DUE: style.warn, Urgency.UNREADABLE: style.bad}
    for item in forecast.by_id:
        yield from by_id_lines(item, forecast.made, paint.get(item.urgency, style.bold))


# --- entries --------------------------------------------------------------------------------------------------------


def _outlook_lines(kind: str, outlook: Outlook, steps: list[ForecastStep], style: Style) -> Iterator[str]:
    yield ""
    peak = f"{outlook.peak} at the most" + (f" on {_day(outlook.peak_at)}" if outlook.peak > outlook.now else "")
    text = f"{kind}, of {outlook.limit}: {outlook.now} now, {peak}, {outlook.end} at the end"
    yield style.bad(f"{text}: THAT DOES NOT FIT") if outlook.over else style.bold(text)
    lines = tuple(_fold(steps))
    for line in lines[:_MAX_STEPS]:
        text = _step_line(line)
        yield style.bad(text) if max(step.entries for step in line) > outlook.limit else text
    left = sum(map(len, lines[_MAX_STEPS:]))
    if left:
        yield f"    and {left} more steps; see --format json"


def _step_line(line: tuple[ForecastStep, ...]) -> str:
    step, name = line[0], printable(line[0].certificate)
    if len(line) > 1:
        most = max(one.entries for one in line)
        series = _series_text([one.at for one in line if one.event is Event.RENEWAL])
        return f"  ~ {_day(step.at)}         {name}: {series}; peak {most}"
    again = " again" if step.again else ""
    match step.event:
        case Event.UPLOAD:
            what = f"{name} is uploaded"
        case Event.RENEWAL:
            what = f"{name} is renewed{again}"
        case Event.RETIRE:
            what = f"the old certificate of {name} is deleted{again}"
    return f"  {'-' if step.event is Event.RETIRE else '+'} {_day(step.at)}  {step.entries:>5}  {what}"
