"""A forecast as a page: what falls due, and whether the account has room for the renewals."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.plan.assessment import ByIdRow
from reconciler.reports.forecast import DueItem, Forecast
from reconciler.views.html.page import (
    Note,
    PageReport,
    PageTable,
    Tone,
    findings,
    prose,
    section,
    show_page,
    table,
    tone_of,
)
from reconciler.views.html.rows import WIDTH, links_of
from reconciler.views.html.status import URGENCIES
from reconciler.views.html.timeline import TimelineItem, Validity, make_timeline
from reconciler.views.html.uses import Link, make_uses
from reconciler.views.table import Display
from reconciler.views.text.forecast import (
    begin_text,
    due_text,
    names_of,
    outlook_text,
    outlooks_of,
    release_text,
    render_forecast,
    rest_texts,
)
from reconciler.views.text.names import ShownNames
from reconciler.views.text.plan import not_checked_lines, store_text
from reconciler.views.text.status import away_text, time_text, whose
from reconciler.views.text.style import PLAIN


def show_forecast_page(forecast: Forecast, display: Display) -> str:
    """The page of a forecast."""
    return show_page([forecast_report(forecast, display)])


def forecast_report(forecast: Forecast, display: Display) -> PageReport:
    """What is on it: the quota first, then each renewal with its date."""
    names = names_of(forecast, WIDTH)
    found = (*forecast.diagnostics, *forecast.findings)
    outlooks = [(outlook_text(kind, outlook), outlook.over is not None) for kind, outlook, _ in outlooks_of(forecast)]
    is_over = any(over for _, over in outlooks)
    is_calm = not found and not forecast.unreadable
    tone = Tone.BAD if is_over else Tone.GOOD if is_calm else Tone.LOOK
    return PageReport(
        command="forecast",
        stack=forecast.stack,
        title=Note(due_text(forecast), tone_of(found, tone)),
        leads=(
            *(Note(text, Tone.BAD if over else Tone.PLAIN) for text, over in outlooks),
            *map(Note, rest_texts(forecast)),
            *(Note(line, Tone.LOOK) for line in not_checked_lines(forecast.not_checked, "forecast", PLAIN)),
        ),
        facts=(("On", store_text(forecast.store, None)), ("Made", time_text(forecast.made))),
        sections=(
            findings(found, display),
            section("Now", _releases(forecast, names)),
            section("Validity and renewal", make_timeline(_items(forecast), forecast.made)),
            section("Due", *_due(forecast, names)),
            section("Who uses what", make_uses(list(_links(forecast, names)))),
            section("Assumptions", prose(names.text(text) for text in forecast.assumptions)),
        ),
        details=render_forecast(forecast, PLAIN),
    )


def _releases(forecast: Forecast, names: ShownNames) -> PageTable | None:
    rows = ((one.certificate, release_text(one, names)) for one in forecast.releases)
    return table("Deploys without which old certificates stay", ("Certificate", "What to do"), rows)


def _due(forecast: Forecast, names: ShownNames) -> Iterator[PageTable | None]:
    """What falls due here, what does elsewhere, and what becomes valid."""
    heads = ("Certificate", "Renew from", "Expires")
    rows = map(_row, _first(forecast))
    yield table("Certificates to renew, the first to fall due first", (*heads, "Owner", "State"), rows)
    elsewhere = (_row_by_id(one.row, names) for one in forecast.by_id)
    yield table("Certificates that are managed elsewhere", (*heads, "Stack"), elsewhere)
    begins = ((one.certificate, time_text(one.at), begin_text(one, forecast, names)) for one in forecast.begins)
    yield table("Certificates that become valid", ("Certificate", "Valid from", "What to do then"), begins)


def _row_by_id(row: ByIdRow, names: ShownNames) -> tuple[str, ...]:
    renew_from = f"{row.renew_from:%Y-%m-%d}" if row.renew_from is not None else "unknown"
    expires = time_text(row.not_after) if row.not_after is not None else "unknown"
    return f"{names.id(row.id)} (by ID)", renew_from, expires, whose(row)


def _first(forecast: Forecast) -> list[DueItem]:
    return [item for item in forecast.calendar if not item.again]


def _row(item: DueItem) -> tuple[str | Note, ...]:
    state = Note(str(item.urgency), URGENCIES[item.urgency])
    return item.certificate, f"{item.renew_from:%Y-%m-%d}", time_text(item.not_after), item.owner or "-", state


def _items(forecast: Forecast) -> list[TimelineItem]:
    """A row for each certificate, with the successors that it will have."""
    found = []
    for item in _first(forecast):
        lives = [Validity(item.not_after, item.renew_from)]
        begins = item.renew_from
        for one in forecast.calendar:
            if one.again and one.certificate == item.certificate:
                lives.append(Validity(one.not_after, one.renew_from, begins))
                begins = one.renew_from
        found.append(TimelineItem(item.certificate, away_text(item.not_after, forecast.made), tuple(lives)))
    return found


def _links(forecast: Forecast, names: ShownNames) -> Iterator[Link]:
    for item in _first(forecast):
        yield from links_of(item.certificate, item.places, names)
        for use in forecast.uses:
            if use.certificate == item.certificate:
                yield Link(item.certificate, use.user.text, use.user.text)
    for one in forecast.by_id:
        yield from links_of(f"{names.id(one.row.id)} (by ID)", one.places, names)
