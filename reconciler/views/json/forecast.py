"""`mtlsctl.forecast/1`: what falls due when, and the entries that it needs, for a calendar or a capacity plan."""

from __future__ import annotations

from typing import Literal

from reconciler.findings.diagnostics import Resolve
from reconciler.model import BindingAddress
from reconciler.records.base import DiagnosticPart, JsonPart, UtcTime, diagnostic_part
from reconciler.records.plan import NotCheckedPart, StorePart, not_checked_part
from reconciler.reports.forecast import DueItem, Forecast, Outlook
from reconciler.reports.forecast_entries import ForecastStep
from reconciler.reports.status import Urgency
from reconciler.views.json.document import as_view
from reconciler.views.json.status import ByIdPart, UsePart, by_id_part, use_part


class DueItemPart(JsonPart):
    """One line of the calendar. `urgency` is that of `made`.

    `again`: it is of a successor that is supposed to be as the present one is. Without `entry` it is not stored.
    """

    certificate: str
    urgency: Urgency
    renew_from: UtcTime
    not_after: UtcTime
    again: bool
    owner: str | None = None
    entry: str | None = None
    places: tuple[BindingAddress, ...]


class BeginPart(JsonPart):
    """A certificate becomes valid at `at`, and the bindings in `places` can be changed to it."""

    certificate: str
    at: UtcTime
    places: tuple[BindingAddress, ...]


class ReleasePart(JsonPart):
    """An old certificate that stays until Workers are deployed. `what`: what to do, for a person.

    `by`: the end of its grace period; the numbers suppose that it is done by then. Without it, it counts to the end.
    """

    certificate: str
    entry: str
    what: str
    by: UtcTime | None = None


class OutlookPart(JsonPart):
    """The quota of one sort over time. `over_from`: when it does not suffice any more."""

    limit: int
    now: int
    peak: int
    peak_at: UtcTime
    end: int
    over_from: UtcTime | None = None


class QuotasPart(JsonPart):
    """The account's certificate quota."""

    leaf: OutlookPart
    ca: OutlookPart


class ForecastDocument(JsonPart):
    """From `made` to `until`, what falls due first. `later`: certificates that fall due after it.

    `unreadable`: certificates whose file can't be used. Without `quota` no account was asked. `assumptions`: what
    the numbers rest on, in words. `by_id`: what bindings use by its id and falls due by then, the first to end first.
    `uses`: what else uses the present certificates, and has to be changed when they are renewed. `begins`:
    certificates that are not valid yet, and the bindings that wait for them. `releases`: old certificates that Workers
    still use.
    """

    format: Literal["mtlsctl.forecast/1"] = "mtlsctl.forecast/1"
    stack: str
    store: StorePart
    made: UtcTime
    until: UtcTime
    offline: bool
    calendar: tuple[DueItemPart, ...]
    later: int
    unreadable: tuple[str, ...]
    quota: QuotasPart | None = None
    steps: tuple[ForecastStep, ...]
    assumptions: tuple[str, ...]
    by_id: tuple[ByIdPart, ...]
    uses: tuple[UsePart, ...]
    not_checked: tuple[NotCheckedPart, ...]
    diagnostics: tuple[DiagnosticPart, ...]
    begins: tuple[BeginPart, ...] = ()
    releases: tuple[ReleasePart, ...] | None = None


def forecast_document(forecast: Forecast, resolve: Resolve) -> ForecastDocument:
    """A forecast as its document."""
    leaf, ca = forecast.leaf, forecast.ca
    return ForecastDocument.made_from(
        forecast,
        offline=leaf is None,
        calendar=tuple(map(_item, forecast.calendar)),
        quota=QuotasPart(leaf=_outlook(leaf), ca=_outlook(ca)) if leaf is not None and ca is not None else None,
        by_id=tuple(map(by_id_part, forecast.by_id)),
        uses=tuple(map(use_part, forecast.uses)),
        not_checked=tuple(not_checked_part(one, "forecast") for one in forecast.not_checked),
        diagnostics=tuple(diagnostic_part(problem, resolve) for problem in (*forecast.findings, *forecast.diagnostics)),
        releases=forecast.releases or None,
    )


show_forecast = as_view(forecast_document)


def _item(item: DueItem) -> DueItemPart:
    return DueItemPart.made_from(
        item, entry=item.entry.id if item.entry else None, places=tuple(place.at for place in item.places)
    )


def _outlook(outlook: Outlook) -> OutlookPart:
    return OutlookPart.made_from(outlook, over_from=outlook.over.at if outlook.over else None)
