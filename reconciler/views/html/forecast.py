"""A forecast as a page: what falls due, and whether the account has room for the renewals."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.reports.forecast import DueItem, Forecast
from reconciler.views.html.page import Note, PageReport, Tone, findings, prose, section, show_page, table, tone_of
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
            section(
                "Now",
                table(
                    "Deploys without which old certificates stay",
                    ("Certificate", "What to do"),
                    ((one.certificate, release_text(one, names)) for one in forecast.releases),
                ),
            ),
            section(
                "Validity and renewal",
                make_timeline(_items(forecast), forecast.made),
            ),
            section(
                "Due",
                table(
                    "Certificates to renew, the first to fall due first",
                    ("Certificate", "Renew from", "Expires", "Owner", "State"),
                    map(_row, _first(forecast)),
                ),
                table(
                    "Certificates that are managed elsewhere",
                    ("Certificate", "Renew from", "Expires", "Stack"),
                    (
                        (
                            f"{names.id(one.row.id)} (by ID)",
                            f"{one.row.renew_from:%Y-%m-%d}" if one.row.renew_from is not None else "unknown",
                            time_text(one.row.not_after) if one.row.not_after is not None else "unknown",
                            whose(one.row),
                        )
                        for one in forecast.by_id
                    ),
                ),
                table(
                    "Certificates that become valid",
                    ("Certificate", "Valid from", "What to do then"),
                    ((one.certificate, time_text(one.at), begin_text(one, forecast, names)) for one in forecast.begins),
                ),
            ),
            section("Who uses what", make_uses(list(_links(forecast, names)))),
            section("Assumptions", prose(names.text(text) for text in forecast.assumptions)),
        ),
        details=render_forecast(forecast, PLAIN),
    )


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
