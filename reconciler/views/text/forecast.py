"""A forecast as text: a calendar by month, then the entries that it needs, then what both rest on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby

from reconciler.findings.codes import Severity
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
_EVENTS = {Event.UPLOAD: "is uploaded", Event.RENEWAL: "is renewed", Event.RETIRE: "is rid of an old entry"}
_ROW = "      {:<9} {}"
_MAX_STEPS = 40
_MAX_AGAIN = 40


def show_forecast(forecast: Forecast, display: Display) -> str:
    """A forecast with its findings, and the errors of its plan."""
    errors = (problem for problem in forecast.diagnostics if problem.severity is Severity.ERROR)
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


# --- the calendar ---------------------------------------------------------------------------------------------------


def _calendar_lines(forecast: Forecast, style: Style) -> Iterator[str]:
    width = max((len(printable(item.certificate)) for item in forecast.calendar), default=0)
    told_again = 0
    for head, items in groupby(forecast.calendar, _head):
        yield ""
        yield style.bold(f"{head}:")
        for item in items:
            told_again += item.again
            if told_again <= _MAX_AGAIN or not item.again:
                yield from _item_lines(item, width, style)
                yield from use_lines(one for one in forecast.uses if _concerns(one, item))
    if told_again > _MAX_AGAIN:
        yield f"  ~ and {told_again - _MAX_AGAIN} more renewals of renewed ones; see --format json"
    yield ""
    yield from _rest_lines(forecast)


def _rest_lines(forecast: Forecast) -> Iterator[str]:
    """What does not stand in the calendar."""
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


def _item_lines(item: DueItem, width: int, style: Style) -> Iterator[str]:
    paint = style.bad if item.urgency is Urgency.EXPIRED else style.warn if item.urgency is Urgency.DUE else style.bold
    sign = "~" if item.again else _OVERDUE.get(item.urgency, ".")
    end = "ended" if item.urgency is Urgency.EXPIRED else "would end" if item.again else "ends"
    head = paint(f"  {sign} {_day(item.renew_from)}  {printable(item.certificate):<{width}}")
    yield f"{head}  {end} {time_text(item.not_after)}"
    if item.again:
        return  # owner and places stand with the first renewal
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
    for step in steps[:_MAX_STEPS]:
        sign = "-" if step.event is Event.RETIRE else "+"
        what = f"{printable(step.certificate)} {_EVENTS[step.event]}{' again' if step.again else ''}"
        line = f"  {sign} {_day(step.at)}  {step.entries:>5}  {what}"
        yield style.bad(line) if step.entries > outlook.limit else line
    if len(steps) > _MAX_STEPS:
        yield f"    and {len(steps) - _MAX_STEPS} more steps; see --format json"
