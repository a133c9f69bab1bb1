"""A status as a calendar (RFC 5545): when to renew what, and when calls begin to fail if nothing is done.

A pure view; the library that writes it is the extra `calendar`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.escape import printable
from reconciler.model.words import environment_text
from reconciler.reports.outage import Outage
from reconciler.reports.status import CertificateStatus, Status
from reconciler.views.table import Display

try:
    from icalendar import Calendar, Event
except ModuleNotFoundError as error:
    raise ReconcilerError(
        "`--format ics` needs icalendar, which is not installed",
        hint="install mtlsctl again with it, in its checkout: pipx install --force '.[calendar]'",
        code=Code.EXTRA,
    ) from error


def show_status(status: Status, _display: Display) -> str:
    """The calendar; the same status gives the same bytes."""
    calendar = Calendar()
    calendar.add("prodid", "-//mtlsctl//status//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", f"Certificates of {printable(status.stack)}")
    for event in (*_renewals(status), *_outages(status)):
        calendar.add_component(event)
    text: str = calendar.to_ical().decode()
    return text


def _renewals(status: Status) -> Iterator[Event]:
    """A day for each certificate that has to be renewed."""
    for one in status.certificates:
        if one.due is not None and not one.due.renewed:
            yield _event(
                status, f"renew-{one.certificate}", one.due.renew_from, f"Renew {one.certificate}", _about(one)
            )


def _about(one: CertificateStatus) -> str:
    ends = f"It ends on {one.due.not_after:%Y-%m-%d %H:%M} UTC. " if one.due is not None else ""
    owner = f"Owner: {one.owner}. " if one.owner else ""
    return f"{ends}{owner}Get a new certificate, replace the file, run mtlsctl apply, and deploy."


def _outages(status: Status) -> Iterator[Event]:
    """The first outage of each certificate in use."""
    seen: set[str] = set()
    for one in status.outages:
        subject = one.certificate or one.entry
        if one.time is not None and subject is not None and subject not in seen:
            seen.add(subject)
            summary = f"Calls with {subject} fail from {one.time:%H:%M} UTC"
            yield _event(status, f"outage-{subject}", one.time, summary, _where(one))


def _where(one: Outage) -> str:
    return f"First {one.at.binding} in {one.at.config} ({environment_text(one.at.environment)})."


def _event(status: Status, name: str, time: datetime, summary: str, description: str) -> Event:
    event = Event()
    event.add("uid", printable(f"{name}-{time:%Y%m%d}-{status.stack}@mtlsctl"))
    event.add("dtstamp", status.made)
    event.add("dtstart", time.date())
    event.add("summary", printable(summary))
    event.add("description", printable(description))
    return event
