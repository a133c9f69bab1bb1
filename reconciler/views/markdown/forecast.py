"""A forecast as Markdown: what falls due, in a table."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.reports.forecast import DueItem, Forecast
from reconciler.views.markdown.page import code, findings, listed, not_checked, page, table, whole
from reconciler.views.table import Display
from reconciler.views.text.forecast import due_text, show_forecast
from reconciler.views.text.names import ShownNames


def show_forecast_page(forecast: Forecast, display: Display) -> str:
    """Each renewal with its date, and whether the quota suffices; the rest folded."""
    first = [item for item in forecast.calendar if not item.again]
    title, details = due_text(forecast), show_forecast(forecast, whole(display))
    return page("forecast", forecast.stack, title, _parts(forecast, first, display), details)


def _parts(forecast: Forecast, items: list[DueItem], display: Display) -> Iterator[str]:
    yield from findings((*forecast.diagnostics, *forecast.findings), display)
    yield from not_checked(forecast.not_checked, "forecast")
    if any(outlook is not None and outlook.over for outlook in (forecast.leaf, forecast.ca)):
        yield "**The quota does not suffice.**"
    yield from table(("Renew from", "Certificate", "Expires", "Owner", "Used by"), [_row(item) for item in items])


def _row(item: DueItem) -> list[str]:
    names = ShownNames(None)
    return [
        f"{item.renew_from:%Y-%m-%d}",
        code(item.certificate),
        f"{item.not_after:%Y-%m-%d %H:%M} UTC",
        code(item.owner) if item.owner else "",
        listed(names.binding(place.at) for place in item.places),
    ]
